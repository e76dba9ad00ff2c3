"""LoRA and full fine-tuning through the whole cycle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.methods.cycle import learns_and_reloads, mainly, resumes_exactly

CASES: dict[str, dict[str, Any]] = {
    "full": {"finetuning_type": "full"},
    "lora": {"lora_dropout": 0.2},
    "rslora": {"lora_dropout": 0.2, "use_rslora": True},
    "dora and lora+": {"lora_dropout": 0.2, "use_dora": True, "loraplus_lr_ratio": 4.0, "learning_rate": 2e-3},
}


@pytest.mark.parametrize("case", CASES)
def test_learns_and_reloads(root: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    learns_and_reloads(root, monkeypatch, **CASES[case])


@pytest.mark.parametrize("case", mainly(CASES, "full", "dora and lora+"))
def test_resumes_exactly(root: Path, case: str) -> None:
    resumes_exactly(root, **CASES[case])
