"""Three ways to show a run that trains: bars on a terminal, lines in a pipe, JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from tuitune.cli.console import can_draw, json_line, say, screen
from tuitune.face import words
from tuitune.face.picture import Picture
from tuitune.run import RunDir, State, events
from tuitune.run.packing import record
from tuitune.text import clean_line

_LEAST_GAP = 1.0  # seconds between two lines in a pipe ...
_LINES = 200  # ... and for long runs so many lines for each doubling of their length, or about that
# What tells of the steps before it: the newest of them is said first.
_AFTER_STEPS = (
    events.EvalLogged, events.CheckpointSaved, events.PhaseStarted, events.Paused, events.RunFinished, events.RunFailed
)  # fmt: skip
_SAMPLES_GAP = 10.0  # seconds between two answers that a run learns from


class View(Protocol):
    """Shows one run; every method may raise OSError when nobody is there to see it."""

    picture: Picture

    def show(self, found: Sequence[events.Event], state: State | None) -> None:
        """Take in what is new and draw."""
        ...

    def say(self, text: str, style: str = "") -> None:
        """Print a line of the face itself."""
        ...

    def close(self) -> None:
        """Draw for the last time and give the terminal back."""
        ...


def view_for(run: RunDir, stream: TextIO, *, as_json: bool = False) -> View:
    """Return the view that suits the stream."""
    if as_json:
        return JsonView(run, stream)
    console = screen(stream)
    return LiveView(run, console) if can_draw(console) else PlainView(run, console)


class Remarks:
    """What deserves a line of its own; of the answers that a run learns from only some, with their rewards."""

    def __init__(self) -> None:
        self._sampled_at = -math.inf

    def of(self, event: events.Event) -> tuple[str, str] | None:
        """Return the line and its style, or None."""
        if isinstance(event, events.Sampled):
            if 0 <= event.t - self._sampled_at < _SAMPLES_GAP:
                return None
            self._sampled_at = event.t
        return words.remark(event)


class JsonView:
    """The run's place, then its events as they are in the journal."""

    def __init__(self, run: RunDir, stream: TextIO) -> None:
        self.picture, self._stream = Picture(run.name), stream
        json_line({"kind": "Run", "name": run.name, "path": run.path}, stream)

    def show(self, found: Sequence[events.Event], state: State | None) -> None:
        """Write the events."""
        for event in found:
            self.picture.take(event)
            json_line({"kind": event.kind, **record(event)}, self._stream)

    def say(self, text: str, style: str = "") -> None:
        """Say nothing: programs read the events."""

    def close(self) -> None:
        """Nothing is to be given back."""


class PlainView:
    """Lines without control characters; of many steps only some, the more the younger the run is."""

    def __init__(self, run: RunDir, console: Console) -> None:
        self.picture, self._console = Picture(run.name), console
        self._shown: float | None = None
        self._skipped = False
        self._remarks = Remarks()

    def show(self, found: Sequence[events.Event], state: State | None) -> None:
        """Print a line for each event that deserves one."""
        self.picture.look(state)
        for event in found:
            if self._skipped and isinstance(event, _AFTER_STEPS):
                self._step(event.t)  # before the picture knows more than was known at that step
            self.picture.take(event)
            self._line(event)

    def _line(self, event: events.Event) -> None:
        match event:
            case events.StepLogged():
                self._skipped = not self._is_due(event.t)
                if not self._skipped:
                    self._step(event.t)
            case events.PhaseStarted(phase=phase, detail=detail):
                self.say(f"{phase}: {detail}" if detail else phase)
            case _:
                if (words_and_style := self._remarks.of(event)) is not None:
                    self.say(words_and_style[0])

    def _is_due(self, now: float) -> bool:
        gap = max(_LEAST_GAP, self.picture.elapsed(now) / _LINES)
        return self._shown is None or now - self._shown >= gap

    def _step(self, now: float) -> None:
        self._shown, self._skipped = now, False
        left = self.picture.left(now)
        eta = [f"left {words.duration(left)}"] if left is not None else []
        # The step of these figures, not the newest one.
        done = self.picture if self.picture.logged is None else replace(self.picture, step=self.picture.logged.step)
        self._print("  ".join([f"step {words.steps(done)}", *words.figures(self.picture), *eta]))

    def say(self, text: str, style: str = "") -> None:
        """Print one line."""
        self._print(clean_line(text))

    def _print(self, text: str) -> None:
        print(text, file=self._console.file, flush=True)

    def close(self) -> None:
        """Nothing is to be given back."""


