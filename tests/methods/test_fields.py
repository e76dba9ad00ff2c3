"""What combines with any method, through the whole cycle: shifted attention, NEFTune, stretched positions, losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from transformers import AutoModelForCausalLM

from tests.engine.given import journal, model_folder
from tests.methods.cycle import Ended, learns_and_reloads, loaded_logits, logits, resumes_exactly, train
from tuitune.models import shifted
from tuitune.models.neftune import Noise
from tuitune.models.rope import scaled_config
from tuitune.models.shaping import FILE, Shaping
from tuitune.run import events

SHIFT = {"shift_attn": True, "shift_attn_group": 24}
# On a model of random weights every token is unlikely, so that DFT pulls very little: the pull back is weak here too.
ASFT = {"use_asft_loss": True, "asft_alpha": 0.002}
LORA = {"lora_dropout": 0.2}
FULL = {"finetuning_type": "full", "learning_rate": 1e-3}
CASES: dict[str, dict[str, Any]] = {
    "shifted lora": SHIFT | LORA,
    "shifted full, recomputed": SHIFT | FULL | {"gradient_checkpointing": True},
    "neftune lora": {"neftune_noise_alpha": 5} | LORA,
    "neftune full": {"neftune_noise_alpha": 5} | FULL,
    "neftune prompt tuning": {"neftune_noise_alpha": 5, "finetuning_type": "prompt_tuning", "learning_rate": 0.05},
}
# The weight of a token grows with its likelihood, so these losses rise at first; what must fall is the plain one.
WEIGHED: dict[str, dict[str, Any]] = {
    "dft lora": {"use_dft_loss": True} | LORA,
    "eaft full": {"use_eaft_loss": True, "eaft_alpha": 0.5} | FULL,
    "asft lora": ASFT | LORA | {"additional_target": "norm"},
    "asft full": ASFT | FULL,
    "asft freeze": ASFT | {"finetuning_type": "freeze"},
    "asft pissa": ASFT | {"pissa_init": True, "pissa_iter": -1, "learning_rate": 1e-3},
    "asft prefix tuning": ASFT | {"finetuning_type": "prefix_tuning", "learning_rate": 0.05},
    "all at once": ASFT | SHIFT | {"neftune_noise_alpha": 5} | LORA,
}


@pytest.mark.parametrize("case", CASES)
def test_learns_and_reloads(root: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    learns_and_reloads(root, monkeypatch, **CASES[case])


@pytest.mark.parametrize("case", CASES | WEIGHED)
def test_resumes_exactly(root: Path, case: str) -> None:
    resumes_exactly(root, **(CASES | WEIGHED)[case])


@pytest.mark.parametrize("case", WEIGHED)
def test_the_plain_loss_of_unseen_rows_falls(root: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    ended = Ended(monkeypatch)
    made = train(root, "learns", val_size=0.3, eval_strategy="steps", eval_steps=2, **WEIGHED[case])
    seen = [event.loss for event in journal(made, events.EvalLogged)]
    assert seen[-1] < seen[0]
    assert seen[-1] > 1  # a mean of -log p, not of anything weighted
    assert (loaded_logits(made) - ended.logits).abs().max() < 1e-5


@pytest.mark.parametrize("case", ["full", "lora", "pissa"])
def test_asft_begins_as_dft_and_then_holds_on_to_the_original(root: Path, case: str) -> None:
    more = {"full": FULL, "lora": {}, "pissa": {"pissa_init": True, "pissa_iter": -1}}[case]
    base = logits(AutoModelForCausalLM.from_pretrained(root / "tiny"))
    first, moved = [], []
    for strength in (0.0, 0.5):
        made = train(
            root, f"asft-{strength}", use_asft_loss=True, asft_alpha=strength, lr_scheduler_type="constant", **more
        )
        first.append(journal(made, events.StepLogged)[0].loss)
        moved.append(float((loaded_logits(made) - base).abs().mean()))
    assert first[1] == pytest.approx(first[0], rel=1e-5)
    assert moved[0] > 1.2 * moved[1]


def test_a_frozen_copy_is_announced(root: Path) -> None:
    said = [event.text for event in journal(train(root, "full", **ASFT, **FULL), events.Noted)]
    assert any("original model stays in memory" in text for text in said)
    said = [event.text for event in journal(train(root, "lora", **ASFT), events.Noted)]
    assert not any("original model stays in memory" in text for text in said)


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


def test_a_setting_that_is_not_needed_is_said(root: Path) -> None:
    made = train(root, "run", rope_scaling="linear")
    assert any("is not used" in event.message for event in journal(made, events.Warned))
