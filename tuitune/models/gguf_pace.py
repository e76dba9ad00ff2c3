"""How far transformers is with a GGUF file, told from outside, and without what it does over and over.

It takes the parts of the package `gguf` by name when it reads a file, so they are put in their place meanwhile: one
that counts the tensors that are de-quantised, one that reads the head once (transformers reads it for the model's
configuration and again for its weights), and one that makes the table of names once (transformers makes it anew for
every module of the model, which takes longer than the weights).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from tuitune.fit.gguf import read_gguf

Progress = Callable[[str, int, int | None], None]


@contextmanager
def told(file: Path, progress: Progress) -> Iterator[None]:
    """Tell how many of the tensors in `file` transformers has de-quantised while it reads that file in here."""
    import gguf

    total, numbers, plain = len(read_gguf(file).shapes), count(1), gguf.dequantize

    def dequantize(*given: Any, **named: Any) -> Any:
        made = plain(*given, **named)
        progress("de-quantise", min(next(numbers), total), total)
        return made

    parts = {
        "dequantize": dequantize,
        "GGUFReader": cache(gguf.GGUFReader),
        "get_tensor_name_map": cache(gguf.get_tensor_name_map),
    }
    before = {name: getattr(gguf, name) for name in parts}
    try:
        for name, part in parts.items():
            setattr(gguf, name, part)
        yield
    finally:
        for name, part in before.items():
            setattr(gguf, name, part)
