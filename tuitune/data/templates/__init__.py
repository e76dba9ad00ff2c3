"""Chat templates: the tokenizer's own first, those with names for base models and for LLaMA-Factory's recipes."""

from __future__ import annotations

import dataclasses
import difflib
from typing import TYPE_CHECKING

from tuitune.data.conversation import Message
from tuitune.data.templates.base import Style, Template
from tuitune.data.templates.elsewhere import KNOWN_ELSEWHERE
from tuitune.data.templates.named import NamedTemplate
from tuitune.data.templates.own import NAME, own
from tuitune.data.templates.renamed import id_of
from tuitune.data.templates.table import TEMPLATES
from tuitune.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["KNOWN_ELSEWHERE", "NAMES", "Message", "Style", "Template", "choose"]

NAMES: tuple[str, ...] = (*TEMPLATES, NAME)
_NO_TEMPLATE = (
    "the tokenizer has no chat template and the recipe names none: "
    "the plain template 'default' (Human: / Assistant:) is used"
)


def choose(
    recipe_template: str | None,
    tokenizer: PreTrainedTokenizerBase,
    default_system: str | None = None,
    style: Style | None = None,
) -> Template:
    """Return the named template, or the tokenizer's own, or `default` with a warning; raises DataError.

    `default_system` takes the place of the template's own default system text; `style` says how tools and thoughts are
    written.
    """
    style = Style() if style is None else style
    if recipe_template is None:
        if tokenizer.chat_template:
            return own(tokenizer, default_system or "", style)
        return _named("default", tokenizer, default_system, style, _NO_TEMPLATE)
    if recipe_template == NAME:
        if not tokenizer.chat_template:
            raise DataError("`template: tokenizer` asks for the tokenizer's chat template, and it has none")
        return own(tokenizer, default_system or "", style)
    if recipe_template not in TEMPLATES:
        raise _unknown(recipe_template, tokenizer)
    return _named(recipe_template, tokenizer, default_system, style)


def _named(
    name: str, tokenizer: PreTrainedTokenizerBase, default_system: str | None, style: Style, warning: str = ""
) -> NamedTemplate:
    template = TEMPLATES[name]
    strange = [token for token in template.stop if id_of(token, tokenizer) is None]
    if strange:
        warning = (
            f"template {name} marks turns with {', '.join(strange)}, which this tokenizer does not know as one token: "
            "it is spelled out in several, and an answer ends less surely"
        )
    system = template.default_system if default_system is None else default_system
    return dataclasses.replace(template.styled(style), default_system=system, warning=warning)


def _unknown(name: str, tokenizer: PreTrainedTokenizerBase) -> DataError:
    if name in KNOWN_ELSEWHERE and tokenizer.chat_template:
        return DataError(
            f"template {name!r} is one of LLaMA-Factory's that is not built in",
            "Leave `template` out: the tokenizer brings its own chat template, and that is used.",
        )
    near = difflib.get_close_matches(name, NAMES, n=1)
    known = "a name of LLaMA-Factory's, such as qwen3, llama3 or chatml, or none where the tokenizer has its own."
    hint = f"Did you mean {near[0]!r}? Otherwise use {known}" if near else f"Use {known}"
    if name in KNOWN_ELSEWHERE:
        return DataError(f"template {name!r} is one of LLaMA-Factory's that is not built in", hint)
    return DataError(f"there is no template {name!r}", hint)
