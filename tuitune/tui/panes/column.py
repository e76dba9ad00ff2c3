"""A column of the comparison: one partner's conversation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from textual.widget import Widget

from tuitune.chat.base import Answer
from tuitune.chat.kept import Kept
from tuitune.chat.thinking import split
from tuitune.text import clean, clean_line
from tuitune.tui.kit.rows import R, Row
from tuitune.tui.panes.answering import Answering
from tuitune.tui.panes.blocks import Block
from tuitune.tui.panes.job import Job
from tuitune.tui.panes.level import Level

_ASKS_TOOLS = "it calls tools: type what they answer, several answers apart by a line of ---"
_UNANSWERED = "not answered; r asks again"
_EDGE = 5  # cells for "you" and "tool"


@dataclass(frozen=True, slots=True)
class Hint:
    """A kept comparison that could be gone on with: when it was, what was asked first, and whether a crash ended it."""

    when: str
    question: str
    cut_off: bool

    def rows(self) -> list[Row]:
        """Return it as rows."""
        role, words = ("warn", "An answer was cut off") if self.cut_off else ("quiet", "The last comparison was")
        key = R("accent", "  esc o", "quiet", " goes on with it, or with an earlier one")
        return [[], R(role, f"  {words} {self.when}:"), R("ink", f"  {self.question}"), key]


class Column(Answering):
    """Shows what one side was asked and what it said; `other` is the column beside it."""

    counts = True

    def __init__(self, place: int, *, classes: str | None = None) -> None:
        super().__init__(classes=classes)
        self.place = place
        self.other: Column | None = None
        self.same = False  # as the one beside it
        self.hint: Hint | None = None
        self.transcript: Level = Level(_EDGE, left=place == 0)
        self.rename("")

    @property
    def digit(self) -> str:  # type: ignore[override]
        """The key that leads here."""
        return str(self.place + 1)

    def compose_body(self) -> Iterable[Widget]:
        """Yield the turns."""
        yield self.transcript

    def rename(self, label: str, signature: str | None = None) -> None:
        """Show another name; signature: how the answers of whoever has it are signed, where not by the name."""
        self.label = clean_line(label) or "nobody yet"
        self._by = clean_line(label if signature is None else signature)
        if self.is_attached:
            self.retitle()
            self.refresh_turns()  # answers of others say now whose they are

    def take(self, talk: Kept) -> None:
        """Show another conversation."""
        self.talk, self.chosen, self.hint = talk, None, None
        self._notes.clear()
        self.transcript.follow()
        self.refresh_turns()

    def level(self, wanted: bool) -> None:
        """Let turns begin in the same rows as those beside, and scroll with them; or not."""
        self.transcript.level_with(self.other.transcript if wanted and self.other is not None else None)

    @property
    def meta(self) -> Row:
        """How the answer on its way goes."""
        return R("quiet", self._job.words()) if self._job is not None and self._job.loading is None else []

    def line_changed(self) -> None:
        """Show how it goes in the title."""
        self.retitle()

    def name_of(self, by: str) -> str:
        """Return nothing: who answers stands in the title."""
        return ""

    def _block(self, place: int) -> Block:
        """Return a turn as a block; an answer of somebody who is not in the title says whose it is."""
        block = super()._block(place)
        turn = self.talk.turns[place]
        if not turn.is_answer:
            return block
        others = self._signed(clean_line(turn.by))
        return replace(block, who="", remark=", ".join(word for word in (others, block.remark) if word))

    def _signed(self, by: str) -> str:
        """Return who has answered as far as the title does not say it, such as at which step of a run in training."""
        if by == self._by or by.startswith(f"{self._by} @"):
            return by.removeprefix(self._by).lstrip()
        return by

    def signed(self, job: Job, answer: Answer) -> str:
        """Return who has answered; for a run in training, at which step."""
        return job.question.by if answer.step is None else f"{job.question.by} @{answer.step}"

    def came(self, job: Job, answer: Answer) -> None:
        """Show where the answers differ, in the other column too."""
        if answer.calls:
            self._notes.append(Block("", _ASKS_TOOLS, "note"))
        if self.other is not None:
            self.other.refresh_turns()

    def compared_with(self, place: int) -> str | None:
        """Return what the other side says at the same place, where both have said something and not the same."""
        if self.other is None or place >= len(self.other.talk.turns):
            return None
        mine, theirs = self.talk.turns[place], self.other.talk.turns[place]
        if not (mine.is_answer and theirs.is_answer):
            return None
        said, others = (clean(split(turn.content)[1]) for turn in (mine, theirs))
        return None if said.split() == others.split() else others

    def unanswered(self) -> list[Block]:
        """Say of a last question that nobody answers it, such as after a crash."""
        turns = self.talk.turns
        waits = self._job is None and bool(turns) and not turns[-1].is_answer
        return [Block("", _UNANSWERED, "note")] if waits else []

    def nothing(self) -> list[Row]:
        """Return what to do first."""
        choose = R("accent", "  w", "quiet", " chooses who answers here")
        if self.same:
            return [R("warn", "  Both columns ask the same model."), choose]
        return [R("quiet", "  Ask both below. "), choose, *(self.hint.rows() if self.hint is not None else [])]
