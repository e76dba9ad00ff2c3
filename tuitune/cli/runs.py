"""`tuitune runs`: every run in a line."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from tuitune.cli import tables
from tuitune.cli.console import json_line, say, screen
from tuitune.face import figures, words
from tuitune.run import RunSummary, index, places, summary
from tuitune.run.packing import record

_STYLES = {"running": "green", "starting": "green", "paused": "yellow", "failed": "red", "crashed": "red"}


def runs(*, as_json: bool) -> int:
    """Print all runs, the one last active first."""
    found = [summary(run) for run in index.all_runs()]
    if as_json:
        for one in found:
            json_line({**record(one), "resumable": one.resumable})
        return 0
    console = screen()
    if not found:
        say(screen(sys.stderr), "there are no runs yet; start one: tuitune train RECIPE")
        return 0
    tables.show(console, _columns(found), [_row(one) for one in found], style=_style(found))
    return 0


def _columns(found: Sequence[RunSummary]) -> list[tables.Column]:
    return [
        tables.Column("run"), tables.Column("state"), tables.Column("step", right=True),
        tables.Column("loss", right=True), tables.Column("started", importance=3),
        tables.Column("model", importance=2), tables.Column("method", importance=4),
        tables.Column("where", importance=1),
    ]  # fmt: skip


def _row(one: RunSummary) -> list[str]:
    steps = f"{one.step}/{one.total_steps}" if one.total_steps else str(one.step or "")
    home = one.path.parent == places.runs()
    return [
        one.name, one.status, steps, _figure(one), _when(one.started), one.model,
        "/".join(part for part in (one.stage, one.method) if part), "" if home else str(one.path.parent),
    ]  # fmt: skip


def _figure(one: RunSummary) -> str:
    """Return the loss, or with its name what counts instead of it."""
    name = figures.main(one.stage)
    if name in one.metrics:
        return f"{figures.word(name)} {words.number(one.metrics[name], '.3g')}"
    return "" if one.loss is None else words.number(one.loss)


def _style(found: Sequence[RunSummary]) -> tables.Style:
    return lambda row, column: _STYLES.get(found[row].status, "") if column == 1 else ""


def _when(started: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(started)) if started else ""
