"""Noise and losses that combine with any method."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from tuitune.recipe.option import Options, Rule, When, option
from tuitune.recipe.shapes import Flag, Number

if TYPE_CHECKING:
    from tuitune.recipe.recipe import Recipe

_SFT = When("stage", ("sft",))
_LOSSES = ("use_dft_loss", "use_asft_loss", "use_eaft_loss")


class LossOptions(Options):
    """What is minimised, and noise on the way. The evaluation loss is always the plain one."""

    GROUP: ClassVar[str] = "loss"
    FIXED: ClassVar[bool] = True

    neftune_noise_alpha: Number | None = option(
        None, "NEFTune: strength of the random noise on the embeddings of training texts; 5 is a usual start.", ge=0
    )
    use_dft_loss: Flag = option(
        False,
        "DFT: weigh the loss of each token by its own probability, so that unlikely ones pull less. The evaluation "
        "loss stays the plain one.",
        when=_SFT,
    )
    use_asft_loss: Flag = option(
        False,
        "ASFT: the loss of DFT and a pull back to the model as it was. For an adapter that is the model without it; "
        "full and freeze keep a second model in memory. The evaluation loss stays the plain one.",
        when=_SFT,
    )
    asft_alpha: Number = option(0.1, "ASFT: strength of that pull.", ge=0, when=When("use_asft_loss", (True,)))
    use_eaft_loss: Flag = option(
        False,
        "EAFT: weigh the loss of each token by how unsure the model is of it. The evaluation loss stays the plain one.",
        when=_SFT,
    )
    eaft_alpha: Number = option(
        1.0, "EAFT: power that the uncertainty is raised to; 0 is the plain loss.", ge=0,
        when=When("use_eaft_loss", (True,)),
    )  # fmt: skip


def loss_name(recipe: Recipe) -> Literal["nll", "dft", "asft", "eaft"]:
    """Return which loss is asked for; "nll" is plain likelihood."""
    if recipe.use_dft_loss:
        return "dft"
    if recipe.use_asft_loss:
        return "asft"
    return "eaft" if recipe.use_eaft_loss else "nll"


RULES = (
    Rule(
        _LOSSES,
        lambda r: sum(bool(getattr(r, key)) for key in _LOSSES) > 1,
        "DFT, ASFT and EAFT are three different losses",
        "keep one of them",
    ),
)
