"""`tuitune models`: what is on this machine, and how more gets there."""

from __future__ import annotations

import sys

from tuitune.cli import tables
from tuitune.cli.bars import bars
from tuitune.cli.console import json_line, screen
from tuitune.face import words
from tuitune.fit.models import ModelInfo, resolve, scan
from tuitune.run.packing import record
from tuitune.text import clean_line


def listed(*, as_json: bool) -> int:
    """Print the models that are here."""
    found = scan()
    if as_json:
        for info in found:
            json_line(record(info))
        return 0
    columns = [
        tables.Column("model"), tables.Column("parameters", right=True, importance=5),
        tables.Column("size", right=True, importance=4), tables.Column("kind", importance=6),
        tables.Column("type", importance=2), tables.Column("licence", importance=1),
        tables.Column("where", importance=3),
    ]  # fmt: skip
    tables.show(screen(), columns, [_row(info) for info in found])
    return 0


def _row(info: ModelInfo) -> list[str]:
    return [
        info.name, _count(info.parameters), words.size(info.size_bytes) if info.size_bytes else "", info.kind,
        info.dtype or "", info.licence or "", str(info.path or "not fetched yet"),
    ]  # fmt: skip


def _count(value: int | None) -> str:
    if value is None:
        return ""
    return f"{value / 1e9:.1f} B" if value >= 1e9 else f"{value / 1e6:.0f} M"


def get(name: str, *, as_json: bool) -> int:
    """Fetch or convert a model; print where it is."""
    from tuitune.models.prepare import prepare

    source = resolve(name)
    with bars(sys.stderr) as progress:
        path = prepare(source, progress=progress)
    if as_json:
        json_line({"name": source.name, "path": path, "kind": source.kind})
    else:
        sys.stdout.write(f"{clean_line(str(path))}\n")
    return 0
