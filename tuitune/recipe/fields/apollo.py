"""APOLLO: full fine-tuning with the learning rates of Adam estimated in a small random subspace."""

from __future__ import annotations

from typing import ClassVar, Literal

from tuitune.recipe.fields.method import WHOLE
from tuitune.recipe.option import Options, Rule, When, option
from tuitune.recipe.shapes import Flag, Names, Number, Whole

_ON = When("use_apollo", (True,))


class ApolloOptions(Options):
    """The projection and the scaling of the gradient."""

    GROUP: ClassVar[str] = "apollo"
    WHEN: ClassVar[tuple[When, ...]] = (When("finetuning_type", WHOLE),)
    FIXED: ClassVar[bool] = True

    use_apollo: Flag = option(
        False, "APOLLO: scale raw gradients by what Adam would do in a projection of low rank.", essential=True
    )
    apollo_target: Names = option(
        ("all",),
        "APOLLO: parts of names of the modules whose gradient is scaled, such as `mlp,self_attn`; `all` means every "
        "linear layer but the head.",
        when=_ON,
    )
    apollo_rank: Whole = option(16, "APOLLO: rank of the projection.", ge=1, when=_ON, essential=True)
    apollo_update_interval: Whole = option(
        200, "APOLLO: steps between two renewals of the projection.", unit="steps", ge=1, when=_ON
    )
    apollo_scale: Number = option(
        32.0, "APOLLO: scale of the update, which is multiplied by its square root.", gt=0, when=_ON, essential=True
    )
    apollo_proj: Literal["svd", "random"] = option(
        "random", "APOLLO: how the projection is made: at random, or from the gradient's singular vectors.", when=_ON
    )
    apollo_proj_type: Literal["std", "right", "left"] = option(
        "std", "APOLLO: which side of a matrix is projected; `std` takes the longer one.", when=_ON
    )
    apollo_scale_type: Literal["channel", "tensor"] = option(
        "channel", "APOLLO: one factor for each channel, or one for the whole matrix (APOLLO-Mini).", when=_ON
    )
    apollo_layerwise: Flag = option(
        False,
        "APOLLO: update each weight as soon as its gradient is there; a step that is one micro-batch then holds one "
        "full gradient at a time, a step of several must add up whole ones.",
        when=_ON,
    )
    apollo_scale_front: Flag = option(
        False, "APOLLO: apply the scale before the growth of the update is limited instead of after it.", when=_ON
    )


RULES = (
    Rule(
        ("use_apollo", "finetuning_type"),
        lambda r: r.use_apollo and r.finetuning_type not in WHOLE,
        "APOLLO scales the gradients of the model's own weights, which an adapter leaves alone",
        "set finetuning_type: full, or remove use_apollo",
    ),
    Rule(
        ("max_grad_norm", "apollo_layerwise"),
        lambda r: r.use_apollo and r.apollo_layerwise and "max_grad_norm" in r.asked and r.max_grad_norm > 0,
        "layerwise updates never have all gradients at once, so their common norm cannot be limited",
        "set max_grad_norm: 0; APOLLO limits the growth of each weight's update by itself",
    ),
    Rule(
        ("apollo_layerwise", "max_grad_norm"),
        lambda r: r.use_apollo and r.apollo_layerwise and "max_grad_norm" not in r.asked,
        "gradients are not clipped: layerwise updates have no common norm",
        "set max_grad_norm: 0 to say that none is wanted; APOLLO limits the growth of each update by itself",
        level="warning",
    ),
    Rule(
        ("apollo_layerwise", "fp16"),
        lambda r: r.use_apollo and r.apollo_layerwise and r.fp16,
        "layerwise updates happen before the loss scaling of fp16 is undone",
        "use bf16 or pure_bf16, or remove apollo_layerwise",
    ),
)
