"""LoRA and its kin: LoRA+, rsLoRA, DoRA, PiSSA."""

from __future__ import annotations

from typing import ClassVar

from tuitune.recipe.option import Options, Rule, When, option
from tuitune.recipe.shapes import Flag, Names, Number, Whole

_SHAPE = ("lora_rank", "lora_alpha", "lora_target", "lora_dropout", "use_rslora", "use_dora")
LORA = When("finetuning_type", ("lora",))


class LoraOptions(Options):
    """Adapters of low rank beside frozen weights."""

    GROUP: ClassVar[str] = "lora"
    WHEN: ClassVar[tuple[When, ...]] = (LORA,)

    lora_rank: Whole = option(
        8, "Rank of the adapter matrices; more rank means more trained parameters.", ge=1, essential=True
    )
    lora_alpha: Whole | None = option(
        None, "Scale of the adapter's output, divided by the rank. Unset, it is twice the rank.", ge=1, essential=True
    )
    lora_dropout: Number = option(
        0.0, "Share of the adapter's inputs that are zeroed at random in each training step.", ge=0, lt=1
    )
    lora_target: Names = option(
        ("all",),
        "Names of the modules that get an adapter, with commas; `all` means every linear layer but the head.",
        essential=True,
    )
    additional_target: Names = option(
        (), "Names of further modules that are trained whole and saved with the adapter, with commas."
    )
    loraplus_lr_ratio: Number | None = option(
        None, "LoRA+: how many times the learning rate of matrix A matrix B gets. Around 16 is a usual start.", gt=0
    )
    loraplus_lr_embedding: Number = option(
        1e-6, "LoRA+: learning rate of adapters on the embedding.", gt=0, when=When("loraplus_lr_ratio")
    )
    use_rslora: Flag = option(
        False, "Rank-stabilised LoRA: scale by alpha / sqrt(rank) instead of alpha / rank, for high ranks."
    )
    use_dora: Flag = option(
        False, "DoRA: learn length and direction of each weight separately. Slower, often better.", essential=True
    )
    pissa_init: Flag = option(
        False, "PiSSA: start the adapter from the principal components of the weights instead of from zero."
    )
    pissa_iter: Whole = option(
        16,
        "PiSSA: power iterations of the fast SVD; -1 takes the exact SVD, the only one supported so far.",
        ge=-1,
        when=When("pissa_init", (True,)),
    )
    pissa_convert: Flag = option(
        False,
        "PiSSA: save the result as a plain LoRA adapter that loads on the untouched model.",
        planned={True: "remove the key; the adapter is saved as PiSSA"},
    )
    create_new_adapter: Flag = option(
        False, "Merge all adapters of adapter_name_or_path into the model and train a fresh one."
    )


def _only_lora(key: str, what: str) -> Rule:
    return Rule(
        (key, "finetuning_type"),
        lambda r: r.finetuning_type != "lora" and bool(getattr(r, key)),
        f"{what} works with LoRA only",
        "set finetuning_type: lora, or remove the key",
    )


RULES = (
    _only_lora("adapter_name_or_path", "an adapter to start from"),
    _only_lora("loraplus_lr_ratio", "LoRA+"),
    _only_lora("use_rslora", "rank-stabilised LoRA"),
    _only_lora("use_dora", "DoRA"),
    _only_lora("pissa_init", "PiSSA"),
    Rule(
        ("lora_target",),
        lambda r: not r.lora_target,
        "names no module",
        "use all, or names such as q_proj,v_proj",
    ),
    Rule(
        ("lora_target", "additional_target"),
        lambda r: any(" " in name for name in (*r.lora_target, *r.additional_target)),
        "a module's name has no spaces",
        "put commas between the names",
    ),
    Rule(
        ("lora_target",),
        lambda r: "all" in r.lora_target and len(r.lora_target) > 1,
        "'all' already covers the other names",
        "keep either all or the names",
    ),
    Rule(
        ("pissa_init", "pissa_iter"),
        lambda r: r.pissa_init and r.pissa_iter != -1,
        "PiSSA by fast SVD is not supported yet: its start cannot be reproduced when the adapter is loaded again",
        "set pissa_iter: -1 (exact SVD)",
    ),
    Rule(
        ("pissa_init", "adapter_name_or_path"),
        lambda r: r.pissa_init and bool(r.adapter_name_or_path),
        "PiSSA starts from the model's own weights and cannot go on with an adapter",
        "remove pissa_init or adapter_name_or_path",
    ),
    Rule(
        ("create_new_adapter", "adapter_name_or_path"),
        lambda r: r.create_new_adapter and not r.adapter_name_or_path,
        "has no effect without adapter_name_or_path: the adapter is new anyway",
        "remove it, or name the adapter to merge first",
        level="warning",
    ),
    Rule(
        ("adapter_name_or_path",),
        lambda r: len(r.adapter_name_or_path) > 1 and not r.create_new_adapter,
        "names several adapters: all but the last are merged into the model, the last is trained on",
        level="warning",
    ),
    Rule(
        (*_SHAPE, "adapter_name_or_path", "create_new_adapter"),
        lambda r: bool(r.adapter_name_or_path) and not r.create_new_adapter and not r.asked.isdisjoint(_SHAPE),
        "an adapter that is trained on keeps the rank, scale and modules it was made with",
        "set create_new_adapter: true for a fresh one with the values of this recipe",
        level="warning",
    ),
)
