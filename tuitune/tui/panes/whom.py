"""Who is asked: those there are, the one that is chosen, and what stands of them in the title."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual import on
from textual.events import Click
from textual.message import Message

from tuitune.errors import TuiTuneError
from tuitune.text import clean_line
from tuitune.tui.kit.pane import Pane, Title
from tuitune.tui.kit.rows import R, Row, cells, width_of
from tuitune.tui.panes.blocks import MARGIN
from tuitune.tui.partners import BASE, LIVE, OTHER, TUNED, Partners, Who

if TYPE_CHECKING:
    from tuitune.tui.runview import RunView

_LOOK = 2.0  # seconds between two looks at who can be asked
_WHAT = {
    BASE: "the model as it is before training",
    LIVE: "the weights while they train",
    TUNED: "what the run has saved last",
    OTHER: "as picked in Models or Runs",
}
_FIRST = [
    Who(BASE, BASE),
    Who(LIVE, LIVE, False, "no run is training now"),
    Who(TUNED, TUNED, False, "nothing has been trained here yet"),
]


class Whom(Pane):
    """A pane that knows who can be asked."""

    class Looked(Message):
        """Who can be asked now."""

        def __init__(self, found: list[Who]) -> None:
            super().__init__()
            self.found = found

    def __init__(self, partners: Partners, *, classes: str | None = None, id: str | None = None) -> None:  # noqa: A002
        super().__init__(classes=classes, id=id)
        self.partners = partners
        self.people = list(_FIRST)
        self._kind: str | None = None
        self._step: int | None = None
        self._seen: object = None
        self._looking = False

    def on_mount(self) -> None:
        """Begin to look who is there."""
        self.set_interval(_LOOK, self.look)
        self.look()

    def people_changed(self) -> None:
        """Show who can be asked now, and who will be."""
        self.retitle()

    def say(self, text: str) -> None:
        """Say why something was not done."""

    def show(self, view: RunView | None) -> None:
        """Take notice of the run that is shown."""
        live = view is not None and view.live and view.state is not None
        step = view.state.step if live and view is not None and view.state is not None else None
        seen = (view.run.path, view.status, view.live) if view is not None else None
        if seen != self._seen:
            self._seen = seen
            self.look()
        if step != self._step:
            self._step = step
            self.retitle()

    def choose(self, model: str | None = None, adapter: Path | None = None, run: Path | None = None) -> None:
        """Talk to a model, an adapter on it, or a run."""
        self.partners.choose(model, adapter, run)
        self._kind = OTHER
        self.look()

    def look(self) -> None:
        """Find out in a thread who can be asked."""
        if not self._looking and self.is_attached:
            self._looking = True
            self.run_worker(
                self._look, thread=True, group="chat-look", exit_on_error=False, description="who can be asked"
            )  # fmt: skip

    def _look(self) -> None:
        try:
            found = self.partners.options()
        except (TuiTuneError, OSError) as error:
            found = [Who(BASE, BASE, False, clean_line(str(error)))]
        self.post_message(self.Looked(found))

    @on(Looked)
    def _looked(self, event: Looked) -> None:
        event.stop()
        self._looking = False
        if event.found != self.people:
            self.people = event.found
            self.people_changed()

    @property
    def who(self) -> Who:
        """Who is asked next: the one that was chosen, else the first there of live, tuned and base."""
        by_kind = {who.kind: who for who in self.people}
        if self._kind in by_kind:
            return by_kind[self._kind]
        order = (by_kind[kind] for kind in (LIVE, TUNED, BASE) if kind in by_kind)
        return next((who for who in order if who.available), self.people[0])

    def label_of(self, who: Who) -> str:
        """Return what somebody is called now."""
        return f"{LIVE} @{self._step}" if who.kind == LIVE and who.available and self._step is not None else who.label

    @property
    def meta(self) -> Row:
        """Return all who can be asked, the chosen one with the accent."""
        row: Row = []
        for who in self.people:
            role = "accent b" if who.kind == self.who.kind else "quiet" if who.available else "faint"
            row += [*(R("faint", " · ") if row else []), (self.label_of(who), role)]
        return row

    def on_click(self, event: Click) -> None:
        """Choose whom the mouse points at in the title."""
        if not isinstance(event.widget, Title):
            return
        x = event.x - (event.widget.content_size.width - width_of(self.meta))
        for number, (text, _) in enumerate(self.meta):
            if 0 <= x < cells(text) and number % 2 == 0:
                self.pick(self.people[number // 2].kind)
            x -= cells(text)

    def pick(self, kind: str) -> None:
        """Ask this one from now on; where that cannot be, say why."""
        found = next((who for who in self.people if who.kind == kind), None)
        if found is None or not found.available:
            self.say(f"{kind} cannot be asked: {found.why_not if found else 'choose a model, adapter or run first'}")
            return
        self._kind = kind
        self.people_changed()

    def introduced(self) -> list[Row]:
        """Return all who can be asked with what they are, or why they cannot."""
        rows: list[Row] = []
        for who in self.people:
            chosen = who.kind == self.who.kind
            words = f"{who.label}, {_WHAT[OTHER]}" if who.kind == OTHER else _WHAT[who.kind]
            what = R("ink" if chosen else "quiet", words) if who.available else R("faint", who.why_not)
            rows.append([(f"{who.kind:<{MARGIN}}", "accent b" if chosen else "quiet"), ("  ", "ink"), *what])
        keys = (("^l", " another one   "), ("esc", " then "), ("s", " system  "), ("p", " sampling"))
        hints = [span for key, text in keys for span in R("accent", key, "quiet", text)]
        return [*rows, [], [(" " * (MARGIN + 2), "ink"), *hints]]