class LiveView:
    """A bar and the figures of the last step, redrawn in place; what happens is printed above."""

    def __init__(self, run: RunDir, console: Console) -> None:
        self.picture, self._console = Picture(run.name), console
        self._spinner, self._remarks = Spinner("dots"), Remarks()
        self._state: State | None = None
        self._live = Live(
            self._draw(), console=console, auto_refresh=False, transient=True, redirect_stdout=False,
            redirect_stderr=False, vertical_overflow="crop",
        )  # fmt: skip
        self._live.start()

    def show(self, found: Sequence[events.Event], state: State | None) -> None:
        """Print what happened and draw the present."""
        self._state = state
        self.picture.look(state)
        for event in found:
            self.picture.take(event)
            if (words_and_style := self._remarks.of(event)) is not None:
                self.say(*words_and_style)
        self._live.update(self._draw(), refresh=True)

    def say(self, text: str, style: str = "") -> None:
        """Print one line above the bar."""
        say(self._console, text, style)

    def close(self) -> None:
        """Take the bar away and show the cursor again."""
        self._live.stop()

    def _draw(self) -> RenderableType:
        picture = self.picture
        if not picture.training:
            return self._phase()
        return Group(self._steps(), self._figures())

    def _phase(self) -> RenderableType:
        picture = self.picture
        title = " ".join(part for part in (picture.phase or "start", picture.detail) if part)
        share = f"{100 * picture.done / picture.todo:.0f} %" if picture.todo else str(picture.done or "")
        # A bar only where its end is known: a spinner shows that something moves.
        bar = ProgressBar(picture.todo, picture.done) if picture.todo else Text("")
        return _row(self._spinner, _text(title, "bold"), bar, _text(share), _text(words.duration(picture.elapsed())))

    def _steps(self) -> RenderableType:
        picture, left = self.picture, self.picture.left()
        ending = self._state is not None and self._state.status == "stopping"
        title = "stopping" if ending else "paused" if picture.paused else "train"
        bar = ProgressBar(picture.total, picture.step) if picture.total else Text("")
        eta = f"{words.duration(left)} left" if left is not None else ""
        mark = self._spinner if not picture.paused else Text(" ")
        times = [_text(words.duration(picture.elapsed())), _text(eta)]
        return _row(mark, _text(title, "bold"), bar, _text(words.steps(picture)), *times)

    def _figures(self) -> RenderableType:
        picture, parts = self.picture, words.figures(self.picture)
        doing = {"evaluate": "evaluating", "rollout": "answering"}.get(picture.phase)
        if doing and picture.todo:
            parts = [f"{doing} {picture.done}/{picture.todo}", *parts]
        return Text("  " + "  ".join(parts), no_wrap=True, overflow="ellipsis")


def _row(mark: RenderableType, title: Text, bar: RenderableType, *rest: Text) -> Table:
    row = Table.grid(expand=True, padding=(0, 1))
    for cell in (mark, title, bar, *rest):
        # The bar takes what the others leave.
        row.add_column(no_wrap=True, ratio=1 if cell is bar else None, overflow="ellipsis")
    row.add_row(mark, title, bar, *rest)
    return row


def _text(text: str, style: str = "") -> Text:
    return Text(clean_line(text), style=style, no_wrap=True, overflow="ellipsis")
