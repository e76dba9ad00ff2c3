"""trl's GRPOTrainer and RLOOTrainer, given the same answers and rewards: the same advantages, loss and gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models.test_flat import exact  # noqa: F401  # a fixture
from tests.stages.online.around import around
from tests.stages.online.given import (
    MOST,
    PROMPTS,
    adapted,
    given_answers,
    given_rewards,
    move,
    prompts_of,
    reference_of,
)  # fmt: skip
from tests.stages.pairs import way
from tests.tiny import tiny_tokenizer
from tuitune.models.generate import Sampling
from tuitune.stages import grpo, rloo
from tuitune.stages.online.answer import Answer
from tuitune.stages.online.rewards import Judged

COUNT = 4
SILENT = (1, 8, 9, 10, 11)  # one of a group, and a whole group


def gradients(model: Any) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])


class Theirs:
    """A trainer of trl that is told what was answered and what that is worth."""

    def __init__(
        self, folder: Path, stage: str, model: Any, answers: Sequence[Answer], worth: list[float], **options: Any
    ) -> None:
        from datasets import Dataset
        from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

        beta = options.pop("beta", 0.0)
        config, kind = (GRPOConfig, GRPOTrainer) if stage == "grpo" else (RLOOConfig, RLOOTrainer)
        args = config(
            output_dir=str(folder), per_device_train_batch_size=len(answers), num_generations=COUNT, beta=0.0,
            max_completion_length=MOST, temperature=0.7, bf16=False, use_cpu=True, report_to=[],
            gradient_checkpointing=False, **options,
        )  # fmt: skip
        told = [None if math.isnan(each) else each for each in worth]

        def reward(prompts: list[str], **kwargs: Any) -> list[float | None]:
            return told

        self.it = kind(
            model=model, reward_funcs=reward, args=args, processing_class=tiny_tokenizer(),
            train_dataset=Dataset.from_dict({"prompt": ["a"] * len(answers)}),
        )  # fmt: skip
        self.it.beta = beta
        if "ref" in model.peft_config:
            model.delete_adapter("ref")  # trl's copy of the given adapter: our reference is the model without one
        self.it.current_gradient_accumulation_steps = 1
        ids = [list(answer.prompt_ids) for answer in answers], [list(answer.ids) for answer in answers]
        texts = [answer.text for answer in answers]
        self.it._generate = lambda prompts: (
            (*ids, None, texts, None, {}, None, None) if stage == "grpo" else (*ids, texts)
        )
        self._inputs = [{"prompt": "a"} for _ in answers]

    def answered(self) -> dict[str, Any]:
        self.it.model.train()
        made: dict[str, Any] = self.it._generate_and_score_completions(self._inputs)
        return made

    def learn(self, model: Any, batch: dict[str, Any]) -> float:
        model.zero_grad()
        loss = self.it._compute_loss(model, batch)
        loss.backward()
        return float(loss.detach())


def ours(
    monkeypatch: pytest.MonkeyPatch, model: Any, answers: Sequence[Answer], worth: list[float], **more: Any
) -> Any:
    """Return the stage, made ready, that is told the same."""
    asked = {"reward_functions": "json", "num_generations": COUNT, "max_new_tokens": MOST, "temperature": 0.7} | more
    surroundings, _ = around(model, sampling=Sampling(MOST, 0.7), **asked)
    surroundings.path = way(model.get_base_model(), "shared")
    kind = rloo.Rloo if surroundings.recipe.stage == "rloo" else grpo.Grpo
    stage: Any = kind(surroundings.recipe)
    monkeypatch.setattr(grpo, "answers", lambda *args: list(answers))
    stage._around, stage._temperature = surroundings, 0.7
    stage._rewards = lambda given: Judged(worth, {"it": worth})
    stage.reference = reference_of(model) if stage.needs_reference else None
    return stage


def learn(stage: Any, model: Any, groups: Any) -> tuple[float, Any]:
    model.zero_grad()
    model.train()
    done = stage.part_loss(model, groups, stage._around.path)
    (done.loss / stage.items(groups)).backward()
    return float(done.loss.detach() / stage.items(groups)), done


def close(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm().clamp(min=1e-12))


@pytest.mark.parametrize("loss", ["grpo", "bnpo", "dr_grpo", "dapo"])
@pytest.mark.parametrize("iterations", [1, 2])
def test_grpo_equals_trl(loss: str, iterations: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, worth = given_answers(COUNT), given_rewards(COUNT * len(PROMPTS), silent=SILENT)
    beta, scale = (0.3, "group") if iterations == 2 else (0.0, "batch")
    model = adapted()
    theirs = Theirs(tmp_path, "grpo", model, answers, worth, loss_type=loss, scale_rewards=scale, beta=beta,
                    num_iterations=iterations, epsilon=0.1, epsilon_high=0.2)  # fmt: skip
    batch = theirs.answered()
    stage = ours(
        monkeypatch, model, answers, worth, stage="grpo", grpo_loss=loss, scale_rewards=scale, grpo_beta=beta,
        num_iterations=iterations, grpo_epsilon=0.1, grpo_epsilon_high=0.2,
    )  # fmt: skip
    groups = stage.before_step(prompts_of(), 1)
    advantages = torch.tensor([a for group in groups for a in group.advantages])
    assert torch.allclose(advantages, batch["advantages"], atol=1e-5)
    assert (advantages == 0).sum() == len(SILENT)
    move(model, 11, 0.02 if iterations == 2 else 0.0)  # a step has been made of these answers
    assert stage.before_step(prompts_of(), 2) is groups or iterations == 1
    expected = theirs.learn(model, batch)
    want = gradients(model)
    got, done = learn(stage, model, groups)
    assert got == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert close(gradients(model), want) < 1e-5
    seen = {name: float(value) / count for name, (value, count) in done.figures.items()}
    names = ["reward", "reward_std", "entropy"]
    names += ["kl", "clip_ratio/low_mean", "clip_ratio/high_mean", "clip_ratio/region_mean"] if iterations == 2 else []
    logged = theirs.it._metrics["train"]
    assert {name: seen[name] for name in names} == pytest.approx({name: logged[name][-1] for name in names}, rel=1e-4)
    assert iterations == 1 or 0.0 < seen["clip_ratio/region_mean"] < 1.0
    assert seen["rewards/it/mean"] == pytest.approx(logged["rewards/reward/mean"][-1], rel=1e-4)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("iterations", [1, 2])
@pytest.mark.parametrize("beta", [0.0, 0.2])
def test_rloo_equals_trl(iterations: int, beta: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, worth = given_answers(COUNT), given_rewards(COUNT * len(PROMPTS), silent=(1,))
    model = adapted(double=True)  # sums of log probabilities in float32 round by more than the tolerance
    theirs = Theirs(tmp_path, "rloo", model, answers, worth, beta=beta, num_iterations=iterations, epsilon=0.2)
    batch = theirs.answered()
    stage = ours(monkeypatch, model, answers, worth, stage="rloo", num_iterations=iterations, grpo_beta=beta)
    groups = stage.before_step(prompts_of(), 1)
    advantages = torch.tensor([a for group in groups for a in group.advantages])
    assert torch.allclose(advantages, batch["advantages"], atol=1e-5)
    move(model, 11, 0.005 if iterations == 2 else 0.0)
    expected = theirs.learn(model, batch)
    want = gradients(model)
    got, done = learn(stage, model, groups)
    assert got == pytest.approx(expected, abs=1e-5)  # trl's log probabilities are float32 whatever the model is
    assert close(gradients(model), want) < 1e-5
    if beta:
        value, count = done.figures["kl"]
        assert float(value) / count == pytest.approx(theirs.it._metrics["train"]["kl"][-1], rel=1e-4, abs=1e-6)
