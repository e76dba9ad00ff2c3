"""Break text into lines of so many cells: wide characters count two, and a word that is too long is cut."""

from __future__ import annotations

from rich.cells import cell_len, chop_cells


def wrapped(text: str, width: int) -> list[str]:
    """Return `text` in lines of at most `width` cells; its own line ends stay."""
    lines: list[str] = []
    for line in text.expandtabs(4).split("\n"):
        lines += _wrap(line, max(2, width))
    return lines


def _wrap(line: str, width: int) -> list[str]:
    indent = line[: len(line) - len(line.lstrip())]
    out: list[str] = []
    now = indent if cell_len(indent) < width // 2 else ""
    started = False
    for word in line.split():
        if started and cell_len(now) + 1 + cell_len(word) > width:
            out.append(now)
            now, started = "", False
        now += (" " if started else "") + word
        started = True
        if cell_len(now) > width:
            *full, now = chop_cells(now, width)
            out += full
    return [*out, now]
