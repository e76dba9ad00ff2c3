"""The item under the cursor of the model list, in a few lines of words."""

from __future__ import annotations

import time

from tuitune.text import clean_line
from tuitune.tui.kit.rows import R, Row, cells, cut
from tuitune.tui.kit.units import binary, whole_seconds
from tuitune.tui.panes.model_items import Item, tail

ROWS = 8
_MARGIN = 10


def details(item: Item, width: int) -> list[Row]:
    """Return at most `ROWS` lines about an item and what its keys do."""
    facts = _facts(item)
    rows: list[Row] = [[], R("strong b", tail(item.name, width))]
    for name, value in facts:
        room = width - _MARGIN
        shown = tail(value, room) if name == "path" else cut(value, room)
        rows.append(R("quiet", f"{name:<{_MARGIN}}", "ink", shown))
    return [*rows[: ROWS - 1], keys(item, width)]


def keys(item: Item, width: int) -> Row:
    """Return what can be done with an item."""
    offers = {
        "model": (("enter", "use it"), ("c", "chat")),
        "typed": (("enter", "use it"),),
        "adapter": (("t", "train further"), ("c", "chat")),
        "more": (("enter", "show them"),),
    }[item.kind]
    row: Row = []
    for key, text in (*offers, ("/", "search"), ("r", "look again")):
        piece = R("accent", key, "quiet", f" {text}   ")
        if sum(cells(text) for text, _ in [*row, *piece]) - 3 <= width:
            row += piece
    return row


def _facts(item: Item) -> list[tuple[str, str]]:
    if item.adapter is not None:
        info = item.adapter
        age = whole_seconds(max(0.0, time.time() - info.changed))
        what = {"result": "result of the run", "checkpoint": "checkpoint", "folder": "adapter folder"}[info.kind]
        step = f", step {info.step:,}" if info.step is not None else ""
        return [("what", what + step), ("for", clean_line(info.base)), ("size", binary(info.bytes)),
                ("saved", f"{age} ago"), ("path", clean_line(str(info.path)))]  # fmt: skip
    if item.kind == "typed":
        what = "on the hub: fetched when the run starts" if item.where in ("hub", "scope") else "on this machine"
        return [("where", what)]
    if item.kind == "more":
        return []
    if item.model is None:
        return [("where", "not on this machine's lists; it is looked for when the run starts")]
    info_ = item.model
    size = [binary(info_.size_bytes)] if info_.size_bytes else []
    count = [f"{info_.parameters:,} parameters"] if info_.parameters else []
    kind = ", ".join(word for word in (info_.architecture, info_.dtype) if word)
    return [("type", kind or "not known"), ("size", ", ".join([*size, *count]) or "not known"),
            ("licence", info_.licence or "not stated"),
            ("path", clean_line(str(info_.path)) if info_.path else "fetched when it is needed")]  # fmt: skip
