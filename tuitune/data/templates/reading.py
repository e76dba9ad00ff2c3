"""Calls of tools read back from what a model wrote, and the special tokens without which they cannot be read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tuitune.data.conversation import Conversation, Message
from tuitune.data.templates import tools
from tuitune.data.templates.chats import Chats
from tuitune.data.templates.named import NamedTemplate
from tuitune.data.templates.own import TokenizerTemplate
from tuitune.data.templates.thoughts import WORDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedTokenizerBase

    from tuitune.data.templates.base import Template

# What shows in a tokenizer's own chat template how its model calls tools; the first that is found counts.
_SIGNS = (
    ("<arg_key>", "glm4_moe"),
    ("<seed:tool_call>", "seed_oss"),
    ("<minimax:tool_call>", "minimax2"),
    ("<tool_calls>", "minimax1"),
    ("<function=", "qwen3_5"),
    ("<|tool_call_start|>", "lfm2"),
    ("[TOOL_CALLS]", "mistral"),
    ("<|tool_call|>", "phi4_mini"),
    ("<tool_call>", "qwen"),
    ('"parameters": ', "llama3"),
)
_USUAL = "qwen"  # the form of Hermes: JSON between <tool_call> and </tool_call>
_OPENING = re.compile(r"\s*(<[^<>\s]+>|Action:)")
_TAIL = 8  # tokens of a prompt in which it may open the answer's thoughts
_ONE = tools.dumps([{"name": "probe", "description": "", "parameters": {"type": "object", "properties": {}}}])


def form_of(template: Template, tokenizer: PreTrainedTokenizerBase) -> tools.ToolFormat:
    """Return how a model that is spoken to in this template calls tools."""
    if isinstance(template, NamedTemplate):
        return tools.tool_format(template.tool_form)
    if isinstance(template, TokenizerTemplate):
        if template.style.tool_format is not None:
            return tools.tool_format(template.style.tool_format)
        chats = Chats(tokenizer, "", template.style)
        chats.turns(Conversation((Message("user", "?"),), None, _ONE))
        if chats.in_words:
            return tools.tool_format("default")
    given = tokenizer.chat_template
    text = "\n".join(given.values()) if isinstance(given, dict) else str(given)
    return tools.tool_format(next((name for sign, name in _SIGNS if sign in text), _USUAL))


def read(form: tools.ToolFormat, text: str) -> tuple[str, list[tools.Call]]:
    """Return what an answer says, and the tools that it calls; what cannot be read as calls is a part of what it says.

    text: without its thoughts.
    """
    found = form.extract(text)
    if isinstance(found, str) or any(not call.name or not isinstance(call.arguments, dict) for call in found):
        return text, []
    place = text.find(opening_of(form))
    return text[: max(0, place)].rstrip(), found


def opening_of(form: tools.ToolFormat) -> str:
    """Return the word with which calls begin; "" where an answer that calls a tool is nothing else."""
    opening = _OPENING.match(form.calling.head + form.calling.each)
    return opening[1] if opening else ""


def kept_ids(form: tools.ToolFormat | None, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return the special tokens that stand around thoughts and, where a form is given, around calls in it."""
    calling = form.calling if form is not None else None
    written = calling.head + calling.each + calling.foot if calling is not None else ""
    marks = {word for pair in WORDS for word in pair}
    special = zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True)
    return frozenset(each for token, each in special if str(token) in marks or (str(token) and str(token) in written))


def opened(prompt_ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the words with which a prompt has opened the answer's thoughts, "" where it has not.

    They belong to the answer: without them nobody could tell its thoughts from what it says.
    """
    tail = str(tokenizer.decode(list(prompt_ids[-_TAIL:]), skip_special_tokens=False)).rstrip()
    return next((f"{opening}\n" for opening, _ in WORDS if tail.endswith(opening)), "")
