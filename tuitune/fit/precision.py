"""The number formats of a run before it exists: what the engine will choose for weights and for computing. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tuitune.recipe import Recipe

DeviceKind = Literal["cpu", "cuda"]
_SIZES = {"bfloat16": 2, "float16": 2, "float32": 4}


@dataclass(frozen=True)
class Precision:
    """`weights` is the format the model is loaded in, `autocast` that of computing: "no", "bf16" or "fp16"."""

    weights: str
    autocast: str
    pure: bool = False

    @property
    def weight_bytes(self) -> int:
        """Bytes of one weight."""
        return _SIZES[self.weights]

    @property
    def trained_bytes(self) -> int:
        """Bytes of one trained number: float32 unless everything is kept in bf16."""
        return 2 if self.pure else 4

    @property
    def compute_bytes(self) -> int:
        """Bytes of one activation."""
        return 2 if self.weight_bytes == 2 or self.autocast != "no" else 4


def precision(recipe: Recipe, kind: DeviceKind, *, bf16_units: bool = True) -> Precision:
    """Return the formats of a run on a device of this kind; `bf16_units`: whether a GPU computes bf16 itself."""
    if recipe.pure_bf16:
        return Precision("bfloat16", "no", pure=True)
    whole = recipe.finetuning_type == "full"  # of a frozen model only what learns is float32
    silent = not {"bf16", "fp16"} & recipe.asked
    if recipe.bf16 or (silent and kind == "cuda" and bf16_units):
        return Precision("float32" if whole else "bfloat16", "bf16")
    if recipe.fp16:
        return Precision("float32" if whole else "float16", "fp16")
    return Precision("float32", "no")
