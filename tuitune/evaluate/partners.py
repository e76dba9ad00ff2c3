"""The models of an evaluation, one after another, those of one base without loading it twice."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from tuitune.chat.several import Several
from tuitune.stages.scorer import path_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tuitune.chat.local import LocalChat
    from tuitune.chat.score import LocalJudge
    from tuitune.chat.weights import Weights
    from tuitune.data.templates import Template
    from tuitune.evaluate.request import Named
    from tuitune.evaluate.scores import Around
    from tuitune.models.paths import Path as ModelPath


@dataclass(eq=False)
class Partner:
    """A model that is in memory and may be asked while it is open; in evaluation mode, without gradients."""

    named: Named
    chat: LocalChat
    model: Any

    @property
    def key(self) -> str:
        """Its short name."""
        return self.named.key

    @property
    def title(self) -> str:
        """What it is; foreign text."""
        return self.named.weights.title

    @property
    def weights(self) -> Weights:
        """Which weights these are."""
        return self.named.weights

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Its tokenizer."""
        return self.chat.tokenizer

    @property
    def template(self) -> Template:
        """How conversations are written down for it."""
        return self.chat.template

    @property
    def judge(self) -> LocalJudge | None:
        """What scores conversations, where it is a reward model."""
        return self.chat.judge

    @property
    def context(self) -> int | None:
        """The most tokens that it was made for, None where it does not say."""
        return self.chat.context

    @property
    def device(self) -> str:
        """Where it computes: cpu or cuda."""
        return str(next(self.model.parameters()).device.type)

    @cached_property
    def path(self) -> ModelPath:
        """The way through it, without padding where it allows that."""
        return path_of(self.model, self.tokenizer.pad_token_id or 0)

    @cached_property
    def language(self) -> str:
        """A hash that is equal only for those who read any text as the same tokens, so that one reading does for both.

        Others may read the rows at hand as the same tokens too: `tuitune.evaluate.heldout.tokens_of` tells.
        """
        from tuitune.data.templates import Style

        tokenizer, template, weights = self.tokenizer, self.template, self.weights
        marks = sorted((name, str(value)) for name, value in tokenizer.special_tokens_map.items())
        facts = (sorted(tokenizer.get_vocab().items()), _rules(tokenizer), marks, tokenizer.chat_template,
                 template.name, weights.system, weights.style or Style(), weights.split_special_tokens)  # fmt: skip
        return hashlib.sha256(repr(facts).encode("utf-8", "backslashreplace")).hexdigest()[:16]


def _rules(tokenizer: PreTrainedTokenizerBase) -> bytes:
    """Return how text is cut into the words of the vocabulary, nothing where that is not told."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return b""
    rules = orjson.loads(backend.to_str())
    return orjson.dumps({name: rule for name, rule in rules.items() if name not in ("truncation", "padding")})


def opened(models: Sequence[Named], around: Around) -> Iterator[Partner]:
    """Yield each model, open; one is let go before another base is loaded. Raises ModelError or DataError."""
    several = Several()
    before: list[LocalChat] = []
    for place, named in enumerate(models):
        if place and not _on_one_base(models[place - 1].weights, named.weights):
            _drop(several, before)
            gc.collect()  # models hold themselves in circles: now, before there is a second one
        around.progress(f"load {named.key}", 0, None)
        chat = several.add(named.weights, progress=around.progress, note=around.note)
        _drop(several, before)
        before.append(chat)
        with _lent(named, chat) as partner:
            around.begin(partner.device)
            yield partner
        del chat
    _drop(several, before)


@contextmanager
def _lent(named: Named, chat: LocalChat) -> Iterator[Partner]:
    with chat.using() as model:
        yield Partner(named, chat, model)


def _drop(several: Several, chats: list[LocalChat]) -> None:
    while chats:
        several.drop(chats.pop())


def in_order(models: Sequence[Named]) -> list[Named]:
    """Return the models so that those of one base stand together."""
    left = list(models)
    found: list[Named] = []
    while left:
        own = [each for each in left if _on_one_base(left[0].weights, each.weights)]
        found += own
        left = [each for each in left if each not in own]
    return found


def _on_one_base(a: Weights, b: Weights) -> bool:
    return _base(a) == _base(b)


def _base(weights: Weights) -> Weights:
    return replace(
        weights, adapters=weights.adapters[:-1], title="", template=None, system=None, style=None, options={},
        split_special_tokens=False, threads=None,
    )  # fmt: skip
