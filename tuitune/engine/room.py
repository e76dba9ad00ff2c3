"""Room on the disk for what a run writes: looked at before the first step, and said in words where it has run out."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from tuitune.amounts import size
from tuitune.engine import checkpoint
from tuitune.errors import TrainingError
from tuitune.fit.shapes import ModelShape
from tuitune.fit.states import held
from tuitune.methods.counting import blocks_of
from tuitune.run import manifest, places
from tuitune.run.files import disk_is_full

if TYPE_CHECKING:
    from torch import nn

    from tuitune.engine.session import Session
    from tuitune.engine.trainer import StepTrainer
    from tuitune.recipe import Recipe

_NOTHING = 1 << 20  # bytes; what libraries say of a full disk does not always say so


def warn_of_little(session: Session, recipe: Recipe, model: nn.Module, folder: Path) -> None:
    """Warn where the result and one checkpoint do not fit on the disk; `folder`: the model's."""
    result = checkpoint.weight_bytes(model, recipe)
    kept = 0 if recipe.save_strategy == "no" else result + _states(recipe, model, folder)
    if manifest.room_for(session.run.path, result + kept):
        return
    parts = f"the result takes about {size(result)}" + (f" and a checkpoint about {size(kept)}" if kept else "")
    session.warn(
        f"the disk may be full before the end: {parts}; {size(manifest.free_space(session.run.path))} are free "
        f"for {session.run.path}, and {size(manifest.SPARE_BYTES)} must stay free beside them",
        "free some space while it trains, or train with output_dir on another disk",
    )


def _states(recipe: Recipe, model: nn.Module, folder: Path) -> int:
    if recipe.save_only_model:
        return 0
    width = max((p.element_size() for p in model.parameters() if p.requires_grad), default=4)
    return held(recipe, blocks_of(model), width, ModelShape.read(folder).head_dim or 0).states


@contextmanager
def result_folder(trainer: StepTrainer) -> Iterator[Path]:
    """Yield a folder to write the result in; after an error it is gone. Raises TrainingError where the disk is full."""
    run, step = trainer.session.run, trainer.state.global_step
    folder = manifest.temporary(run.path, step)
    try:
        yield folder
    except BaseException as error:
        full = disk_is_full(error) or manifest.free_space(run.path) < _NOTHING
        if folder.exists():
            manifest.discard(folder)
        if full and isinstance(error, OSError | RuntimeError | SafetensorError):
            raise _lost(trainer) from error
        raise


def _lost(trainer: StepTrainer) -> TrainingError:
    run, step = trainer.session.run, trainer.state.global_step
    needed = checkpoint.weight_bytes(trainer.model, trainer.recipe)
    kept, _ = checkpoint.choose(run, None)
    name = shlex.quote(run.name if run.path.parent == places.runs() else str(run.path))
    begin = f"it goes on from checkpoint-{kept.step}" if kept else "it begins anew, for no checkpoint was kept"
    weights = f"in checkpoint-{step}" if kept and kept.step == step else "not written"
    free = size(manifest.free_space(run.path))
    return TrainingError(
        f"the disk is full: the result takes about {size(needed)}, and {free} are free for {run.path}; "
        f"the weights of step {step} are {weights}",
        f"free some space, then `tuitune resume {name}`: {begin}",
    )
