"""Thoughts of reasoning models: where they stay, where they go, and where empty ones stand in for them."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from tuitune.data.conversation import Conversation, Message
from tuitune.data.templates.base import Style
from tuitune.data.templates.plain import Shield

Place = Literal["prompt", "answer"]
# What stands around thoughts in the chat templates that tokenizers bring.
WORDS = (("<think>", "</think>"), ("<seed:think>", "</seed:think>"), ("◁think▷", "◁/think▷"))


@dataclass(frozen=True)
class Thoughts:
    """The words around thoughts; `bare`: an empty thought is the closing words alone (GLM-4.7)."""

    opening: str = "<think>\n"
    closing: str = "\n</think>\n\n"
    bare: bool = False

    @property
    def empty(self) -> str:
        """What an answer without thoughts begins with."""
        return self.closing if self.bare else self.opening + self.closing

    def inside(self, content: str) -> bool:
        """Return whether `content` has thoughts."""
        return self.opening.strip() in content or self.closing.strip() in content

    def removed(self, content: str) -> str:
        """Return `content` without its thoughts."""
        if not self.inside(content):
            return content
        return _block(self.opening.strip(), self.closing.strip()).sub("", content).lstrip("\n")

    def cut(self, content: str) -> tuple[str, str]:
        """Return the thoughts that `content` begins with, their words included, and the rest."""
        found = _leading(self.opening.strip(), self.closing.strip()).match(content)
        return (found[0], content[found.end() :]) if found else ("", content)

    def held(self, thought: str, shield: Shield) -> str:
        """Return thoughts that `cut` found with what they say held, but not the words around them.

        Those are the template's, even where the tokenizer calls them special.
        """
        if not thought:
            return ""
        before, opening, rest = thought.partition(self.opening.strip())
        inside, closing, after = rest.rpartition(self.closing.strip())
        return before + opening + shield.hide(inside, everywhere=False) + closing + after

    def continued(self, content: str, prompt: str) -> str:
        """Return what follows a prompt that has opened the answer's thoughts: these, or none, and the rest."""
        thought, said = self.cut(content)
        inside = thought.partition(self.opening.strip())[2].rpartition(self.closing.strip())[0]
        if prompt.endswith("\n"):
            inside = inside.removeprefix("\n")
        return f"{inside.rstrip(chr(10))}{self.closing}{said}"


@functools.cache
def _block(opening: str, closing: str) -> re.Pattern[str]:
    return re.compile(f"{re.escape(opening)}.*?{re.escape(closing)}", re.DOTALL)


@functools.cache
def _leading(opening: str, closing: str) -> re.Pattern[str]:
    return re.compile(rf"\s*{re.escape(opening)}(.*?){re.escape(closing)}\s*", re.DOTALL)


@dataclass(frozen=True)
class Settled:
    """Messages whose thoughts have been settled; `empty` says at which of them an empty thought stands, and where.

    A message's own place is "answer"; "prompt" is the end of the prompt before it, also after the last message.
    """

    messages: tuple[Message, ...]
    rejected: Message | None
    empty: dict[int, Place] = field(default_factory=dict)


def settle(talk: Conversation, thoughts: Thoughts | None, style: Style) -> Settled:
    """Keep or take away thoughts as LLaMA-Factory's reasoning templates do.

    Where only the last answer is learnt (pairs, labels, prompts, mask_history) earlier answers lose their thoughts
    unless preserve_thinking. enable_thinking true: an answer without thoughts begins with empty ones, and learns them;
    false: no answer has thoughts, empty ones belong to the prompt; None: thoughts are learnt where there are some.
    """
    if thoughts is None:
        return Settled(talk.messages, talk.rejected)
    one = len(talk.messages) % 2 == 1 or talk.rejected is not None or talk.desirable is not None
    lonely = (one or style.mask_history) and not style.preserve_thinking
    final = len(talk.messages) // 2 * 2 + 1 if len(talk.messages) % 2 else len(talk.messages) - 1
    off = style.enable_thinking is False
    messages = []
    for place, message in enumerate(talk.messages):
        strip = place % 2 == 1 and ((off and (place == final or not one)) or (lonely and place < final))
        messages.append(_changed(message, thoughts) if strip else message)
    rejected = _changed(talk.rejected, thoughts) if off and talk.rejected is not None else talk.rejected
    turns = [final] if one or lonely else range(1, len(messages), 2)
    return Settled(tuple(messages), rejected, _empty(messages, rejected, turns, thoughts, style))


def _empty(
    messages: Sequence[Message], rejected: Message | None, turns: Sequence[int], thoughts: Thoughts, style: Style
) -> dict[int, Place]:
    """Return where empty thoughts go; the place after the last message is the worse answer of a pair."""
    found: dict[int, Place] = {}
    for turn in turns:
        if turn >= len(messages):  # the answer is still to come
            if not style.enable_thinking:
                found[turn] = "prompt"
        elif not thoughts.inside(messages[turn].content):
            found[turn] = "answer" if style.enable_thinking else "prompt"
    if rejected is None:
        return found
    final, worse = len(messages) - 1, len(messages)
    if not thoughts.inside(rejected.content):
        found[worse] = "answer"
    # The prompt of a pair is one: it has the empty thought only if neither answer thinks.
    if found.get(final) == "prompt":
        if worse in found:
            del found[worse]
        else:
            found[final] = "answer"
    return found


def _changed(message: Message, thoughts: Thoughts) -> Message:
    content = thoughts.removed(message.content)
    return message if content == message.content else Message(message.role, content, message.trained)
