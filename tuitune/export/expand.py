"""A model with inserted blocks, written as a model of its own: the command form of LLaMA Pro's expansion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tuitune.errors import ModelError
from tuitune.export.agree import logits
from tuitune.export.folder import made_whole, refuse_existing
from tuitune.fit.models import resolve
from tuitune.models.blocks import expand
from tuitune.models.load import load_model, load_tokenizer
from tuitune.models.prepare import prepare

Progress = Callable[[str, int, int | None], None]
Note = Callable[[str], None]


@dataclass(frozen=True)
class Expanded:
    """What was written: `layers` in all, of which the blocks numbered in `inserted` (from 0) are new."""

    path: Path
    size: int
    layers: int
    inserted: tuple[int, ...]


def expand_model(
    name: str,
    out: Path,
    blocks: int,
    *,
    progress: Progress = lambda stage, done, total: None,
    note: Note = lambda text: None,
) -> Expanded:
    """Write the model called `name` with `blocks` blocks inserted to the new folder `out`, its tokenizer beside it.

    Raises ModelError where blocks cannot be inserted, or what was written does not answer as the model does, bit for
    bit; UsageError where `out` exists.
    """
    refuse_existing(out)
    folder = prepare(resolve(name), progress=progress)
    progress("load", 0, None)
    model = _load(folder, note)
    tokenizer = load_tokenizer(folder, note=note)
    truth = logits(model)
    progress("expand", 0, None)
    grown: Any = expand(model, blocks)
    grown.eval()
    _refuse_other(logits(grown), truth, "the expanded model")
    size = sum(p.numel() * p.element_size() for p in grown.parameters())
    config = grown.config
    with made_whole(out, size) as temporary:
        progress("write", 0, None)
        grown.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        del model, grown  # two copies need not fit
        progress("check", 0, None)
        _refuse_other(logits(_load(temporary, note)), truth, "what was written")
    return Expanded(out, size, config.num_hidden_layers, tuple(config.inserted_blocks))


def _load(folder: Path, note: Note) -> Any:
    model: Any = load_model(folder, dtype="auto", device="cpu", attention="sdpa", note=note)
    return model.eval()


def _refuse_other(found: torch.Tensor, truth: torch.Tensor, what: str) -> None:
    if not torch.equal(found, truth):
        far = float((found - truth).abs().max())
        raise ModelError(f"{what} does not answer as the model does: its logits are up to {far:.2g} away")
