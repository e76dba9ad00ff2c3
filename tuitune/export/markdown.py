"""Markdown around foreign text: nothing in a name becomes markup, HTML or another cell of a table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tuitune.text import clean_line

_MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$:@])")
_LONGEST = 200


def escaped(text: str) -> str:
    """Return `text` on one line, every character of it standing for itself."""
    shown = clean_line(text)[:_LONGEST]
    safe = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKUP.sub(_kept, safe)


def _kept(match: re.Match[str]) -> str:
    """Escape a character unless it stands inside a word or a number, where it means nothing in Markdown."""
    text, start, end = match.string, match.start(), match.end()
    inside = start > 0 and end < len(text) and text[start - 1].isalnum() and text[end].isalnum()
    return match[1] if inside and match[1] in "-.+" else "\\" + match[1]


def code(text: str) -> str:
    """Return `text` as code on one line, between more backticks than it has; a bar is no end of a cell."""
    shown = clean_line(text)[:_LONGEST].replace("|", "¦")
    if not shown:
        return ""
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{ticks}{space}{shown}{space}{ticks}"


def fenced(text: str, language: str = "") -> str:
    """Return lines of code in a fence that nothing in them closes."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown already."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
