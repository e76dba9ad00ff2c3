"""What every partner of a conversation can do: answer, in pieces, until it is told to stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Role = Literal["user", "assistant"]
Options = Mapping[str, float | int | bool]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation, as it was written, not cleaned; who answered and how it ended are remarks."""

    role: Role
    content: str
    by: str = field(default="", compare=False)
    reason: str = field(default="end", compare=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished reply; `text` is raw and must be cleaned before it is shown."""

    text: str
    tokens: int
    seconds: float
    reason: Literal["end", "length", "stopped"]
    step: int | None = None


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
