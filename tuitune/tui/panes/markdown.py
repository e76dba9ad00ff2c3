"""Markdown as rows: what a model writes, drawn with the roles of the theme and nothing that could act."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

from tuitune.text import clean
from tuitune.tui.kit.rows import R, Row, cells, fit, width_of
from tuitune.tui.panes.wrapping import wrapped

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode as Node

_LEAST = 12  # cells: deeper nesting is not indented any further
_CODE = "on tint"


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"maxNesting": 100}).enable(["table", "strikethrough"])


def rows_of(text: str, width: int, ink: str = "ink") -> list[Row]:
    """Return cleaned Markdown as rows of at most `width` cells; single line breaks stay, since models mean them."""
    from markdown_it.tree import SyntaxTreeNode

    rows = _blocks(SyntaxTreeNode(_parser().parse(text)).children, max(_LEAST, width), ink)
    # Some text makes no block, such as where a link leads: it is shown as it is.
    return rows or (wrapped([(_plain(text), ink)], max(_LEAST, width)) if text.strip() else [])


class Growing:
    """Markdown that is still being written: finished blocks are laid out once."""

    def __init__(self, ink: str = "ink") -> None:
        self._ink = ink
        self._text = self._tail = ""
        self._rows: list[Row] = []
        self._width = 0

    @property
    def text(self) -> str:
        """All of it."""
        return self._text

    def add(self, text: str) -> None:
        """Go on with this cleaned text."""
        self._text += text
        self._tail += text

    def rows(self, width: int) -> list[Row]:
        """Return the rows of what there is."""
        if width != self._width:
            self._width, self._rows, self._tail = width, [], self._text
        start = _last_block(self._tail)
        if start:
            self._rows = _joined([self._rows, rows_of(self._tail[:start], width, self._ink)])
            self._tail = self._tail[start:]
        return _joined([self._rows, rows_of(self._tail, width, self._ink)])


def _last_block(text: str) -> int:
    """Return where the last block begins: whatever follows can change that one only."""
    starts = [token.map[0] for token in _parser().parse(text) if token.level == 0 and token.nesting >= 0 and token.map]
    if len(starts) < 2:
        return 0
    return sum(len(line) + 1 for line in text.split("\n")[: starts[-1]])


def _joined(groups: Sequence[list[Row]], gap: bool = True) -> list[Row]:
    rows: list[Row] = []
    for group in groups:
        if rows and group and gap:
            rows.append([])
        rows += group
    return rows


def _blocks(nodes: Sequence[Node], width: int, ink: str) -> list[Row]:
    tight = any(node.hidden for node in nodes)
    return _joined([_block(node, width, ink) for node in nodes], gap=not tight)


def _block(node: Node, width: int, ink: str) -> list[Row]:
    match node.type:
        case "paragraph" | "inline":
            return wrapped(_inline(node, ink), width)
        case "heading":
            return wrapped(_inline(node, "strong b"), width)
        case "bullet_list" | "ordered_list":
            return _list(node, width, ink)
        case "blockquote":
            return _hung(node.children, "│ ", "│ ", width, "quiet", "hair")
        case "fence" | "code_block":
            return _code(node.content, width)
        case "hr":
            return [R("hair", "─" * width)]
        case "table":
            return _table(node, width, ink)
        case _:
            return _blocks(node.children, width, ink) if node.children else _text(node, width, ink)


def _text(node: Node, width: int, ink: str) -> list[Row]:
    # Raw HTML is text like any other.
    return wrapped([(_plain(node.content).rstrip("\n"), ink)], width)


def _list(node: Node, width: int, ink: str) -> list[Row]:
    first = int(node.attrs.get("start") or 1) if node.type == "ordered_list" else None
    last = "" if first is None else str(first + len(node.children) - 1)
    groups, tight = [], True
    for number, item in enumerate(node.children, first or 0):
        mark = "• " if first is None else f"{number}.".rjust(len(last) + 1) + " "
        groups.append(_hung(item.children, mark, " " * len(mark), width, ink, "quiet"))
        tight = tight and not any(child.type == "paragraph" and not child.hidden for child in item.children)
    return _joined(groups, gap=not tight)


def _hung(nodes: Sequence[Node], first: str, rest: str, width: int, ink: str, role: str) -> list[Row]:
    """Return blocks behind a mark; where a line would become too narrow, the mark stands above them."""
    if width - len(first) < _LEAST:
        return [[(first, role)], *_blocks(nodes, width, ink)] if first.strip("│ ") else _blocks(nodes, width, ink)
    rows = _blocks(nodes, width - len(first), ink) or [[]]
    return [[(first if i == 0 else rest, role), *row] for i, row in enumerate(rows)]


def _code(text: str, width: int) -> list[Row]:
    rows: list[Row] = []
    for line in _plain(text).rstrip("\n").split("\n"):
        # Cut, never wrapped at blanks: in code they mean something.
        parts = [line[i : i + width - 2] for i in range(0, len(line), width - 2)] or [""]
        rows += [fit(R(f"ink {_CODE}", f" {part}"), width, f"ink {_CODE}") for part in _by_cells(parts, width - 2)]
    return rows


def _by_cells(parts: list[str], width: int) -> Iterator[str]:
    for part in parts:
        if cells(part) <= width:
            yield part
        else:
            half = max(1, len(part) // 2)
            yield from _by_cells([part[:half], part[half:]], width) if len(part) > 1 else ("",)


def _inline(node: Node, role: str) -> Row:
    row: Row = []
    for child in node.children:
        match child.type:
            case "softbreak" | "hardbreak":
                row.append(("\n", role))
            case "code_inline":
                row.append((_plain(child.content), f"{role.partition(' ')[0]} {_CODE}"))
            case "strong":
                row += _inline(child, "strong b")
            case "em":
                row += _inline(child, role if " i" in role else f"{role} i")
            case "s":
                row += _inline(child, "faint")
            case "link":
                row += _link(child, role)
            case "image":
                row.append((f"[image: {_plain(child.content)}]", "quiet"))
            case _:
                row += _inline(child, role) if child.children else [(_plain(child.content), role)]
    return row


def _link(node: Node, role: str) -> Row:
    # Where it leads is part of the text: nothing here can be clicked.
    row, target = _inline(node, role), _plain(str(node.attrs.get("href") or ""))
    shown = "".join(text for text, _ in row)
    return row if target in (shown, f"mailto:{shown}", "") else [*row, *R("quiet", f" ({target})")]


def _plain(text: str) -> str:
    # Cleaned again: Markdown turns `&#27;` into the character itself.
    return clean(text).expandtabs(4)


def _table(node: Node, width: int, ink: str) -> list[Row]:
    lines = [
        [_inline(cell, "strong b" if part.type == "thead" else ink) for cell in line.children]
        for part in node.children
        for line in part.children
    ]
    columns = max(len(line) for line in lines)
    widths = _shares([max((width_of(line[i]) for line in lines if i < len(line)), default=0) for i in range(columns)],
                     max(columns * 3, width - 2 * (columns - 1)))  # fmt: skip
    rows: list[Row] = []
    for number, line in enumerate(lines):
        rows += _table_line(line, widths)
        if number == 0:
            rows.append(R("hair", "─" * min(width, sum(widths) + 2 * (columns - 1))))
    return rows


def _shares(widths: list[int], room: int) -> list[int]:
    """Take from the widest column until all fit."""
    widths = [max(1, width) for width in widths]
    while sum(widths) > room:
        widest = widths.index(max(widths))
        if widths[widest] <= 3:
            break
        widths[widest] -= 1
    return widths


def _table_line(line: list[Row], widths: list[int]) -> list[Row]:
    cells_of = [wrapped(cell, width) for cell, width in zip(line, widths, strict=False)]
    rows: list[Row] = []
    for i in range(max((len(cell) for cell in cells_of), default=0)):
        row: Row = []
        for cell, width in zip(cells_of, widths, strict=False):
            row += [*fit(cell[i] if i < len(cell) else [], width), ("  ", "ink")]
        rows.append(row[:-1])
    return rows
