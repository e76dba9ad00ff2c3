"""Rows of spans: what every pane draws. A span is (text, role); a role names a colour of the theme and how it is set.

A role is one colour name with optional words behind it: `b` bold, `i` italic, `u` underline, `on NAME` the ground. So
"strong b on sel" is bold text in the colour `strong` on the ground `sel`. Text is never parsed: no markup can act.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from rich.cells import cell_len, set_cell_size

Span = tuple[str, str]
Row = list[Span]

_BARS = "▁▂▃▄▅▆▇"  # never a full block: rows below each other would fuse


def R(*pairs: str) -> Row:
    """Return a row of role, text, role, text: `R("quiet", "run ", "ink", "38.2")`."""
    return list(zip(pairs[1::2], pairs[::2], strict=True))


def cells(text: str) -> int:
    """Return how many cells of a terminal `text` takes."""
    return cell_len(text)


def width_of(row: Row) -> int:
    """Return the cells that a row takes."""
    return sum(cell_len(text) for text, _ in row)


def cut(text: str, width: int) -> str:
    """Return `text` in at most `width` cells, with an ellipsis where something was left out."""
    if cell_len(text) <= width:
        return text
    if width <= 0:
        return ""
    # A wide character that would stand across the edge leaves a blank, which would hang before the ellipsis.
    return set_cell_size(text, width - 1).rstrip() + "…"


def fit(row: Row, width: int, role: str = "ink") -> Row:
    """Return the row in exactly `width` cells: filled up with blanks, or cut with an ellipsis."""
    out: Row = []
    room = width
    for text, own in row:
        size = cell_len(text)
        if size > room:
            short = set_cell_size(text, room) if not _rest(text, room).strip() else cut(text, room)
            out.append((short, own))
            room -= cell_len(short)
            break
        out.append((text, own))
        room -= size
    return [*out, (" " * room, role)] if room > 0 else out


def _rest(text: str, width: int) -> str:
    return text[len(set_cell_size(text, width).rstrip()) :]


def split(left: Row, right: Row, width: int, fill: str = " ", role: str = "hair") -> Row:
    """Return left part, filler, right part; the left part gives way, and the right one only when it stands alone."""
    room = width - width_of(right)
    if room <= 0:
        return fit(right, width)
    if width_of(left) > room:
        left = fit(left, room)
    return [*left, (fill * (room - width_of(left)), role), *right]


def merged(row: Row) -> Row:
    """Return the row with neighbours of one role joined: fewer colour changes, fewer bytes on the line."""
    out: Row = []
    for text, role in row:
        # A blank on the same ground shows no colour of its own.
        if out and (out[-1][1] == role or (not text.strip() and " on " not in out[-1][1] + role)):
            out[-1] = (out[-1][0] + text, out[-1][1])
        elif text:
            out.append((text, role))
    return out


def grounded(row: Row, ground: str) -> Row:
    """Return the row on another ground; spans that have one keep theirs."""
    return [(text, role if " on " in role else f"{role} on {ground}") for text, role in row]


def slim(parts: Sequence[tuple[float, str]], total: float, width: int) -> Row:
    """Return a thin bar for a report: a heavy line for each (amount, role), a hairline for what is left."""
    row: Row = []
    room = max(0, width)
    for amount, role in parts:
        if amount > 0 and total > 0 and room > 0:
            size = min(room, max(1, round(amount / total * width)))
            row.append(("━" * size, role))
            room -= size
    return [*row, ("─" * room, "hair")] if room else row


def stacked(parts: Sequence[tuple[float, str]], total: float, width: int) -> Row:
    """Return a thick bar in half cells: every part that exists shows, the rest is shaded."""
    halves: list[str] = []
    for amount, role in parts:
        if amount > 0 and total > 0:
            halves += [role] * max(1, round(min(amount / total, 1.0) * width * 2))
    halves = halves[: width * 2]
    if len(halves) % 2:
        halves.append(halves[-1])
    pairs = zip(halves[::2], halves[1::2], strict=True)
    row: Row = [("█", first) if first == second else ("▌", f"{first} on {second}") for first, second in pairs]
    return merged([*row, ("░" * (width - len(row)), "faint")])


def spark(values: Sequence[float], width: int, low: float = 0.0, high: float | None = None) -> str:
    """Return a sparkline of one cell for the mean of each column; what is no number leaves a gap."""
    count = len(values)
    if not count or width <= 0:
        return " " * max(0, width)
    starts = [i * count // width for i in range(width + 1)]
    means = [_mean(values[at : max(at + 1, to)]) for at, to in pairwise(starts)]
    known = [value for value in means if value is not None]
    if not known:
        return " " * width
    span = (max(known) if high is None else high) - low or 1.0
    return "".join(" " if value is None else _BARS[max(0, min(6, int((value - low) / span * 6.99)))] for value in means)


def _mean(values: Sequence[float]) -> float | None:
    # Infinity minus infinity is not zero either: only finite numbers make a mean.
    known = [value for value in values if value - value == 0]
    return sum(known) / len(known) if known else None
