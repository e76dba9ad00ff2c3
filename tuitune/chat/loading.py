"""Weights into memory: the base that several may share, and on it what each of them has of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.chat.weights import Weights
from tuitune.errors import ModelError
from tuitune.fit.models import resolve

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

Progress = Callable[[str, int, int | None], None]
Note = Callable[[str], None]


def silent(stage: str, done: int, total: int | None) -> None:
    """Tell nobody how far it is."""


def unsaid(text: str) -> None:
    """Drop a note."""


@dataclass(eq=False)
class Base:
    """A model in memory without the last adapter of those who use it; `turn` is held while one of them computes."""

    folder: Path
    model: Any
    turn: threading.RLock = field(default_factory=threading.RLock)


def folder_of(weights: Weights, progress: Progress = silent) -> Path:
    """Return the folder of the model, fetched or converted where it has to be. Raises ModelError."""
    from tuitune.models.prepare import prepare

    source = resolve(weights.model, revision=weights.revision, cache_dir=weights.cache_dir)
    return prepare(
        source, progress=progress, trust_remote_code=weights.trust_remote_code, cache_dir=weights.cache_dir
    ).absolute()


def load_base(weights: Weights, *, progress: Progress = silent, note: Note = unsaid) -> Base:
    """Fetch what is missing and load it, without the last adapter. Raises ModelError."""
    from tuitune.methods.adapters import merge

    folder = folder_of(weights, progress)
    progress("load", 0, None)
    device = device_of(weights)
    if device == "cpu":
        import torch

        from tuitune.fit.machine import usable_cores

        torch.set_num_threads(weights.threads or usable_cores())
    model = _any_attention(folder, device, weights, note)
    for adapter in weights.adapters[:-1]:
        model = merge(model, adapter)
    return Base(folder, model.eval())


def dressed(base: Base, weights: Weights, *, alone: bool, note: Note = unsaid) -> Any:
    """Return the model of a base with the last adapter of `weights` on it.

    alone: nobody else needs the base, so the adapter goes onto itself. Otherwise it goes onto a twin of it.
    """
    from tuitune.methods.adapters import load_adapter
    from tuitune.models.twin import memory_of, twin

    if not weights.adapters:
        return base.model
    adapter = weights.adapters[-1]
    if alone:
        return load_adapter(base.model, adapter).eval()
    model = load_adapter(twin(base.model), adapter).eval()
    whole = memory_of(base.model)
    more = memory_of(base.model, model) - whole
    if more > 0.5 * whole:
        note(
            f"{weights.title or adapter.name} changes layers of its base, so it has those of its own: "
            f"{more / 2**20:,.0f} MiB more"
        )
    return model


def tokenizer_of(base: Base, weights: Weights, note: Note = unsaid) -> PreTrainedTokenizerBase:
    """Return the tokenizer: an adapter brings the one that it was trained with."""
    from tuitune.models.load import load_tokenizer

    own = [path for path in weights.adapters[-1:] if (path / "tokenizer_config.json").is_file()]
    return load_tokenizer(
        (own or [base.folder])[0], trust_remote_code=weights.trust_remote_code,
        split_special_tokens=weights.split_special_tokens, note=note,
    )  # fmt: skip


@contextmanager
def in_turn(turn: threading.RLock) -> Iterator[None]:
    """Wait for a turn, and compute without gradients, while open."""
    import torch

    with turn, torch.no_grad():
        yield


def device_of(weights: Weights) -> str:
    """Return where the weights go."""
    import torch

    return "cpu" if weights.device == "cpu" or not torch.cuda.is_available() else "cuda:0"


def _any_attention(folder: Path, device: str, weights: Weights, note: Note) -> Any:
    from tuitune.models.load import refuses_attention
    from tuitune.models.shaping import load_shaped

    shaping = weights.shaping
    settings: dict[str, Any] = {
        "dtype": dtype_of(weights, device), "device": device, "trust_remote_code": weights.trust_remote_code,
        "note": note,
    }  # fmt: skip
    try:
        return load_shaped(folder, shaping, attention="sdpa", **settings)
    except ModelError as error:
        # Some architectures have no attention but their own.
        if not refuses_attention(error):
            raise
    return load_shaped(folder, shaping, attention="eager", **settings)


def dtype_of(weights: Weights, device: str) -> torch.dtype:
    """Return the number format of the weights: what was asked for, else what the device computes best in."""
    import torch

    if weights.dtype != "auto":
        found = getattr(torch, weights.dtype, None)
        if not isinstance(found, torch.dtype):
            raise ModelError(
                f"there is no number format {weights.dtype!r:.40}", "use auto, float32, bfloat16 or float16"
            )
        return found
    if device == "cpu":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
