"""GRPO and RLOO beside trl: formulas by hand in float64, any cut, resume, evaluation, and that they learn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.given import data_folder, journal, model_folder, start
from tests.methods.cycle import resumes_exactly, train
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
)
from tests.stages.pairs import way
from tuitune.engine.run import run
from tuitune.models.generate import Sampling
from tuitune.run import events
from tuitune.stages import grpo, rloo
from tuitune.stages.cut import cut
from tuitune.stages.online import groups
from tuitune.stages.online.groupwise import leave_one_out, relative
from tuitune.stages.online.rewards import Judged

COUNT = 4
LOW, HIGH, BETA = 0.1, 0.3, 0.2
QUICK: dict[str, Any] = {
    "stage": "grpo", "reward_functions": "repetition, length", "reward_length": 5, "num_generations": 4,
    "gradient_accumulation_steps": 1, "per_device_train_batch_size": 2,
}  # fmt: skip


@pytest.fixture
def given(tmp_path: Path) -> Path:
    model_folder(tmp_path)
    data_folder(tmp_path)
    return tmp_path


def moved(monkeypatch: pytest.MonkeyPatch, *, padded: bool = False, **more: Any) -> tuple[Any, Any, list[groups.Group]]:
    """Return a float64 model that has moved since its answers, the stage, and the answers."""
    model = adapted(double=True)
    asked = {
        "stage": "grpo", "reward_functions": "json", "num_generations": COUNT, "num_iterations": 2, "grpo_beta": BETA,
        "grpo_epsilon": LOW, "grpo_epsilon_high": HIGH, "temperature": 0.7, "max_new_tokens": MOST, **more,
    }  # fmt: skip
    surroundings, _ = around(model, sampling=Sampling(MOST, 0.7), **asked)
    surroundings.path = way(model.get_base_model(), "padded" if padded else "shared")
    stage: Any = (rloo.Rloo if asked["stage"] == "rloo" else grpo.Grpo)(surroundings.recipe)
    worth = given_rewards(COUNT * len(PROMPTS))
    monkeypatch.setattr(grpo, "answers", lambda *args: given_answers(COUNT))
    stage._around, stage._temperature = surroundings, 0.7
    stage._rewards = lambda given: Judged(worth, {"it": worth})
    stage.reference = reference_of(model)
    made = stage.before_step(prompts_of(), 1)
    move(model, 11, 0.02)
    return model.train(), stage, list(made)


def logps_of(model: Any, ids: list[int], prompt: int) -> torch.Tensor:
    logits = model(torch.tensor([ids]), use_cache=False).logits[0, prompt - 1 : -1] / 0.7
    return logits.log_softmax(-1).gather(1, torch.tensor(ids[prompt:])[:, None])[:, 0]


def by_hand(model: Any, made: Sequence[groups.Group], average: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the loss and the adapter's gradient from plain logits, one answer and one token at a time."""
    total, tokens, answers = torch.zeros((), dtype=torch.float64), 0, 0
    for group in made:
        for i, row in enumerate(group.sequences):
            ids: list[int] = row["input_ids"]
            prompt = row["labels"].count(-100)
            own = torch.zeros((), dtype=torch.float64)
            for new, old, ref in zip(logps_of(model, ids, prompt), group.old[i], group.reference[i], strict=True):
                ratio, a = (new - old).exp(), group.advantages[i]
                if (a > 0 and ratio > 1 + HIGH) or (a < 0 and ratio < 1 - LOW):
                    own = own - a * (1 + HIGH if a > 0 else 1 - LOW)
                else:
                    own = own - a * ratio
                own = own + BETA * ratio * ((ref - new).exp() - (ref - new) - 1)
            length = len(ids) - prompt
            total, tokens, answers = total + (own / length if average == "grpo" else own), tokens + length, answers + 1
    loss = total / {"grpo": answers, "dr_grpo": answers * MOST}.get(average, tokens)
    return loss.detach(), gradient(model, loss)


def gradient(model: Any, loss: torch.Tensor) -> torch.Tensor:
    model.zero_grad()
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])


def stepped(model: Any, stage: Any, made: Sequence[Any], tokens: int = 10_000) -> tuple[float, torch.Tensor, int]:
    """Return loss and gradient of a step whose micro-batches have so many tokens, and how many there were."""
    model.zero_grad()
    parts = cut(made, stage, stage._around.path, tokens)
    items, loss = stage.items(made), 0.0
    for part in parts:
        done = stage.part_loss(model, part, stage._around.path)
        (done.loss / items).backward()
        loss += float(done.loss.detach()) / items
    return loss, torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad]), len(parts)


