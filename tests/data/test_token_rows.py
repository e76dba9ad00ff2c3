"""Compact rows: what goes in comes out, also through pickle and torch's DataLoader."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from tuitune.data import Examples
from tuitune.data.rows import RowsBuilder, TokenRows


@pytest.fixture
def rows() -> TokenRows:
    builder = RowsBuilder()
    builder.add([5, 6, 7], [0, 1, 1])
    builder.add([8], [1])
    builder.add([9, 10], [0, 1])
    return builder.done()


def test_rows_come_back_with_unshifted_labels(rows: TokenRows) -> None:
    assert list(rows) == [
        {"input_ids": [5, 6, 7], "labels": [-100, 6, 7]},
        {"input_ids": [8], "labels": [8]},
        {"input_ids": [9, 10], "labels": [-100, 10]},
    ]
    assert rows[-1] == rows[2]


def test_lengths_and_labels_are_counted(rows: TokenRows) -> None:
    assert rows.lengths.tolist() == [3, 1, 2]
    assert rows.labelled_counts.tolist() == [2, 1, 1]


def test_storage_is_compact(rows: TokenRows) -> None:
    assert (rows.ids.dtype, rows.labelled.dtype, rows.offsets.dtype) == (np.int32, np.bool_, np.int64)


@pytest.mark.parametrize("index", [3, -4])
def test_outside_is_an_index_error(rows: TokenRows, index: int) -> None:
    with pytest.raises(IndexError):
        rows[index]


@pytest.mark.parametrize("chosen", [[2, 0], [1], [0, 0, 2], []])
def test_select_keeps_order_and_repeats(rows: TokenRows, chosen: list[int]) -> None:
    picked = rows.select(chosen)
    assert list(picked) == [rows[index] for index in chosen]
    assert picked.labelled_counts.tolist() == [rows.labelled_counts[index] for index in chosen]


def test_pickle(rows: TokenRows) -> None:
    assert list(pickle.loads(pickle.dumps(rows))) == list(rows)


def test_torch_reads_it(rows: TokenRows) -> None:
    from torch.utils.data import DataLoader

    loaded = [row for batch in DataLoader(rows, batch_size=2, collate_fn=list) for row in batch]  # type: ignore[arg-type]
    assert loaded == list(rows)


def test_a_selection_of_a_selection_copies_no_token(rows: TokenRows) -> None:
    twice = rows.select([2, 0, 1]).select([1, 2])
    assert list(twice) == [rows[0], rows[1]]
    assert twice.ids is rows.ids
    assert twice.lengths.tolist() == [3, 1]


@pytest.mark.parametrize("tokens", [1, 3, 4, 100])
@pytest.mark.parametrize("order", [None, [2, 0, 1, 0]])
def test_pieces_hold_every_row_once(
    tokens: int, order: list[int] | None, rows: TokenRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tuitune.data import rows as module

    monkeypatch.setattr(module, "TOKENS", tokens)
    chosen = rows if order is None else rows.select(order)
    pieces = list(chosen.pieces())
    assert [row for piece, _ in pieces for row in piece] == list(chosen)
    assert [first for _, first in pieces] == [sum(len(p) for p, _ in pieces[:n]) for n in range(len(pieces))]
    assert chosen.labelled_counts.tolist() == [sum(label != -100 for label in row["labels"]) for row in chosen]
    examples = Examples.of(rows, 1).select(order or [0, 1, 2])
    again = [(example, first) for piece, first in examples.pieces() for example in piece]
    assert [example for example, _ in again] == list(examples)
