"""PPO: its loss is that of the papers whatever the way through the model, it learns, and it resumes to the bit."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.given import data_folder, journal, losses, model_folder
from tests.methods.cycle import resumes_exactly, train
from tests.models.test_flat import exact  # noqa: F401  # a fixture
from tests.stages.online.around import Said, around, prompts
from tests.tiny import tiny_model
from tuitune.engine.run import run
from tuitune.models import valued
from tuitune.models.reference import Itself
from tuitune.run import events
from tuitune.run.inbox import Stop
from tuitune.stages import ppo
from tuitune.stages.base import Surroundings
from tuitune.stages.cut import cut
from tuitune.stages.online.answer import Answer
from tuitune.stages.online.rewards import Part, Rewards
from tuitune.stages.ppo import Ppo

QUICK: dict[str, Any] = {"stage": "ppo", "reward_functions": "length", "reward_length": 4, "ppo_buffer_size": 2,
                         "ppo_epochs": 2}  # fmt: skip


def low(answers: Sequence[Answer]) -> list[float]:
    """Reward the share of the first 100 tokens of the vocabulary."""
    return [sum(token < 100 for token in answer.ids) / len(answer.ids) for answer in answers]


def judged_by(reward: Callable[[Sequence[Answer]], list[float]]) -> Callable[[Surroundings], Rewards]:
    """Return what makes this the only reward."""
    return lambda around: Rewards([Part("own", reward)])


@pytest.fixture
def given(tmp_path: Path) -> Path:
    model_folder(tmp_path)
    data_folder(tmp_path)
    return tmp_path


class Moved:
    """The tiny model in float64 with a reference, a stage that has answered, and weights that have moved since."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, padded: bool, **more: Any) -> None:
        monkeypatch.setattr(ppo, "rewards_of", judged_by(low))
        model = tiny_model().double().train()
        self.around, self.said = self.made(model, padded, **more)
        self.stage = Ppo(self.around.recipe)
        self.stage.prepare(model)
        torch.nn.init.normal_(valued.head_of(model).summary.weight, std=0.1, generator=torch.Generator().manual_seed(3))
        self.other = tiny_model(seed=1).double().eval()  # the reference, as a model of its own
        self.stage.reference = _Another(self.around.path, self.other)  # type: ignore[assignment]
        self.prompts = prompts(self.around, ("name a river", "why is it so", "a", "name three fruits and a town"))
        self.stage._around, self.stage._rewards = self.around, Rewards([Part("own", low)])
        self.stage._temperature = 0.7
        self.lessons = self.stage.before_step(self.prompts, 1)
        self.old = {name: p.detach().clone() for name, p in model.named_parameters()}
        generator = torch.Generator().manual_seed(9)
        for p in model.parameters():
            p.data += 0.02 * torch.randn(p.shape, generator=generator, dtype=p.dtype)

    def made(self, model: Any, padded: bool, **more: Any) -> tuple[Surroundings, Said]:
        from tuitune.models.generate import Sampling

        settings: dict[str, Any] = {"temperature": 0.7, "ppo_epochs": 1, "ppo_gamma": 0.97, "ppo_lambda": 0.9} | more
        return around(model, padded=padded, sampling=Sampling(max_new_tokens=7, temperature=0.7), **settings)


class _Another:
    """A reference for tests: other weights through the same path."""

    def __init__(self, path: Any, model: Any) -> None:
        self._path, self._model = path, model

    def reading(self, model: Any, path: Any, groups: Any) -> Any:
        kept = {name: p.data for name, p in model.named_parameters()}
        others = dict(self._model.named_parameters())

        def before(model: Any) -> Any:
            from contextlib import contextmanager

            @contextmanager
            def opened() -> Any:
                for name, p in model.named_parameters():
                    if name in others:
                        p.data = others[name].data
                yield
                for name, p in model.named_parameters():
                    p.data = kept[name]

            return opened()

        from contextlib import nullcontext

        return Itself(before, nullcontext).reading(model, path, groups)


