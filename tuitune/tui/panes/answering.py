"""A conversation on the screen whose answers are written in a thread: the one on its way, and what becomes of it."""

from __future__ import annotations

import time

from textual import on
from textual.message import Message
from textual.timer import Timer

from tuitune.chat.base import Answer, Options, Turn
from tuitune.errors import Stopped, TuiTuneError
from tuitune.text import clean_line
from tuitune.tui.kit.rows import R, Row, cut, slim
from tuitune.tui.panes.blocks import Block
from tuitune.tui.panes.job import Finds, Job, Question
from tuitune.tui.panes.markdown import Growing
from tuitune.tui.panes.spoken import Spoken, in_words
from tuitune.tui.partners import LIVE

_BEAT = 1 / 12  # seconds between two looks at an answer on its way
_MOST_NAME = 24  # cells of who answers, before how far it is


class Answering(Spoken):
    """Shows a conversation, and has its last turn answered."""

    class Ended(Message):
        """An answer came to its end, or none came."""

        def __init__(self, job: Job) -> None:
            super().__init__()
            self.job = job

    def __init__(self, *, classes: str | None = None, id: str | None = None) -> None:  # noqa: A002
        super().__init__(classes=classes, id=id)
        self._rest = 0
        self._job: Job | None = None
        self._growing = Growing("strong")
        self._pulse: Timer | None = None

    def on_mount(self) -> None:
        """Be ready to look at an answer on its way."""
        self._pulse = self.set_interval(_BEAT, self._beat, pause=True)

    def on_unmount(self) -> None:
        """Keep what has come of an answer: the app may end here. Others may go on with it."""
        self.leave_answer()
        self.talk.leave()

    def leave_answer(self) -> None:
        """Wait for the answer no longer; what has come of it is kept."""
        job, self._job = self._job, None
        if job is not None:
            text = job.abandon()
            if text.strip():
                self.talk.end_answer(Turn("assistant", text, job.question.by, "stopped"))
            else:
                self.talk.close()

    # -- for subclasses ----------------------------------------------------------------------------------------------

    def line_changed(self) -> None:
        """Something stands differently beside the prompt."""

    def name_of(self, by: str) -> str:
        """Return what stands in the margin beside an answer of somebody."""
        return by

    def signed(self, job: Job, answer: Answer) -> str:
        """Return who has answered."""
        live = job.question.kind == LIVE and answer.step is not None
        return f"{LIVE} @{answer.step}" if live else job.question.by

    def came(self, job: Job, answer: Answer) -> None:
        """An answer is in the conversation."""

    def failed(self, job: Job, error: TuiTuneError) -> None:
        """There is no answer; what has come of it is kept, and why is said."""
        if job.raw.strip():
            self.talk.end_answer(Turn("assistant", job.raw, job.question.by, "lost"))
        else:
            self.give_back(job)
        if isinstance(error, Stopped):
            self._notes.append(Block("", clean_line(error.message), "note"))
        else:
            self._notes.append(Block("", in_words(error), "error"))

    def give_back(self, job: Job) -> None:
        """Make of a question without an answer what was there before."""
        self.talk.close()
        if job.question.again:
            self.talk.undo()

    # -- an answer ---------------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether an answer is on its way."""
        return self._job is not None

    @property
    def job(self) -> Job | None:
        """The answer on its way."""
        return self._job

    def prepared(self, kind: str, by: str, sampling: Options, *, again: bool = False, typed: str | None = None) -> Job:
        """Return what has the last turn answered by `kind`, once `follow` is called and somebody lets it work."""
        self._notes.clear()
        self.chosen = None
        turns = tuple(self.talk.turns)
        question = Question(kind, by, turns, self.talk.system, sampling, again, typed, self.talk.tools)
        self._job = Job(question, self.talk.begin_answer(by))
        self._growing, self._rest = Growing("strong"), 0
        self.transcript.follow()
        self.refresh_turns()
        self._beat()
        if self._pulse is not None:
            self._pulse.resume()
        return self._job

    def work(self, job: Job, partners: Finds) -> None:
        """Have it answered; blocks, so it belongs into a thread."""
        job.work(partners)
        self.post_message(self.Ended(job))

    def _beat(self) -> None:
        job = self._job
        if job is None or self._rest > 0:
            self._rest -= 1
            return
        begun = time.monotonic()
        self._growing.add(job.fresh())
        self._show_job(job)
        self.line_changed()
        # Laying out a list of a thousand items takes long: the keys must not wait for it twelve times a second.
        self._rest = min(12, int((time.monotonic() - begun) * 10 / _BEAT))

    def _show_job(self, job: Job) -> None:
        self.transcript.status = self._loading(job)
        self.transcript.thoughts, self.transcript.opened = job.thoughts, self.opened
        self.transcript.writing = None if job.loading is not None else (self.name_of(job.question.by), self._growing)
        self.transcript.redraw()

    def _loading(self, job: Job) -> Row:
        if (step := job.loading) is None:
            return []
        if job.stopping:
            return R("quiet", f"cancelled; waiting until {step.stage} can be left")
        share = R("strong b", f" {100 * step.done // step.total} %  ") if step.total else []
        bar = slim([(step.done, "accent")], step.total, 16) if step.total else []
        name = cut(clean_line(self.name_of(job.question.by)), _MOST_NAME)
        return [
            *R("quiet", f"{name}: " if name else "", "ink", step.stage),
            *share,
            *bar,
            *R("accent", "  esc", "quiet", " cancels"),
        ]

    @on(Ended)
    def _ended(self, event: Ended) -> None:
        event.stop()
        if event.job is not self._job:
            return
        self._job, job = None, event.job
        if self._pulse is not None:
            self._pulse.pause()
        self.transcript.writing, self.transcript.status = None, []
        self._notes += [Block("", note, "note") for note in dict.fromkeys(job.notes)]
        if isinstance(job.outcome, Answer):
            self._answered(job, job.outcome)
        elif job.outcome is not None:
            self.failed(job, job.outcome)
        self.refresh_turns()
        self.line_changed()

    def _answered(self, job: Job, answer: Answer) -> None:
        if not answer.text.strip() and answer.reason == "stopped":
            self.give_back(job)
            return
        self.talk.end_answer(answer.turn(self.signed(job, answer)))
        self.came(job, answer)
