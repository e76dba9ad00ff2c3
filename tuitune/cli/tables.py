"""Tables of foreign text that never wrap: where they do not fit, the least important columns are left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tuitune.cli.console import screen
from tuitune.text import clean_line

_GAP = 2
_WIDE = 10_000  # a file or a pipe gets every column whole
Style = Callable[[int, int], str]


@dataclass(frozen=True)
class Column:
    """A column; those with the highest `importance` of 1 and more stay longest, 0 never goes."""

    title: str
    right: bool = False
    importance: int = 0


def show(
    console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]], *, style: Style = lambda row, column: ""
) -> None:
    """Print a table; a cell that is still too wide is cut, in a pipe nothing is."""
    cells = [[clean_line(cell) for cell in row] for row in rows]
    room = console.width if console.is_terminal else _WIDE
    kept = _fitting(columns, cells, room)
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
    for index in kept:
        justify = "right" if columns[index].right else "left"
        table.add_column(columns[index].title, justify=justify, no_wrap=True, overflow="ellipsis")  # type: ignore[arg-type]
    for number, row in enumerate(cells):
        table.add_row(*(Text(row[index], style=style(number, index)) for index in kept))
    print_table(console, table)


def _fitting(columns: Sequence[Column], cells: Sequence[Sequence[str]], room: int) -> list[int]:
    widths = [max(cell_len(text) for text in (column.title, *(row[i] for row in cells)))
              for i, column in enumerate(columns)]  # fmt: skip
    # A column that is empty in every row says nothing.
    kept = [i for i in range(len(columns)) if not columns[i].importance or any(row[i] for row in cells)]
    while sum(widths[i] + _GAP for i in kept) > room:
        spare = [i for i in kept if columns[i].importance]
        if not spare:
            break
        kept.remove(min(spare, key=lambda i: columns[i].importance))
    return kept


def print_table(console: Console, table: Table) -> None:
    """Print a table of cleaned text; in a pipe as wide as it wants, without the blanks that fill a screen's lines."""
    if console.is_terminal:
        console.print(table)
        return
    drawn = StringIO()
    screen(drawn, width=_WIDE).print(table)
    for line in drawn.getvalue().splitlines():
        print(line.rstrip(), file=console.file)
