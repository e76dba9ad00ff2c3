"""Settings of the rarer adapters: AdaLoRA, VeRA, LoKr, bottleneck adapters, and those that stand before the text."""

from __future__ import annotations

from typing import ClassVar, Literal

from tuitune.recipe.fields.method import PROMPTED
from tuitune.recipe.option import Options, Rule, When, option
from tuitune.recipe.shapes import Flag, Number, Share, Text, Whole

_ADALORA = When("finetuning_type", ("adalora",))
_LOKR = When("finetuning_type", ("lokr",))
_BOTTLENECK = When("finetuning_type", ("bottleneck",))
_NARROW = ("bottleneck_size", "bottleneck_activation", "bottleneck_where")
_PROMPTED = When("finetuning_type", PROMPTED)


class KinOptions(Options):
    """Numbers that only one kind of adapter has."""

    GROUP: ClassVar[str] = "adapter"
    FIXED: ClassVar[bool] = True

    adalora_init_rank: Whole = option(
        12, "AdaLoRA: rank that every layer begins with; they are pruned down to lora_rank on average.", ge=1,
        when=_ADALORA, essential=True,
    )  # fmt: skip
    adalora_warmup: Share = option(
        0.1, "AdaLoRA: steps before pruning begins.", unit="steps or share", ge=0, when=_ADALORA
    )
    adalora_final: Share = option(
        0.2, "AdaLoRA: steps at the end in which the ranks stay as they are.", unit="steps or share", ge=0,
        when=_ADALORA,
    )  # fmt: skip
    adalora_interval: Whole = option(10, "AdaLoRA: steps between two prunings.", unit="steps", ge=1, when=_ADALORA)
    adalora_orthogonality: Number = option(
        0.5,
        "AdaLoRA: weight of the term that keeps the directions of an adapter apart. It is added to "
        "the loss once per step and is not part of the loss that is shown.",
        ge=0,
        when=_ADALORA,
    )
    vera_d_initial: Number = option(
        0.1, "VeRA: where the trained scale of the shared matrices begins.", gt=0,
        when=When("finetuning_type", ("vera",)),
    )  # fmt: skip
    lokr_factor: Whole = option(
        -1, "LoKr: size of the first factor of each Kronecker product; -1 chooses it near the square root.", ge=-1,
        when=_LOKR,
    )  # fmt: skip
    bottleneck_size: Whole = option(
        64, "Bottleneck adapters: width of the narrow layer between the two projections.", ge=1, when=_BOTTLENECK,
        essential=True,
    )  # fmt: skip
    bottleneck_activation: Literal["relu", "gelu", "silu"] = option(
        "gelu", "Bottleneck adapters: the function between the two projections.", when=_BOTTLENECK
    )
    bottleneck_where: Literal["both", "mlp", "attention"] = option(
        "both", "Bottleneck adapters: after which halves of a layer they stand; Houlsby's have both.", when=_BOTTLENECK
    )
    bottleneck_dropout: Number = option(
        0.0, "Bottleneck adapters: share of the narrow layer that is zeroed at random.", ge=0, lt=1, when=_BOTTLENECK,
        fixed=False,
    )  # fmt: skip
    num_virtual_tokens: Whole = option(
        20, "How many learnt vectors stand before every text.", unit="tokens", ge=1, when=_PROMPTED, essential=True
    )
    prompt_tuning_init_text: Text | None = option(
        None, "Prompt tuning: words whose embeddings the learnt vectors begin with, repeated or cut to their number. "
        "Unset, they begin as random words of the vocabulary.",
        when=When("finetuning_type", ("prompt_tuning",)),
    )  # fmt: skip
    encoder_hidden_size: Whole | None = option(
        None, "Width of the small network that makes the vectors while they are trained. Unset, the model's own.", ge=1,
        when=When("finetuning_type", ("p_tuning", "prefix_tuning")),
    )  # fmt: skip
    prefix_projection: Flag = option(
        False, "Prefix tuning: make the vectors with a small network instead of learning them directly.",
        when=When("finetuning_type", ("prefix_tuning",)),
    )  # fmt: skip


RULES = (
    Rule(
        ("adalora_init_rank", "lora_rank", "finetuning_type"),
        lambda r: r.finetuning_type == "adalora" and r.adalora_init_rank <= r.lora_rank,
        "AdaLoRA prunes from adalora_init_rank down to lora_rank, so it must begin above it",
        "raise adalora_init_rank, or lower lora_rank",
    ),
    Rule(
        (*_NARROW, "adapter_name_or_path", "create_new_adapter"),
        lambda r: (
            r.finetuning_type == "bottleneck"
            and bool(r.adapter_name_or_path)
            and not r.create_new_adapter
            and not r.asked.isdisjoint(_NARROW)
        ),
        "adapters that are trained on keep the size, function and places they were made with",
        "leave these keys out",
        level="warning",
    ),
    Rule(
        ("finetuning_type", "quantization_bit"),
        lambda r: r.finetuning_type in ("loha", "lokr") and r.quantization_bit is not None,
        "the products of LoHa and LoKr are as large as the weights, which are quantised here",
        "set finetuning_type: lora (QLoRA) or oft (QOFT), or remove quantization_bit",
    ),
    Rule(
        ("gradient_checkpointing", "finetuning_type"),
        lambda r: r.finetuning_type == "prefix_tuning" and r.gradient_checkpointing is True,
        "layers that are computed again forget the keys and values that prefix tuning lays before them",
        "remove gradient_checkpointing, or use prompt_tuning or p_tuning",
    ),
)
