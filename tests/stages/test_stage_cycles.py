"""The stages pt, sft, rm and kto with every kind of method: they learn, load again, and resume as if never stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.engine.given import data_folder, journal, model_folder, same
from tests.methods.cycle import Ended, loaded_logits, resumes_exactly, train
from tests.stages.judged import judged_rows
from tuitune.chat.weights import of_run
from tuitune.engine.build import Build
from tuitune.models import valued
from tuitune.recipe import load
from tuitune.recipe.fields.figures import ACCURACY, FIGURES, bare
from tuitune.run import events
from tuitune.run.directory import RunDir
from tuitune.stages.scorer import Scorer

TEXT = [3, 17, 41, 5, 99, 260, 12, 8]
ROWS = {"pt": "texts", "sft": "rows", "rm": "pairs", "kto": "votes"}
METHODS: dict[str, dict[str, Any]] = {
    "full": {"finetuning_type": "full", "learning_rate": 1e-3},
    "freeze": {"finetuning_type": "freeze", "freeze_trainable_layers": 1, "learning_rate": 2e-3},
    "lora": {"lora_dropout": 0.1},
    "qlora": {"quantization_bit": 4},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with the tiny model and rows of every kind."""
    model_folder(tmp_path)
    data_folder(tmp_path)
    judged_rows(tmp_path)
    return tmp_path


def asked(stage: str, method: str) -> dict[str, Any]:
    """Return what a recipe says for stage and method."""
    return {"stage": stage, "dataset": ROWS[stage], "template": "chatml", **METHODS[method]}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stage", ROWS)
def test_resumes_exactly_and_saves_what_was_trained(
    root: Path, monkeypatch: pytest.MonkeyPatch, stage: str, method: str
) -> None:
    ended = Ended(monkeypatch)
    made = resumes_exactly(root, stops=(2,), **asked(stage, method), max_steps=4)
    assert float((loaded_logits(made) - ended.logits).abs().max()) <= 1e-5
    assert (made.final / valued.FILE).is_file() == (stage == "rm")


# The stages' own figures


def evaluated(root: Path, stage: str, name: str = "run", **more: Any) -> list[events.EvalLogged]:
    """Train, evaluating every second step, and return the evaluations."""
    chosen = {"val_size": 8, "eval_strategy": "steps", "eval_steps": 2, "max_steps": 4} | more
    return journal(train(root, name, **asked(stage, "lora"), **chosen), events.EvalLogged)


@pytest.mark.parametrize("stage", ROWS)
def test_an_evaluation_reports_the_figures_that_are_declared(root: Path, stage: str) -> None:
    found = evaluated(root, stage, compute_accuracy=True)
    assert [event.step for event in found] == [2, 4]
    declared = {f"eval_{name}" for name in (ACCURACY, *FIGURES[stage])}
    assert all(set(event.metrics) == declared for event in found)
    assert 0 <= found[0].metrics["eval_accuracy"] <= 1


@pytest.mark.parametrize(
    ("stage", "metric"), [("rm", "rewards/margins"), ("rm", "eval_rewards/accuracies"), ("kto", "kl"), ("kto", "loss")]
)
def test_the_best_model_is_best_in_the_stage_s_own_figure(root: Path, stage: str, metric: str) -> None:
    best = {"save_strategy": "steps", "save_steps": 2, "load_best_model_at_end": True, "metric_for_best_model": metric}
    found = evaluated(root, stage, **best, max_steps=8, learning_rate=0.02)
    name = f"eval_{bare(metric)}"
    values = {event.step: event.loss if name == "eval_loss" else event.metrics[name] for event in found}
    chosen = (min if bare(metric) in ("kl", "loss") else max)(values.values())
    step = next(step for step, value in values.items() if value == chosen)
    made = RunDir(root / "run")
    assert same(tensors(made.final), tensors(made.checkpoint(step)))
    others = [made.checkpoint(other) for other in values if other != step]
    assert not any(same(tensors(made.final), tensors(folder)) for folder in others)


def tensors(folder: Path) -> dict[str, Any]:
    """Return adapter and value head."""
    files = [folder / name for name in ("adapter_model.safetensors", valued.FILE) if (folder / name).is_file()]
    return {f"{file.name}:{key}": value for file in files for key, value in load_file(file).items()}


def test_training_stops_early_by_the_stage_s_own_figure(root: Path) -> None:
    more = {"metric_for_best_model": "rewards/accuracies", "early_stopping_steps": 2, "learning_rate": 1e-9}
    found = evaluated(root, "rm", **more, max_steps=20)
    assert [event.step for event in found] == [2, 4, 6]


# The objectives move the right way on rows that tell good from bad by a word


