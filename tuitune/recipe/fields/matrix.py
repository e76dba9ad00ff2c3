"""Further optimizers of the whole model: Muon and Adam-mini, and that there is only one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tuitune.recipe.fields.method import WHOLE
from tuitune.recipe.option import Options, Rule, When, option
from tuitune.recipe.shapes import Flag

if TYPE_CHECKING:
    from tuitune.recipe.recipe import Recipe

# The keys that bring an optimizer of their own.
OWN_OPTIMIZERS = ("use_galore", "use_apollo", "use_badam", "use_lisa", "use_muon", "use_adam_mini")
# Values of `optim` that give GaLore states of 8 bits.
EIGHT_BIT_ADAMW = ("adamw_8bit", "adamw_bnb_8bit")


class MatrixOptions(Options):
    """Optimizers that know what a matrix is."""

    GROUP: ClassVar[str] = "muon"
    WHEN: ClassVar[tuple[When, ...]] = (When("finetuning_type", WHOLE),)
    FIXED: ClassVar[bool] = True

    use_muon: Flag = option(
        False,
        "Muon: orthogonalise the update of each matrix; AdamW for embeddings, head and vectors.",
        essential=True,
    )
    use_adam_mini: Flag = option(
        False,
        "Adam-mini: one learning rate for each head or neuron instead of each weight; half of Adam's states.",
        essential=True,
    )


def _chosen(recipe: Recipe) -> list[str]:
    return [key for key in OWN_OPTIMIZERS if getattr(recipe, key)]


def own_optimizer(recipe: Recipe) -> str:
    """Return the key of the optimizer that the recipe's method brings, "" where `optim` decides."""
    return next(iter(_chosen(recipe)), "")


def _whole(key: str, what: str) -> Rule:
    return Rule(
        (key, "finetuning_type"),
        lambda r: getattr(r, key) and r.finetuning_type not in WHOLE,
        f"{what} is for the model's own matrices; adapters are too thin for it",
        f"set finetuning_type: full, or remove {key}",
    )


RULES = (
    _whole("use_muon", "Muon"),
    _whole("use_adam_mini", "Adam-mini"),
    Rule(
        OWN_OPTIMIZERS,
        lambda r: len(_chosen(r)) > 1,
        "GaLore, APOLLO, BAdam, LISA, Muon and Adam-mini each bring an optimizer, and a run has one",
        "keep one of them",
    ),
    Rule(
        ("optim", *OWN_OPTIMIZERS),
        lambda r: bool(own_optimizer(r)) and "optim" in r.asked and not _compatible(r),
        "has no effect: the method brings its own AdamW",
        "remove optim; 8-bit states are known to GaLore as optim: adamw_8bit",
        level="warning",
    ),
)


def _compatible(recipe: Recipe) -> bool:
    plain = recipe.optim in ("adamw_torch", "adamw_torch_fused")
    return plain or (recipe.use_galore and recipe.optim in EIGHT_BIT_ADAMW)
