"""What every partner of a conversation can do: answer, in pieces, until it is told to stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol, Required, TypedDict, Unpack

from tuitune.errors import TuiTuneError, UsageError

if TYPE_CHECKING:
    from tuitune.data.templates.tools import Call, ToolFormat

Role = Literal["user", "assistant", "function", "observation"]
Options = Mapping[str, float | int | bool]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation, as it was written, not cleaned.

    function: the model calls tools; see `tuitune.chat.tools.content`. observation: what they answered. Who answered,
    how the answer ended, how long it took and what a reward model says of it are remarks.
    """

    role: Role
    content: str
    by: str = field(default="", compare=False)
    reason: str = field(default="end", compare=False)
    score: float | None = field(default=None, compare=False)
    tokens: int = field(default=0, compare=False)
    seconds: float = field(default=0.0, compare=False)
    prompt_tokens: int = field(default=0, compare=False)

    @property
    def is_answer(self) -> bool:
        """Whether a model, or somebody in its place, says it."""
        return self.role in ("assistant", "function")


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished reply; `text` is raw and whole and must be cleaned before it is shown.

    said: without thoughts and calls. thoughts: without the words around them. calls: of tools, where they could be
    read. prompt_tokens: 0 where nobody tells.
    """

    text: str
    tokens: int
    seconds: float
    reason: Literal["end", "length", "stopped"]
    step: int | None = None
    score: float | None = None
    prompt_tokens: int = 0
    thoughts: str = ""
    said: str = ""
    calls: tuple[Call, ...] = ()

    @property
    def role(self) -> Role:
        """The role of the turn that it becomes."""
        return "function" if self.calls else "assistant"

    @property
    def content(self) -> str:
        """What stands in the conversation: the text, calls in the one form that every template reads."""
        if not self.calls:
            return self.text
        from tuitune.chat.thinking import split
        from tuitune.chat.tools import content

        thoughts = self.text.removesuffix(split(self.text)[1]) if self.thoughts else ""
        return thoughts + content(self.said, self.calls)

    def turn(self, by: str = "") -> Turn:
        """Return it as a turn of the conversation."""
        return Turn(
            self.role, self.content, by, self.reason, self.score, self.tokens, self.seconds, self.prompt_tokens
        )  # fmt: skip


def told_apart(answer: Answer, form: ToolFormat | None) -> Answer:
    """Return an answer with its thoughts and calls apart; form: how the model writes calls, None where it may not."""
    from tuitune.chat.thinking import split

    thoughts, said = split(answer.text)
    calls: list[Call] = []
    if form is not None:
        from tuitune.data.templates.reading import read

        said, calls = read(form, said)
    return replace(answer, thoughts=thoughts, said=said, calls=tuple(calls))


class Asking(TypedDict, total=False):
    """How a partner is asked for an answer, beside the turns; `Question` says what each means and its default."""

    sampling: Required[Options]
    system: str | None
    tools: str
    on_text: Callable[[str], None]
    stop: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Question:
    """Turns of which the last shall be answered, and how.

    sampling: options by the names of `tuitune.run.inbox.OPTIONS`. system: takes the place of the partner's own system
    message, None keeps that. tools: a JSON list of functions that may be called (see `tuitune.chat.tools.checked`), ""
    for none. on_text gets each piece as it comes, raw; `stop` is asked between pieces.
    """

    turns: Sequence[Turn]
    sampling: Options
    system: str | None = None
    tools: str = ""
    on_text: Callable[[str], None] = lambda text: None
    stop: Callable[[], bool] = lambda: False


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

    def reply(self, turns: Sequence[Turn], **asked: Unpack[Asking]) -> Answer:
        """Answer the last turn, which is the user's or what tools answered. Raises TuiTuneError."""
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
    return Answer(answer, 0, 0.0, "end", score=score, said=answer)
