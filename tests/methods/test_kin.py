"""OFT, VeRA, IA3, LoHa and LoKr through the whole cycle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.methods.cycle import learns_and_reloads, resumes_exactly
from tests.methods.uses import goes_elsewhere_and_on, talks_while_it_learns

CASES: dict[str, dict[str, Any]] = {
    "oft": {"finetuning_type": "oft", "oft_block_size": 16, "module_dropout": 0.2},
    "vera": {"finetuning_type": "vera", "lora_rank": 64, "lora_dropout": 0.2, "learning_rate": 5e-2},
    "ia3": {"finetuning_type": "ia3", "learning_rate": 5e-2},
    "loha": {"finetuning_type": "loha", "learning_rate": 1e-2},
    "lokr": {"finetuning_type": "lokr", "lokr_factor": 8, "learning_rate": 1e-2},
}


@pytest.mark.parametrize("case", CASES)
def test_learns_and_reloads(root: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    learns_and_reloads(root, monkeypatch, **CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_resumes_exactly(root: Path, case: str) -> None:
    resumes_exactly(root, **CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_it_can_be_used_elsewhere_trained_on_and_merged(
    root: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    goes_elsewhere_and_on(root, monkeypatch, merges=True, max_steps=4, **CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_it_can_be_talked_to_while_it_learns(root: Path, case: str) -> None:
    talks_while_it_learns(root, **CASES[case])
