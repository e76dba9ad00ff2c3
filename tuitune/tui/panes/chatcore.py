"""The chat pane at work: a question, the answer on its way, and what is shown of both."""

from __future__ import annotations

import time
from collections.abc import Iterable

from textual import on
from textual.containers import Horizontal
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget

from tuitune.chat.base import Answer
from tuitune.errors import Stopped, TuiTuneError
from tuitune.text import clean, clean_line
from tuitune.tui.kit.rows import R, Row, slim, width_of
from tuitune.tui.panes.chatforms import Sampling
from tuitune.tui.panes.chatline import Beside, Chevron, drawing, going
from tuitune.tui.panes.job import Job, Question, counted
from tuitune.tui.panes.markdown import Growing
from tuitune.tui.panes.prompt import Prompt
from tuitune.tui.panes.talk import Talk
from tuitune.tui.panes.turns import Block, Transcript, block_of
from tuitune.tui.panes.whom import Whom
from tuitune.tui.partners import LIVE, Partners, Who

_BEAT = 1 / 12  # seconds between two looks at an answer on its way
_MOST_TURNS = 60
_LEAST_WIDTH = 60  # cells of the prompt's line below which nothing stands beside it


class ChatCore(Whom):
    """A conversation with one of the partners."""

    DEFAULT_CSS = "ChatCore > #ask { height: auto; margin-top: 1; background: $lift; }"

    class Ended(Message):
        """An answer came to its end, or none came."""

        def __init__(self, job: Job) -> None:
            super().__init__()
            self.job = job

    def __init__(self, partners: Partners, *, classes: str | None = None, id: str | None = None) -> None:  # noqa: A002
        super().__init__(partners, classes=classes, id=id)
        self.talk = Talk()
        self.overrides: Sampling = {}
        self._start = self._rest = 0
        self._job: Job | None = None
        self._growing = Growing("strong")
        self._notes: list[Block] = []
        self._remark = ""
        self._pulse: Timer | None = None
        self.transcript, self.prompt, self.beside = Transcript(), Prompt("Ask the model"), Beside()

    def compose_body(self) -> Iterable[Widget]:
        """Yield the turns, then the prompt."""
        yield self.transcript
        with Horizontal(id="ask"):
            yield Chevron()
            yield self.prompt
            yield self.beside

    def on_mount(self) -> None:
        """Show what there is."""
        self._pulse = self.set_interval(_BEAT, self._beat, pause=True)
        self.refresh_turns()
        self.refresh_line()

    def on_unmount(self) -> None:
        """Keep what has come of an answer: the app may end here."""
        job, self._job = self._job, None
        if job is not None:
            text = job.abandon()
            if text.strip():
                self.talk.end_answer(text, by=job.question.by, reason="stopped")
            else:
                self.talk.close()

    def focus_first(self) -> None:
        """Give the keys to the prompt."""
        self.prompt.focus()

    # -- asking ------------------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether an answer is on its way."""
        return self._job is not None

    @property
    def sampling(self) -> Sampling:
        """How answers are drawn."""
        return {**self.partners.sampling(), **self.overrides}

    @on(Prompt.Sent)
    def _sent(self, event: Prompt.Sent) -> None:
        event.stop()
        self.ask(event.text)

    @on(Transcript.Typed)
    def _typed(self, event: Transcript.Typed) -> None:
        event.stop()
        self.prompt.focus()
        self.prompt.insert_text(event.text)

    @on(Prompt.Changed)
    def _edited(self) -> None:
        self._remark = ""
        self.refresh_line()

    def ask(self, text: str) -> None:
        """Ask a question, unless one is being answered."""
        if not text.strip():
            return
        if self.busy:
            self.remark("an answer is being written, esc ends it")
            return
        who = self.who
        if not who.available:
            self.tell(f"{who.kind} cannot be asked: {who.why_not}", error=True)
            return
        self.prompt.remember(text)
        self.prompt.text = ""
        self.talk.ask(text.strip())
        self.begin(who, self.sampling)

    def begin(self, who: Who, sampling: Sampling, *, again: bool = False, typed: str | None = None) -> None:
        """Have the last turn answered, or scored as answered by `typed`."""
        by = self.label_of(who) if typed is None else "yours"
        self._notes.clear()
        question = Question(who.kind, by, tuple(self.talk.turns), self.talk.system, sampling, again, typed)
        job = self._job = Job(question, self.talk.begin_answer(by))
        self._growing, self._rest = Growing("strong"), 0
        self.transcript.follow()
        self.refresh_turns()
        self._beat()
        self.run_worker(
            lambda: self._work(job), thread=True, group="chat", exit_on_error=False, description="an answer"
        )  # fmt: skip
        if self._pulse is not None:
            self._pulse.resume()

    def _work(self, job: Job) -> None:
        job.work(self.partners)
        self.post_message(self.Ended(job))

    def _beat(self) -> None:
        job = self._job
        if job is None or self._rest > 0:
            self._rest -= 1
            return
        begun = time.monotonic()
        self._growing.add(job.fresh())
        self._show_job(job)
        self.refresh_line()
        # Laying out a list of a thousand items takes long: the keys must not wait for it twelve times a second.
        self._rest = min(12, int((time.monotonic() - begun) * 10 / _BEAT))

    def _show_job(self, job: Job) -> None:
        self.transcript.status = self._loading(job)
        self.transcript.writing = None if job.loading is not None else (job.question.by, self._growing)
        self.transcript.redraw()

    def _loading(self, job: Job) -> Row:
        if (step := job.loading) is None:
            return []
        if job.stopping:
            return R("quiet", f"cancelled; waiting until {step.stage} can be left")
        share = R("strong b", f" {100 * step.done // step.total} %  ") if step.total else []
        bar = slim([(step.done, "accent")], step.total, 16) if step.total else []
        return [
            *R("quiet", f"{job.question.by}: ", "ink", step.stage),
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
        self._notes += [Block("", note, "note") for note in job.notes]
        if isinstance(job.outcome, Answer):
            self._answered(job, job.outcome)
        elif job.outcome is not None:
            self._failed(job, job.outcome)
        self.refresh_turns()
        self.refresh_line()

    def _answered(self, job: Job, answer: Answer) -> None:
        question = job.question
        if not answer.text.strip() and answer.reason == "stopped":
            self._return(job)
            return
        live = question.kind == LIVE and answer.step is not None
        by = f"{LIVE} @{answer.step}" if live else question.by
        self.talk.end_answer(answer.text, by=by, reason=answer.reason, score=answer.score)
        rate = f", {answer.tokens / answer.seconds:.0f}/s" if answer.seconds > 0 else ""
        self._remark = f"{counted(answer.tokens, 'tokens')}{rate}" if answer.tokens else ""

    def _failed(self, job: Job, error: TuiTuneError) -> None:
        if job.raw.strip():
            self.talk.end_answer(job.raw, by=job.question.by, reason="lost")
        else:
            self._return(job)
        if isinstance(error, Stopped):
            self._notes.append(Block("", clean_line(error.message), "note"))
        else:
            self._notes.append(Block("", _words(error), "error"))
        if job.question.kind == LIVE and not self.partners.is_live:
            self._kind = None
            self._notes.append(Block("", "live is over; tuned is asked next, or base if nothing was saved", "note"))
        self.look()

    def _return(self, job: Job) -> None:
        """Give the question back for another try, or the answer that was there before."""
        if job.question.again:
            self.talk.close()
            self.talk.undo()
        else:
            text = self.talk.give_up_answer()
            if not self.prompt.text.strip():
                self.prompt.fill(text)

    # -- saying ------------------------------------------------------------------------------------------------------

    def tell(self, text: str, *, error: bool = False) -> None:
        """Say something below the turns, until the next question."""
        self._notes = [Block("", clean(text), "error" if error else "note")]
        self.transcript.follow()
        self.refresh_turns()

    def say(self, text: str) -> None:
        """Say why something was not done."""
        self.tell(text)

    def remark(self, text: str) -> None:
        """Say something short beside the prompt, until something is typed."""
        self._remark = clean_line(text)
        self.refresh_line()

    def refresh_turns(self) -> None:
        """Show the conversation as it is now."""
        if not self.is_attached:
            return
        turns, notes = self.talk.turns, list(self._notes)
        if self.talk.warning is not None:
            notes.append(Block("", _words(self.talk.warning), "error"))
            self.talk.warning = None
            self._notes = notes
        start = max(0, len(turns) - _MOST_TURNS)
        # While something earlier is read, nothing above it goes away.
        self._start = start if self.transcript.following else min(start, self._start)
        blocks = [block_of(turn.role, turn.content, turn.by, turn.reason, turn.score) for turn in turns[self._start :]]
        if self._start:
            where = f", in {clean_line(str(self.talk.path))}" if self.talk.path else ""
            blocks.insert(0, Block("", f"{self._start} earlier turns{where}", "note"))
        self.transcript.blocks = [*blocks, *notes]
        self.transcript.empty = self.introduced()
        self.transcript.redraw()

    def refresh_line(self) -> None:
        """Show beside the prompt what belongs there, if there is room."""
        if not self.is_attached:
            return
        row = self._row_beside()
        room = self.content_size.width - 3 - width_of(row)
        self.beside.display = self.content_size.width >= _LEAST_WIDTH and self.prompt.measure < room
        self.beside.put(row)

    def _row_beside(self) -> Row:
        if self._remark:
            return R("quiet on lift", f" {self._remark} ")
        if self._job is not None:
            return going(self._job)
        return drawing(self.sampling, system=self.talk.system is not None)

    def people_changed(self) -> None:
        """Show who can be asked now, and who will be."""
        super().people_changed()
        self.refresh_turns()
        live = any(who.kind == LIVE and who.available for who in self.people)
        self.prompt.placeholder = "Ask while it learns" if live else "Ask the model"

    def on_resize(self) -> None:
        """Fit the line of the prompt."""
        self.refresh_line()

    @property
    def last_live_line(self) -> Row:
        """The last answer of the weights in training, in one line; nothing where there is none."""
        if self._job is not None and self._job.question.kind == LIVE and self._growing.text.strip():
            return R("accent b", f"{self._job.question.by}  ", "ink", clean_line(self._growing.text[:400]))
        for turn in reversed(self.talk.turns):
            if turn.role == "assistant" and turn.by.startswith(LIVE):
                return R("quiet", f"{clean_line(turn.by)}  ", "ink", clean_line(turn.content[:400]))
        return []


def _words(error: TuiTuneError) -> str:
    return "\n".join(clean(text) for text in (error.message, error.hint) if text)
