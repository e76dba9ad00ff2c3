"""KTO (Ethayarajh et al., arXiv 2402.01306): learning from single answers that are called good or bad.

An answer's reward is measured from a baseline: how far the model has moved from the reference on answers that do not
belong to their prompts. The baseline is that of a whole optimizer step, read before it without a gradient, so that the
loss does not depend on how the step is cut; in an evaluation it is that of all held-out examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from tuitune.models.generate import in_evaluation
from tuitune.stages.base import Figure, Part, Stage, Surroundings
from tuitune.stages.cut import cut
from tuitune.stages.reference_sums import ReferenceSums

if TYPE_CHECKING:
    from pathlib import Path as Folder

    from torch import Tensor, nn

    from tuitune.data import Example, Examples, Row
    from tuitune.models.paths import Path
    from tuitune.recipe import Recipe


class _WithMismatched(Stage):
    """What is read without a gradient: each answer, and with the same prompt the one that does not belong to it."""

    def groups(self, example: Example) -> list[Sequence[Row]]:
        """Return both, whose prompt is computed once."""
        return [example.sequences]


@dataclass(frozen=True)
class _Known:
    """What holds for all examples that are learnt from, or evaluated, together.

    reference: log probability of each answer under the reference, by the example's index. kl: the baseline. good, bad:
    how many examples there are.
    """

    reference: dict[int, float]
    kl: float
    good: int
    bad: int


@dataclass(frozen=True)
class _Seen:
    """An evaluated example: its label, its log ratio, and what pref_ftx adds to its loss."""

    good: bool
    ratio: float
    more: float


class Kto(Stage):
    """1 - sigmoid(beta * (log ratio - KL)) for a good answer, with both signs turned for a bad one (equation 8).

    pref_ftx adds the mean loss per token of each good answer. Everything is averaged over all examples of a step, as in
    LLaMA-Factory with one row in a micro-batch; with more its pref_ftx depends on how a step is cut.
    """

    name: ClassVar[str] = "kto"

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self._both = _WithMismatched(recipe)
        self._asked = ReferenceSums(self._both)
        self._around: Surroundings | None = None
        self._known = _Known({}, 0.0, 0, 0)
        self._moved: dict[int, float] = {}
        self._evaluated: dict[int, _Seen] = {}

    @property
    def needs_reference(self) -> bool:
        """Whether `reference` must be set before a training."""
        return True

    def items(self, examples: Sequence[Example]) -> int:
        """Return the number of examples."""
        return len(examples)

    def groups(self, example: Example) -> list[Sequence[Row]]:
        """Return the answer alone: the mismatched one is read without a gradient."""
        return [example.sequences[:1]]

    def begin(self, around: Surroundings, train: Examples, evaluation: Examples | None) -> None:
        """Make the reference ready."""
        self._around = around
        self._both.reference = self.reference
        self._asked.begin(around, train, evaluation)
        self.reference = self._both.reference  # let go of once everything is known

    def save(self, model: Any, folder: Folder, *, exact: bool) -> None:
        """Write what the reference has said into a checkpoint."""
        if exact:
            self._asked.save(folder)

    def load(self, model: Any, folder: Folder, *, best: bool = False) -> None:
        """Read it."""
        if not best:
            self._both.reference = self.reference
            self._asked.load(folder)

    # The baseline

    def before_step(self, examples: Sequence[Example], step: int) -> Sequence[Example]:
        """Read the baseline and the reference's log probabilities; return the examples."""
        self._known = self._look(examples)[0]
        return examples

    def evaluation_examples(self, examples: Sequence[Example]) -> Sequence[Example]:
        """Do the same for a part of an evaluation."""
        self._known, moved = self._look(examples)
        self._moved |= dict(moved)
        return examples

    @torch.no_grad()
    def _look(self, examples: Sequence[Example]) -> tuple[_Known, list[tuple[int, float]]]:
        """Return what is known of the examples, and how far the model has moved on the mismatched answer of each."""
        around = self._around
        assert around is not None
        reference: dict[int, float] = {}
        moved: list[tuple[int, float]] = []
        for part in cut(examples, self._both, around.path, around.tokens_per_batch()):
            around.attend()
            before = self._asked.of(around.model, around.path, part).view(-1, 2)
            now = _mismatched(around, part)
            for example, own, far in zip(part, before[:, 0].tolist(), (now - before[:, 1]).tolist(), strict=True):
                reference[example.index] = own
                moved.append((example.index, far))
        good = sum(bool(example.desirable) for example in examples)
        return _Known(reference, baseline([far for _, far in moved]), good, len(examples) - good), moved

    # The loss

    def part_loss(self, model: nn.Module, examples: Sequence[Example], path: Path) -> Part:
        """Return the summed loss of the answers."""
        reading = path.read(model, [group for example in examples for group in self.groups(example)])
        scores = reading.scores(entropy=False)
        sums = reading.sums(scores.values)
        good = torch.tensor([bool(example.desirable) for example in examples], device=sums.device)
        ratios = sums - sums.new_tensor([self._known.reference[example.index] for example in examples])
        more = -self.recipe.pref_ftx * sums / reading.lengths * good
        loss = self.losses(ratios, good, self._known.kl) + more
        if not model.training:
            seen = zip(examples, good.tolist(), ratios.tolist(), more.tolist(), strict=True)
            self._evaluated |= {example.index: _Seen(*values) for example, *values in seen}
        rewards = self.recipe.pref_beta * ratios.detach()
        return Part(
            loss.sum(), reading.tokens, len(reading.targets), scores.correct.sum(),
            self._figures(rewards, sums.detach(), good),
        )  # fmt: skip

    def losses(self, ratios: Tensor, good: Tensor, kl: float) -> Tensor:
        """Return the loss of each answer from its log ratio (answers,), its label and the baseline."""
        recipe = self.recipe
        better = torch.where(good, ratios - kl, kl - ratios)
        return _each(good, recipe.kto_chosen_weight, recipe.kto_rejected_weight) * (
            1 - torch.sigmoid(recipe.pref_beta * better)
        )

    def _figures(self, rewards: Tensor, logps: Tensor, good: Tensor) -> dict[str, Figure]:
        """Return trl's figures; those of one kind are means over the examples of that kind."""
        known, found = self._known, dict[str, Figure]()
        for kind, mask in (("chosen", good), ("rejected", ~good)):
            if count := int(mask.sum()):
                found[f"rewards/{kind}"] = (rewards[mask].sum(), count)
                found[f"logps/{kind}"] = (logps[mask].sum(), count)
        if known.good and known.bad:  # so that the parts of a step add up to the difference of its two means
            total = known.good + known.bad
            signs = _each(good, total / known.good, -total / known.bad)
            found["rewards/margins"] = ((signs * rewards).sum(), len(good))
        found["kl"] = (rewards.new_tensor(known.kl * len(good)), len(good))
        return found

    # Evaluation

    def end_of_evaluation(self) -> dict[str, float]:
        """Return loss, baseline and margin of all examples together, which no part of them could know."""
        seen = list(self._evaluated.values())
        if not seen:
            return {}
        good = torch.tensor([each.good for each in seen])
        ratios, more = (
            torch.tensor(v, dtype=torch.float64) for v in zip(*((e.ratio, e.more) for e in seen), strict=True)
        )
        kl = baseline(list(self._moved.values()))
        found = {"loss": float((self.losses(ratios, good, kl) + more).mean()), "kl": kl}
        if good.any() and not good.all():
            found["rewards/margins"] = self.recipe.pref_beta * float(ratios[good].mean() - ratios[~good].mean())
        self._moved, self._evaluated = {}, {}
        return found


def _mismatched(around: Surroundings, examples: Sequence[Example]) -> Tensor:
    """Return the log probability of each example's mismatched answer (examples,) under the model as it is now."""
    with around.precision(), in_evaluation(around.model):
        reading = around.path.read(around.model, [example.sequences[1:] for example in examples])
        return reading.sums(reading.scores(entropy=False).values)


def _each(good: Tensor, wanted: float, other: float) -> Tensor:
    """Return one number for the good examples and another for the rest, in float64."""
    return torch.where(good, good.new_tensor(wanted, dtype=torch.float64), other)


def baseline(moved: Sequence[float]) -> float:
    """Return how far the model has moved on answers that do not belong to their prompts, at least 0."""
    return max(0.0, sum(moved) / max(1, len(moved)))
