"""Templates with a name: fixed text around system, user and assistant."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from tuitune.data.conversation import BETWEEN_REPLIES, Conversation, Message
from tuitune.data.templates import tools
from tuitune.data.templates.base import Element, Piece, Style, known_ids, prompt_of
from tuitune.data.templates.plain import Marks, Shield, Unspeakable, marks_of
from tuitune.data.templates.thoughts import Settled, Thoughts, settle
from tuitune.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Slot(Enum):
    """A place in a template that is not fixed text."""

    BOS = "the tokenizer's own first token, nothing where it has none"
    EOS = "the tokenizer's own end token"


@dataclass(frozen=True)
class Token:
    """A token that stands for itself, whatever the tokenizer makes of its text."""

    text: str


CONTENT = "{content}"
Slots = tuple[str | Slot | Token, ...]


@dataclass(frozen=True)
class NamedTemplate:
    """Fixed text with a place for the content; the prompt part of a turn ends where the answer begins.

    Each element is tokenised by itself, as LLaMA-Factory does, so that the ids are the same. prefix stands before
    everything. observation and function are the user's and the assistant's where they are not given. fused: the system
    text is the beginning of the first message. late: no answer holds its end token (efficient_eos). own_end: the first
    of `stop` is the end token, whatever the tokenizer says (replace_eos). tool_form: a name of `tools.TOOL_FORMATS`.
    """

    name: str
    user: Slots = (CONTENT,)
    assistant: Slots = (CONTENT, Slot.EOS)
    system: Slots = (CONTENT,)
    prefix: Slots = ()
    observation: Slots = ()
    function: Slots = ()
    default_system: str = ""
    stop: tuple[str, ...] = ()
    thoughts: Thoughts | None = None
    tool_form: str = "default"
    call_words: tuple[str, str] = ("<tool_call>", "</tool_call>")
    fused: bool = False
    late: bool = False
    own_end: bool = False
    style: Style = field(default_factory=Style)
    warning: str = ""

    def pieces(
        self, conversations: Sequence[Conversation], tokenizer: PreTrainedTokenizerBase
    ) -> list[list[Piece] | str]:
        writer = _Writer(self, tokenizer)
        return [writer.dialogue(talk) for talk in conversations]

    def prompt_ids(self, messages: Sequence[Message], tokenizer: PreTrainedTokenizerBase, tools: str = "") -> list[int]:
        return prompt_of(self, messages, tokenizer, tools)

    def stop_ids(self, tokenizer: PreTrainedTokenizerBase) -> list[int]:
        eos = tokenizer.eos_token
        return known_ids([*self.stop, None if eos is None else str(eos)], tokenizer)

    def late_end(self, tokenizer: PreTrainedTokenizerBase) -> int | None:
        return self.end(tokenizer) if self.late else None

    def jinja(self) -> str:
        """Return the same as a chat template for tokenizers; a user's message opens the answer by itself."""
        from tuitune.data.templates.jinja import written

        return written(self)

    def styled(self, style: Style) -> NamedTemplate:
        """Return this template with the tools and thoughts of `style`; raises DataError for an unknown tool format."""
        if style.tool_format is None:
            return dataclasses.replace(self, style=style)
        form = tools.tool_format(style.tool_format).name
        # LLaMA-Factory's rule: calls in a format that is not the template's end with the plain end token.
        function: Slots = (CONTENT,) if self.late else (CONTENT, Slot.EOS)
        return dataclasses.replace(self, style=style, tool_form=form, function=function)

    @property
    def between_replies(self) -> str:
        """What stands between the replies of several tools."""
        tagged = any(isinstance(slot, str) and "<tool_response>\n{content}" in slot for slot in self.observation)
        return BETWEEN_REPLIES if tagged else "\n"

    @property
    def spelled(self) -> str:
        """Every text that the template writes by itself."""
        slots = (*self.prefix, *self.system, *self.user, *self.assistant, *self.observation, *self.function)
        texts = [slot.text if isinstance(slot, Token) else slot for slot in slots if not isinstance(slot, Slot)]
        return "\n".join([*texts, *self.stop])

    def end(self, tokenizer: PreTrainedTokenizerBase) -> int:
        """Return the id that ends answers; raises DataError."""
        if self.own_end and known_ids(self.stop[:1], tokenizer):
            return known_ids(self.stop[:1], tokenizer)[0]
        if tokenizer.eos_token_id is None:
            raise DataError(
                f"template {self.name} ends answers with the tokenizer's end token, and this tokenizer has none",
                "Use a template that brings its own, such as chatml, or a tokenizer with an eos_token.",
            )
        return int(tokenizer.eos_token_id)


