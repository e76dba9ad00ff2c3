"""What refuses an export before anything is loaded, seen from the place and the source alone. No torch."""

from __future__ import annotations

import os
from pathlib import Path

from tuitune.errors import ModelError, TuiTuneError, UsageError
from tuitune.export.order import Order
from tuitune.fit.models import resolve
from tuitune.models.quantise import stored_method


def refuse_place(out: Path) -> None:
    """Raise UsageError where no folder can be made at `out`."""
    above = next(folder for folder in out.absolute().parents if os.path.lexists(folder))
    if not above.is_dir():
        raise UsageError(f"{out} cannot be written: {above} is no folder", "name a folder elsewhere")
    if not os.access(above, os.W_OK | os.X_OK):
        raise UsageError(f"{out} cannot be written: nothing can be made in {above}", "name a folder elsewhere")


def refuse_quantised(order: Order, folder: Path) -> None:
    """Raise ModelError where the weights in the model's folder have few bits already."""
    stored = stored_method(folder)
    if not stored:
        return
    merges = bool(order.weights.adapters)
    why = "what is merged into them would be rounded away" if merges else "no other form can be made of them"
    raise ModelError(
        f"the weights of {folder.name} are quantised ({stored}): {why}",
        "name the model as it was before" + (" with --model" if merges else ""),
    )


def refusals(order: Order) -> tuple[str, ...]:
    """Return what refuses an order, in words; nothing is fetched for it."""
    found = []
    weights = order.weights
    try:
        refuse_place(order.out)
    except TuiTuneError as error:
        found.append(error.message)
    try:
        source = resolve(weights.model, revision=weights.revision, cache_dir=weights.cache_dir)
        if source.path is not None and source.path.is_dir():
            refuse_quantised(order, source.path)
    except TuiTuneError as error:
        found.append(error.message)
    return tuple(found)
