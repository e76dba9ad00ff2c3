"""Arrays that grow: in memory, or in .npy files that are mapped once they are whole."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tuitune.errors import DataError

_MAPPED_FROM = 1 << 16  # bytes; what is smaller is read at once, an empty file cannot be mapped at all


class Pile:
    """A one-dimensional array of one type that grows; in the file `path`, or in memory without one.

    Raises DataError when the disk refuses.
    """

    def __init__(self, dtype: DTypeLike, path: Path | None = None) -> None:
        self._dtype, self._path = np.dtype(dtype), path
        self._parts: list[NDArray[Any]] = []
        self._count = 0
        self._file: IO[bytes] | None = None
        if path is not None:
            with _saying(path):
                self._file = path.open("wb")
                self._write_header()

    def __len__(self) -> int:
        return self._count

    def add(self, values: NDArray[Any]) -> None:
        """Append `values`, shape (n,)."""
        values = np.ascontiguousarray(values, dtype=self._dtype)
        self._count += len(values)
        if self._file is None or self._path is None:
            self._parts.append(values)
            return
        with _saying(self._path):
            self._file.write(values.view(np.uint8).data)

    def done(self) -> NDArray[Any]:
        """Return the whole array, read-only where it is a file; nothing can be added afterwards."""
        if self._file is None or self._path is None:
            return np.concatenate(self._parts) if self._parts else np.empty(0, self._dtype)
        with _saying(self._path):
            self._file.seek(0)
            self._write_header()
            self._file.close()
        return read_array(self._path)

    def _write_header(self) -> None:
        assert self._file is not None
        # numpy leaves room in the header for the longest count, so that it can be written again in place.
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": (self._count,)}
        np.lib.format.write_array_header_1_0(self._file, header)


def read_array(path: Path) -> NDArray[Any]:
    """Return the array in a .npy file, mapped unless it is small; raises OSError or ValueError, never unpickles."""
    if path.stat().st_size < _MAPPED_FROM:
        return np.asarray(np.load(path, allow_pickle=False))
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def write_array(path: Path, values: NDArray[Any]) -> None:
    """Write a .npy file; raises DataError when the disk refuses."""
    pile = Pile(values.dtype, path)
    pile.add(values)
    pile.done()


@contextlib.contextmanager
def _saying(path: Path) -> Iterator[None]:
    """Say in words what the system has against writing there."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"the tokenised rows cannot be written to {path.parent}: {error.strerror or error}",
            "Free some space, or point TUITUNE_CACHE at a larger disk.",
        ) from None
