"""Bars for work with stages, such as a download and the conversion after it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from tuitune.cli.console import can_draw, say, screen
from tuitune.text import clean_line

_EVERY = 30.0  # seconds between two lines about one stage, without a terminal
Report = Callable[[str, int, int | None], None]


@contextlib.contextmanager
def bars(stream: TextIO) -> Iterator[Report]:
    """Yield what draws one bar at a time on `stream`; without a terminal each stage is a line, a long one several."""
    console = screen(stream)
    if not can_draw(console):
        yield _Lines(console)
        return
    progress = Progress(
        SpinnerColumn(), TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
        BarColumn(), TextColumn("{task.fields[share]}", markup=False), TimeElapsedColumn(), console=console,
        transient=True, redirect_stdout=False, redirect_stderr=False,
    )  # fmt: skip
    with progress:
        yield Drawn(progress)


class _Lines:
    """A line for each stage when it begins, and one now and then while it goes on."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[str, float] = {}  # when a stage was said last

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if stage not in self._said:
            say(self._console, stage)
        elif done and now - self._said[stage] >= _EVERY:
            say(self._console, f"{stage}: {done:,} of {total:,}" if total else f"{stage}: {done:,}")
        else:
            return
        self._said[stage] = now


class Drawn:
    """A bar for the stage that the work is at."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self._stage = self._share = self._within = ""

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        if self._task is None or stage != self._stage:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._stage, self._within = stage, ""
            self._task = self._progress.add_task(clean_line(stage), share="")
        self._share = f"{100 * done / total:.0f} %" if total else ""
        self._within = "" if done == total else self._within
        self._progress.update(self._task, completed=done, total=total, share=self._words)

    def within(self, text: str) -> None:
        """Say how far the piece of work is that the bar does not count yet."""
        self._within = clean_line(text)
        if self._task is not None:
            self._progress.update(self._task, share=self._words)

    @property
    def _words(self) -> str:
        return ", ".join(filter(None, [self._share, self._within]))

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Take the bar off the screen, for something else to be printed, while open."""
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()
