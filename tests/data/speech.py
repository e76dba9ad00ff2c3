"""What the tests of templates share: tokenizers that know a template's marks, and conversations of every form."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from typing import Any

from tests.tiny import tiny_tokenizer
from tuitune.data.conversation import Conversation, Message
from tuitune.data.templates import NAMES, Style, Template, choose
from tuitune.data.templates.base import encode_pieces
from tuitune.data.templates.named import NamedTemplate, Token
from tuitune.data.templates.table import TEMPLATES

NAMED = tuple(name for name in NAMES if name != "tokenizer")
_MARK = re.compile(r"<[^<>\s]{1,40}>|\[/?[A-Z_/a-z|~]{3,20}\]|\]~!?b[\[\]]|◁/?think▷")

TOOLS = json.dumps(
    [
        {
            "name": "get",
            "description": "Gets é.",
            "parameters": {
                "type": "object",
                "properties": {
                    "x": {"type": "integer", "description": "the x"},
                    "m": {"type": "array", "items": {"type": "string"}, "enum": ["a", "b"]},
                },
                "required": ["x"],
            },
        }
    ]
)
CALL = json.dumps({"name": "get", "arguments": {"x": 1, "y": "ü"}})


def user(text: str) -> Message:
    """Return what the user says."""
    return Message("user", text)


def answer(text: str) -> Message:
    """Return what the model says."""
    return Message("assistant", text)


def talk(*texts: str, system: str | None = None) -> Conversation:
    """Return a conversation of these texts in turn."""
    return Conversation(tuple((answer if place % 2 else user)(text) for place, text in enumerate(texts)), system)


def marks_of(template: NamedTemplate) -> list[str]:
    """Return every mark that the template writes; those of tools are ordinary tokens, as Qwen's are."""
    slots = (template.user, template.assistant, template.system, template.prefix, template.observation)
    tokens = {slot.text for group in slots for slot in group if isinstance(slot, Token)}
    return sorted({*_MARK.findall(template.spelled), *template.stop, *tokens} - {"<tool_response>", "</tool_response>"})


def knowing(marks: Sequence[str], chat_template: str | None = None, ordinary: Sequence[str] = ()) -> Any:
    """Return a tiny tokenizer for which `marks` are special tokens and `ordinary` are tokens like any other."""
    tokenizer = tiny_tokenizer() if chat_template is None else tiny_tokenizer(chat_template)
    tokenizer.add_special_tokens(
        {"additional_special_tokens": ["<|im_start|>", *marks]}, replace_extra_special_tokens=False
    )
    tokenizer.add_tokens(list(ordinary))
    return tokenizer


def speaking(name: str) -> Any:
    """Return a tiny tokenizer that knows the marks of the template of this name."""
    return tiny_tokenizer() if name == "tokenizer" else knowing(marks_of(TEMPLATES[name]))


def ids(template: Template, conversation: Conversation, tokenizer: Any) -> list[list[int]]:
    """Return the ids of each piece."""
    [found] = encode_pieces(template.pieces([conversation], tokenizer), tokenizer)
    assert not isinstance(found, str), found
    return found


def spoken(template: Template, conversation: Conversation, tokenizer: Any) -> list[str]:
    """Return the text of each piece, as the tokens spell it."""
    return [tokenizer.decode(piece, skip_special_tokens=False) for piece in ids(template, conversation, tokenizer)]


def chosen(name: str | None, tokenizer: Any, system: str | None = None, **style: Any) -> Template:
    """Return the template of this name in some style."""
    return choose(name, tokenizer, system, Style(**style))


WORDS = (
    "hello", "Why?", "it is 7.", "é à ü", "你好，世界", "🙂👩‍👩‍👧", "\tdef f():\n        return {1}",
    "{content} {{content}} {% if %}",
    "a\u200db", "मराठी", "  two  spaces", "line\r\nline", "\U00100000\U0010fffd", "\uffff",
    "a" * 300, "'quoted' \"twice\"",
)  # fmt: skip


def words(source: random.Random, extra: Sequence[str] = ()) -> str:
    """Return a random text that is not empty and begins and ends with a word."""
    pool = (*WORDS, *extra, *extra)
    text = " ".join(source.choice(pool) for _ in range(source.randint(1, 5)))
    return text.strip() or "x"


def conversation(
    source: random.Random, extra: Sequence[str] = (), *, turns: int = 3, system: bool = True
) -> Conversation:
    """Return a random conversation whose texts hold some of `extra`, too."""
    said = [words(source, extra) for _ in range(2 * source.randint(1, turns))]
    if source.random() < 0.1:
        said[-1] += " " + "word " * 2000 + "end"
    told = words(source, extra) if system and source.random() < 0.5 else None
    return talk(*said, system=told)


__all__ = [
    "CALL", "NAMED", "TOOLS", "answer", "chosen", "conversation", "ids", "knowing", "marks_of", "speaking", "spoken",
    "talk", "user", "words",
]  # fmt: skip