def apart(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("average", ["grpo", "bnpo", "dr_grpo", "dapo"])
def test_the_loss_is_that_of_the_papers(average: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, stage, made = moved(monkeypatch, grpo_loss=average)
    expected, want = by_hand(model, made, average)
    loss, got, _ = stepped(model, stage, made)
    assert loss == pytest.approx(float(expected), rel=1e-10)
    assert apart(got, want) < 1e-10


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("stage_name", ["grpo", "rloo"])
def test_padded_rows_and_any_cut_give_the_same(stage_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, stage, made = moved(monkeypatch, stage=stage_name)
    assert stage._around.path.name == "flat"
    loss, want, parts = stepped(model, stage, made)
    assert parts == 1
    for tokens, least in ((20, 4), (1, COUNT * len(PROMPTS))):
        again, got, parts = stepped(model, stage, made, tokens)
        assert parts >= least
        assert again == pytest.approx(loss, rel=1e-10)
        assert apart(got, want) < 1e-10
    other, padded, same = moved(monkeypatch, stage=stage_name, padded=True)
    assert padded._around.path.name == "padded"
    assert [a for group in same for a in group.advantages] == pytest.approx(
        [a for group in made for a in group.advantages]
    )
    again, got, _ = stepped(other, padded, same)
    assert again == pytest.approx(loss, rel=1e-10)
    assert apart(got, want) < 1e-10


@pytest.mark.usefixtures("exact")
def test_a_prompt_is_computed_once_for_its_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    model, stage, made = moved(monkeypatch)
    done = stage.part_loss(model, made, stage._around.path)
    alone = sum(len(row["input_ids"]) - 1 for group in made for row in group.sequences)
    saved = sum((COUNT - 1) * len(prompt) for prompt in PROMPTS)
    assert done.tokens <= alone - saved + (COUNT - 1) * len(PROMPTS)
    assert done.labelled == sum(label != -100 for group in made for row in group.sequences for label in row["labels"])


def test_figures_of_a_batch_are_counted_once_however_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    model, stage, made = moved(monkeypatch)
    found: dict[str, float] = {}
    for part in cut(made, stage, stage._around.path, 1):
        for name, (_, count) in stage.part_loss(model, part, stage._around.path).figures.items():
            found[name] = found.get(name, 0) + count
    assert found["reward"] == COUNT * len(PROMPTS)
    assert found["reward_std"] == 1
    assert found["frac_reward_zero_std"] == len(PROMPTS)


# Advantages


def test_advantages_ignore_what_nothing_judged() -> None:
    nan = math.nan
    rewards = torch.tensor([[1.0, 2.0, 4.0, nan], [3.0, nan, nan, nan], [nan] * 4, [5.0] * 4], dtype=torch.float64)
    mean, std = 7 / 3, math.sqrt(((1 - 7 / 3) ** 2 + (2 - 7 / 3) ** 2 + (4 - 7 / 3) ** 2) / 2)
    first = [(1 - mean) / (std + 1e-4), (2 - mean) / (std + 1e-4), (4 - mean) / (std + 1e-4), 0.0]
    assert relative(rewards, "group").tolist() == [pytest.approx(first), [0.0] * 4, [0.0] * 4, [0.0] * 4]
    assert relative(rewards, "none")[0].tolist() == pytest.approx([1 - mean, 2 - mean, 4 - mean, 0.0])
    every = torch.tensor([1.0, 2, 4, 3, 5, 5, 5, 5]).std().item()
    assert relative(rewards, "batch")[0, 2].item() == pytest.approx((4 - mean) / (every + 1e-4))
    assert leave_one_out(rewards).tolist() == [pytest.approx([1 - 3, 2 - 2.5, 4 - 1.5, 0.0]), *[[0.0] * 4] * 3]


# Checkpoints


def test_held_answers_come_back_bit_for_bit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, _, made = moved(monkeypatch)
    groups.save(tmp_path, made, {"first": 3})
    found = groups.load(tmp_path)
    assert found is not None
    again, plain = found
    assert plain == {"first": 3}
    assert len(again) == len(made)
    for one, other in zip(again, made, strict=True):
        assert one.sequences == other.sequences
        assert (one.index, one.advantages, one.figures) == (other.index, other.advantages, other.figures)
        for name in ("old", "reference"):
            assert all(torch.equal(a, b) for a, b in zip(getattr(one, name), getattr(other, name), strict=True))
    groups.save(tmp_path, (), {})
    assert groups.load(tmp_path) == ([], {})


@pytest.mark.parametrize("stage_name", ["grpo", "rloo"])
def test_it_resumes_exactly_within_a_batch_and_between(stage_name: str, given: Path) -> None:
    # Steps 1 to 3 are made of one batch: 2 stops within it, 3 at its end, 5 within the next.
    more = {**QUICK, "stage": stage_name, "num_iterations": 3, "grpo_beta": 0.05, "max_steps": 7}
    resumes_exactly(given, stops=(2, 3, 5), **more)


# Runs


OWN = """
def reward_low(completion_ids, **columns):
    return [sum(token < 100 for token in ids) / len(ids) for ids in completion_ids]
"""


@pytest.mark.parametrize("stage_name", ["grpo", "rloo"])
def test_the_reward_rises(stage_name: str, given: Path) -> None:
    (given / "own.py").write_text(OWN)
    made = train(
        given, "rises", stage=stage_name, reward_file=str(given / "own.py"), num_generations=8, max_steps=20,
        finetuning_type="full", learning_rate=0.003, lr_scheduler_type="constant", warmup_steps=0,
        gradient_accumulation_steps=1, per_device_train_batch_size=4, max_grad_norm=1.0, tokens_per_batch=2000,
    )  # fmt: skip
    rewards = [event.metrics["reward"] for event in journal(made, events.StepLogged)]
    assert sum(rewards[-3:]) / 3 > sum(rewards[:3]) / 3 + 0.15
    warned = [event.message for event in journal(made, events.Warned)]
    assert any("runs with your permissions: reward_low" in message for message in warned)


def test_answers_with_their_rewards_and_evaluations_reach_the_journal(given: Path) -> None:
    made = train(given, "said", **QUICK, max_steps=4, val_size=4, eval_strategy="steps", eval_steps=2, grpo_beta=0.1)
    shown = journal(made, events.Sampled)
    assert {event.step for event in shown} == {1, 2, 3, 4}
    first = shown[0]
    assert len(first.answers) == len(first.rewards) == 4
    assert set(first.parts) == {"repetition", "length"}
    assert first.rewards == pytest.approx([sum(each) for each in zip(*first.parts.values(), strict=True)])
    assert first.reference
    step = journal(made, events.StepLogged)[0].metrics
    names = ["reward", "reward_std", "rewards/length/mean", "kl", "entropy", "completions/mean_length",
             "completions/clipped_ratio", "frac_reward_zero_std"]  # fmt: skip
    assert all(name in step for name in names)
    assert step["reward"] == pytest.approx(step["rewards/length/mean"] + step["rewards/repetition/mean"])
    evaluated = journal(made, events.EvalLogged)
    assert [event.step for event in evaluated] == [2, 4]
    assert all("eval_reward" in event.metrics and "eval_kl" in event.metrics for event in evaluated)


def test_a_group_larger_than_a_micro_batch_gives_the_same_run(given: Path) -> None:
    small = train(given, "small", **QUICK, max_steps=3, tokens_per_batch=30)
    large = train(given, "large", **QUICK, max_steps=3, tokens_per_batch=5000)
    a, b = (journal(each, events.StepLogged) for each in (small, large))
    assert a[0].parts > b[0].parts
    assert [event.grad_norm for event in a] == pytest.approx([event.grad_norm for event in b], rel=1e-3)
    assert [event.metrics["reward"] for event in a] == pytest.approx([event.metrics["reward"] for event in b])


def test_rewards_that_never_differ_are_said(given: Path) -> None:
    made = train(given, "alike", **{**QUICK, "reward_functions": "format"}, max_steps=6)
    said = [event.message for event in journal(made, events.Warned) if "worth the same" in event.message]
    assert len(said) == 1


def test_a_reward_that_breaks_fails_the_run_in_words(given: Path) -> None:
    (given / "own.py").write_text("def reward_low(answers, **columns):\n    return [1 / 0 for _ in answers]\n")
    made = start(given, "broken", stage="grpo", reward_file=str(given / "own.py"), num_generations=2)
    assert run(made).status == "failed"
    (failed,) = journal(made, events.RunFailed)
    assert "own.py, line 2: ZeroDivisionError" in failed.message


def test_exact_needs_the_datas_answers(given: Path) -> None:
    (given / "data" / "rows.json").write_text('[{"instruction": "a"}, {"instruction": "b"}, {"instruction": "c"}]')
    made = start(given, "none", stage="grpo", reward_functions="exact", num_generations=2)
    assert run(made).status == "failed"
    (failed,) = journal(made, events.RunFailed)
    assert "the data has none" in failed.message
