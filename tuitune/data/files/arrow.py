"""parquet and arrow files, by record batches; never by pickle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tuitune.data.files.disk import in_words, opened
from tuitune.data.files.row import BrokenLine, RawRow
from tuitune.errors import DataError
from tuitune.text import clean_line

BATCH = 512


def read_parquet(path: Path, check: Callable[[], None]) -> Iterator[RawRow]:
    """Yield the rows of a parquet file; raises DataError."""
    import pyarrow.parquet as parquet

    with opened(path), _said(path, "parquet"):
        file = parquet.ParquetFile(str(path), memory_map=True, pre_buffer=False)
        yield from _rows(file.iter_batches(batch_size=BATCH, use_threads=False), path, check)


def parquet_count(path: Path) -> int:
    """Return the number of rows, from the file's own metadata; raises DataError."""
    import pyarrow.parquet as parquet

    with opened(path), _said(path, "parquet"):
        return int(parquet.read_metadata(str(path)).num_rows)


def read_arrow(path: Path, check: Callable[[], None]) -> Iterator[RawRow]:
    """Yield the rows of an arrow file, in the form with random access or in that of a stream (as datasets writes)."""
    import pyarrow

    with opened(path) as raw:
        stream = raw.read(6) != b"ARROW1"
    with in_words(path), _said(path, "arrow"), pyarrow.memory_map(str(path)) as source:
        if stream:
            batches: Any = pyarrow.ipc.open_stream(source)
        else:
            file = pyarrow.ipc.open_file(source)
            batches = (file.get_batch(n) for n in range(file.num_record_batches))
        pieces = (batch.slice(at, BATCH) for batch in map(_valid, batches) for at in range(0, batch.num_rows, BATCH))
        yield from _rows(pieces, path, check)


def arrow_count(path: Path) -> int:
    """Return the number of rows without decoding them; raises DataError."""
    import pyarrow

    with opened(path) as raw:
        stream = raw.read(6) != b"ARROW1"
    with in_words(path), _said(path, "arrow"), pyarrow.memory_map(str(path)) as source:
        if stream:
            return sum(int(batch.num_rows) for batch in pyarrow.ipc.open_stream(source))
        file = pyarrow.ipc.open_file(source)
        return sum(int(file.get_batch(n).num_rows) for n in range(file.num_record_batches))


def _rows(batches: Any, path: Path, check: Callable[[], None]) -> Iterator[RawRow]:
    name, number = str(path), 0
    for batch in batches:
        check()
        for value in _values(batch):
            number += 1
            yield RawRow(number, value, name)


def _valid(batch: Any) -> Any:
    """Return `batch` once its offsets are known to stay within it: a damaged file must not lead outside of memory."""
    batch.validate(full=True)
    return batch


def _values(batch: Any) -> Iterator[object]:
    try:
        yield from batch.to_pylist()
    except (UnicodeDecodeError, OverflowError):  # one odd cell: the others of its batch are good
        for place in range(batch.num_rows):
            try:
                yield from batch.slice(place, 1).to_pylist()
            except (UnicodeDecodeError, OverflowError) as error:
                yield BrokenLine(f"a cell cannot be read: {error}")


@contextmanager
def _said(path: Path, kind: str) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except FileNotFoundError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        words = clean_line(str(error))[:200]
        raise DataError(
            f"{path} cannot be read as {kind}: {words}", "The file is damaged or cut off; fetch or write it again."
        ) from None
