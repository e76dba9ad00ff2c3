"""Orthogonal fine-tuning (OFT; with a quantised model QOFT)."""

from __future__ import annotations

from typing import ClassVar

from tuitune.recipe.option import Options, Rule, When, option
from tuitune.recipe.shapes import Names, Number, Whole


class OftOptions(Options):
    """Adapters that rotate the inputs of layers."""

    GROUP: ClassVar[str] = "oft"
    WHEN: ClassVar[tuple[When, ...]] = (When("finetuning_type", ("oft",)),)
    FIXED: ClassVar[bool] = True

    oft_rank: Whole = option(0, "How many blocks each rotation has; 0 lets oft_block_size decide.", ge=0)
    oft_block_size: Whole = option(
        32,
        "Size of a rotation's blocks. A layer whose width it does not divide gets the nearest size that does.",
        ge=0,
        essential=True,
    )
    oft_target: Names = option(
        ("all",),
        "Names of the modules that are rotated, with commas; `all` means every linear layer but the head.",
        essential=True,
    )
    module_dropout: Number = option(
        0.0, "Share of the rotation's blocks that are switched off at random in each training step.", ge=0, lt=1,
        fixed=False,
    )  # fmt: skip


RULES = (
    Rule(
        ("oft_rank", "oft_block_size", "finetuning_type"),
        lambda r: (
            r.finetuning_type == "oft"
            and ((r.oft_rank > 0 and r.oft_block_size > 0) or not (r.oft_rank or r.oft_block_size))
        ),
        "exactly one of oft_rank and oft_block_size says how large the blocks are",
        "for oft_rank: N set oft_block_size: 0 too; otherwise leave oft_rank out",
    ),
)