def by_hand(moved: Moved) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Return loss and gradients of the step, from plain logits of one row at a time and loops over tokens."""
    recipe, model = moved.around.recipe, moved.around.model

    def said(model: Any, head: Any, lesson: Any) -> tuple[torch.Tensor, torch.Tensor]:
        ids = torch.tensor([lesson.sequences[0]["input_ids"]])
        out = model(ids, output_hidden_states=True, use_cache=False)
        start = len(ids[0]) - lesson.length
        logps = (out.logits[0] / 0.7).log_softmax(-1)[start - 1 : -1].gather(1, ids[0, start:, None])[:, 0]
        return logps, (out.hidden_states[-1][0, start - 1 : -1] @ head.weight[0] + head.bias)

    head = valued.head_of(model).summary
    new = {name: p.data for name, p in model.named_parameters()}
    everything = []
    for lesson in moved.lessons:
        with torch.no_grad():
            for name, p in model.named_parameters():
                p.data = moved.old[name]
            old, values = said(model, head, lesson)
            reference = said(moved.other, head, lesson)[0]
            for name, p in model.named_parameters():
                p.data = new[name]
        rewards = [-recipe.ppo_kl_coef * float(old[t] - reference[t]) for t in range(lesson.length)]
        rewards[-1] += low([Answer([], lesson.sequences[0]["input_ids"][-lesson.length :], "", "", True)])[0]
        carried, advantages = 0.0, [0.0] * lesson.length
        for t in reversed(range(lesson.length)):
            following = float(values[t + 1]) if t + 1 < lesson.length else 0.0
            carried = rewards[t] + 0.97 * following - float(values[t]) + 0.97 * 0.9 * carried
            advantages[t] = carried
        everything.append((lesson, old, values, advantages))
    flat = torch.tensor([a for _, _, _, advantages in everything for a in advantages], dtype=torch.float64)
    mean, spread = flat.mean(), (flat.var() + 1e-8).sqrt()
    total: Any = 0.0
    for lesson, old, values, raw in everything:
        logps, now = said(model, head, lesson)
        for t in range(lesson.length):
            advantage, ratio = (raw[t] - mean) / spread, (logps[t] - old[t]).exp()
            total = total - torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
            wanted, held = raw[t] + values[t], values[t] + (now[t] - values[t]).clamp(-0.2, 0.2)
            total = total + 0.1 * 0.5 * torch.maximum((now[t] - wanted) ** 2, (held - wanted) ** 2)
    loss = total / sum(lesson.length for lesson in moved.lessons)
    model.zero_grad()
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.usefixtures("exact")  # rounding inside the model would be larger than the bounds
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("tokens", [1, 4000])
def test_loss_and_gradient_are_those_of_the_definition(
    monkeypatch: pytest.MonkeyPatch, padded: bool, tokens: int
) -> None:
    moved = Moved(monkeypatch, padded=padded)
    expected, slopes = by_hand(moved)
    model, stage, path = moved.around.model, moved.stage, moved.around.path
    model.zero_grad()
    parts = cut(moved.lessons, stage, path, tokens)
    assert len(parts) == (4 if tokens == 1 else 1)
    done = [stage.part_loss(model, part, path) for part in parts]
    loss = sum(one.loss for one in done) / stage.items(moved.lessons)
    assert isinstance(loss, torch.Tensor)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float(expected), abs=1e-12)
    for name, p in model.named_parameters():
        if name in slopes:
            assert p.grad is not None, name
            assert torch.allclose(p.grad, slopes[name], rtol=0, atol=1e-10), name
    clipped = sum(float(one.figures["policy/clipfrac"][0]) for one in done)
    assert 0 < clipped < sum(one.labelled for one in done)  # both sides of the clamp were tried


def test_scores_are_normalised_and_rewards_whitened_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Moved(monkeypatch, padded=False)
    normal = Moved(monkeypatch, padded=False, ppo_score_norm=True, ppo_kl_coef=0)
    white = Moved(monkeypatch, padded=False, ppo_whiten_rewards=True, ppo_kl_coef=0, ppo_gamma=1, ppo_lambda=1)
    scores = torch.tensor([lesson.score for lesson in normal.lessons], dtype=torch.float64)
    expected = (scores - scores.mean()) / scores.std()
    # The last token's return is its reward: nothing comes after it.
    found = [float(one.numbers.returns[-1]) for one in normal.lessons]  # type: ignore[attr-defined]
    assert found == pytest.approx(expected.tolist())
    assert normal.stage._kept.running.count == 4
    assert plain.stage._kept.running.count == 0
    rewards = [0.0] * sum(lesson.length for lesson in white.lessons)
    place = -1
    for lesson in white.lessons:
        place += lesson.length
        rewards[place] = lesson.score
    spread = torch.tensor(rewards, dtype=torch.float64).std()
    ends = [float(one.numbers.returns[-1]) for one in white.lessons]  # type: ignore[attr-defined]
    assert ends[0] - ends[1] == pytest.approx(float((white.lessons[0].score - white.lessons[1].score) / spread))


def test_a_buffer_is_gone_through_anew_in_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = Moved(monkeypatch, padded=False, ppo_buffer_size=2, ppo_epochs=3)
    stage = moved.stage
    moved.said.events.clear()
    assert (stage.steps_per_batch, stage.batches_per_step) == (6, 2)
    seen = [[one.index for one in stage.before_step(moved.prompts, step)] for step in range(1, 7)]
    passes = [seen[0] + seen[1], seen[2] + seen[3], seen[4] + seen[5]]
    assert all(sorted(one) == [0, 1, 2, 3] for one in passes)
    assert passes[0] != passes[1] or passes[1] != passes[2]
    assert len([e for e in moved.said.events if isinstance(e, events.Sampled)]) == 3  # once, of four answers
    before = stage._kept
    stage.before_step(moved.prompts, 7)
    assert stage._kept.first == 7
    assert stage._kept.lessons[0].weight == before.weight


def test_a_stop_within_the_answers_leaves_the_stage_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = Moved(monkeypatch, padded=False)
    before = moved.stage._kept

    class Halted(BaseException):
        pass

    def attend() -> None:
        raise Halted

    moved.around.attend = attend
    with pytest.raises(Halted):
        moved.stage.before_step(moved.prompts, 2)
    assert moved.stage._kept is before


def test_an_answer_that_no_reward_speaks_of_counts_as_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = Moved(monkeypatch, padded=False, ppo_kl_coef=0)
    moved.stage._rewards = Rewards([Part("own", lambda answers: [math.nan, 1.0, math.nan, 1.0])])
    lessons = moved.stage.before_step(moved.prompts, 2)
    ends = {one.index: float(one.numbers.returns[-1]) for one in lessons}  # type: ignore[attr-defined]
    assert ends == pytest.approx({0: 0.0, 1: 1.0, 2: 0.0, 3: 1.0})
    done = moved.stage.part_loss(moved.around.model, lessons, moved.around.path)
    assert done.figures["reward"] == (2.0, 2)


# Whole runs


@pytest.mark.parametrize("more", [{}, {"finetuning_type": "full"}], ids=["lora", "full"])
def test_a_resumed_run_ends_equal_in_every_bit(given: Path, more: dict[str, Any]) -> None:
    # Buffers begin at steps 1, 5 and 9: the stops are in the middle of one, and at the end of one.
    resumes_exactly(given, stops=(3, 8), **QUICK, ppo_score_norm=True, ppo_kl_horizon=20, **more)


@pytest.mark.parametrize(
    "more",
    [
        {"finetuning_type": "freeze", "freeze_trainable_layers": 1},
        {"quantization_bit": 4},
        {"quantization_bit": 4, "ppo_kl_coef": 0},
        {"additional_target": "embed_tokens,lm_head"},
    ],
    ids=["freeze", "qlora", "no reference", "head trained whole"],
)
def test_other_methods_train(given: Path, more: dict[str, Any]) -> None:
    made = train(given, "other", **QUICK, max_steps=5, **more)
    logged = journal(made, events.StepLogged)
    assert len(logged) == 5
    assert ("kl" in logged[-1].metrics) == ("ppo_kl_coef" not in more)
    assert not (made.final / valued.FILE).exists()  # the result answers, it does not judge


def test_a_run_says_what_its_answers_came_to(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ppo, "rewards_of", judged_by(low))
    made = train(given, "told", **QUICK, val_size=4, eval_strategy="steps", eval_steps=4, max_steps=8)
    first = journal(made, events.StepLogged)[0]
    assert first.labelled_tokens == 4 * 8
    assert first.metrics["kl"] == pytest.approx(0, abs=1e-4)
    assert first.metrics["kl_coef"] == 0.2
    assert first.metrics["completions/mean_length"] == 8
    assert first.metrics["completions/clipped_ratio"] == 1
    assert first.metrics["entropy"] == pytest.approx(6.2, abs=0.1)
    assert 0 < first.metrics["reward"] == first.metrics["rewards/own/mean"] < 1
    sampled = journal(made, events.Sampled)
    assert [event.step for event in sampled] == [1, 1, 1, 5, 5, 5]
    assert all(len(event.answers) == 1 and event.prompt for event in sampled)
    measured = journal(made, events.EvalLogged)
    assert [event.step for event in measured] == [4, 8]
    assert measured[0].loss == pytest.approx(-measured[0].metrics["eval_reward"])
    assert {"eval_kl", "eval_completions/mean_length"} <= measured[0].metrics.keys()


def test_an_evaluation_changes_nothing(given: Path) -> None:
    plain = train(given, "plain", **QUICK)
    watched = train(given, "watched", **QUICK, eval_dataset="rows", eval_strategy="steps", eval_steps=3)
    assert losses(plain) == losses(watched)


def test_a_stop_within_the_answers_keeps_the_last_whole_step(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(given, "whole", **QUICK)
    from tests.engine.given import same, start, weights

    made, asked = start(given, "broken", **QUICK), []

    def on_session(session: Any) -> None:
        progress = session.progress

        def watched(phase: str, done: int, total: int | None) -> None:
            progress(phase, done, total)
            if phase == "rollout" and session.step == 4 and not asked:
                asked.append(done)
                session.ask(Stop())

        session.progress = watched

    ended = run(made, on_session=on_session)
    assert ended.status == "stopped"
    assert asked
    assert made.checkpoints[-1].name == "checkpoint-4"
    assert run(made).status == "finished"
    assert losses(made) == losses(whole)
    assert same(weights(made.final), weights(whole.final))


LEARNS: dict[str, Any] = {
    "stage": "ppo", "reward_functions": "length", "finetuning_type": "full", "learning_rate": 3e-3,
    "lr_scheduler_type": "constant", "warmup_steps": 0, "max_grad_norm": 1.0, "per_device_train_batch_size": 16,
    "tokens_per_batch": 4000, "ppo_buffer_size": 2, "ppo_epochs": 2,
}  # fmt: skip


def rewards_and_kls(root: Path, monkeypatch: pytest.MonkeyPatch, **more: Any) -> tuple[list[float], list[float]]:
    """Return mean reward and KL of each step of a run that is rewarded for low tokens."""
    monkeypatch.setattr(ppo, "rewards_of", judged_by(low))
    logged = journal(train(root, "learns", **LEARNS, **more), events.StepLogged)
    return [event.metrics["reward"] for event in logged], [event.metrics["kl"] for event in logged]


def test_the_reward_rises(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rewards, _ = rewards_and_kls(given, monkeypatch, max_steps=60, ppo_kl_coef=0.02)
    assert sum(rewards[:4]) / 4 < 0.3
    assert sum(rewards[-4:]) / 4 > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_reward_rises_while_the_kl_stays_controlled(
    given: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    # Left alone (ppo_kl_horizon: 0, a small weight) reward and KL end at 1.0 and 6.2 for each seed. The controller
    # swings around its target, so the mean goes over several swings.
    settings: dict[str, Any] = {"max_steps": 300, "seed": seed, "ppo_target": 2.0, "ppo_kl_horizon": 100.0}
    rewards, kls = rewards_and_kls(given, monkeypatch, ppo_kl_coef=0.1, **settings)
    spread = torch.tensor(rewards[:8]).std().item()
    assert sum(rewards[-150:]) / 150 - sum(rewards[:8]) / 8 > 5 * spread / 150**0.5 + 0.15
    assert 1.0 < sum(kls[-150:]) / 150 < 3.5


def test_a_reward_model_trained_here_judges_beside_the_policy_or_by_itself(given: Path) -> None:
    words = [f"{word} and a town" for word in ("river", "people", "fruits", "questions")]
    rows = [
        {"instruction": word, "chosen": " ".join(words), "rejected": "a"} for word in words * 2
    ]  # fmt: skip
    (given / "data" / "pairs.json").write_text(json.dumps(rows))
    known = json.loads((given / "data" / "dataset_info.json").read_text())
    columns = {"prompt": "instruction", "chosen": "chosen", "rejected": "rejected"}
    known["pairs"] = {"file_name": "pairs.json", "ranking": True, "columns": columns}
    (given / "data" / "dataset_info.json").write_text(json.dumps(known))
    judge = train(given, "judge", stage="rm", dataset="pairs", max_steps=4)
    settings = {key: value for key, value in QUICK.items() if not key.startswith("reward")}
    settings |= {"reward_model": str(judge.path), "max_steps": 6}
    rewards = []
    for kind in ("lora", "full"):
        made = train(given, f"by-{kind}", **settings, reward_model_type=kind)
        rewards.append([event.metrics["rewards/reward_model/mean"] for event in journal(made, events.StepLogged)])
    assert rewards[0] == pytest.approx(rewards[1], abs=1e-4)
    assert len({round(reward, 6) for reward in rewards[0]}) > 2
    resumes_exactly(given, stops=(3,), **settings)
