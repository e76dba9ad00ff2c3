"""What every partner of a conversation can do: answer, in pieces, until it is told to stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from tuitune.errors import TuiTuneError, UsageError

Role = Literal["user", "assistant"]
Options = Mapping[str, float | int | bool]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation, as it was written, not cleaned.

    Who answered, how the answer ended and what a reward model says of it are remarks.
    """

    role: Role
    content: str
    by: str = field(default="", compare=False)
    reason: str = field(default="end", compare=False)
    score: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished reply; `text` is raw and must be cleaned before it is shown."""

    text: str
    tokens: int
    seconds: float
    reason: Literal["end", "length", "stopped"]
    step: int | None = None
    score: float | None = None


class NotWriting(TuiTuneError):
    """A reward model that was trained as a whole: it judges answers and writes none."""


class Judge(Protocol):
    """A reward model."""

    def score(self, turns: Sequence[Turn], *, system: str | None = None) -> float:
        """Return what a conversation, which ends with an answer, is worth. Raises TuiTuneError."""
        ...


class Chat(Protocol):
    """Somebody who answers."""

    @property
    def title(self) -> str:
        """Who answers, in a few words; foreign text."""
        ...

    def reply(
        self,
        turns: Sequence[Turn],
        *,
        system: str | None = None,
        sampling: Options,
        on_text: Callable[[str], None] = lambda text: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Answer:
        """Answer the last turn, which is the user's.

        system: takes the place of the partner's own system message, None keeps that. sampling: options by the names of
        `tuitune.run.inbox.OPTIONS`. on_text gets each piece as it comes, raw; `stop` is asked between pieces. Raises
        TuiTuneError.
        """
        ...


def judge_of(partner: Chat) -> Judge | None:
    """Return who scores the answers in a conversation with this partner, None where it is no reward model."""
    found: Judge | None = getattr(partner, "judge", None)
    return found


def judged(partner: Chat, turns: Sequence[Turn], answer: str, *, system: str | None = None) -> float | None:
    """Return what an answer to these turns is worth to the partner, None where it is no reward model."""
    judge = judge_of(partner)
    return None if judge is None else judge.score([*turns, Turn("assistant", answer)], system=system)


def typed(partner: Chat, turns: Sequence[Turn], answer: str, *, system: str | None = None) -> Answer:
    """Return an answer that the user wrote, with its score. Raises UsageError where nobody judges it."""
    score = judged(partner, turns, answer, system=system)
    if score is None:
        raise UsageError("this is no reward model, so it has no score to give", "ask the result of a run of stage rm")
    return Answer(answer, 0, 0.0, "end", score=score)
