"""Compact rows: what goes in comes out, also through pickle and torch's DataLoader."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

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
