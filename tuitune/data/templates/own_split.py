"""Where prompts end and answers begin in what a chat template renders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise

from tuitune.data.conversation import UnusableRow
from tuitune.data.templates.chats import Turns, replaced
from tuitune.data.templates.plain import LAST, PLACE, Marks
from tuitune.data.templates.rendering import Chat, Renderer, Request

_SIGN = re.compile(f"[{chr(PLACE)}-{chr(LAST)}]")


class Refused(Exception):
    """The template refuses the conversation; the text is the reason."""


class Cutter:
    """Cuts one conversation.

    Where the rendered text grows with the dialogue, each step adds a piece. Some templates write a turn otherwise once
    another follows: they leave out thoughts, or move the system text to the last question. Then the prompt that a chat
    would show before the last answer is cut. In a copy of the dialogue each text is one character that no text holds:
    what stands around the character of an answer there, compared with the prompt and the end of that answer when it was
    the last, says what of it belongs to the answer. The pieces, put together, must be the prompt again.
    """

    def __init__(self, turns: Turns, marks: Marks, renderer: Renderer) -> None:
        self._turns, self._known, self._renderer = turns, marks, renderer

    @cached_property
    def _marks(self) -> re.Pattern[str]:
        return re.compile(f"({self._known.found(True).pattern})")

    @cached_property
    def _signs(self) -> list[str]:
        count = len(self._turns.messages)
        if count > LAST - PLACE:
            raise Refused(f"the conversation has {count} messages, too many for this chat template to be taken apart")
        return [chr(PLACE + place) for place in range(count)]

    @cached_property
    def _asked(self) -> re.Pattern[str]:
        return re.compile(f"[{''.join(self._signs[::2])}]")

    def cut(self, grown: Sequence[str | UnusableRow]) -> list[str] | str | None:
        """Return the text of each piece, the reason why the template refuses, or None if it cannot be split."""
        texts: list[str] = []
        for text in grown:
            if isinstance(text, UnusableRow):
                return str(text)
            texts.append(text)
        rejected = texts.pop() if self._turns.rejected is not None else None
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
            last = [self._last(prompt, texts[-1], self._turns.messages[-1])]
            if rejected is not None and self._turns.rejected is not None:
                last.append(self._last(prompt, rejected, self._turns.rejected))
        except Refused as reason:
            return str(reason)
        return None if None in last else [*history, *(text for text in last if text is not None)]

    def _history(self, prompt: str, count: int) -> list[str] | None:
        """Return the pieces of the prompt before the last answer, which holds `count` answers."""
        if not count:
            return [prompt]
        size, answers = 2 * count + 1, range(1, 2 * count, 2)
        signs, blank = self._with(range(size)), self._with(answers)
        requests = [self._turns.request(size, signs), self._turns.request(size, blank)]
        for place in answers:
            requests += [
                self._turns.request(place, signs),
                self._turns.request(place + 1, signs),
                self._turns.request(size, self._with(other for other in answers if other != place)),
            ]
        skeleton, bare, *others = self._render(requests)
        if not self._in_order(skeleton, size):
            return None
        pieces: list[str] = []
        end = 0
        for place, (opened, closed, real) in zip(answers, _threes(others), strict=True):
            sign = self._signs[place]
            edges = self._edges(opened, skeleton.partition(sign), closed.partition(sign)[2])
            before, found, after = bare.partition(sign)
            if edges is None or not found:
                return None
            begin, rest = len(before) - edges[0], after[edges[1] :]
            if begin < end or not real.startswith(bare[:begin]) or not real.endswith(rest):
                return None
            pieces += [bare[end:begin], real[begin : len(real) - len(rest)]]
            end = len(bare) - len(rest)
        pieces.append(bare[end:])
        return pieces if "".join(pieces) == prompt else None

    def _last(self, prompt: str, whole: str, message: Chat) -> str | None:
        """Return the last answer, which is `whole` behind `prompt` where the template is orderly."""
        if whole.startswith(prompt):
            return whole[len(prompt) :]
        place = len(self._turns.messages) - 1
        signs = [*self._with(range(place))[:place], replaced(message, self._signs[place])]
        opened, skeleton = self._render([self._turns.request(place, signs), self._turns.request(place + 1, signs)])
        parts = skeleton.partition(self._signs[place])
        if not self._in_order(skeleton, place + 1) or "tool_calls" in message[0] or not whole.endswith(parts[2]):
            return None
        thoughts = self._turns.thoughts
        if prompt.rstrip("\n").endswith(thoughts.opening.strip()):
            return thoughts.continued(message[0]["content"], prompt) + parts[2]
        edges = self._edges(opened, parts, parts[2])
        if edges is None:
            return None
        [bare] = self._render([self._turns.request(place + 1, [*self._turns.messages[:-1], signs[-1]])])
        begin = len(bare.partition(self._signs[place])[0]) - edges[0]
        return whole[begin:] if whole.startswith(bare[:begin]) else None

    def _in_order(self, skeleton: str, size: int) -> bool:
        """Return whether the signs of the first `size` messages stand in `skeleton` once each and in turn."""
        return _SIGN.findall(skeleton) == self._signs[:size]

    def _edges(self, opened: str, parts: tuple[str, str, str], closing: str) -> tuple[int, int] | None:
        """Return how many characters before and behind an answer's sign belong to it; no other message may be there."""
        before, sign, after = parts
        ways = (
            len(opened) if (before + sign + after).startswith(opened) else None,
            self._agree(opened, before),
            self._behind(opened, before),
        )
        begin = next((way for way in ways if way is not None and not self._asked.search(before[way:])), None)
        end = self._agree(closing, after)
        return None if begin is None or self._asked.search(after[:end]) else (len(before) - begin, end)

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

    def _with(self, places: Iterable[int]) -> list[Chat]:
        """Return the messages with signs for the texts at `places`."""
        messages = list(self._turns.messages)
        for place in places:
            messages[place] = replaced(messages[place], self._signs[place])
        return messages

    def _render(self, requests: Sequence[Request]) -> list[str]:
        found: list[str] = []
        for text in self._renderer.all(requests):
            if isinstance(text, UnusableRow):
                raise Refused(str(text))
            found.append(text)
        return found


def _threes(texts: Sequence[str]) -> Iterable[tuple[str, str, str]]:
    return zip(texts[::3], texts[1::3], texts[2::3], strict=True)
