"""Where prompts end and answers begin in what a chat template renders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from tuitune.data.conversation import UnusableRow
from tuitune.data.templates.chats import Turns, replaced
from tuitune.data.templates.plain import PLACE, Marks
from tuitune.data.templates.rendering import Chat, Renderer, Request


class Refused(Exception):
    """The template refuses the conversation; the text is the reason."""


class Cutter:
    """Cuts one conversation.

    Where the rendered text grows with the dialogue, each step adds a piece. Some templates write a turn otherwise once
    another follows: they leave out thoughts, or move the system text to the last question. Then the prompt that a chat
    would show before the last answer is cut: each answer in it is replaced by a character that no text holds, and what
    stands before and behind that character, compared with the prompt and the end of that answer when it was the last,
    says where it begins and ends. The pieces, put together, must be the prompt again, and hold the words they should.
    """

    def __init__(self, turns: Turns, marks: Marks, renderer: Renderer) -> None:
        self._turns, self._renderer = turns, renderer
        self._marks = re.compile(f"({marks.found(True).pattern})")

    def cut(self, grown: Sequence[str | UnusableRow]) -> list[str] | str | None:
        """Return the text of each piece, the reason why the template refuses, or None if it cannot be split."""
        texts: list[str] = []
        for text in grown:
            if isinstance(text, UnusableRow):
                return str(text)
            texts.append(text)
        rejected = texts.pop() if self._turns.rejected is not None else None
        answers = [texts[-1]] if rejected is None else [texts[-1], rejected]
        waiting = len(texts) % 2 == 1
        prompt = texts[-1] if waiting else texts[-2]
        if all(after.startswith(before) for before, after in pairwise(texts)) and (
            rejected is None or rejected.startswith(prompt)
        ):
            pieces = [after[len(before) :] for before, after in pairwise(["", *texts])]
            return pieces if rejected is None else [*pieces, rejected[len(prompt) :]]
        try:
            history = self._history(prompt, len(texts) // 2 - (0 if waiting else 1))
            if history is None or waiting:
                return history
            last = [self._last(prompt, text, which) for which, text in enumerate(answers)]
        except Refused as reason:
            return str(reason)
        return None if None in last else [*history, *(text for text in last if text is not None)]

    def _history(self, prompt: str, count: int) -> list[str] | None:
        """Return the pieces of the prompt before the last answer, which holds `count` answers."""
        if not count:
            return [prompt]
        places = [chr(PLACE + number) for number in range(count)]
        messages = self._turns.messages
        empty = self._with(dict(enumerate(places)))
        size = 2 * count + 1
        requests = [self._turns.request(size, empty)]
        for number in range(count):
            only = self._with({other: words for other, words in enumerate(places) if other != number})
            requests += [
                self._turns.request(size, only),
                self._turns.request(2 * number + 1, empty),
                self._turns.request(2 * number + 2, empty),
            ]
        skeleton, *others = self._render(requests)
        pieces: list[str] = []
        end = 0
        for number, place in enumerate(places):
            real, opened, closed = others[3 * number : 3 * number + 3]
            if skeleton.count(place) != 1 or closed.count(place) != 1:
                return None
            before, _, after = skeleton.partition(place)
            begin = len(opened) if skeleton.startswith(opened) else self._agree(opened, before)
            ending = self._agree(closed.partition(place)[2], after)
            rest = after[ending:]
            if begin < end or not real.startswith(skeleton[:begin]) or not real.endswith(rest):
                return None
            pieces += [skeleton[end:begin], real[begin : len(real) - len(rest)]]
            end = len(before) + 1 + ending
        pieces.append(skeleton[end:])
        return pieces if "".join(pieces) == prompt and _hold(pieces, messages, self._turns) else None

    def _last(self, prompt: str, whole: str, which: int) -> str | None:
        """Return the last answer (1: the worse one), which is `whole` behind `prompt` if the template is orderly."""
        if whole.startswith(prompt):
            return whole[len(prompt) :]
        message = self._turns.messages[-1] if which == 0 else self._turns.rejected
        place = chr(PLACE)
        if message is None:
            return None
        chat = [*self._turns.messages[:-1], replaced(message, place)]
        skeleton = self._render([self._turns.request(len(chat), chat)])[0]
        if skeleton.count(place) != 1 or "tool_calls" in message:
            return None
        before, _, after = skeleton.partition(place)
        if self._marks.sub("", after).strip() or not whole.endswith(after):
            return None
        thoughts = self._turns.thoughts
        if prompt.rstrip("\n").endswith(thoughts.opening.strip()):
            return thoughts.continued(message["content"], prompt) + after
        begin = self._behind(prompt, before)
        if begin is None or not whole.startswith(before[:begin]):
            return None
        answer = whole[begin:]
        return answer if thoughts.removed(message["content"]).strip() in answer else None

    def _behind(self, prompt: str, text: str) -> int | None:
        """Return where `text` goes on behind the last mark of `prompt` and what follows it there."""
        marks = list(self._marks.finditer(prompt))
        if not marks:
            return None
        ending = prompt[marks[-1].start() :]
        place = text.rfind(ending)
        return None if place < 0 else place + len(ending)

    def _agree(self, expected: str, text: str) -> int:
        """Return how long both begin alike, mark by mark, so that two marks never agree in their first letters."""
        length = 0
        for ours, theirs in zip(self._parts(expected), self._parts(text), strict=False):
            if ours == theirs:
                length += len(ours)
                continue
            if length + len(ours) == len(expected) and theirs.startswith(ours):
                length += len(ours)
            break
        return length

    def _parts(self, text: str) -> list[str]:
        return [part for part in self._marks.split(text) if part]

    def _with(self, words: dict[int, str]) -> Chat:
        """Return the messages with other words in the answers of these numbers."""
        chat = list(self._turns.messages)
        for number, text in words.items():
            chat[2 * number + 1] = replaced(chat[2 * number + 1], text)
        return chat

    def _render(self, requests: Sequence[Request]) -> list[str]:
        found: list[str] = []
        for text in self._renderer.all(requests):
            if isinstance(text, UnusableRow):
                raise Refused(str(text))
            found.append(text)
        return found


def _hold(pieces: Sequence[str], messages: Chat, turns: Turns) -> bool:
    """Return whether each piece holds the words of its message."""
    return all(
        turns.thoughts.removed(str(message["content"])).strip() in piece
        for piece, message in zip(pieces, messages, strict=False)
    )
