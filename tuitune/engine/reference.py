"""The model as it was before training, for losses that hold on to it: without its adapter, or as a copy."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.methods.original import original
from tuitune.models import probe
from tuitune.models.head import Head, HeadTap
from tuitune.models.reference import FrozenCopy, Itself
from tuitune.models.shaping import Shaping, load_shaped

if TYPE_CHECKING:
    from tuitune.engine.plan import Plan
    from tuitune.models.reference import Reference
    from tuitune.recipe import Recipe


def reference_of(
    model: Any,
    folder: Path,
    recipe: Recipe,
    plan: Plan,
    precision: Callable[[], AbstractContextManager[object]],
    note: Callable[[str], None],
) -> Reference:
    """Return what `model` was before training; its path must be settled.

    folder: the model that the run began with, also when it is resumed. precision: opens that of training. Raises
    ModelError.
    """
    if hasattr(model, "disable_adapter"):
        return Itself(original, precision)
    # Inserted blocks and routers are not part of the original; blocks begin as the identity, routers at random.
    shaping = replace(Shaping.of(recipe), expand_blocks=None, mixture_of_depths=None)
    copy: Any = load_shaped(
        folder, shaping, dtype=plan.autocast_dtype or plan.torch_dtype, device=plan.device,
        trust_remote_code=recipe.trust_remote_code, attention=probe.attention_of(model),
    )  # fmt: skip
    copy.requires_grad_(False).eval()
    size = sum(p.numel() * p.element_size() for p in copy.parameters())
    note(f"the original model stays in memory beside the trained one, for the loss: {size / 2**30:.2f} GiB")
    return FrozenCopy(copy, Head(HeadTap.on(copy), plan.autocast_dtype), precision)
