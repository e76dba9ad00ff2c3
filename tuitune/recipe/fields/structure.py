"""Changes to the model's shape: inserted blocks, skipped tokens, longer texts."""

from __future__ import annotations

from typing import ClassVar, Literal

from tuitune.recipe.fields.method import BESIDE_LAYERS, WHOLE
from tuitune.recipe.option import Options, Rule, When, option
from tuitune.recipe.shapes import Flag, Number, Whole

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
        "Mixture-of-Depths: every second layer computes only the tokens that a router picks. `convert` makes such a "
        "model, `load` takes one that was made before.",
        when=When("finetuning_type", ("full",)),
    )
    mod_capacity: Number = option(
        0.125, "Mixture-of-Depths: share of the tokens that a routed layer computes.", unit="share", gt=0, le=1,
        when=When("mixture_of_depths", ("convert",)),
    )  # fmt: skip
    rope_scaling: Literal["linear", "dynamic", "yarn", "llama3"] | None = option(
        None, "Stretch the positions of the model so that cutoff_len may be longer than it was trained for."
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
        ("rope_scaling", "finetuning_type"),
        lambda r: r.rope_scaling is not None and r.finetuning_type not in (*WHOLE, *BESIDE_LAYERS, "bottleneck"),
        "learnt vectors before the text cannot get a model used to other positions",
        "use lora, freeze or full",
    ),
)
