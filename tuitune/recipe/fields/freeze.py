"""Freeze tuning: some layers of the model learn, the others stay."""

from __future__ import annotations

from typing import ClassVar

from tuitune.recipe.option import Options, Rule, When, option
from tuitune.recipe.shapes import Names, Whole


class FreezeOptions(Options):
    """Which layers and modules learn."""

    GROUP: ClassVar[str] = "freeze"
    WHEN: ClassVar[tuple[When, ...]] = (When("finetuning_type", ("freeze",)),)
    FIXED: ClassVar[bool] = True

    freeze_trainable_layers: Whole = option(
        2,
        "How many layers learn: the last ones, the first ones if negative. With LLaMA Pro, how many inserted blocks.",
        unit="layers",
        essential=True,
    )
    freeze_trainable_modules: Names = option(
        ("all",),
        "Modules of those layers that learn, such as `mlp,self_attn`, with commas; `all` means the whole layer.",
        essential=True,
    )
    freeze_extra_modules: Names = option(
        (), "Modules outside of the layers that learn too, such as `embed_tokens,norm`, with commas."
    )


RULES = (
    Rule(
        ("freeze_trainable_layers", "finetuning_type"),
        lambda r: r.finetuning_type == "freeze" and r.freeze_trainable_layers == 0 and not r.freeze_extra_modules,
        "0 layers learn nothing",
        "use 2 for the last two layers, -2 for the first two",
    ),
    Rule(
        ("freeze_trainable_modules", "finetuning_type"),
        lambda r: r.finetuning_type == "freeze" and not r.freeze_trainable_modules,
        "names no module",
        "use all, or names such as mlp,self_attn",
    ),
    Rule(
        ("freeze_trainable_modules",),
        lambda r: "all" in r.freeze_trainable_modules and len(r.freeze_trainable_modules) > 1,
        "'all' already covers the other names",
        "keep either all or the names",
    ),
)
