"""Encoded rows become a data set: arrays of tokens, and beside them where every row comes from."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tuitune.data.columns import ColumnsBuilder
from tuitune.data.encode import Item
from tuitune.data.examples import Examples, Origins
from tuitune.data.options import Kind
from tuitune.data.report import DUPLICATES_SHOWN, DataReport, Duplicate
from tuitune.data.rows import RowsBuilder

# Sequences that a row becomes here; kto's answer is kept apart from its prompt until its neighbour is known.
PER: dict[Kind, int] = {"text": 1, "answer": 1, "pair": 2, "label": 2, "prompt": 1}


class Collector:
    """Gathers rows, in memory or in files whose names begin with `stem`."""

    def __init__(self, kind: Kind, late_id: int | None, stem: Path | None = None) -> None:
        self._kind = kind
        self._rows = RowsBuilder(stem, late_id)
        self._files: dict[str, int] = {}
        self._file, self._number, self._lost = array("i"), array("q"), array("q")
        self._desirable, self._marks = array("b"), array("q")
        self._columns = ColumnsBuilder(stem) if kind == "prompt" else None

    def __len__(self) -> int:
        return len(self._number)

    def add(self, items: Sequence[Item]) -> None:
        """Append what a batch of rows became."""
        for item in items:
            encoded = item.encoded
            for row in encoded.sequences:
                self._rows.add(row.ids, row.labelled, row.late)
            self._file.append(self._files.setdefault(item.file, len(self._files)))
            self._number.append(item.number)
            self._lost.append(encoded.lost)
            self._marks.append(hash(tuple(array("i", row.ids).tobytes() for row in encoded.sequences)))
            if encoded.desirable is not None:
                self._desirable.append(encoded.desirable)
        if self._columns is not None and items:
            self._columns.add([item.encoded.columns for item in items])

    def done(self, report: DataReport) -> Examples:
        """Return the rows as examples, in the order they came in; duplicates go into the report."""
        origins = Origins(
            tuple(self._files), np.array(self._file, np.int32), np.array(self._number, np.int64),
            np.array(self._lost, np.int64),
        )  # fmt: skip
        _count_duplicates(np.array(self._marks, np.int64), origins, report)
        return Examples.of(
            self._rows.done(), PER[self._kind],
            desirable=np.array(self._desirable, np.bool_) if self._kind == "label" else None,
            columns=None if self._columns is None else self._columns.done(), origins=origins,
        )  # fmt: skip


def _count_duplicates(marks: NDArray[np.int64], origins: Origins, report: DataReport) -> None:
    """Count the rows whose mark an earlier one has, and name the first of them."""
    order = np.argsort(marks, kind="stable")
    like_before = np.flatnonzero(marks[order][1:] == marks[order][:-1])
    places = np.sort(order[like_before + 1])
    report.duplicates += len(places)
    for place in places[: DUPLICATES_SHOWN - len(report.duplicate_rows)].tolist():
        same = int(np.flatnonzero(marks == marks[place])[0])
        report.duplicate_rows.append(
            Duplicate(
                origins.files[origins.file[place]], int(origins.number[place]),
                origins.files[origins.file[same]], int(origins.number[same]),
            )
        )  # fmt: skip
