"""GaLore: full fine-tuning whose optimizer states live in a small subspace of the gradient."""

from __future__ import annotations

from typing import ClassVar, Literal

from tuitune.recipe.fields.method import WHOLE
from tuitune.recipe.option import Options, Rule, When, option
from tuitune.recipe.shapes import Flag, Names, Number, Whole

_ON = When("use_galore", (True,))


class GaloreOptions(Options):
    """The projection of the gradient."""

    GROUP: ClassVar[str] = "galore"
    WHEN: ClassVar[tuple[When, ...]] = (When("finetuning_type", WHOLE),)
    FIXED: ClassVar[bool] = True

    use_galore: Flag = option(
        False, "GaLore: keep the optimizer's states of large matrices in a projection of low rank.", essential=True
    )
    galore_target: Names = option(
        ("all",),
        "GaLore: parts of names of the modules whose gradient is projected, such as `mlp,self_attn`; `all` means every "
        "linear layer but the head.",
        when=_ON,
    )
    galore_rank: Whole = option(16, "GaLore: rank of the projection.", ge=1, when=_ON, essential=True)
    galore_update_interval: Whole = option(
        200, "GaLore: steps between two decompositions that renew the projection.", unit="steps", ge=1, when=_ON
    )
    galore_scale: Number = option(
        0.25, "GaLore: scale of the projected update. LLaMA-Factory's own default is 2.0.", gt=0, when=_ON,
        essential=True,
    )  # fmt: skip
    galore_proj_type: Literal["std", "reverse_std", "right", "left", "full"] = option(
        "std", "GaLore: which side of a matrix is projected; `std` takes the longer one.", when=_ON
    )
    galore_layerwise: Flag = option(
        False,
        "GaLore: update each weight as soon as its gradient is there, so that no two full gradients are held; in a "
        "step of several micro-batches their projections are added up.",
        when=_ON,
    )
    layerwise_clip: Number = option(
        0.0,
        "Layerwise updates: gradients of a single weight that are longer than this are shortened to it; 0 leaves them.",
        ge=0,
        when=When("galore_layerwise", (True,)),
        fixed=False,
    )


RULES = (
    Rule(
        ("use_galore", "finetuning_type"),
        lambda r: r.use_galore and r.finetuning_type not in WHOLE,
        "GaLore projects the gradients of the model's own weights, which an adapter leaves alone",
        "set finetuning_type: full, or remove use_galore",
    ),
    Rule(
        ("max_grad_norm", "galore_layerwise"),
        lambda r: r.use_galore and r.galore_layerwise and "max_grad_norm" in r.asked and r.max_grad_norm > 0,
        "layerwise updates never have all gradients at once, so their common norm cannot be limited",
        "set max_grad_norm: 0, and layerwise_clip for a limit for each weight",
    ),
    Rule(
        ("galore_layerwise", "max_grad_norm"),
        lambda r: r.use_galore and r.galore_layerwise and "max_grad_norm" not in r.asked and not r.layerwise_clip,
        "gradients are not clipped: layerwise updates have no common norm",
        "set layerwise_clip for a limit for each weight, or max_grad_norm: 0 to say that none is wanted",
        level="warning",
    ),
    Rule(
        ("galore_layerwise", "fp16"),
        lambda r: r.use_galore and r.galore_layerwise and r.fp16,
        "layerwise updates happen before the loss scaling of fp16 is undone",
        "use bf16 or pure_bf16, or remove galore_layerwise",
    ),
)
