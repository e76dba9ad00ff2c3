"""The number formats of weights and of computing."""

from __future__ import annotations

from typing import ClassVar

from tuitune.recipe.option import Options, Rule, option
from tuitune.recipe.shapes import Flag


class PrecisionOptions(Options):
    """Full, mixed and pure precision."""

    GROUP: ClassVar[str] = "precision"

    bf16: Flag = option(
        False, "Compute in bfloat16, keep trained weights in float32. For GPUs from Ampere on.", essential=True
    )
    fp16: Flag = option(False, "Compute in float16 with loss scaling, keep trained weights in float32. For older GPUs.")
    pure_bf16: Flag = option(
        False,
        "Keep the weights in bfloat16 too: half the memory of bf16, and small updates are rounded away.",
        fixed=True,
    )
    tf32: Flag | None = option(None, "Let CUDA round float32 products to TF32. Unset, torch's own setting stays.")


RULES = (
    Rule(("bf16", "fp16"), lambda r: r.bf16 and r.fp16, "bf16 and fp16 exclude each other", "keep one of them"),
    Rule(
        ("pure_bf16", "fp16", "bf16"),
        lambda r: r.pure_bf16 and (r.fp16 or r.bf16),
        "pure_bf16 already fixes the format; bf16 and fp16 mean mixed precision",
        "keep one of them",
    ),
    Rule(
        ("fp16", "device"),
        lambda r: r.fp16 and r.device == "cpu",
        "float16 training needs a GPU",
        "remove fp16, or choose another device",
    ),
    Rule(
        ("tf32", "device"),
        lambda r: r.tf32 is True and r.device == "cpu",
        "TF32 exists on CUDA devices only",
        "remove tf32, or choose another device",
    ),
    Rule(
        ("bf16", "pure_bf16", "device"),
        lambda r: (r.bf16 or r.pure_bf16) and r.device == "cpu",
        "bfloat16 is slow on a CPU without bf16 instructions; it is honoured all the same",
        "remove it for float32",
        level="warning",
    ),
)
