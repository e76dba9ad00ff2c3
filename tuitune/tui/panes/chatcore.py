"""The chat pane at work: a question to one of the partners, and the prompt that it is typed into."""

from __future__ import annotations

from collections.abc import Iterable

from textual import on
from textual.containers import Horizontal
from textual.widget import Widget

from tuitune.chat.base import Answer
from tuitune.errors import TuiTuneError
from tuitune.text import clean_line
from tuitune.tui.kit.rows import R, Row, width_of
from tuitune.tui.panes.answering import Answering
from tuitune.tui.panes.blocks import Block, counted
from tuitune.tui.panes.chatforms import Sampling
from tuitune.tui.panes.chatline import Beside, Chevron, drawing, going
from tuitune.tui.panes.job import Job
from tuitune.tui.panes.prompt import Prompt
from tuitune.tui.panes.turns import Transcript
from tuitune.tui.panes.whom import Whom
from tuitune.tui.partners import LIVE, Partners, Who

_ASKS_TOOLS = "it calls tools: type what they answer, several answers apart by a line of ---"
_LEAST_WIDTH = 60  # cells of the prompt's line below which nothing stands beside it


class ChatCore(Whom, Answering):
    """A conversation with one of the partners."""

    DEFAULT_CSS = "ChatCore > #ask { height: auto; margin-top: 1; background: $lift; }"

    def __init__(self, partners: Partners, *, classes: str | None = None, id: str | None = None) -> None:  # noqa: A002
        super().__init__(partners, classes=classes, id=id)
        self.overrides: Sampling = {}
        self._remark = ""
        self.prompt, self.beside = Prompt("Ask the model"), Beside()

    def compose_body(self) -> Iterable[Widget]:
        """Yield the turns, then the prompt."""
        yield self.transcript
        with Horizontal(id="ask"):
            yield Chevron()
            yield self.prompt
            yield self.beside

    def on_mount(self) -> None:
        """Show what there is."""
        self.refresh_line()

    def focus_first(self) -> None:
        """Give the keys to the prompt."""
        self.prompt.focus()

    # -- asking ------------------------------------------------------------------------------------------------------

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
        job = self.prepared(who.kind, by, sampling, again=again, typed=typed)
        self.run_worker(
            lambda: self.work(job, self.partners), thread=True, group="chat", exit_on_error=False,
            description="an answer",
        )  # fmt: skip

    def came(self, job: Job, answer: Answer) -> None:
        """Say how fast it was."""
        rate = f", {answer.tokens / answer.seconds:.0f}/s" if answer.seconds > 0 else ""
        self._remark = f"{counted(answer.tokens, 'tokens')}{rate}" if answer.tokens else ""
        if answer.calls:
            self._notes.append(Block("", _ASKS_TOOLS, "note"))

    def failed(self, job: Job, error: TuiTuneError) -> None:
        """Say why, and that a run has ended."""
        super().failed(job, error)
        if job.question.kind == LIVE and not self.partners.is_live:
            self._kind = None
            self._notes.append(Block("", "live is over; tuned is asked next, or base if nothing was saved", "note"))
        self.look()

    def give_back(self, job: Job) -> None:
        """Give the question back for another try, or the answer that was there before."""
        if job.question.again:
            super().give_back(job)
        else:
            text = self.talk.give_up_answer()
            if not self.prompt.text.strip():
                self.prompt.fill(text)

    # -- saying ------------------------------------------------------------------------------------------------------

    def nothing(self) -> list[Row]:
        """Return who can be asked."""
        return self.introduced()

    def line_changed(self) -> None:
        """Show what belongs beside the prompt."""
        self.refresh_line()

    def say(self, text: str) -> None:
        """Say why something was not done."""
        self.tell(text)

    def remark(self, text: str) -> None:
        """Say something short beside the prompt, until something is typed."""
        self._remark = clean_line(text)
        self.refresh_line()

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
        return drawing(self.sampling, system=self.talk.system is not None, tools=bool(self.talk.tools))

    def people_changed(self) -> None:
        """Show who can be asked now, and who will be."""
        super().people_changed()
        self.refresh_turns()
        self._invite()

    def refresh_turns(self) -> None:
        """Show the conversation as it is now, and what can be typed."""
        super().refresh_turns()
        self._invite()

    def _invite(self) -> None:
        live = any(who.kind == LIVE and who.available for who in self.people)
        asked = "Ask while it learns" if live else "Ask the model"
        self.prompt.placeholder = "What does the tool answer?" if self.talk.waits_for_tools else asked

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
