"""Freeze tuning: some layers of the model learn, the others stay."""

from __future__ import annotations

from typing import ClassVar

from tuitune.recipe.option import Options, Rule, When, option
from tuitune.recipe.shapes import Names, Whole

_FREEZE = When("finetuning_type", ("freeze",))


class FreezeOptions(Options):
    """Which layers and modules learn."""

    GROUP: ClassVar[str] = "freeze"
    FIXED: ClassVar[bool] = True

    freeze_trainable_layers: Whole = option(
        2,
        "How many layers learn: the last ones, the first ones if negative. With LLaMA Pro, how many inserted blocks "
        "the model has, which is known where TuiTune inserted them.",
        unit="layers",
        when=When("finetuning_type", ("freeze",), When("use_llama_pro", (True,))),
        essential=True,
    )
    freeze_trainable_modules: Names = option(
        ("all",),
        "Modules of those layers that learn, such as `mlp,self_attn`, with commas; `all` means the whole layer.",
        when=_FREEZE,
        essential=True,
    )
    freeze_extra_modules: Names = option(
        (), "Modules outside of the layers that learn too, such as `embed_tokens,norm`, with commas.", when=_FREEZE
    )


RULES = (
    Rule(
        ("freeze_trainable_layers", "finetuning_type"),
        lambda r: r.finetuning_type == "freeze" and r.freeze_trainable_layers == 0 and not r.freeze_extra_modules,
        "0 layers learn nothing",
        "use 2 for the last two layers, -2 for the first two",
    ),
    Rule(
        ("freeze_trainable_layers", "use_llama_pro"),
        lambda r: r.use_llama_pro and r.freeze_trainable_layers < 1,
        "LLaMA Pro counts inserted blocks here, so it must be at least 1",
        "use the number of blocks that were inserted",
    ),
    Rule(
        ("freeze_trainable_layers", "expand_blocks"),
        lambda r: (
            r.use_llama_pro
            and r.expand_blocks is not None
            and "freeze_trainable_layers" in r.asked
            and r.freeze_trainable_layers != r.expand_blocks
        ),
        "LLaMA Pro trains all inserted blocks and no others",
        "remove freeze_trainable_layers, or set it to the value of expand_blocks",
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
