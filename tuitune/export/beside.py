"""What lies beside the weights of an export, and how much it takes: the tokenizer above all. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import orjson

from tuitune.errors import TuiTuneError
from tuitune.export.history import JUDGES
from tuitune.export.order import BYTES, Order
from tuitune.fit import embedded
from tuitune.fit.files import regular_size
from tuitune.fit.models import resolve

TOKENIZER = "tokenizer.json"
_TOKEN = 128  # bytes of a token in a tokenizer.json that is not there yet. SmolLM2: 72, Llama 2: 113
_MORE = ("*.model", "*.tiktoken", "*.jinja", "vocab.*", "merges.txt", "tokenizer_config.json", "*tokens*.json", "*.py")
_SMALL = 1 << 19  # records, the card, the model's and the tokenizer's settings
_HEADS = 2000  # the share of the weights that their names and places take is below one in so many


class Beside(NamedTuple):
    """Bytes. files: by name, those large enough to be told; room: at the most, what is not written yet counted in."""

    files: tuple[tuple[str, int], ...] = ()
    room: int = 0

    @property
    def size(self) -> int:
        """About what all of it takes."""
        return sum(size for _, size in self.files)


def beside(order: Order, parameters: int, tokens: int, folder: Path | None = None) -> Beside:
    """Return what will lie beside the weights.

    tokens: of the vocabulary, for a tokenizer that is not there to be read; folder: of the model, once it is fetched.
    """
    folder = folder or _folder(order)
    adapters = order.weights.adapters
    own = [path for path in adapters[-1:] if (path / "tokenizer_config.json").is_file()]
    spoken = own[0] if own else folder  # an adapter brings the tokenizer that it was trained with
    files = ((TOKENIZER, _written(spoken, tokens)), *_head([*reversed(adapters), *([folder] if folder else ())]))
    more = {path for name in _MORE for path in spoken.glob(name)} if spoken else set()
    known = sum(size for _, size in files) + sum(regular_size(path) or 0 for path in more)
    return Beside(files, known + _SMALL + parameters * BYTES[order.dtype] // _HEADS)


def _head(folders: Iterable[Path]) -> list[tuple[str, int]]:
    """Return the value head of a reward model: the first that lies in one of the folders."""
    sizes = (regular_size(path / JUDGES) for path in folders)
    return [(JUDGES, size) for size in sizes if size][:1]


def _folder(order: Order) -> Path | None:
    """Return where the model lies, None where it has to be fetched or converted first."""
    weights = order.weights
    try:
        source = resolve(weights.model, revision=weights.revision, cache_dir=weights.cache_dir)
        path = embedded.embedded_dir() if source.kind == "embedded" else source.path
    except TuiTuneError:  # told elsewhere
        return None
    return path if path is not None and path.is_dir() else None


def _written(folder: Path | None, tokens: int) -> int:
    """Return how large tokenizer.json will be."""
    path = folder / TOKENIZER if folder is not None else None
    try:
        status = path.stat() if path is not None else None
        if path is not None and status is not None:
            return _laid_out(path, status.st_size, status.st_mtime_ns)
    except (OSError, ValueError):
        pass
    return _TOKEN * tokens


@lru_cache(maxsize=16)
def _laid_out(path: Path, size: int, changed: int) -> int:
    """Return the bytes of a tokenizer.json written anew: on lines of its own each, and merges as pairs."""
    value = orjson.loads(path.read_bytes())
    model = value.get("model") if isinstance(value, dict) else None
    merges = model.get("merges") if isinstance(model, dict) else None
    if isinstance(model, dict) and isinstance(merges, list):
        model["merges"] = [each.split(" ", 1) if isinstance(each, str) else each for each in merges]
    return max(size, len(orjson.dumps(value, option=orjson.OPT_INDENT_2)))
