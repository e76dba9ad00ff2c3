"""DFT, EAFT and ASFT with several methods, through the whole cycle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from tests.engine.given import journal
from tests.methods.cycle import Ended, loaded_logits, logits, mainly, resumes_exactly, train
from tuitune.run import events

# On a model of random weights every token is unlikely, so that DFT pulls very little: the pull back is weak here too.
ASFT = {"use_asft_loss": True, "asft_alpha": 0.002}
FULL = {"finetuning_type": "full", "learning_rate": 1e-3}
LORA = {"lora_dropout": 0.2}
SHIFT = {"shift_attn": True, "shift_attn_group": 24}
# The weight of a token grows with its likelihood, so these losses rise at first; what must fall is the plain one.
CASES: dict[str, dict[str, Any]] = {
    "dft lora": {"use_dft_loss": True} | LORA,
    "eaft full": {"use_eaft_loss": True, "eaft_alpha": 0.5} | FULL,
    "asft lora": ASFT | LORA | {"additional_target": "norm"},
    "asft full": ASFT | FULL,
    "asft freeze": ASFT | {"finetuning_type": "freeze"},
    "asft pissa": ASFT | {"pissa_init": True, "pissa_iter": -1, "learning_rate": 1e-3},
    "asft prefix tuning": ASFT | {"finetuning_type": "prefix_tuning", "learning_rate": 0.05},
    "all at once": ASFT | SHIFT | {"neftune_noise_alpha": 5} | LORA,
}


@pytest.mark.parametrize(
    "case", mainly(CASES, "dft lora", "eaft full", "asft pissa", "asft prefix tuning", "all at once")
)
def test_resumes_exactly(root: Path, case: str) -> None:
    resumes_exactly(root, **CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_the_plain_loss_of_unseen_rows_falls(root: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    ended = Ended(monkeypatch)
    made = train(root, "learns", val_size=0.3, eval_strategy="steps", eval_steps=2, **CASES[case])
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
    assert any("original model is in memory" in text for text in said)
    said = [event.text for event in journal(train(root, "lora", **ASFT), events.Noted)]
    assert not any("original model is in memory" in text for text in said)
