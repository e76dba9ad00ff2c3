"""Changes to the model's shape: inserted blocks, skipped tokens, longer texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from tuitune.recipe.fields.method import BESIDE_LAYERS, PROMPTED, WHOLE
from tuitune.recipe.option import Options, Rule, When, option
from tuitune.recipe.shapes import Flag, Number, Whole

if TYPE_CHECKING:
    from tuitune.recipe.recipe import Recipe

_PRO = When("use_llama_pro", (True,))


class StructureOptions(Options):
    """What is done to the model before any method sees it."""

    GROUP: ClassVar[str] = "structure"
    FIXED: ClassVar[bool] = True

    use_llama_pro: Flag = option(
        False,
        "LLaMA Pro: train only blocks that were inserted into the model, with freeze or lora.",
        when=When("finetuning_type", ("freeze", "lora")),
    )
    expand_blocks: Whole | None = option(
        None,
        "LLaMA Pro: blocks to insert into the model as it is loaded. Unset, the model already has them "
        "(`tuitune expand`).",
        unit="blocks",
        ge=1,
        when=_PRO,
    )
    mixture_of_depths: Literal["convert", "load"] | None = option(
        None,
        "Mixture-of-Depths: every second layer computes only the tokens that a router picks: the best of each text in "
        "training, those above a learnt threshold afterwards. `convert` makes such a model, `load` takes one that was "
        "made before.",
        when=When("finetuning_type", ("full",)),
    )
    mod_capacity: Number = option(
        0.125, "Mixture-of-Depths: share of the tokens that a routed layer computes.", unit="share", gt=0, le=1,
        when=When("mixture_of_depths", ("convert",)),
    )  # fmt: skip
    rope_scaling: Literal["linear", "dynamic", "yarn", "llama3"] | None = option(
        None,
        "Stretch the positions of the model so that cutoff_len may be longer than it was trained for, by the next "
        "whole factor. `dynamic` is fixed at cutoff_len, so that no text changes the positions of others.",
    )
    shift_attn: Flag = option(
        False,
        "LongLoRA: while training, tokens see only a group of their neighbours, half of the heads a shifted one; full "
        "attention afterwards.",
    )
    shift_attn_group: Whole | None = option(
        None, "LongLoRA: size of a group. Unset, a quarter of cutoff_len.", unit="tokens", ge=2,
        when=When("shift_attn", (True,)),
    )  # fmt: skip


def group_size(recipe: Recipe) -> int:
    """Return the tokens in a group of shifted sparse attention, 0 without it."""
    return (recipe.shift_attn_group or max(2, recipe.cutoff_len // 4)) if recipe.shift_attn else 0


RULES = (
    Rule(
        ("use_llama_pro", "finetuning_type"),
        lambda r: r.use_llama_pro and r.finetuning_type not in ("freeze", "lora"),
        "LLaMA Pro keeps the old blocks as they are",
        "set finetuning_type: freeze (the new blocks whole) or lora (adapters in the new blocks)",
    ),
    Rule(
        ("expand_blocks", "use_llama_pro"),
        lambda r: r.expand_blocks is not None and not r.use_llama_pro,
        "inserted blocks are empty until LLaMA Pro trains them",
        "set use_llama_pro: true, or remove expand_blocks",
    ),
    Rule(
        ("use_llama_pro", "use_dora", "pissa_init", "loftq_init"),
        lambda r: r.use_llama_pro and (r.use_dora or r.pissa_init or r.loftq_init),
        "inserted blocks begin with output weights of zero, which have no direction and no principal components",
        "use plain LoRA, rsLoRA or LoRA+",
    ),
    Rule(
        ("mixture_of_depths", "finetuning_type"),
        lambda r: r.mixture_of_depths is not None and r.finetuning_type != "full",
        "a model whose layers leave tokens out must learn anew as a whole",
        "set finetuning_type: full",
    ),
    Rule(
        ("shift_attn", "mixture_of_depths"),
        lambda r: r.shift_attn and r.mixture_of_depths is not None,
        "shifted groups need every token in every layer",
        "keep one of them",
    ),
    Rule(
        ("shift_attn", "finetuning_type"),
        lambda r: r.shift_attn and r.finetuning_type in PROMPTED,
        "only the first group of a text would see the learnt vectors before it",
        "use lora, freeze or full",
    ),
    Rule(
        ("shift_attn_group", "cutoff_len"),
        lambda r: r.shift_attn and r.shift_attn_group is not None and r.shift_attn_group >= r.cutoff_len,
        "a group as long as the longest text saves nothing",
        "lower it, a quarter of cutoff_len is usual",
        level="warning",
    ),
    Rule(
        ("rope_scaling", "finetuning_type"),
        lambda r: r.rope_scaling is not None and r.finetuning_type not in (*WHOLE, *BESIDE_LAYERS, "bottleneck"),
        "learnt vectors before the text cannot get a model used to other positions",
        "use lora, freeze or full",
    ),
)
