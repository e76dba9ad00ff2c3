"""Bars for work with stages, such as a download and the conversion after it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TextIO

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from tuitune.cli.console import can_draw, say, screen
from tuitune.text import clean_line

Report = Callable[[str, int, int | None], None]


@contextlib.contextmanager
def bars(stream: TextIO) -> Iterator[Report]:
    """Yield what draws one bar at a time on `stream`; without a terminal each stage is one line."""
    console = screen(stream)
    if not can_draw(console):
        stages: set[str] = set()

        def line(stage: str, done: int, total: int | None) -> None:
            if stage not in stages:
                stages.add(stage)
                say(console, stage)

        yield line
        return
    progress = Progress(
        SpinnerColumn(), TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
        BarColumn(), TextColumn("{task.fields[share]}", markup=False), TimeElapsedColumn(), console=console,
        transient=True, redirect_stdout=False, redirect_stderr=False,
    )  # fmt: skip
    with progress:
        yield _Drawn(progress)


class _Drawn:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        if self._task is None or stage != self._stage:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._stage = stage
            self._task = self._progress.add_task(clean_line(stage), share="")
        share = f"{100 * done / total:.0f} %" if total else ""
        self._progress.update(self._task, completed=done, total=total, share=share)

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Take the bar off the screen, for something else to be printed, while open."""
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()
