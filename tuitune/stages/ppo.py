"""Proximal policy optimisation: answers of the model itself, judged, learned from a few times, and given anew.

Schulman et al. (arXiv 1707.06347) as Ziegler et al. (arXiv 1909.08593) use it for language models: one answer to each
prompt, a token is an action, the KL to the model before training is a penalty on every token, and a value head on the
policy itself says what was to be expected.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from tuitune.models import valued
from tuitune.stages.base import Figure, Part, Stage
from tuitune.stages.online import rollout, samples, store
from tuitune.stages.online.advantages import Controller
from tuitune.stages.online.clipping import surrogate, value_loss
from tuitune.stages.online.draws import step_seed
from tuitune.stages.online.experience import Lesson, Tried, figures_of, judged_of, numbers_of, tried_of
from tuitune.stages.online.groups import row_of
from tuitune.stages.online.reading import Told, told
from tuitune.stages.online.rewards import Rewards, rewards_of

if TYPE_CHECKING:
    from pathlib import Path as Folder

    from torch import nn

    from tuitune.data import Example, Examples
    from tuitune.models.paths import Path
    from tuitune.recipe import Recipe
    from tuitune.stages.base import Surroundings
    from tuitune.stages.online.answer import Answer


class Ppo(Stage):
    """One buffer of answers makes `ppo_epochs` x `ppo_buffer_size` optimizer steps."""

    name: ClassVar[str] = "ppo"
    _around: Surroundings
    _rewards: Rewards

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self._kept = store.Kept(weight=recipe.ppo_kl_coef)
        self._rewards_then: dict[str, Any] | None = None
        self._first = True  # of this attempt's buffers

    @property
    def needs_reference(self) -> bool:
        """Whether anything holds the policy to where it came from."""
        return self.recipe.ppo_kl_coef > 0

    @property
    def steps_per_batch(self) -> int:
        """How many optimizer steps a buffer makes."""
        return self.recipe.ppo_epochs * self.recipe.ppo_buffer_size

    @property
    def batches_per_step(self) -> int:
        """How many steps' worth of prompts a buffer holds."""
        return self.recipe.ppo_buffer_size

    @property
    def longer_by(self) -> int:
        """How much longer an answer makes a prompt."""
        return self.recipe.max_new_tokens

    def prepare(self, model: Any) -> Any:
        """Add the value head; it begins with 0 everywhere, so that at first rewards alone count."""
        torch.nn.init.zeros_(valued.head_of(valued.attach(model)).summary.weight)
        return model

    def begin(self, around: Surroundings, train: Examples, evaluation: Examples | None) -> None:
        """Load what judges the answers."""
        self._around, self._rewards = around, rewards_of(around)
        self._temperature = rollout.sampling_of(around).temperature
        if self._rewards_then is not None:
            self._rewards.compare(self._rewards_then, around.warn)
        rollout.say_sampling(around, max(rows.longest for rows in (train, evaluation) if rows is not None))

    # A buffer

    def before_step(self, examples: Sequence[Example], step: int) -> Sequence[Example]:
        """Return the answers that this step learns from; the first step of a buffer has them given and judged."""
        first = step - (step - 1) % self.steps_per_batch
        if self._kept.first != first:
            self._kept = self._answered(examples, first)
        if step == first:
            self._show(examples)
        lessons, rows = self._kept.lessons, len(self._kept.lessons) // self.batches_per_step
        turn, place = divmod(step - first, self.batches_per_step)
        order = torch.randperm(len(lessons), generator=torch.Generator().manual_seed(self._seed(first, 1 + turn)))
        return [lessons[i] for i in order[place * rows : (place + 1) * rows].tolist()]

    def _seed(self, step: int, turn: int = 0) -> int:
        return step_seed(step_seed(self.recipe.seed, step), turn)

    def _answered(self, prompts: Sequence[Example], first: int) -> store.Kept:
        """Return a new buffer; nothing of the stage changes on the way, which a stop may end anywhere."""
        kept = self._kept
        answers = rollout.answers(self._around, prompts, 1, self._seed(first))
        judged = self._rewards(answers)
        said, reference = self._asked(answers, valued=True)
        tried = tried_of(answers, judged, said, reference)
        scores = torch.tensor([0.0 if math.isnan(one.score) else one.score for one in tried], dtype=torch.float64)
        running = kept.running
        if self.recipe.ppo_score_norm:
            running = running.after(scores)
            scores = running.normal(scores)
        numbers = numbers_of(said, reference, scores.tolist(), kept.weight, self.recipe)
        lessons = tuple(one.learned(own, kept.weight) for one, own in zip(tried, numbers, strict=True))
        return store.Kept(first, lessons, self._next_weight(tried), running)

    def _asked(
        self, answers: Sequence[Answer], *, valued: bool = False, entropy: bool = False
    ) -> tuple[list[Told], list[Told] | None]:
        """Return what the model says of answers, and what the reference does."""
        group, around = [row_of(answer) for answer in answers], self._around
        said = told(around, [group], temperature=self._temperature, valued=valued, entropy=entropy)
        if self.reference is None:
            return said, None
        return said, told(around, [group], temperature=self._temperature, reference=self.reference)

    def _next_weight(self, tried: Sequence[Tried]) -> float:
        recipe = self.recipe
        kl = sum(one.kl for one in tried) / len(tried)
        return Controller(self._kept.weight, recipe.ppo_target, recipe.ppo_kl_horizon).after(kl, len(tried)).weight

    def _show(self, examples: Sequence[Example]) -> None:
        around, lessons = self._around, self._kept.lessons
        some = []
        for lesson, example in zip(lessons[:3], examples, strict=False):
            ids = lesson.sequences[0]["input_ids"]
            prompt = len(ids) - lesson.length
            some.append(rollout.answer_of(around, ids[:prompt], ids[prompt:], example.columns))
        judged = judged_of(lessons)
        samples.show(around, self._kept.first, some, judged.totals, judged.parts)
        first, self._first = self._first, False
        if first and len(set(judged.totals)) == 1 and len(judged.totals) > 1:
            around.warn(
                f"all {len(lessons)} answers of this buffer are worth {judged.totals[0]:g}: they teach nothing",
                "if it stays so, choose rewards that tell answers apart, or easier prompts",
            )
        if first and not any(lesson.ended for lesson in lessons):
            around.warn(
                f"no answer came to an end within max_new_tokens {self.recipe.max_new_tokens}: all are judged as far "
                "as they go",
                "raise max_new_tokens, or begin with a model that ends its answers (stage sft)",
            )

    # The loss

    def items(self, examples: Sequence[Example]) -> int:
        """Return the tokens of the answers, or in an evaluation the answers."""
        lessons = [example for example in examples if isinstance(example, Lesson)]
        return sum(lesson.length for lesson in lessons) if lessons else len(examples)

    def part_loss(self, model: nn.Module, examples: Sequence[Example], path: Path) -> Part:
        """Return the clipped policy and value losses, summed over tokens; of judged answers only their figures."""
        lessons = [example for example in examples if isinstance(example, Lesson)]
        if not lessons:
            return _measured([example for example in examples if isinstance(example, Tried)])
        reading = path.read(model, [[lesson.sequences[0] for lesson in lessons]])
        said, values = reading.scores(self._temperature), valued.head_of(model)(reading.hidden)
        new, clip, recipe = said.values, self.recipe.ppo_clip, self.recipe
        old, before, advantages, returns = (
            torch.cat([getattr(lesson.numbers, name) for lesson in lessons]).to(new.device, new.dtype)
            for name in ("logps", "values", "advantages", "returns")
        )
        policy, clipped = surrogate(new, old, advantages, clip, clip)
        value = value_loss(values.to(new.dtype), before, returns, recipe.ppo_value_clip)
        loss = (policy + recipe.ppo_value_coef * value).sum(dtype=torch.float64)
        tokens = len(new)
        figures: dict[str, Figure] = {
            "policy/loss": (policy.detach().sum(), tokens),
            "policy/clipfrac": (clipped.sum(), tokens),
            "policy/approx_kl": (0.5 * ((new.detach() - old) ** 2).sum(), tokens),
            "value/loss": (value.detach().sum(), tokens),
            "entropy": (said.entropy.sum(), tokens),
            "kl_coef": (torch.tensor(sum(lesson.weight for lesson in lessons), dtype=torch.float64), len(lessons)),
        }
        return Part(loss, reading.tokens, tokens, said.correct.sum(), figures | figures_of(lessons))

    # Evaluation

    def evaluation_examples(self, examples: Sequence[Example]) -> Sequence[Example]:
        """Return answers to held-out prompts, judged: the loss of an evaluation is the mean reward, negated."""
        answers = rollout.answers(self._around, examples, 1, self._seed(0, examples[0].index))
        judged = self._rewards(answers)
        return tried_of(answers, judged, *self._asked(answers, entropy=True))

    # Checkpoints

    def save(self, model: Any, folder: Folder, *, exact: bool) -> None:
        """Write value head, buffer and controller; a result has neither, it is a model that answers."""
        if exact:
            valued.save(model, folder, valued.VALUES)
            over = self._around.step() + 1 >= self._kept.first + self.steps_per_batch
            kept = replace(self._kept, lessons=()) if over else self._kept
            store.save(folder, kept, self._rewards.state())

    def load(self, model: Any, folder: Folder, *, best: bool = False) -> None:
        """Go on from a checkpoint."""
        valued.load(model, folder, valued.VALUES)
        found = None if best else store.load(folder)
        if found is not None:
            self._kept, self._rewards_then = found


def _measured(tried: Sequence[Tried]) -> Part:
    loss = -sum(one.score for one in tried if not math.isnan(one.score))
    tokens = sum(one.length for one in tried)
    entropy: Figure = (torch.tensor(sum(one.entropy for one in tried)), tokens)
    return Part(torch.tensor(loss), tokens, tokens, torch.zeros(()), figures_of(tried) | {"entropy": entropy})
