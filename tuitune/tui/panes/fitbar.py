"""The fit bar: the memory that a recipe will take, by part, against what is free."""

from __future__ import annotations

from itertools import product
from typing import ClassVar

from rich.text import Text
from textual.events import Click

from tuitune.fit.count import Count, percent
from tuitune.fit.estimate import ROLES, Estimate, Role
from tuitune.fit.parts import ROLE_NAMES
from tuitune.text import clean_line
from tuitune.tui.kit.drawn import Drawn
from tuitune.tui.kit.rows import R, Row, cells, cut, split, stacked, width_of
from tuitune.tui.kit.units import binary
from tuitune.tui.kit.wrapping import wrapped

_GIB, _MIB = 1 << 30, 1 << 20
_LEGEND_FROM = 6  # rows
_NOTHING = "no estimate yet: choose a model, and put right what the recipe complains about"


class FitBar(Drawn):
    """One line in words, a thick bar, and how much learns; with room, the parts by name and the notes."""

    HELP: ClassVar[str] = """\
The memory that the run will take at its peak, **before** it starts, against what is free where it would run.

`≈` marks an estimate. Weights, adapters, gradients and optimizer states are counted exactly; activations and logits
follow formulas for the largest micro-batch that the engine would form. Below the bar stand the numbers that learn, of
all that the model has with what the method adds, and their share. `ctrl+g` sets the largest batch
whose rows go through at once. The limit is the memory, or the tokens beyond which nothing gets faster (1,536 on a
processor, 32,768 on a GPU). A larger batch is no error and is left as it is: the engine cuts the step, with the same
gradient.
"""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._estimate: Estimate | None = None
        self._where, self._why = "", "looking what it takes…"

    def show(self, estimate: Estimate | None, where: str, why: str = "") -> None:
        """Show an estimate for the place called `where`; without one, say `why` there is none."""
        self._estimate, self._where, self._why = estimate, where, why
        notes = estimate.notes if estimate is not None else ()
        self.tooltip = Text("\n".join(notes)) if notes else None
        if self.is_mounted:
            self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the line, the bar, and what else there is room for."""
        found = self._estimate
        if found is None or found.parts is None:
            return _unknown(self._why or (found.notes[0] if found and found.notes else _NOTHING), width, height)
        parts = [(float(found.parts[role]), str(role)) for role in ROLES]
        scale = max(found.free or found.capacity or 0, found.total or 0)
        rows = [headline(found, self._where, width), stacked(parts, scale, width)]
        if height >= _LEGEND_FROM:
            rows += _legend(found.parts, width)
        if found.count is not None and len(rows) < height:
            rows.append(_learning(found.count, width))
        if height >= _LEGEND_FROM:
            # A note is shown whole or not at all.
            for note in found.notes:
                lines = wrapped(note, width)
                if len(rows) + len(lines) > height:
                    break
                rows += [R("quiet", line) for line in lines]
        return rows

    async def on_click(self, event: Click) -> None:
        """Set the largest batch where the legend offers it."""
        if self.content_size.height >= _LEGEND_FROM and event.y == 5 and event.x >= self.content_size.width // 2:
            await self.app.run_action("recipe_fill")


def headline(found: Estimate, where: str, width: int) -> Row:
    """Return the line above the bar: the shortest way of saying it that fits, and never a number that is cut."""
    lefts, rights = _needs(found, where), _verdicts(found)
    for right, left in sorted(product(range(len(rights)), range(len(lefts))), key=sum):
        if width_of(lefts[left]) + 1 + width_of(rights[right]) <= width:
            return split(lefts[left], rights[right], width)
    return split([], rights[-1], width)


def _needs(found: Estimate, where: str) -> list[Row]:
    total = found.total or 0
    free = found.free
    if free is None:
        return [R("strong b", f"Fit ≈ {binary(total)}"), R("strong b", f"≈ {binary(total)}")]
    unit = "GiB" if max(free, total) >= _GIB // 10 else "MiB"
    used, room = _in(total, unit), _in(free, unit)
    place = " in RAM" if where == "RAM" else f" on {where}" if where else ""
    endings = [f" {unit} free{place}", f" {unit} free", f" {unit}", f" {unit}", ""]
    names = ["Fit ", "Fit ", "Fit ", "", ""]
    return [
        R("strong b", f"{name}≈ {used}", "quiet", f" of {room}{ending}")
        for name, ending in zip(names, endings, strict=True)
    ]


def _learning(count: Count, width: int) -> Row:
    """Return how many numbers learn, and their share."""
    share, trained = R("ink", percent(count.share)), f"{count.trained:,}"
    for of in (f" of {count.total:,}", ""):
        left = R("quiet", "trains ", "ink", trained, "quiet", of)
        if width_of(left) + 1 + width_of(share) <= width:
            return split(left, share, width)
    return split(R("quiet", "trains"), share, width)


def _verdicts(found: Estimate) -> list[Row]:
    if found.fits == "yes":
        return [R("ok", "fits ✓")]
    if found.fits == "tight":
        return [R("warn b", "tight ▲")]
    if found.fits == "no":
        over = binary(found.missing)
        return [R("error b", text) for text in (f"too big by {over} ✗", f"{over} too big ✗", "too big ✗")]
    return [R("quiet", text) for text in ("free memory not known", "free: n/a")]


def _in(amount: float, unit: str) -> str:
    size = amount / (_GIB if unit == "GiB" else _MIB)
    return f"{size:.2f}" if size < 1 else f"{size:.1f}" if size < 1000 else f"{size:,.0f}"


def _legend(parts: dict[Role, int], width: int) -> list[Row]:
    left, right = (max(cells(ROLE_NAMES[role]) for role in half) for half in (ROLES[:4], ROLES[4:]))
    items = [
        R(role, "▪ ", "quiet", f"{ROLE_NAMES[role]:<{left if i < 4 else right}} ", "ink", f"{short(parts[role]):>4}")
        for i, role in enumerate(ROLES)
    ]
    fill = R("accent", "^g ", "quiet", f"{'largest batch':<{right + 4}}")
    return [split(items[i], [*items, fill][i + 4], width) for i in range(4)]


def short(amount: int) -> str:
    """Return bytes in at most four cells: GiB without a unit, less as 82M or 64K, nothing as 0."""
    if amount >= 99.95 * _GIB:
        return f"{amount / _GIB:.0f}"
    if amount >= _GIB // 10:
        return _in(amount, "GiB")
    if amount >= _MIB // 2:
        return f"{amount / _MIB:.0f}M"
    return f"{max(1, round(amount / 1024))}K" if amount else "0"


def _unknown(why: str, width: int, height: int) -> list[Row]:
    lines = wrapped(clean_line(why), max(8, width - 5))
    if len(lines) > height:
        lines = [*lines[: height - 1], cut(" ".join(lines[height - 1 :]), width - 5)]
    return [R("strong b", "Fit  " if i == 0 else "     ", "quiet", line) for i, line in enumerate(lines)]
