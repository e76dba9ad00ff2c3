"""GRPO: several answers to each prompt, each judged against its sisters.

Shao et al., "DeepSeekMath" (arXiv 2402.03300); what the loss is averaged over: Liu et al. (arXiv 2503.20783, dr_grpo),
Yu et al. (arXiv 2503.14476, dapo). The numbers are those of trl's trainer, with averages over the whole optimizer step:
the gradient does not depend on how a step, or the answers to one prompt, were cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from tuitune.models.flat import labelled
from tuitune.stages.base import Part, Stage
from tuitune.stages.online import groups, samples
from tuitune.stages.online.clipping import surrogate
from tuitune.stages.online.draws import step_seed
from tuitune.stages.online.figures import clip_ratios, of_answers, spread
from tuitune.stages.online.groups import Group
from tuitune.stages.online.groupwise import relative
from tuitune.stages.online.reading import told
from tuitune.stages.online.rewards import has_answers, rewards_of
from tuitune.stages.online.rollout import answers, sampling_of, say_sampling

if TYPE_CHECKING:
    from pathlib import Path as Folder

    from torch import Tensor, nn

    from tuitune.data import Example, Examples, Row
    from tuitune.models.paths import Path, Reading
    from tuitune.stages.base import Figure, Surroundings
    from tuitune.stages.online.rewards import Rewards

_ALIKE = 5  # batches without a difference after which the user is told


class Grpo(Stage):
    """The clipped policy gradient of answers whose advantage is their reward relative to their group's."""

    name: ClassVar[str] = "grpo"
    _around: Surroundings
    _rewards: Rewards
    _temperature: float = 1.0
    _held: Sequence[Group] = ()  # answers that further steps learn from ...
    _first = 0  # ... the first of them being this one
    _loaded: dict[str, Any] | None = None
    _alike = 0

    @property
    def needs_reference(self) -> bool:
        """Whether `reference` must be set before a training."""
        return self.recipe.grpo_beta > 0

    @property
    def steps_per_batch(self) -> int:
        """How many optimizer steps are made of one batch of the data set, one after another."""
        return self.recipe.num_iterations

    @property
    def longer_by(self) -> int:
        """How many tokens an answer may add to a sequence of the data."""
        return self.recipe.max_new_tokens

    def groups(self, example: Example) -> list[Sequence[Row]]:
        """Return the answers to one prompt together: the prompt is computed once."""
        return [example.sequences]

    def pieces(self, example: Example, path: Path, most: int) -> Sequence[Example]:
        """Return the answers in parts of at most `most` tokens."""
        return groups.divided(example, path, most) if isinstance(example, Group) else (example,)

    def items(self, examples: Sequence[Example]) -> int:
        """Return what the loss is divided by: answers, their tokens, or as many as they could have had."""
        rows = [row for example in examples for row in example.sequences]
        match self.recipe.grpo_loss:
            case "grpo":
                return len(rows)
            case "dr_grpo":
                return len(rows) * self.recipe.max_new_tokens
        return sum(labelled(row["labels"]) for row in rows)

    # The loss

    def part_loss(self, model: nn.Module, examples: Sequence[Example], path: Path) -> Part:
        """Return the summed loss of groups of answers."""
        made = [example for example in examples if isinstance(example, Group)]
        reading = path.read(model, [group.sequences for group in made])
        scores = reading.scores(self._temperature)
        new = scores.values
        old = _stored([group.old for group in made], new)
        advantages = torch.tensor([a for group in made for a in group.advantages], dtype=new.dtype, device=new.device)
        moved = old is not None
        old = new.detach() if old is None else old
        loss, figures = self._policy(reading, new, old, advantages, moved=moved)
        reference = _stored([group.reference for group in made], new)
        if reference is not None:
            more, figures["kl"] = self._penalty(reading, new, old, reference)
            loss = loss + more
        figures["entropy"] = (scores.entropy.sum(), len(new))
        for name, (value, count) in ((n, f) for group in made for n, f in group.figures.items()):
            figures[name] = (new.new_tensor(value, dtype=torch.float64), count)
        return Part(loss, reading.tokens, len(new), scores.correct.sum(), figures)

    def _policy(
        self, reading: Reading, new: Tensor, old: Tensor, advantages: Tensor, *, moved: bool
    ) -> tuple[Tensor, dict[str, Figure]]:
        """Return the summed loss, and shares of clipped tokens where the weights have moved since the answers."""
        mine = advantages[reading.owner]
        loss, clipped = surrogate(new, old, mine, *self._bounds())
        return self._added_up(reading, loss), clip_ratios(clipped, mine) if moved else {}

    def _penalty(self, reading: Reading, new: Tensor, old: Tensor, reference: Tensor) -> tuple[Tensor, Figure]:
        """Return the summed KL to the reference, weighed, and its figure.

        Schulman's k3, never negative, times the ratio: so its gradient is that of the KL (DeepSeek-V3.2, arXiv
        2512.02556, section 3.1), which k3 alone has not.
        """
        apart = reference - new
        kl = (apart.exp() - apart - 1) * (new - old).exp()
        return self.recipe.grpo_beta * self._added_up(reading, kl), (kl.detach().sum(), len(kl))

    def _added_up(self, reading: Reading, tokens: Tensor) -> Tensor:
        """Return the sum over all tokens (N,), or over the means of the answers."""
        sums = reading.sums(tokens)
        return (sums / reading.lengths.clamp(min=1) if self.recipe.grpo_loss == "grpo" else sums).sum()

    def _bounds(self) -> tuple[float, float]:
        low, high = self.recipe.grpo_epsilon, self.recipe.grpo_epsilon_high
        return low, low if high is None else high

    # Answers

    def begin(self, around: Surroundings, train: Examples, evaluation: Examples | None) -> None:
        """Make the rewards ready."""
        self._around = around
        self._temperature = sampling_of(around).temperature
        has_answers(self.recipe, train)
        say_sampling(around, train.longest)
        self._rewards = rewards_of(around)
        if self._loaded is not None:
            self._rewards.compare(self._loaded["rewards"], around.warn)

    def before_step(self, examples: Sequence[Example], step: int) -> Sequence[Example]:
        """Return the answers of the weights to the prompts: new ones, or those that this batch has already."""
        if not self._first <= step < self._first + self.steps_per_batch or not self._held:
            self._held = self._answered(examples, step)
            self._first = step
        return self._held

    def evaluation_examples(self, examples: Sequence[Example]) -> Sequence[Example]:
        """Return one answer to each prompt, always sampled alike; nothing is better or worse than its sisters."""
        given = answers(self._around, examples, 1, step_seed(self.recipe.seed, 0))
        judged = self._rewards(given)
        rows = [(groups.row_of(answer),) for answer in given]
        reference = self._logps(rows, of_reference=True) if self.needs_reference else [()] * len(rows)
        return [
            Group(
                row, example.index, advantages=(0.0,), reference=found, figures={} if i else of_answers(judged, given)
            )
            for i, (row, example, found) in enumerate(zip(rows, examples, reference, strict=True))
        ]

    def _answered(self, examples: Sequence[Example], step: int) -> list[Group]:
        around, count = self._around, self.recipe.num_generations
        given = answers(around, examples, count, step_seed(self.recipe.seed, step))
        judged = self._rewards(given)
        rows = [tuple(map(groups.row_of, given[at : at + count])) for at in range(0, len(given), count)]
        none: list[tuple[Tensor, ...]] = [()] * len(rows)
        old = self._logps(rows) if self._needs_old else none
        reference = self._logps(rows, of_reference=True) if self.needs_reference else none
        rewards = torch.tensor(judged.totals, dtype=torch.float64).view(-1, count)
        advantages, more = self._judged(rewards, old, reference)
        figures = of_answers(judged, given) | spread(rewards) | more
        self._say_alike(figures)
        samples.show(around, step, given, judged.totals, judged.parts, count)
        keeps, asks = self.steps_per_batch > 1, self._in_loss
        return [
            Group(
                rows[i], example.index, advantages=tuple(advantages[i].tolist()), old=old[i] if keeps else (),
                reference=reference[i] if asks else (), figures={} if i else figures,
            )
            for i, example in enumerate(examples)
        ]  # fmt: skip

    def _say_alike(self, figures: Mapping[str, tuple[float, float]]) -> None:
        """Warn, once, when for several batches no answer was worth more than its sisters."""
        alike, prompts = figures["frac_reward_zero_std"]
        self._alike = self._alike + 1 if alike == prompts else 0
        if self._alike == _ALIKE:
            self._around.warn(
                f"in the last {_ALIKE} batches all answers to a prompt were worth the same: they teach nothing",
                "look at the answers; choose rewards that tell them apart, easier or harder prompts, or more of "
                "num_generations",
            )

    _in_loss: ClassVar[bool] = True  # whether the KL to the reference is a part of the loss

    @property
    def _needs_old(self) -> bool:
        return self.steps_per_batch > 1

    def _judged(
        self, rewards: Tensor, old: Sequence[Sequence[Tensor]], reference: Sequence[Sequence[Tensor]]
    ) -> tuple[Tensor, dict[str, tuple[float, float]]]:
        """Return advantages (prompts, answers) and what else is known of the answers."""
        return relative(rewards, self.recipe.scale_rewards), {}

    def _logps(self, rows: Sequence[Sequence[Row]], *, of_reference: bool = False) -> list[tuple[Tensor, ...]]:
        """Return the log probabilities of each group's answers."""
        reference = self.reference if of_reference else None
        found = iter(told(self._around, rows, temperature=self._temperature, reference=reference))
        return [tuple(next(found).logps for _ in group) for group in rows]

    # Checkpoints

    def save(self, model: Any, folder: Folder, *, exact: bool) -> None:
        """Write the answers that the next step learns from too, and which rewards judged them."""
        if exact:
            following = self._around.step() + 1
            needed = self._first < following < self._first + self.steps_per_batch
            plain = {"rewards": self._rewards.state(), "first": self._first}
            groups.save(folder, self._held if needed else (), plain)

    def load(self, model: Any, folder: Folder, *, best: bool = False) -> None:
        """Read them."""
        if not best and (found := groups.load(folder)) is not None:
            self._held, self._loaded = found
            self._first = self._loaded["first"]


def _stored(parts: Sequence[Sequence[Tensor]], like: Tensor) -> Tensor | None:
    """Return the log probabilities of all answers (N,) as `like`, or None where there are none."""
    found = [logps for part in parts for logps in part]
    return torch.cat(found).to(like) if found else None
