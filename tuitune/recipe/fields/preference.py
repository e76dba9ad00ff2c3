"""Learning from preferences: dpo and its losses, orpo, simpo, kto, and the reference they are measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from tuitune.recipe.option import Options, Rule, When, option
from tuitune.recipe.shapes import Flag, Names, Number, Text, Whole

if TYPE_CHECKING:
    from tuitune.recipe.recipe import Recipe

PAIRED = ("dpo", "orpo", "simpo")  # stages that learn from a better and a worse answer
JUDGED = (*PAIRED, "kto")
PAIRS = (*PAIRED, "rm")
VALUED = ("rm", "ppo")  # stages that train a head for one number beside the model
_DPO = When("stage", ("dpo",))
_REFERENCE = When("stage", ("dpo", "kto", "ppo", "grpo", "rloo"))

PreferenceLoss = Literal["sigmoid", "hinge", "ipo", "robust", "kto_pair", "orpo", "simpo"]


class PreferenceOptions(Options):
    """What a preference costs, and the reference model."""

    GROUP: ClassVar[str] = "preference"
    FIXED: ClassVar[bool] = True

    pref_beta: Number = option(
        0.1,
        "How firmly the model holds to the reference (dpo, kto), or weight of the odds ratio (orpo) or of the margin "
        "(simpo).",
        ge=0,
        when=When("stage", JUDGED),
        essential=True,
    )
    pref_loss: PreferenceLoss = option(
        "sigmoid",
        "Loss of stage dpo: `sigmoid` is DPO's own; `hinge`, `ipo`, `robust` and `kto_pair` are others with a "
        "reference, `orpo` and `simpo` need none and are the stages of these names.",
        when=_DPO,
        essential=True,
    )
    pref_ftx: Number = option(
        0.0, "Weight of the plain loss of the better answer, added to the loss of dpo or kto.", ge=0,
        when=When("stage", ("dpo", "kto")),
    )  # fmt: skip
    pref_bco_weight: Number = option(
        0.0, "Weight of the loss of binary classifier optimisation, added to that of dpo.", ge=0, when=_DPO
    )
    dpo_label_smoothing: Number = option(
        0.0,
        "Share of pairs that are believed to be the wrong way round: with sigmoid conservative DPO; robust needs it.",
        ge=0,
        lt=0.5,
        when=_DPO,
    )
    ld_alpha: Number | None = option(
        None,
        "LD-DPO: weight of the tokens by which one answer is longer than the other; unset and 1 are plain DPO.",
        ge=0,
        le=1,
        when=_DPO,
    )
    simpo_gamma: Number = option(
        0.5, "SimPO: margin that the better answer's reward shall have.", ge=0,
        when=When("stage", ("simpo",), other=When("pref_loss", ("simpo",))),
    )  # fmt: skip
    kto_chosen_weight: Number = option(
        1.0, "Weight of the desirable answers.", ge=0,
        when=When("stage", ("kto",), other=When("pref_loss", ("kto_pair",))),
    )  # fmt: skip
    kto_rejected_weight: Number = option(
        1.0, "Weight of the undesirable answers.", ge=0,
        when=When("stage", ("kto",), other=When("pref_loss", ("kto_pair",))),
    )  # fmt: skip
    ref_model: Text | None = option(
        None,
        "Reference model. Unset, the model as it was before training: without its adapter, or a frozen copy.",
        when=_REFERENCE,
    )
    ref_model_adapters: Names = option((), "Adapters on the reference model.", when=_REFERENCE)
    ref_model_quantization_bit: Whole | None = option(
        None, "Bits that the reference model's weights are loaded in: 4 or 8.", when=When("ref_model")
    )
    precompute_ref_log_probs: Flag = option(
        False,
        "Ask the reference once, before training, and keep its numbers: faster, and a second model need not stay in "
        "memory.",
        when=When("stage", ("dpo", "kto")),
    )


def needs_reference(recipe: Recipe) -> bool:
    """Whether a training of this recipe asks a model that does not learn, as it was before or another one."""
    match recipe.stage:
        case "sft":
            return recipe.use_asft_loss and recipe.asft_alpha > 0
        case "dpo":
            return recipe.pref_loss not in ("orpo", "simpo")
        case "grpo" | "rloo":
            return recipe.grpo_beta > 0
        case "ppo":
            return recipe.ppo_kl_coef > 0
        case stage:
            return stage == "kto"


def preference_loss(recipe: Recipe) -> str:
    """Return the loss of a preference stage, whichever way it was spelled: `orpo` for stage orpo and for dpo's."""
    return recipe.pref_loss if recipe.stage == "dpo" else recipe.stage


def _without_reference(recipe: Recipe) -> bool:
    return recipe.stage in PAIRED and preference_loss(recipe) in ("orpo", "simpo")


RULES = (
    Rule(
        ("dpo_label_smoothing", "pref_loss"),
        lambda r: r.stage == "dpo" and r.dpo_label_smoothing > 0 and r.pref_loss not in ("sigmoid", "robust"),
        "is known to the losses sigmoid and robust only",
        "set pref_loss: sigmoid, or remove it",
    ),
    Rule(
        ("pref_bco_weight", "pref_loss", "stage"),
        lambda r: r.pref_bco_weight > 0 and _without_reference(r),
        "needs a reference, which orpo and simpo do not have",
        "remove it, or set pref_loss: sigmoid",
    ),
    Rule(
        ("ld_alpha", "pref_loss", "stage"),
        lambda r: r.ld_alpha is not None and _without_reference(r),
        "belongs to the losses with a reference; orpo and simpo take the mean over an answer's tokens anyway",
        "remove it, or set pref_loss: sigmoid",
    ),
    Rule(
        ("pref_ftx", "pref_loss"),
        lambda r: r.pref_ftx > 0 and _without_reference(r),
        "orpo and simpo do not take it: orpo has the plain loss in it already",
        "remove it, or set pref_loss: sigmoid",
    ),
    Rule(
        ("ref_model", "precompute_ref_log_probs", "pref_loss", "stage"),
        lambda r: r.stage == "dpo" and _without_reference(r) and (bool(r.ref_model) or r.precompute_ref_log_probs),
        "has no effect: orpo and simpo ask no reference",
        "remove it",
        level="warning",
    ),
    Rule(
        ("ref_model_quantization_bit",),
        lambda r: r.ref_model_quantization_bit not in (None, 4, 8),
        "must be 4 or 8",
        "4 needs least memory, 8 is closer to the model",
    ),
    Rule(
        ("ref_model_adapters", "ref_model"),
        lambda r: bool(r.ref_model_adapters) and r.ref_model is None,
        "names adapters of a reference model, but no such model",
        "set ref_model: the model that they belong to",
    ),
    Rule(
        ("precompute_ref_log_probs", "streaming"),
        lambda r: r.precompute_ref_log_probs and r.streaming,
        "the reference cannot be asked beforehand about rows that are read while training",
        "keep one of them",
    ),
    Rule(
        ("stage", "mixture_of_depths"),
        lambda r: r.stage not in ("sft", "pt") and bool(r.mixture_of_depths),
        "mixture_of_depths learns its routers with stages sft and pt only",
        "remove mixture_of_depths, or set stage: sft",
    ),
)
