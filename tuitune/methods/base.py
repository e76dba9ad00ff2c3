"""What a tuning method is: how it changes a model, what optimizer it brings, and how its result is saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path as Folder

    import torch
    from torch import Tensor, nn
    from transformers import PreTrainedModel, TrainingArguments

    from tuitune.models.paths import Path
    from tuitune.recipe import Recipe


def _nothing(*args: object) -> None:
    """Take note of nothing."""


@dataclass(frozen=True)
class Attempt:
    """What a method's preparation may know and tell of the attempt at a run; by itself that of none.

    checkpoint: where the attempt goes on from. check: obeys a stop between pieces of work. phase(name, detail): long
    work begins; progress(done, total): how far it is. say: writes a line into the run's log.
    """

    checkpoint: Folder | None = None
    check: Callable[[], None] = _nothing
    phase: Callable[[str, str], None] = _nothing
    progress: Callable[[int, int], None] = _nothing
    say: Callable[[str], None] = _nothing


class Method:
    """A way to tune a model; what a method does not say is as for any other."""

    name: ClassVar[str]
    attempt = Attempt()  # the engine sets it before `prepare`

    def prepare(self, model: PreTrainedModel, recipe: Recipe) -> nn.Module:
        """Return the model to train: which parameters learn, in what precision. Raises ModelError."""
        raise NotImplementedError

    def optimizer(self, model: nn.Module, recipe: Recipe, args: TrainingArguments) -> torch.optim.Optimizer | None:
        """Return the method's own optimizer, or None for the recipe's `optim`."""
        return None

    def save(self, model: Any, folder: str, *, exact: bool = False) -> None:
        """Write what was trained so that plain transformers or peft load it.

        exact: for a checkpoint, with the names of the model in memory, where the format for others has other ones.
        """
        model.save_pretrained(folder)

    def restore(self, model: Any, folder: Folder) -> bool:
        """Load the weights of a checkpoint that `save` wrote with `exact`; False leaves it to transformers' Trainer."""
        return False

    def noise(self, recipe: Recipe) -> bool:
        """Whether the method draws random numbers in the forward pass (dropout)."""
        return False

    def path(self, model: Any, recipe: Recipe, pad: int) -> tuple[Path, str] | None:
        """Return a way through the model of the method's own and why it needs one; None for what the model allows."""
        return None

    def begin(self, model: Any, recipe: Recipe, steps: int, say: Callable[[str], None]) -> None:
        """Make ready for a training of `steps` optimizer steps; called before the first one, also after a resume.

        say: writes a line into the run's log.
        """

    def penalty(self, model: Any) -> Tensor | None:
        """Return what is added to the mean loss of every optimizer step, None for nothing."""
        return None

    def after_step(self, model: Any, step: int) -> None:
        """Do what is due once optimizer step `step` (from 1) was made; its gradients are still there."""


@runtime_checkable
class StepAware(Protocol):
    """An optimizer that works while gradients come in (layerwise updates); a plain one needs none of this."""

    def begin_part(self, *, last: bool) -> None:
        """Announce the backward pass of one micro-batch; after that of the last one the step is complete."""
        ...

    def discard(self) -> None:
        """Forget what the unfinished step has added up; raises TrainingError if weights have moved already."""
        ...

    def grad_norm(self) -> Tensor | None:
        """Return the norm of all gradients of the step that has just ended."""
        ...
