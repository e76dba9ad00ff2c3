"""BAdam and LISA: full fine-tuning of one part of the model at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from tuitune.recipe.option import Options, Rule, When, option
from tuitune.recipe.shapes import Flag, Number, Whole

if TYPE_CHECKING:
    from tuitune.recipe.recipe import Recipe

_ON = When("use_badam", (True,))
_LAYER = (_ON, When("badam_mode", ("layer",)))
_RATIO = (_ON, When("badam_mode", ("ratio",)))
_LISA = When("use_lisa", (True,))


class BadamOptions(Options):
    """Which part learns, and for how long."""

    GROUP: ClassVar[str] = "badam"
    WHEN: ClassVar[tuple[When, ...]] = (When("finetuning_type", ("full",)),)
    FIXED: ClassVar[bool] = True

    use_badam: Flag = option(
        False,
        "BAdam: run Adam on one block of the model at a time; embeddings and head are none.",
        essential=True,
    )
    badam_mode: Literal["layer", "ratio"] = option(
        "layer", "BAdam: a block is a layer, or a share of the entries of every matrix.", when=_ON, essential=True
    )
    badam_start_block: Whole | None = option(
        None, "BAdam: number of the block that begins, counted from 0. Unset, the order decides.", ge=0, when=_LAYER
    )
    badam_switch_mode: Literal["ascending", "descending", "random", "fixed"] = option(
        "ascending", "BAdam: the order of the blocks; `random` visits all before any comes again.", when=_LAYER
    )
    badam_switch_interval: Whole = option(
        50, "BAdam: steps that a block or share learns until the next one; -1 keeps it.", unit="steps", ge=-1, when=_ON,
        essential=True,
    )  # fmt: skip
    badam_update_ratio: Number = option(
        0.05, "BAdam: share of the entries of each matrix that learn at a time.", unit="share", gt=0, le=1, when=_RATIO,
        essential=True,
    )  # fmt: skip
    badam_mask_mode: Literal["adjacent", "scatter"] = option(
        "adjacent", "BAdam: the entries that learn lie side by side or are drawn at random.", when=_RATIO
    )
    badam_verbose: Whole = option(
        0, "BAdam: what the log says at each change: 0 nothing, 1 the block, 2 its tensors too.", ge=0, le=2, when=_ON,
        fixed=False,
    )  # fmt: skip
    use_lisa: Flag = option(
        False,
        "LISA: besides embedding and head, train a few layers drawn at random, and draw again and again.",
        essential=True,
    )
    lisa_activated_layers: Whole = option(
        2, "LISA: how many layers learn at a time.", unit="layers", ge=1, when=_LISA, essential=True
    )
    lisa_interval: Whole = option(
        20, "LISA: steps before other layers are drawn.", unit="steps", ge=1, when=_LISA, essential=True
    )


def _interval_asked(recipe: Recipe) -> bool:
    return "badam_switch_interval" in recipe.asked and recipe.badam_switch_interval != -1


RULES = (
    Rule(
        ("use_badam", "finetuning_type"),
        lambda r: r.use_badam and r.finetuning_type != "full",
        "BAdam trains the whole model, block by block",
        "set finetuning_type: full, or remove use_badam",
    ),
    Rule(
        ("use_lisa", "finetuning_type"),
        lambda r: r.use_lisa and r.finetuning_type != "full",
        "LISA trains the whole model, a few layers at a time",
        "set finetuning_type: full, or remove use_lisa",
    ),
    Rule(
        ("badam_switch_interval",),
        lambda r: r.badam_switch_interval == 0,
        "0 steps are no time to learn",
        "use -1 to keep the same block always",
    ),
    Rule(
        ("badam_switch_interval", "badam_switch_mode"),
        lambda r: r.use_badam and r.badam_mode == "layer" and r.badam_switch_mode == "fixed" and _interval_asked(r),
        "has no effect: a fixed block never changes",
        "remove it, or set another badam_switch_mode",
        level="warning",
    ),
    Rule(
        ("use_badam", "pure_bf16"),
        lambda r: r.use_badam and not r.pure_bf16,
        "BAdam saves its memory with weights in bf16; without pure_bf16 they are held in fp32",
        "set pure_bf16: true where the device computes bf16 well",
        level="warning",
    ),
)