class _Writer:
    """Writes conversations in one template for one tokenizer."""

    def __init__(self, template: NamedTemplate, tokenizer: PreTrainedTokenizerBase) -> None:
        self._template = template
        self._marks = marks_of(tokenizer, template.spelled)
        form = tools.tool_format(template.tool_form)
        self._describe, self._say = form.describe, form.say
        self._user, self._assistant = (self._fixed(slots, tokenizer) for slots in (template.user, template.assistant))
        self._system, self._prefix = (self._fixed(slots, tokenizer) for slots in (template.system, template.prefix))
        self._observation = self._fixed(template.observation or template.user, tokenizer)
        self._function = self._fixed(template.function or template.assistant, tokenizer)

    def dialogue(self, talk: Conversation) -> list[Piece] | str:
        """Return the pieces of one conversation, or why it has none."""
        settled = settle(talk, self._template.thoughts, self._template.style)
        messages = settled.messages if settled.rejected is None else (*settled.messages, settled.rejected)
        shield = Shield(self._marks)
        try:
            system = self._system_text(talk, shield)
            pieces: list[Piece] = []
            for place, message in enumerate(messages):
                before = system if self._template.fused and not place else ""
                pieces.append(self._message(message, before, shield))
        except (tools.Unreadable, Unspeakable) as reason:
            return str(reason)
        pieces[0] = (*self._prefix, *self._before(system, shield), *pieces[0])
        self._empty_thoughts(settled, pieces)
        return pieces

    def _system_text(self, talk: Conversation, shield: Shield) -> str:
        # An empty system text means the template's own, as in LLaMA-Factory.
        system = shield.hide(talk.system or "", everywhere=False) or self._template.default_system
        if talk.tools.strip():
            offered = shield.hide_all(tools.read_tools(talk.tools))
            system += self._describe(offered) if offered else ""
        if system and self._template.fused:
            parts = (slot for slot in self._template.system if isinstance(slot, str))
            return "".join(part.replace(CONTENT, system, 1) for part in parts)
        return system

    def _before(self, system: str, shield: Shield) -> Piece:
        return self._filled(self._system, system, shield) if system and not self._template.fused else ()

    def _message(self, message: Message, before: str, shield: Shield) -> Piece:
        if message.role == "user":
            return self._filled(self._user, before + shield.hide(message.content, everywhere=True), shield)
        if message.role == "observation":
            replies = (shield.hide(each, everywhere=True) for each in message.content.split(BETWEEN_REPLIES))
            return self._filled(self._observation, before + self._template.between_replies.join(replies), shield)
        thoughts = self._template.thoughts or Thoughts()
        thought, said = thoughts.cut(message.content)
        if message.role == "assistant":
            content = shield.hide(said, everywhere=False)
            return self._filled(self._assistant, thoughts.held(thought, shield) + content, shield)
        told, calls = tools.read_calls(said, self._template.call_words)
        calls = [tools.Call(*shield.hide_all([call.name, call.arguments])) for call in calls]
        text = thoughts.held(thought, shield) + shield.hide(told, everywhere=False) + self._say(calls)
        return self._filled(self._function, text, shield)

    def _empty_thoughts(self, settled: Settled, pieces: list[Piece]) -> None:
        if self._template.thoughts is None:
            return
        empty = self._template.thoughts.empty
        for place, where in settled.empty.items():
            if where == "answer":
                pieces[place] = (empty, *pieces[place])
            else:
                pieces[place - 1] = (*pieces[place - 1], empty)

    @staticmethod
    def _filled(slots: Sequence[Element], content: str, shield: Shield) -> Piece:
        return tuple(
            shield.done(slot.replace(CONTENT, content, 1)) if isinstance(slot, str) else slot for slot in slots
        )

    def _fixed(self, slots: Slots, tokenizer: PreTrainedTokenizerBase) -> list[Element]:
        """Return the slots with the tokenizer's ids in the place of tokens."""
        fixed: list[Element] = []
        for slot in slots:
            if isinstance(slot, str):
                fixed.append(slot)
            elif isinstance(slot, Token):
                fixed.append(self._id(slot.text, tokenizer))
            elif slot is Slot.EOS:
                fixed.append(self._template.end(tokenizer))
            elif tokenizer.bos_token_id is not None:
                fixed.append(int(tokenizer.bos_token_id))
        return fixed

    def _id(self, token: str, tokenizer: PreTrainedTokenizerBase) -> int:
        found = known_ids([token], tokenizer)
        if not found:
            raise DataError(
                f"template {self._template.name} needs the token {token}, which this tokenizer does not have",
                "Leave `template` out where the tokenizer has its own, or name another.",
            )
        return found[0]


__all__ = ["CONTENT", "Marks", "NamedTemplate", "Slot", "Slots", "Token"]
