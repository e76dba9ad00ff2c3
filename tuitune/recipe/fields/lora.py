"""LoRA and its kin: LoRA+, rsLoRA, DoRA, PiSSA, LoftQ; rank and layers of the other low-rank adapters too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from tuitune.recipe.fields.method import RANKED, TARGETED
from tuitune.recipe.option import Options, Rule, When, option
from tuitune.recipe.shapes import Flag, Names, Number, Whole

if TYPE_CHECKING:
    from tuitune.recipe.recipe import Recipe

_SHAPE = ("lora_rank", "lora_alpha", "lora_target", "lora_dropout", "use_rslora", "use_dora")
LORA = When("finetuning_type", ("lora",))
_TARGETED = When("finetuning_type", TARGETED)
_RANKED = When("finetuning_type", RANKED)


class LoraOptions(Options):
    """Adapters of low rank beside frozen weights."""

    GROUP: ClassVar[str] = "lora"
    FIXED: ClassVar[bool] = True

    lora_rank: Whole = option(
        8,
        "Rank of the adapter matrices; more rank means more trained parameters.",
        ge=1,
        when=_RANKED,
        essential=True,
    )
    lora_alpha: Whole | None = option(
        None,
        "Scale of the adapter's output, divided by the rank. Unset, it is twice the rank.",
        ge=1,
        when=When("finetuning_type", ("lora", "adalora", "loha", "lokr")),
        essential=True,
    )
    lora_dropout: Number = option(
        0.0,
        "Share of the adapter's inputs that are zeroed at random in each training step.",
        ge=0,
        lt=1,
        when=When("finetuning_type", ("lora", "adalora", "vera")),
        fixed=False,
    )
    lora_target: Names = option(
        ("all",),
        "Names of the modules that get an adapter, with commas, or one regular expression over whole names; `all` "
        "means every linear layer but the head.",
        when=_TARGETED,
        essential=True,
    )
    loraplus_lr_ratio: Number | None = option(
        None,
        "LoRA+: how many times the learning rate of matrix A matrix B gets. Around 16 is a usual start.",
        gt=0,
        when=LORA,
    )
    loraplus_lr_embedding: Number = option(
        1e-6, "LoRA+: learning rate of adapters on the embedding.", gt=0, when=(LORA, When("loraplus_lr_ratio"))
    )
    use_rslora: Flag = option(
        False,
        "Rank-stabilised LoRA: scale by alpha / sqrt(rank) instead of alpha / rank, for high ranks.",
        when=LORA,
    )
    use_dora: Flag = option(
        False,
        "DoRA: learn length and direction of each weight separately. Slower, often better.",
        when=LORA,
        essential=True,
    )
    pissa_init: Flag = option(
        False,
        "PiSSA: start the adapter from the principal components of the weights instead of from zero.",
        when=LORA,
    )
    pissa_iter: Whole = option(
        16,
        "PiSSA: power iterations of the fast SVD; -1 takes the exact SVD, which is slow for large matrices.",
        ge=-1,
        when=(LORA, When("pissa_init", (True,))),
    )
    pissa_convert: Flag = option(
        False,
        "PiSSA: save the result as a plain LoRA adapter of twice the rank that loads on the untouched model. After the "
        "fast SVD that is done in any case.",
        when=(LORA, When("pissa_init", (True,))),
        fixed=False,
    )
    loftq_init: Flag = option(
        False,
        "LoftQ: start the adapter so that it makes up for the error of quantising the weights.",
        when=(LORA, When("quantization_bit")),
    )
    loftq_iter: Whole = option(
        1,
        "LoftQ: rounds of quantising and decomposing in turns. After more than one, other programs cannot put the "
        "adapter on the quantised model.",
        ge=1,
        le=10,
        when=(LORA, When("loftq_init", (True,))),
    )


def _only_lora(key: str, what: str) -> Rule:
    return Rule(
        (key, "finetuning_type"),
        lambda r: r.finetuning_type != "lora" and bool(getattr(r, key)),
        f"{what} works with LoRA only",
        "set finetuning_type: lora, or remove the key",
    )


def is_regex(targets: tuple[str, ...]) -> bool:
    """Whether `lora_target` is one regular expression instead of names."""
    return len(targets) == 1 and re.fullmatch(r"[\w.]+", targets[0]) is None


def _several_regexes(recipe: Recipe) -> bool:
    return len(recipe.lora_target) > 1 and any(
        is_regex((name,)) and " " not in name for name in recipe.lora_target if name
    )


def _bad_regex(recipe: Recipe) -> bool:
    if not is_regex(recipe.lora_target) or " " in recipe.lora_target[0]:
        return False
    try:
        re.compile(recipe.lora_target[0])
    except re.error:
        return True
    return False


RULES = (
    _only_lora("loraplus_lr_ratio", "LoRA+"),
    _only_lora("use_rslora", "rank-stabilised LoRA"),
    _only_lora("use_dora", "DoRA"),
    _only_lora("pissa_init", "PiSSA"),
    _only_lora("loftq_init", "LoftQ"),
    Rule(
        ("lora_target",),
        lambda r: not r.lora_target,
        "names no module",
        "use all, or names such as q_proj,v_proj",
    ),
    Rule(
        ("lora_target",),
        lambda r: any(" " in name for name in r.lora_target),
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
        ("lora_target",),
        _several_regexes,
        "a regular expression stands alone, and commas part names",
        "write one expression, with | between alternatives; one that holds a comma goes into a list: ['...']",
    ),
    Rule(
        ("lora_target",),
        _bad_regex,
        "is neither a list of names nor a regular expression that can be read",
        "use all, names such as q_proj,v_proj, or an expression such as .*layers\\.[0-3]\\..*_proj",
    ),
    Rule(
        ("pissa_init", "pissa_iter"),
        lambda r: r.pissa_init and r.pissa_iter == 0,
        "0 power iterations are no decomposition",
        "use 16, or -1 for the exact SVD",
    ),
    Rule(
        ("pissa_init", "adapter_name_or_path"),
        lambda r: r.pissa_init and bool(r.adapter_name_or_path) and not r.create_new_adapter,
        "PiSSA starts from the model's own weights and cannot go on with an adapter",
        "remove pissa_init or adapter_name_or_path, or set create_new_adapter: true",
    ),
    Rule(
        ("loftq_init", "quantization_bit"),
        lambda r: r.loftq_init and r.quantization_bit is None,
        "LoftQ makes up for the error of quantisation, and nothing is quantised",
        "set quantization_bit: 4, or remove loftq_init",
    ),
    Rule(
        ("loftq_init", "adapter_name_or_path"),
        lambda r: r.loftq_init and bool(r.adapter_name_or_path),
        "LoftQ starts from the model's own weights and cannot go on with an adapter",
        "remove loftq_init or adapter_name_or_path",
    ),
    Rule(
        ("loftq_init", "pissa_init"),
        lambda r: r.loftq_init and r.pissa_init,
        "LoftQ and PiSSA are two ways to begin the same adapter",
        "keep one of them",
    ),
    Rule(
        ("lora_dropout", "pissa_init", "loftq_init"),
        lambda r: r.lora_dropout > 0 and (r.pissa_init or r.loftq_init),
        "drops inputs of an adapter that begins with a part of the weights, which is then missing from them",
        "remove lora_dropout",
        level="warning",
    ),
    Rule(
        ("use_dora", "pissa_init", "loftq_init"),
        lambda r: r.use_dora and (r.pissa_init or r.loftq_init),
        "DoRA takes its lengths from the whole weight, which PiSSA and LoftQ take apart",
        "keep one of them",
    ),
    Rule(
        (*_SHAPE, "adapter_name_or_path", "create_new_adapter"),
        lambda r: bool(r.adapter_name_or_path) and not r.create_new_adapter and not r.asked.isdisjoint(_SHAPE),
        "an adapter that is trained on keeps the rank, scale and modules it was made with",
        "set create_new_adapter: true for a fresh one with the values of this recipe",
        level="warning",
    ),
)
