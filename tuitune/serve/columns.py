"""Keys and values of several sequences side by side: right-aligned, so that each ends in the newest column.

Rows join and leave between steps. A row that is shorter than the longest has empty columns before it, which the mask
hides; leading columns that no row needs any more are cut off.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

_ROOM = 64  # columns that are made ahead: the whole is copied once in so many steps instead of at each


class _Layer(DynamicLayer):
    """A layer's keys and values, (rows, heads, columns, size), in memory with room behind them."""

    _held: tuple[Tensor, Tensor] | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Add columns and return all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)  # type: ignore[no-untyped-call]
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        keys, values = self._roomy(start, end, key_states, value_states)
        keys[:, :, start:end] = key_states
        values[:, :, start:end] = value_states
        self.keys, self.values = keys[:, :, :end], values[:, :, :end]
        return self.keys, self.values

    def _roomy(self, start: int, end: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        held = self._held
        if held is None or held[0].shape[-2] < end:
            held = _wider(self.keys, keys, start, end), _wider(self.values, values, start, end)
            self._held = held
        return held

    def held(self) -> tuple[Tensor, Tensor]:
        """Return keys and values."""
        assert self.keys is not None
        assert self.values is not None
        return self.keys, self.values

    def hold(self, keys: Tensor, values: Tensor, width: int) -> None:
        """Take the first `width` columns of these in place of what there is; what follows is room."""
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        self._held = keys, values
        self.keys, self.values = keys[:, :, :width], values[:, :, :width]


def _wider(old: Tensor | None, like: Tensor, start: int, end: int) -> Tensor:
    rows, heads, _, size = like.shape
    made = like.new_empty((rows, heads, end + _ROOM, size))
    if start and old is not None:
        made[:, :, :start] = old
    return made


class Columns(Cache):
    """The cache of a batch; `lengths` are the tokens of each row, of which the longest fills every column."""

    def __init__(self) -> None:
        super().__init__(layer_class_to_replicate=_Layer)
        self.lengths: list[int] = []

    @property
    def width(self) -> int:
        """How many columns there are."""
        return max(self.lengths, default=0)

    def mask(self, device: torch.device, new: int = 0) -> Tensor:
        """Return (rows, width + new): 1 where a row has a token, or will have with the `new` columns."""
        starts = torch.tensor([self.width - length for length in self.lengths], device=device)
        places = torch.arange(self.width + new, device=device)
        return (places[None, :] >= starts[:, None]).long()

    def grown(self, by: int) -> None:
        """Take note that every row has so many tokens more."""
        self.lengths = [length + by for length in self.lengths]

    def keep(self, rows: Sequence[int], joining: Sequence[Columns] = ()) -> None:
        """Keep these rows, in this order, and put the rows of others behind them."""
        lengths = [self.lengths[row] for row in rows]
        more = [length for other in joining for length in other.lengths]
        width = max([*lengths, *more], default=0)
        if not width:
            self.layers, self.lengths = [], []
            return
        parts: list[tuple[Columns, Sequence[int]]] = [(self, rows)] if rows else []
        parts += [(other, range(len(other.lengths))) for other in joining]
        for number in range(len(parts[0][0].layers)):
            keys, values = (
                _side_by_side([each.part(number, which, chosen) for each, chosen in parts], width) for which in (0, 1)
            )
            self._layer(number).hold(keys, values, width)
        self.lengths = [*lengths, *more]

    def copied(self) -> Columns:
        """Return another cache that begins with the same and grows apart."""
        other = Columns()
        other.keep([], [self])
        return other

    def bytes_per_token(self) -> int:
        """Return what the keys and values of one token take in all layers."""
        held = (tensor for number in range(len(self.layers)) for tensor in self._layer(number).held())
        return sum(tensor[:1, :, :1].numel() * tensor.element_size() for tensor in held)

    def part(self, number: int, which: int, rows: Sequence[int]) -> Tensor:
        """Return keys (0) or values (1) of some rows in a layer."""
        held = self._layer(number).held()[which]
        if list(rows) == list(range(len(self.lengths))):
            return held
        return held[torch.tensor(list(rows), device=held.device)]

    def _layer(self, number: int) -> _Layer:
        while len(self.layers) <= number:
            self.layers.append(_Layer())  # type: ignore[no-untyped-call]
        layer = self.layers[number]
        assert isinstance(layer, _Layer)
        return layer


def _side_by_side(parts: Sequence[Tensor], width: int) -> Tensor:
    """Return the rows of all parts in `width` columns, each at the right end, and room; empty columns are zero."""
    rows = sum(len(part) for part in parts)
    like = parts[0]
    made = like.new_zeros((rows, like.shape[1], width + _ROOM, like.shape[3]))
    at = 0
    for part in parts:
        kept = min(width, part.shape[2])
        made[at : at + len(part), :, width - kept : width] = part[:, :, part.shape[2] - kept :]
        at += len(part)
    return made