def test_a_reward_model_learns_to_tell_better_from_worse(root: Path) -> None:
    more = {"max_steps": 40, "eval_steps": 40, "learning_rate": 3e-3, "finetuning_type": "full", "warmup_steps": 0}
    made = asked("rm", "full") | more | {"val_size": 8, "eval_strategy": "steps"}
    run = train(root, "run", **made)
    (event,) = journal(run, events.EvalLogged)
    assert event.metrics["eval_rewards/accuracies"] == 1
    assert event.metrics["eval_rewards/margins"] > 1
    steps = journal(run, events.StepLogged)
    assert steps[-1].loss < 0.2 < 0.5 < steps[0].loss


def test_kto_moves_good_and_bad_answers_apart(root: Path) -> None:
    run = train(root, "run", **asked("kto", "lora"), max_steps=40)
    steps = journal(run, events.StepLogged)
    assert steps[0].loss == pytest.approx(0.5)  # the model is its reference
    margins = [event.metrics["rewards/margins"] for event in steps if "rewards/margins" in event.metrics]
    assert margins[0] == pytest.approx(0, abs=1e-6)
    assert sum(margins[-5:]) / 5 > 0.1
    assert sum(event.loss for event in steps[-5:]) / 5 < 0.48


def test_what_is_learnt_before_counts_when_a_reward_model_is_trained_on(root: Path) -> None:
    more = {**asked("rm", "lora"), "lora_dropout": 0.0, "learning_rate": 1e-9, "max_steps": 2}
    first = train(root, "first", **more | {"learning_rate": 0.01, "max_steps": 30})
    for name, where in (("further", {}), ("fresh", {"create_new_adapter": True})):
        second = train(root, name, adapter_name_or_path=str(first.path), **more, **where)
        mean = sum(event.loss for event in journal(second, events.StepLogged)) / 2
        assert mean < 0.3, name
        head = "v_head.summary.weight"
        assert (
            load_file(second.final / valued.FILE)[head] - load_file(first.final / valued.FILE)[head]
        ).abs().max() < 1e-6


# A value head beside every method

CASES: dict[str, dict[str, Any]] = {
    "galore": {"finetuning_type": "full", "use_galore": True, "galore_rank": 4},
    "layerwise galore": {
        "finetuning_type": "full", "use_galore": True, "galore_rank": 4, "galore_layerwise": True,
        "gradient_accumulation_steps": 1, "max_grad_norm": 0.0,
    },
    "apollo": {"finetuning_type": "full", "use_apollo": True, "apollo_rank": 4},
    "badam": {"finetuning_type": "full", "use_badam": True, "badam_switch_interval": 1},
    "badam, ratio": {"finetuning_type": "full", "use_badam": True, "badam_mode": "ratio", "badam_update_ratio": 0.1},
    "lisa": {"finetuning_type": "full", "use_lisa": True, "lisa_activated_layers": 1, "lisa_interval": 1},
    "muon": {"finetuning_type": "full", "use_muon": True},
    "adam-mini": {"finetuning_type": "full", "use_adam_mini": True},
    "pure bf16": {"finetuning_type": "full", "pure_bf16": True},
    "adafactor": {"finetuning_type": "full", "optim": "adafactor"},
    "8 bit adam": {"optim": "adamw_bnb_8bit"},
    "llama pro": {"finetuning_type": "freeze", "use_llama_pro": True, "expand_blocks": 1, "freeze_trainable_layers": 1},
    "dora and lora+": {"use_dora": True, "loraplus_lr_ratio": 4.0},
    "pissa": {"pissa_init": True},
    "loftq": {"loftq_init": True, "quantization_bit": 4},
    "shifted attention": {"shift_attn": True},
    "neftune": {"neftune_noise_alpha": 5.0},
    **{name: {"finetuning_type": name} for name in ("oft", "vera", "ia3", "loha", "lokr", "bottleneck")},
    "adalora": {"finetuning_type": "adalora", "adalora_warmup": 0, "adalora_final": 1},
    **{name: {"finetuning_type": name, "num_virtual_tokens": 3} for name in ("prompt_tuning", "p_tuning")},
    "prefix_tuning": {"finetuning_type": "prefix_tuning", "num_virtual_tokens": 3},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_reward_model_is_trained_with_every_method(root: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    scores: list[float] = []
    plain = Build._final

    def final(build: Build, trainer: Any) -> Path:
        model, path = trainer.model.eval(), trainer.model_path
        with torch.no_grad():
            found, _ = valued.last(model, path, [[{"input_ids": TEXT, "labels": []}]], valued.head_of(model))
        scores.append(float(found))
        return plain(build, trainer)

    monkeypatch.setattr(Build, "_final", final)
    made = resumes_exactly(root, stops=(2,), **{"stage": "rm", "dataset": "pairs", "max_steps": 4} | CASES[case])
    chosen = of_run(made, load(made.recipe))
    again = Scorer.load(
        chosen.model, chosen.adapters, device="cpu", dtype=torch.float32, template=None, shaping=chosen.shaping
    )
    assert again.score_ids([TEXT]) == pytest.approx(scores[-1:], abs=3e-2 if case == "pure bf16" else 1e-4)
    assert scores[-1] != 0
