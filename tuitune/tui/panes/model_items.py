"""What the list of models holds: models, the adapters of the one in use, and what was typed and may be one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tuitune.errors import ModelError
from tuitune.fit.adapters import AdapterInfo, of_model
from tuitune.fit.models import ModelInfo, ModelSource, resolve
from tuitune.fit.resolve import ModelKind
from tuitune.text import clean_line
from tuitune.tui.kit.rows import R, Row, cells, cut, split
from tuitune.tui.kit.units import binary

WHERE: dict[ModelKind, str] = {
    "embedded": "own",
    "cached": "cached",
    "local": "folder",
    "gguf": "gguf",
    "hub": "hub",
    "modelscope": "scope",
}
_KINDS = {"result": "result", "checkpoint": "ckpt", "folder": "adapter"}
FEW = 3  # adapters that show before they are asked for


@dataclass(frozen=True)
class Item:
    """One row: a model, one of its adapters, adapters that are folded away, or a model that was typed."""

    kind: Literal["model", "adapter", "more", "typed"]
    name: str
    size: str = ""
    where: str = ""
    present: bool = False
    model: ModelInfo | None = None
    adapter: AdapterInfo | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What stays the same when the list is made anew."""
        return self.kind, str(self.adapter.path) if self.adapter else self.name


@dataclass(frozen=True)
class Typed:
    """What the search line means when it is the name of a model itself; else `problem` says why it is none."""

    text: str
    source: ModelSource | None = None
    problem: str = ""


def read_typed(text: str) -> Typed:
    """Find out what `text` means as a model's name. Looks at the disk, never at the network."""
    try:
        return Typed(text, resolve(text))
    except ModelError as error:
        return Typed(text, problem=clean_line(error.message))
    except OSError as error:
        return Typed(text, problem=clean_line(str(error)))


def items_of(
    models: Sequence[ModelInfo],
    adapters: Sequence[AdapterInfo],
    *,
    chosen: str,
    query: str = "",
    typed: Typed | None = None,
    few: int | None = FEW,
) -> list[Item]:
    """Return the rows in order: the model in use with its adapters first, then the others; only what `query` finds.

    few: how many adapters show unless they are searched for; None for all.
    """
    words = query.lower().split()
    present = [info for info in models if _same(info, chosen)]
    items: list[Item] = []
    for info in [*present, *(info for info in models if info not in present)]:
        mine = info in present
        own = _adapters(info, adapters, words, few) if mine else []
        if own or found(f"{info.name} {WHERE[info.kind]} {info.architecture or ''}", words):
            items += [Item("model", info.name, size_of(info), WHERE[info.kind], mine, info), *own]
    if chosen and not present:
        # Not on this machine's lists, such as a model of the hub that was never fetched.
        absent = Item("model", clean_line(chosen), "", "", True)
        own = [] if words else _folded(of_model(adapters, chosen), few)
        items = [*([absent] if found(absent.name, words) else []), *own, *items]
    return [*items, *_typed(typed, query, items)]


def _adapters(info: ModelInfo, adapters: Sequence[AdapterInfo], words: list[str], few: int | None) -> list[Item]:
    own = of_model(adapters, info.name, info.path)
    if not words:
        return _folded(own, few)
    return [_adapter_item(each) for each in own if found(f"{each.name} adapter {each.kind}", words)]


def _folded(own: Sequence[AdapterInfo], few: int | None) -> list[Item]:
    own = sorted(own, key=lambda each: -each.changed)
    shown = own if few is None or len(own) <= few + 1 else own[:few]
    rest = len(own) - len(shown)
    return [
        *map(_adapter_item, shown),
        *([Item("more", f"{rest} more adapters" if shown else f"{rest} adapters")] if rest else []),
    ]


def _adapter_item(info: AdapterInfo) -> Item:
    name = info.run or info.name
    size = f"@{info.step:,}" if info.step is not None else binary(info.bytes)
    return Item("adapter", name, size, _KINDS[info.kind], adapter=info)


def _typed(typed: Typed | None, query: str, items: Sequence[Item]) -> list[Item]:
    query = query.strip()
    if typed is None or typed.text != query or typed.source is None or any(item.name == query for item in items):
        return []
    return [Item("typed", clean_line(query), "", WHERE[typed.source.kind])]


def _same(info: ModelInfo, chosen: str) -> bool:
    if info.kind == "embedded":
        return info.name == chosen.strip().lower()
    if info.name == chosen.strip():
        return True
    if info.kind not in ("local", "gguf") or info.path is None or not chosen:
        return False
    # ./m, m and /here/m are one model; no link is followed, for that would ask the disk.
    return Path(chosen.strip()).absolute() == info.path.absolute()


def found(text: str, words: Sequence[str]) -> bool:
    """Tell whether every word is in `text`, as it is or with letters left out."""
    text = text.lower()
    return all(word in text or (len(word) > 2 and _scattered(word, text)) for word in words)


def _scattered(word: str, text: str) -> bool:
    at = -1
    for letter in word:
        at = text.find(letter, at + 1)
        if at < 0:
            return False
    return True


def size_of(info: ModelInfo) -> str:
    """Return how large a model is: its parameters, or the bytes of its files."""
    count = info.parameters
    if not count:
        return binary(info.size_bytes) if info.size_bytes else ""
    return f"{count / 1e9:.1f}B" if count >= 0.9995e9 else f"{max(1, round(count / 1e6))}M"


def item_row(item: Item, width: int, *, cursor: bool) -> Row:
    """Return the line of one item."""
    ground, ink = (" on sel", "strong b") if cursor else ("", "ink")
    mark = R("accent" + ground, "▌" if cursor else " ")
    if item.kind == "model":
        left = R("accent" + ground, "•" if item.present else " ")
    elif item.kind == "typed":
        left = R("accent" + ground, "+")
    else:
        left = R("quiet" + ground, "  └ " if item.kind == "adapter" else "    ")
        ink = ink if cursor else "quiet"
    right = R("ink" + ground, f" {item.size:>5}" if item.size else "", "quiet" + ground, f" {item.where:<6}")
    if item.kind == "typed":
        right = R("quiet" + ground, " on the hub " if item.where in ("hub", "scope") else f" {item.where} ")
    elif item.kind == "more":
        right = []
    room = width - sum(cells(text) for text, _ in [*mark, *left, *right])
    name = cut(item.name, room) if item.kind != "model" and item.kind != "typed" else tail(item.name, room)
    return split([*mark, *left, *R(ink + ground, name)], right, width, " ", "ink" + ground)


def tail(name: str, width: int) -> str:
    """Return a name in at most `width` cells: the end of a path says more than its beginning."""
    if cells(name) <= width or "/" not in name:
        return cut(name, width)
    parts = name.split("/")
    kept = ("…/" + "/".join(parts[count:]) for count in range(1, len(parts)))
    return next((short for short in kept if cells(short) <= width), cut(parts[-1] or name, width))
