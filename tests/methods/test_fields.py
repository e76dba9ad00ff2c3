"""What combines with any method, through the whole cycle: shifted attention, NEFTune, stretched positions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.engine.given import journal, model_folder, recipe_text
from tests.methods.cycle import learns_and_reloads, resumes_exactly, train
from tuitune.engine import changes
from tuitune.errors import RecipeError
from tuitune.models import shifted
from tuitune.models.neftune import Noise
from tuitune.models.rope import scaled_config
from tuitune.models.shaping import FILE, Shaping
from tuitune.recipe import Document
from tuitune.run import events

SHIFT = {"shift_attn": True, "shift_attn_group": 24}
LORA = {"lora_dropout": 0.2}
FULL = {"finetuning_type": "full", "learning_rate": 1e-3}
CASES: dict[str, dict[str, Any]] = {
    "shifted lora": SHIFT | LORA,
    "shifted full, recomputed": SHIFT | FULL | {"gradient_checkpointing": True},
    "neftune lora": {"neftune_noise_alpha": 5} | LORA,
    "neftune full": {"neftune_noise_alpha": 5} | FULL,
    "neftune prompt tuning": {"neftune_noise_alpha": 5, "finetuning_type": "prompt_tuning", "learning_rate": 0.05},
}


@pytest.mark.parametrize("case", CASES)
def test_learns_and_reloads(root: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    learns_and_reloads(root, monkeypatch, **CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_resumes_exactly(root: Path, case: str) -> None:
    resumes_exactly(root, **CASES[case])


def test_evaluation_sees_the_whole_text_and_no_noise(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The rate of learning is nought: what differs between the runs can only be attention and noise.
    evaluated = {"val_size": 0.3, "eval_strategy": "steps", "eval_steps": 5, "learning_rate": 1e-30, "max_steps": 5}
    used: list[str] = []
    whole, over = shifted.attend, Noise.over
    monkeypatch.setattr(shifted, "attend", lambda *a: used.append("groups") or whole(*a))
    monkeypatch.setattr(Noise, "over", lambda *a: used.append("noise") or over(*a))
    plain = train(root, "plain", **evaluated)
    assert not used
    other = train(root, "other", **evaluated, **SHIFT, neftune_noise_alpha=20)
    assert {"groups", "noise"} == set(used)
    losses = [[event.loss for event in journal(run, events.EvalLogged)] for run in (plain, other)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    trained = [[event.loss for event in journal(run, events.StepLogged)] for run in (plain, other)]
    assert trained[0] != pytest.approx(trained[1], rel=1e-4)


@pytest.fixture
def short(tmp_path: Path, root: Path) -> Path:
    """The rows and a model that knows 40 positions."""
    model_folder(tmp_path, num_hidden_layers=4, max_position_embeddings=40)
    return root


@pytest.mark.parametrize("kind", ["linear", "dynamic", "yarn", "llama3"])
def test_an_adapter_on_stretched_positions_reloads(short: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    made = learns_and_reloads(short, monkeypatch, rope_scaling=kind, lora_dropout=0.2)
    assert orjson.loads((made.final / FILE).read_bytes())["rope_length"] == 96


def test_a_whole_model_on_stretched_positions_says_so_itself(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = learns_and_reloads(short, monkeypatch, rope_scaling="yarn", **FULL)
    config = orjson.loads((made.final / "config.json").read_bytes())
    assert config["rope_parameters"]["factor"] == 3
    assert not (made.final / FILE).exists()
    # Taken as the base of the next run, it is not stretched again.
    said: list[str] = []
    scaled_config(made.final, Shaping(rope_scaling="yarn", rope_length=96), note=said.append)
    assert "is not used" in said[0]


def test_stretched_positions_resume_exactly(short: Path) -> None:
    resumes_exactly(short, rope_scaling="dynamic", lora_dropout=0.2)


@pytest.mark.parametrize(("more", "key"), [({"rope_scaling": "linear"}, "cutoff_len"), (SHIFT, "shift_attn_group")])
def test_a_longer_cutoff_cannot_change_the_model_in_the_middle(short: Path, more: dict[str, Any], key: str) -> None:
    more = {name: value for name, value in more.items() if name != "shift_attn_group"}
    former, now = (Document.parse(recipe_text(short, **more, cutoff_len=n)).recipe() for n in (96, 200))
    with pytest.raises(RecipeError) as refused:
        changes.refuse_impossible(changes.remembered(former), now)
    assert [problem.key for problem in refused.value.problems] == [key]
    plain, longer = (Document.parse(recipe_text(short, cutoff_len=n)).recipe() for n in (96, 200))
    changes.refuse_impossible(changes.remembered(plain), longer)


def test_a_setting_that_is_not_needed_is_said(root: Path) -> None:
    made = train(root, "run", rope_scaling="linear")
    assert any("is not used" in event.message for event in journal(made, events.Warned))
