"""How tokens look: what is trained is told by more than its colour, and every second token has a ground of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuitune.text import clean_line
from tuitune.tui.kit.rows import R, Row, width_of
from tuitune.tui.panes.data_page import MARGIN, At, Cell

if TYPE_CHECKING:
    from tuitune.data.look_pieces import Token
    from tuitune.data.look_view import Strand


@dataclass(frozen=True, slots=True)
class Look:
    """Where the cursor is; few: there are few colours or none, and no ground to tint; prose: text; ids: with ids."""

    at: At
    few: bool = False
    prose: bool = False
    ids: bool = False


def drawn(cells: list[Cell], look: Look) -> Row:
    """Return a row of a page."""
    row: Row = []
    for cell in cells:
        blank = cell.x - width_of(row)
        if cell.kind == "tokens" and cell.text:
            row.append((" " * (blank - MARGIN), "ink"))
            row += R("quiet", f"{clean_line(cell.text)[: MARGIN - 1]:<{MARGIN}}")
        elif blank > 0:
            row.append((" " * blank, "ink"))
        row += _cell(cell, look)
    return row


def _cell(cell: Cell, look: Look) -> Row:
    if cell.kind in ("title", "role"):
        return R("strong" if cell.kind == "title" else "quiet", clean_line(cell.text))
    if cell.line is None:
        return []
    if cell.kind == "ids":
        return [(f"{bit.token.id:<{bit.width}}"[: bit.width], "faint") for bit in cell.line.bits]
    row: Row = []
    for bit in cell.line.bits:
        row.append((bit.text, role_of(At(cell.block, bit.token.position), bit.token, look)))
        if look.ids:
            row.append((" " * (bit.width - width_of(row[-1:])), "ink"))
    return _joined(row)


def role_of(at: At, token: Token, look: Look) -> str:
    """Return the role of a token: its colour, and how it is set."""
    if at == look.at:
        return "strong b on sel"
    odd = token.position % 2 == 1 and not look.prose
    if token.trained:
        role = "accent u" if look.few else "accent b"
        role += " u" if token.special and not look.few else " b" if look.few and odd else ""
    else:
        role = "weights" if token.special else "ink" if look.prose else "quiet"
    return f"{role} on tint" if odd and not look.few else role


def _joined(row: Row) -> Row:
    """Return the row with neighbours of one role joined; blanks keep theirs, for they may be underlined."""
    out: Row = []
    for text, role in row:
        if out and out[-1][1] == role:
            out[-1] = (out[-1][0] + text, role)
        elif text:
            out.append((text, role))
    return out


def told(token: Token, strand: Strand) -> Row:
    """Return what is known of a token: its place, its text, its id, and what is done with it."""
    learnt = "trained" if token.trained else "special" if token.special else "context"
    target = strand.target(token)
    learnt += f" as {clean_line(target)}" if target else ""
    return R("quiet", f"token {token.position + 1:,}  ", "accent b", token.words, "quiet", f"  id {token.id}  ",
             "strong" if token.trained else "quiet", learnt)  # fmt: skip


def legend(counts: tuple[int, int, int]) -> Row:
    """Return the colours of trained tokens, of context and of special tokens, with how many there are."""
    names = zip(("trained", "context", "special"), ("accent", "quiet", "weights"), counts, strict=True)
    return [span for name, role, count in names for span in R(role, "■ ", "ink", f"{name} {count:,}   ")]
