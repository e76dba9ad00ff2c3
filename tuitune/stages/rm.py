"""Reward modelling: a score for an answer, learnt from pairs of a better and a worse one (arXiv 2203.02155, eq. 1)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from torch.nn.functional import logsigmoid

from tuitune.methods.adapters import adapter_folder
from tuitune.models import valued
from tuitune.models.flat import labelled
from tuitune.stages.base import Figure, Part, Stage

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tuitune.data import Example, Row
    from tuitune.models.paths import Path as ModelPath
    from tuitune.recipe import Recipe


class RewardModel(Stage):
    """-log sigmoid(score of the better answer - score of the worse), the mean over the pairs of a step.

    The score is the value head's number at the last token of prompt and answer, whatever token that is.
    """

    name: ClassVar[str] = "rm"

    def groups(self, example: Example) -> list[Sequence[Row]]:
        """Return the pair, whose prompt is computed once; nothing where one answer was cut off entirely."""
        if not all(labelled(row["labels"]) for row in example.sequences):
            return []
        return [[valued.closing(row["input_ids"]) for row in example.sequences]]

    def items(self, examples: Sequence[Example]) -> int:
        """Return the number of pairs."""
        return sum(bool(self.groups(example)) for example in examples)

    def part_loss(self, model: nn.Module, examples: Sequence[Example], path: ModelPath) -> Part:
        """Return the summed loss of the pairs; both answers of a pair count as one labelled token each."""
        scores, reading = valued.last(model, path, [example.sequences for example in examples], valued.head_of(model))
        chosen, rejected = scores.view(-1, 2).unbind(1)
        loss = -logsigmoid(chosen - rejected).sum()
        right = (chosen > rejected).sum()
        return Part(loss, reading.tokens, 2 * len(examples), 2 * right, figures(chosen.detach(), rejected.detach()))

    def prepare(self, model: Any) -> Any:
        """Add the value head: that of the reward model that is trained on, or a new one."""
        made, folder = valued.attach(model), begun_from(model, self.recipe)
        if (folder / valued.FILE).is_file():
            valued.load(made, folder)
        return made

    def save(self, model: Any, folder: Path, *, exact: bool) -> None:
        """Write the value head."""
        valued.save(model, folder)

    def load(self, model: Any, folder: Path, *, best: bool = False) -> None:
        """Read the value head."""
        valued.load(model, folder)


def begun_from(model: Any, recipe: Recipe) -> Path:
    """Return the folder of the adapter that the training goes on from, or that of the model itself."""
    if recipe.adapter_name_or_path:
        return adapter_folder(recipe, recipe.adapter_name_or_path[-1])
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return Path(base.name_or_path)


def figures(chosen: Tensor, rejected: Tensor) -> dict[str, Figure]:
    """Return trl's figures of pairs with these rewards (pairs,), detached."""
    return {
        "rewards/chosen": (chosen.sum(), len(chosen)),
        "rewards/rejected": (rejected.sum(), len(chosen)),
        "rewards/accuracies": ((chosen > rejected).double().sum(), len(chosen)),
        "rewards/margins": ((chosen - rejected).sum(), len(chosen)),
    }
