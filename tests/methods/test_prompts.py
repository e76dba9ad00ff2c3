"""Prompt tuning, p-tuning and prefix tuning through the whole cycle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.methods.cycle import learns_and_reloads, resumes_exactly
from tests.methods.uses import goes_elsewhere_and_on, talks_while_it_learns

CASES: dict[str, dict[str, Any]] = {
    "prompt_tuning": {"finetuning_type": "prompt_tuning", "learning_rate": 3e-2},
    "words": {"finetuning_type": "prompt_tuning", "prompt_tuning_init_text": "the river runs", "learning_rate": 3e-2},
    "p_tuning": {"finetuning_type": "p_tuning", "learning_rate": 1e-3},
    "prefix_tuning": {"finetuning_type": "prefix_tuning", "learning_rate": 3e-2},
    "projection": {"finetuning_type": "prefix_tuning", "prefix_projection": True, "learning_rate": 1e-2},
}


@pytest.mark.parametrize("case", CASES)
def test_learns_and_reloads(root: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    learns_and_reloads(root, monkeypatch, num_virtual_tokens=6, **CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_resumes_exactly(root: Path, case: str) -> None:
    resumes_exactly(root, num_virtual_tokens=6, **CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_it_can_be_used_elsewhere_and_trained_on(root: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    goes_elsewhere_and_on(root, monkeypatch, merges=False, max_steps=4, num_virtual_tokens=6, **CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_it_can_be_talked_to_while_it_learns(root: Path, case: str) -> None:
    talks_while_it_learns(root, num_virtual_tokens=6, **CASES[case])
