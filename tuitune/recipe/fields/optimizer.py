"""How gradients become new weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from tuitune.recipe.option import Options, Rule, When, option
from tuitune.recipe.shapes import Number, Text

if TYPE_CHECKING:
    from tuitune.recipe.recipe import Recipe

Optimizer = Literal[
    "adamw_torch",
    "adamw_torch_fused",
    "adafactor",
    "sgd",
    "adagrad",
    "rmsprop",
    "adamw_8bit",
    "adamw_bnb_8bit",
    "paged_adamw_8bit",
    "paged_adamw_32bit",
    "ademamix",
    "ademamix_8bit",
    "paged_ademamix_8bit",
    "paged_ademamix_32bit",
    "lion_8bit",
    "lion_32bit",
    "paged_lion_8bit",
    "paged_lion_32bit",
    "rmsprop_bnb",
    "rmsprop_bnb_8bit",
    "rmsprop_bnb_32bit",
]

_OTHERS = (
    "galore_adamw",
    "galore_adamw_8bit",
    "galore_adafactor",
    "galore_adamw_layerwise",
    "galore_adamw_8bit_layerwise",
    "galore_adafactor_layerwise",
    "apollo_adamw",
    "apollo_adamw_layerwise",
    "lomo",
    "adalomo",
    "grokadamw",
    "stable_adamw",
    "schedule_free_radam",
    "schedule_free_adamw",
    "schedule_free_sgd",
    "adamw_torch_xla",
    "adamw_torch_npu_fused",
    "adamw_anyprecision",
)
_NOT_YET: dict[object, str] = {
    **dict.fromkeys(_OTHERS, "use adamw_torch_fused for now"),
    **dict.fromkeys(("adamw_torch_4bit", "adamw_torch_8bit"), "use adamw_8bit or paged_adamw_8bit"),
    "adamw_hf": "use adamw_torch, which replaced it in transformers",
}

_ADEMAMIX = frozenset({"beta1", "beta2", "beta3", "alpha", "eps", "t_alpha", "t_beta3"})
# Names that transformers reads; it passes over every other in silence.
OPTIM_ARGS: dict[str, frozenset[str]] = {
    "sgd": frozenset({"momentum", "dampening", "weight_decay", "nesterov"}),
    "adagrad": frozenset({"lr_decay", "weight_decay", "eps"}),
    "rmsprop": frozenset({"momentum", "alpha", "eps", "weight_decay", "centered"}),
    **dict.fromkeys(("ademamix", "ademamix_8bit", "paged_ademamix_8bit", "paged_ademamix_32bit"), _ADEMAMIX),
}


def optim_args(text: str | None) -> dict[str, str] | None:
    """Return `a=1, b=2` as a mapping; None when it is not of that form."""
    pairs = [part.split("=") for part in (text or "").replace(" ", "").split(",") if part]
    return dict(pairs) if all(len(pair) == 2 and all(pair) for pair in pairs) else None


def _unknown_args(recipe: Recipe) -> bool:
    args = optim_args(recipe.optim_args)
    return args is not None and not args.keys() <= OPTIM_ARGS.get(recipe.optim, frozenset())


_NO_BETAS = ("adafactor", "sgd", "adagrad", "rmsprop")
_BETAS = When("optim", tuple(name for name in get_args(Optimizer) if not name.startswith(_NO_BETAS)))


class OptimizerOptions(Options):
    """The optimizer and its numbers."""

    GROUP: ClassVar[str] = "optimizer"

    optim: Optimizer = option(
        "adamw_torch_fused",
        "The optimizer. Names with 8bit, paged, ademamix, lion or rmsprop_bnb are those of bitsandbytes.",
        planned=_NOT_YET,
        fixed=True,
    )
    optim_args: Text | None = option(
        None,
        "Further settings of sgd, adagrad, rmsprop or ademamix, such as `momentum=0.9,nesterov=true`.",
        when=When("optim", tuple(OPTIM_ARGS)),
    )
    learning_rate: Number = option(5e-5, "Highest learning rate, reached after the warm-up.", gt=0, essential=True)
    weight_decay: Number = option(0.0, "How fast weights shrink, per step and unit of learning rate.", ge=0)
    adam_beta1: Number = option(0.9, "Memory of the mean gradient.", ge=0, lt=1, when=_BETAS)
    adam_beta2: Number = option(0.999, "Memory of the squared gradient.", ge=0, lt=1, when=_BETAS)
    adam_epsilon: Number = option(1e-8, "Added to the denominator so that it is never zero.", gt=0, when=_BETAS)
    max_grad_norm: Number = option(
        1.0, "Gradients longer than this are shortened to it; 0 leaves them as they are.", ge=0
    )


RULES = (
    Rule(
        ("optim_args",),
        lambda r: optim_args(r.optim_args) is None,
        "is not of the form name=value,name=value",
        "for example momentum=0.9,nesterov=true",
    ),
    Rule(
        ("optim_args", "optim"),
        _unknown_args,
        "names a setting that this optimizer does not have",
        "; ".join(f"{name}: {', '.join(sorted(args))}" for name, args in OPTIM_ARGS.items() if "_" not in name),
    ),
)
