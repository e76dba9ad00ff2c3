"""`tuitune doctor`: the checks as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from tuitune.cli import tables
from tuitune.cli.console import json_line, screen
from tuitune.doctor import Check, run_checks
from tuitune.run.packing import record
from tuitune.text import clean_line

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(*, as_json: bool) -> int:
    """Print every check; return 1 if one has failed."""
    checks = run_checks()
    if as_json:
        for check in checks:
            json_line(record(check))
    else:
        _show(checks)
    return 1 if any(check.status == "fail" for check in checks) else 0


def _show(checks: Sequence[Check]) -> None:
    console = screen()
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        detail = Text(clean_line(check.detail))
        if check.hint:
            detail.append(f"\n{clean_line(check.hint)}", style="cyan")
        table.add_row(Text(check.status, style=_STYLES[check.status]), Text(clean_line(check.name)), detail)
    tables.print_table(console, table)
