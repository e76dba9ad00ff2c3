"""`tuitune runs show|diff`: everything about one run, and what differs between several."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.text import Text

from tuitune.cli import tables
from tuitune.cli.console import json_line, say, screen
from tuitune.errors import UsageError
from tuitune.face.about import About, about
from tuitune.face.difference import Differing, differences
from tuitune.face.find import find
from tuitune.run.packing import record
from tuitune.text import clean_line


def show(name: str, *, as_json: bool) -> int:
    """Print what there is to say about a run."""
    found = about(find(name))
    if as_json:
        json_line(_record(found))
        return 0
    console = screen()
    pairs = found.lines()
    width = max(len(title) for title, _ in pairs)
    for title, text in pairs:
        line = Text.assemble((f"{title:<{width}}  ", "dim"), clean_line(text))
        console.print(line, soft_wrap=not console.is_terminal)
    return 0


def _record(found: About) -> dict[str, object]:
    entry = found.entry
    facts = {key: value for key, value in record(entry.facts).items() if key not in ("step", "total_steps", "until")}
    return {
        "kind": "Run", "name": entry.run.name, "path": entry.run.path, "status": entry.status, "step": entry.step,
        "total_steps": entry.total_steps, "data": entry.data, "note": entry.remarks.note, "tags": entry.remarks.tags,
        "imported": entry.imported, **facts, "lasted": entry.lasted, "size": found.size,
        "checkpoints": [record(each) for each in found.checkpoints],
        "evaluations": [record(each) for each in found.evaluations],
    }  # fmt: skip


def diff(names: Sequence[str], *, as_json: bool) -> int:
    """Print the keys in which recipes differ."""
    runs = list(dict.fromkeys(find(name) for name in names))
    if len(runs) < 2:
        raise UsageError("one run differs from nothing", "name two or more: tuitune runs diff RUN RUN")
    found = differences(runs)
    if as_json:
        json_line({"kind": "Difference", "runs": [run.name for run in runs], "same": found.same,
                   "keys": [record(each) for each in found.keys], "notes": found.notes})  # fmt: skip
        return 0
    for note in found.notes:
        say(screen(sys.stderr), f"warning: {note}", "yellow")
    if found.keys:
        titles = [tables.Column("key"), *(tables.Column(run.name) for run in runs), tables.Column("", importance=1)]
        tables.show(screen(), titles, [_row(each) for each in found.keys], style=_bold(found.keys))
    same = f"all {found.same} keys are the same" if not found.keys else _others(found.same)
    say(screen(sys.stderr), same)
    return 0


def _others(same: int) -> str:
    return {0: "no other key is the same", 1: "1 other key is the same"}.get(same, f"{same} other keys are the same")


def _row(each: Differing) -> list[str]:
    how = "plan" if each.plan else "asked" if any(each.asked) else "default"
    return [each.key, *(value or "-" for value in each.values), how]


def _bold(keys: Sequence[Differing]) -> tables.Style:
    def style(row: int, column: int) -> str:
        asked = keys[row].asked
        return "bold" if 1 <= column <= len(asked) and asked[column - 1] else ""

    return style
