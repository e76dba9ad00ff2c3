"""The last answers that a run learnt from, each prompt with its answers and what they are worth; newest first."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from tuitune.run.events import Sampled
from tuitune.text import clean, clean_line

_MOST = 100  # prompts that are kept


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer: its text, its reward, and what each reward function says, by name."""

    text: str
    reward: float
    parts: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """A prompt of a step, its answers from the best to the worst, and what the data answers."""

    step: int
    prompt: str
    answers: tuple[Judged, ...]
    reference: str

    @classmethod
    def of(cls, event: Sampled) -> Sample:
        """Return an event's answers, free of anything a terminal would obey."""
        rewards, found = event.rewards, list[Judged]()
        for i, text in enumerate(event.answers):
            parts = tuple((clean_line(name), at[i]) for name, at in event.parts.items() if i < len(at))
            found.append(Judged(clean(text).strip(), rewards[i] if i < len(rewards) else math.nan, parts))
        found.sort(key=lambda each: -each.reward if math.isfinite(each.reward) else math.inf)
        return cls(event.step, clean(event.prompt).strip(), tuple(found), clean(event.reference).strip())

    @property
    def rewards(self) -> list[float]:
        """The rewards that are numbers."""
        return [answer.reward for answer in self.answers if math.isfinite(answer.reward)]


@dataclass(frozen=True, slots=True, eq=False)
class Spot:
    """A line of the list: a prompt (answer None), or one of its answers."""

    sample: Sample
    answer: Judged | None = None


class Samples:
    """The newest prompts of a run; what is no longer true after a resume is forgotten."""

    def __init__(self) -> None:
        self._events: deque[Sampled] = deque(maxlen=_MOST)
        self._spots: dict[int, list[Spot]] = {}
        self.revision = 0

    def __len__(self) -> int:
        return len(self._events)

    def add(self, event: Sampled) -> None:
        """Take in a prompt with its answers."""
        self._events.appendleft(event)
        self.revision += 1

    def take_back(self, step: int) -> None:
        """Forget what was answered after `step`."""
        kept = [event for event in self._events if event.step <= step]
        if len(kept) < len(self._events):
            self._events = deque(kept, maxlen=_MOST)
            self.revision += 1

    def spots(self) -> list[Spot]:
        """Return prompts and answers line by line, the newest prompt first; those seen before are the same objects."""
        # Texts are cleaned here and not in `add`: most are never looked at.
        self._spots = {id(event): self._spots.get(id(event)) or _lines(event) for event in self._events}
        return [spot for event in self._events for spot in self._spots[id(event)]]


def _lines(event: Sampled) -> list[Spot]:
    sample = Sample.of(event)
    return [Spot(sample), *(Spot(sample, answer) for answer in sample.answers)]
