"""Templates with a name: fixed text around system, user and assistant."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from tuitune.data.conversation import Conversation, Message
from tuitune.data.templates.base import Piece, encode_texts, ids_of, known_ids, split_system
from tuitune.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Slot(Enum):
    """A place in a template that is not fixed text."""

    EOS = "the tokenizer's own end token"


CONTENT = "{content}"
_SAID = "message['content']"
Slots = tuple[str | Slot, ...]


@dataclass(frozen=True)
class NamedTemplate:
    """Fixed text with a place for the content; the prompt part of a turn ends where the answer begins.

    Each element is tokenised by itself, as LLaMA-Factory does, so that the ids are the same.
    """

    name: str
    system: Slots
    user: Slots
    assistant: Slots
    default_system: str = ""
    stop: tuple[str, ...] = ()
    warning: str = ""

    def pieces(
        self, conversations: Sequence[Conversation], tokenizer: PreTrainedTokenizerBase
    ) -> list[list[Piece] | str]:
        eos = self._eos(tokenizer)
        return [self._dialogue(talk.system, talk.messages, eos) for talk in conversations]

    def prompt_ids(self, messages: Sequence[Message], tokenizer: PreTrainedTokenizerBase) -> list[int]:
        system, turns = split_system(messages)
        pieces = self._dialogue(system, turns, self._eos(tokenizer))
        encoded = encode_texts((part for piece in pieces for part in piece if isinstance(part, str)), tokenizer)
        return [token for piece in pieces for token in ids_of(piece, encoded)]

    def stop_ids(self, tokenizer: PreTrainedTokenizerBase) -> list[int]:
        return known_ids([*self.stop, _text_of(tokenizer.eos_token)], tokenizer)

    def jinja(self) -> str:
        """Return the same as a chat template for tokenizers; a user's message opens the answer by itself."""
        system, user, assistant = (
            _jinja(self.system, "system"), _jinja(self.user, _SAID), _jinja(self.assistant, _SAID),
        )  # fmt: skip
        return (
            "{% set told = messages[0]['content'] if messages[0]['role'] == 'system' else '' %}"
            f"{{% set system = told or {json.dumps(self.default_system)} %}}"
            f"{{% if system %}}{system}{{% endif %}}"
            "{% for message in messages %}"
            f"{{% if message['role'] == 'user' %}}{user}"
            f"{{% elif message['role'] == 'assistant' %}}{assistant}{{% endif %}}"
            "{% endfor %}"
        )

    def _dialogue(self, system: str | None, messages: Sequence[Message], eos: int | None) -> list[Piece]:
        pieces = [_filled(self.user if m.role == "user" else self.assistant, m.content, eos) for m in messages]
        # An empty system text means the template's own, as in LLaMA-Factory.
        text = system or self.default_system
        if text:
            pieces[0] = _filled(self.system, text, eos) + pieces[0]
        return pieces

    def _eos(self, tokenizer: PreTrainedTokenizerBase) -> int | None:
        if not any(Slot.EOS in slots for slots in (self.system, self.user, self.assistant)):
            return None
        if tokenizer.eos_token_id is None:
            raise DataError(
                f"template {self.name} ends answers with the tokenizer's end token, and this tokenizer has none",
                "Use a template that brings its own, such as chatml, or a tokenizer with an eos_token.",
            )
        return int(tokenizer.eos_token_id)


def _filled(slots: Slots, content: str, eos: int | None) -> Piece:
    elements: list[str | int] = []
    for slot in slots:
        if isinstance(slot, str):
            elements.append(slot.replace(CONTENT, content, 1))
        elif eos is not None:
            elements.append(eos)
    return tuple(elements)


def _jinja(slots: Slots, content: str) -> str:
    """Return Jinja that writes the slots around the expression `content`."""
    parts: list[str] = []
    for slot in slots:
        if isinstance(slot, str):
            before, found, after = slot.partition(CONTENT)
            parts += [json.dumps(before)] if before else []
            parts += [content] if found else []
            parts += [json.dumps(after)] if after else []
        else:
            parts.append("eos_token")
    return "".join(f"{{{{ {part} }}}}" for part in parts)


def _text_of(token: object) -> str | None:
    return None if token is None else str(token)


_CHATML_SYSTEM: Slots = ("<|im_start|>system\n{content}<|im_end|>\n",)
_CHATML_USER: Slots = ("<|im_start|>user\n{content}<|im_end|>\n<|im_start|>assistant\n",)
_CHATML_ASSISTANT: Slots = ("{content}<|im_end|>\n",)

TEMPLATES: dict[str, NamedTemplate] = {
    template.name: template
    for template in (
        NamedTemplate(
            name="alpaca",
            system=(CONTENT,),
            user=("### Instruction:\n{content}\n\n### Response:\n",),
            assistant=(CONTENT, Slot.EOS, "\n\n"),
            default_system="Below is an instruction that describes a task. "
            "Write a response that appropriately completes the request.\n\n",
        ),
        NamedTemplate(
            name="chatml",
            system=_CHATML_SYSTEM,
            user=_CHATML_USER,
            assistant=_CHATML_ASSISTANT,
            stop=("<|im_end|>", "<|im_start|>"),
        ),
        NamedTemplate(
            name="default",
            system=("System: {content}", Slot.EOS, "\n"),
            user=("Human: {content}", Slot.EOS, "\nAssistant:"),
            assistant=(CONTENT, Slot.EOS, "\n"),
        ),
        NamedTemplate(
            name="smollm2",
            system=_CHATML_SYSTEM,
            user=_CHATML_USER,
            assistant=_CHATML_ASSISTANT,
            default_system="You are a helpful AI assistant named SmolLM, trained by Hugging Face.",
            stop=("<|im_end|>",),
        ),
    )
}
