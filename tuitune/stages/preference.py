"""Learning from pairs of a better and a worse answer: DPO and its kin, ORPO, SimPO.

A step's loss is the mean over its pairs. Both answers of a pair lie in one group, so that their prompt is computed
once. The reference drops nothing; whether the model that learns does is the recipe's word (trl switches dropout off).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import torch

from tuitune.models.flat import labelled
from tuitune.models.generate import in_evaluation
from tuitune.recipe.fields.preference import preference_loss
from tuitune.stages import preference_losses as costs
from tuitune.stages.base import Figure, Part, Stage, Surroundings
from tuitune.stages.cut import cut
from tuitune.stages.preference_losses import Pairs
from tuitune.stages.reference_sums import ReferenceSums
from tuitune.stages.running_mean import RunningMean

if TYPE_CHECKING:
    from pathlib import Path as Folder
    from typing import Any

    from torch import Tensor, nn

    from tuitune.data import Example, Examples, Row
    from tuitune.models.paths import Path, Reading
    from tuitune.recipe import Recipe

_FREE = ("orpo", "simpo")  # losses without a reference
AVERAGED = ("ipo", *_FREE)  # losses of mean log probabilities
_SHIFT = "reward_shift.json"


class Preference(Stage):
    """The stage dpo; its `pref_loss` orpo and simpo are the stages of these names.

    Reference, beta and figures are as in trl; ipo, pref_ftx and pref_bco_weight are as in LLaMA-Factory. LD-DPO weighs
    the tokens of the reference too, as trl does: then a model that has not moved yet has reward 0.
    """

    name: ClassVar[str] = "dpo"

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.loss = preference_loss(recipe)
        self._asked = ReferenceSums(self, self.sums, facts=recipe.ld_alpha)
        self._around: Surroundings | None = None
        self._baselines = (0.0, 0.0)
        self._references: dict[int, Tensor] = {}
        self._evaluated: list[Pairs] = []
        self._shift = RunningMean()
        self._seen: dict[int, Tensor] = {}

    @property
    def needs_reference(self) -> bool:
        """Whether `reference` must be set before a training."""
        return self.loss not in _FREE

    def groups(self, example: Example) -> list[Sequence[Row]]:
        """Return both answers as one group; nothing for a pair of which one answer was cut off entirely."""
        return [example.sequences] if all(labelled(row["labels"]) for row in example.sequences) else []

    def items(self, examples: Sequence[Example]) -> int:
        """Return the number of pairs."""
        return sum(bool(self.groups(example)) for example in examples)

    def begin(self, around: Surroundings, train: Examples, evaluation: Examples | None) -> None:
        """Make the reference ready."""
        self._around = around
        self._asked.begin(around, train, evaluation)

    # The loss of some pairs

    def part_loss(self, model: nn.Module, examples: Sequence[Example], path: Path) -> Part:
        """Return the summed loss of the pairs."""
        before = self._before(model, examples, path)  # first, while no activations are held
        reading = path.read(model, [group for example in examples for group in self.groups(example)])
        scores = reading.scores(entropy=False)
        pairs = self._pairs(reading, scores.values, before, examples)
        if model.training:
            self._remember(examples, pairs)
        elif self.loss == "kto_pair":
            self._evaluated.append(pairs)
        loss = self.losses(pairs, self._baselines).sum()
        return Part(loss, reading.tokens, len(reading.targets), scores.correct.sum(), self._figures(pairs))

    def _before(self, model: nn.Module, examples: Sequence[Example], path: Path) -> Tensor | None:
        """Return the log probability of each answer under the reference (answers,), None for losses without one."""
        if not self.needs_reference:
            return None
        if model.training and self._references:
            return torch.cat([self._references[id(example)] for example in examples])
        return self._asked.of(model, path, examples)

    def sums(self, reading: Reading, values: Tensor, examples: Sequence[Example]) -> Tensor:
        """Return the log probability of each answer (answers,); values (N,) are those of its tokens.

        ld_alpha: weight of the tokens of an answer beyond the length of the other (LD-DPO, arXiv 2409.06411).
        """
        alpha = self.recipe.ld_alpha if self.needs_reference else None
        if alpha is None:
            return reading.sums(values)
        lengths = reading.lengths
        place = torch.arange(len(values), device=values.device) - (lengths.cumsum(0) - lengths)[reading.owner]
        shorter = lengths.view(-1, 2).amin(1).repeat_interleave(2)
        beyond = place >= shorter[reading.owner]
        return reading.sums(values.double() * torch.ones_like(values, dtype=torch.float64).masked_fill(beyond, alpha))

    def _pairs(self, reading: Reading, values: Tensor, before: Tensor | None, examples: Sequence[Example]) -> Pairs:
        now, lengths = self.sums(reading, values, examples), reading.lengths
        if self.loss in AVERAGED:
            now, before = now / lengths, None if before is None else before / lengths
        ratios = now if before is None else now - before
        shown, likelihood = now.detach(), reading.sums(values) / lengths
        return Pairs(ratios[0::2], ratios[1::2], (shown[0::2], shown[1::2]), likelihood[0::2])

    def losses(self, pairs: Pairs, baselines: tuple[float, float]) -> Tensor:
        """Return the loss of each pair, with what pref_bco_weight and pref_ftx add."""
        recipe, loss = self.recipe, self._main_losses(pairs, baselines)
        if weight := recipe.pref_bco_weight:
            more = costs.bco(pairs.chosen, pairs.rejected, recipe.pref_beta, self._shift.mean)
            loss = (loss + weight * more) / (1 + weight)
        return loss - recipe.pref_ftx * pairs.likelihood if recipe.pref_ftx else loss

    def _main_losses(self, pairs: Pairs, baselines: tuple[float, float]) -> Tensor:
        recipe, beta, smoothing = self.recipe, self.recipe.pref_beta, self.recipe.dpo_label_smoothing
        margin = pairs.chosen - pairs.rejected
        match self.loss:
            case "hinge":
                return costs.hinge(margin, beta)
            case "ipo":
                return costs.ipo(margin, beta)
            case "robust":
                return costs.robust(margin, beta, smoothing)
            case "kto_pair":
                weights = recipe.kto_chosen_weight, recipe.kto_rejected_weight
                return costs.kto_pair(pairs.chosen, pairs.rejected, beta, baselines, weights)
            case "simpo":
                return costs.simpo(pairs.chosen, pairs.rejected, beta, recipe.simpo_gamma)
            case "orpo":
                return beta * costs.odds_ratio(pairs.chosen, pairs.rejected) - pairs.chosen
        return costs.sigmoid(margin, beta, smoothing)

    def _figures(self, pairs: Pairs) -> dict[str, Figure]:
        """Return trl's figures, and for orpo the two parts of its loss."""
        chosen, rejected = pairs.chosen.detach(), pairs.rejected.detach()
        beta, count = self.recipe.pref_beta, len(chosen)
        shown = {
            "rewards/chosen": beta * chosen,
            "rewards/rejected": beta * rejected,
            "rewards/accuracies": (beta * chosen > beta * rejected).double(),
            "rewards/margins": beta * (chosen - rejected),
            "logps/chosen": pairs.logps[0],
            "logps/rejected": pairs.logps[1],
        }
        if self.loss == "orpo":
            shown |= {"odds_ratio_loss": costs.odds_ratio(chosen, rejected), "sft_loss": -chosen}
        return {name: (values.sum(), count) for name, values in shown.items()}

    # What a whole step must know (kto_pair), and what all steps before it came to (pref_bco_weight)

    def before_step(self, examples: Sequence[Example], step: int) -> Sequence[Example]:
        """Read the baselines of the step's pairs where the loss has some; return the examples."""
        self._seen = {}
        if self.loss == "kto_pair":
            self._baselines, self._references = self._look(examples)
        return examples

    @torch.no_grad()
    def _look(self, examples: Sequence[Example]) -> tuple[tuple[float, float], dict[int, Tensor]]:
        """Return the baselines, and what the reference says of each pair, by the identity of the example."""
        around = self._around
        assert around is not None
        ratios: list[Pairs] = []
        references: dict[int, Tensor] = {}
        for part in cut(examples, self, around.path, around.tokens_per_batch()):
            around.attend()
            before = self._asked.of(around.model, around.path, part)
            references |= {id(example): before[2 * i : 2 * i + 2] for i, example in enumerate(part)}
            with around.precision(), in_evaluation(around.model):
                reading = around.path.read(around.model, [example.sequences for example in part])
                ratios.append(self._pairs(reading, reading.scores(entropy=False).values, before, part))
        return costs.baselines(ratios), references

    def end_of_evaluation(self) -> dict[str, float]:
        """Return the loss of kto_pair with the baselines of all evaluated pairs, which no part of them could know."""
        seen, self._evaluated = self._evaluated, []
        if not seen:
            return {}
        losses = [self.losses(pairs, costs.baselines(seen)) for pairs in seen]
        return {"loss": float(torch.cat(losses).mean())}

    def _remember(self, examples: Sequence[Example], pairs: Pairs) -> None:
        if self.recipe.pref_bco_weight:  # by example: a step may be repeated with another cut
            means = self.recipe.pref_beta * (pairs.chosen + pairs.rejected).detach() / 2
            self._seen |= {id(example): mean for example, mean in zip(examples, means, strict=True)}

    def after_step(self, step: int) -> None:
        """Take the mean reward of the step into the shift, which is that of the steps before."""
        if self._seen:
            self._shift.add(float(torch.stack(list(self._seen.values())).mean()))

    def save(self, model: Any, folder: Folder, *, exact: bool) -> None:
        """Write into a checkpoint the shift, and what the reference has said."""
        if exact and self.recipe.pref_bco_weight:
            self._shift.save(folder / _SHIFT)
        if exact:
            self._asked.save(folder)

    def load(self, model: Any, folder: Folder, *, best: bool = False) -> None:
        """Read both."""
        if self.recipe.pref_bco_weight and not best:
            self._shift.load(folder / _SHIFT)
        if not best:
            self._asked.load(folder)


class Orpo(Preference):
    """The stage of that name."""

    name: ClassVar[str] = "orpo"


class Simpo(Preference):
    """The stage of that name."""

    name: ClassVar[str] = "simpo"
