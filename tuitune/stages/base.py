"""What a stage is: how many things its loss is averaged over, and the summed loss of some examples.

`items` counts over a whole optimizer step and `part_loss` is a plain sum, so the gradient does not depend on how the
step was cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from pathlib import Path as Folder

    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

    from tuitune.data import Example, Examples, Row
    from tuitune.data.templates import Template
    from tuitune.models.generate import Sampling
    from tuitune.models.paths import Path
    from tuitune.models.reference import Reference
    from tuitune.recipe import Recipe
    from tuitune.run.events import Event

Figure = tuple["Tensor", float]  # a detached sum, and over how many things it goes


@dataclass(frozen=True)
class Part:
    """One micro-batch: summed loss, tokens through the model, labelled ones, rightly predicted ones.

    figures: the stage's own, by trl's names (`rewards/accuracies`), each a detached sum and its count; a step shows
    their means.
    """

    loss: Tensor
    tokens: int
    labelled: int
    correct: Tensor
    figures: Mapping[str, Figure] = field(default_factory=dict)


def _nothing(*args: object) -> None:
    """Take note of nothing."""


@dataclass
class Surroundings:
    """What a stage may use of the run around it, from `begin` on.

    tokens_per_batch: most tokens at once, at this moment. attend: obeys the inbox (may raise to stop), to be called
    between pieces of work of a second. precision: opens that of training. emit: writes to the journal; note: a line
    into its log; warn: what the user should know. phase(name, detail): long
    work begins; progress(phase, done, total): how far it is. token(n): the answers that are made together have n tokens
    now. folder: the run's own. step: optimizer steps made so far.
    """

    model: Any
    path: Path
    tokenizer: PreTrainedTokenizerBase
    template: Template
    recipe: Recipe
    sampling: Sampling
    folder: Folder
    tokens_per_batch: Callable[[], int]
    attend: Callable[[], None] = _nothing
    precision: Callable[[], AbstractContextManager[object]] = nullcontext
    emit: Callable[[Event], None] = _nothing
    note: Callable[[str], None] = _nothing
    warn: Callable[..., None] = _nothing
    progress: Callable[[str, int, int | None], None] = _nothing
    token: Callable[[int], None] = _nothing
    phase: Callable[[str, str], None] = _nothing
    step: Callable[[], int] = lambda: 0


class Stage:
    """A training objective; what a stage does not say is as for supervised fine-tuning.

    `reference` is the model as it was before training, set by the engine before `begin` where it is needed.
    """

    name: ClassVar[str]
    reference: Reference | None = None

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    @property
    def needs_reference(self) -> bool:
        """Whether `reference` must be set before a training."""
        return False

    @property
    def steps_per_batch(self) -> int:
        """How many optimizer steps are made of one batch of the data set, one after another."""
        return 1

    @property
    def batches_per_step(self) -> int:
        """How many times `rows_per_step` examples make one batch of the data set."""
        return 1

    @property
    def longer_by(self) -> int:
        """How many tokens a stage puts behind the longest sequence of the data (its own answers)."""
        return 0

    def groups(self, example: Example) -> list[Sequence[Row]]:
        """Return the sequences of an example; those of one group share the computation of their common beginning."""
        return [(row,) for row in example.sequences]

    def pieces(self, example: Example, path: Path, most: int) -> Sequence[Example]:
        """Return the examples that stand for one of more than `most` tokens: itself, where it cannot be divided."""
        return (example,)

    def items(self, examples: Sequence[Example]) -> int:
        """Return the loss denominator of a whole optimizer step."""
        raise NotImplementedError

    def part_loss(self, model: nn.Module, examples: Sequence[Example], path: Path) -> Part:
        """Return the summed loss of `examples` in one forward."""
        raise NotImplementedError

    # What only some stages need

    def prepare(self, model: Any) -> Any:
        """Add what the stage trains beside the model (a value head); called once the method has prepared it."""
        return model

    def begin(self, around: Surroundings, train: Examples, evaluation: Examples | None) -> None:
        """Make ready before the first step, also after a resume (then `load` has been called)."""

    def before_step(self, examples: Sequence[Example], step: int) -> Sequence[Example]:
        """Return what optimizer step `step` (from 1) learns from: the examples, or what was made of them.

        Called anew, with fewer tokens at once, when memory runs out in it: remember things only at its end.
        """
        return examples

    def after_step(self, step: int) -> None:
        """Take note that optimizer step `step` was made."""

    def evaluation_examples(self, examples: Sequence[Example]) -> Sequence[Example]:
        """Return what an evaluation measures, for a few held-out examples."""
        return examples

    def end_of_evaluation(self) -> dict[str, float]:
        """Return figures of the evaluation that has just ended, which are no means over its items."""
        return {}

    def save(self, model: Any, folder: Folder, *, exact: bool) -> None:
        """Write what belongs to the stage into a checkpoint (exact) or a result."""

    def load(self, model: Any, folder: Folder, *, best: bool = False) -> None:
        """Read what `save` wrote with `exact`; best: only the weights, for the best checkpoint at the end."""
