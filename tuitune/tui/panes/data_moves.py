"""Where the cursor goes on a page of tokens: over lines, over pages, to what is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuitune.tui.panes.data_page import At, Page

if TYPE_CHECKING:
    from tuitune.data.look_view import View


def next_line(page: Page, at: At, by: int) -> At:
    """Return the token under or over a place, on the nearest line that has tokens."""
    here = page.find(at)
    x, row = page.x_of(at, here), here + by
    while row >= 0 and page.row(row) is not None:
        found = page.under(x, row)
        if found is not None and page.find(found) != here:
            return found
        row += 1 if by > 0 else -1
    return page.last if by > 0 else page.first


def leap(page: Page, at: At, rows: int) -> At | None:
    """Return the token so many rows further on, or the last one before; None on a page without tokens."""
    here = page.find(at)
    row = max(0, here + rows)
    while row > 0 and page.row(row) is None:
        row -= 1
    return next((found for near in range(row, -1, -1) if (found := page.under(page.x_of(at, here), near))), None)


def next_trained(view: View, at: At) -> At | None:
    """Return where the next stretch of trained tokens begins, None behind the last one."""
    for number, block in enumerate(view.blocks):
        labelled = block.strand.labelled
        low = at.position + 1 if number == at.block else block.start
        for position in range(low, block.stop) if number >= at.block else ():
            if labelled[position] and (position == block.start or not labelled[position - 1]):
                return At(number, position)
    return None
