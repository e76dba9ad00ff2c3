"""AdaLoRA."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.methods.cycle import learns_and_reloads, resumes_exactly
from tests.methods.uses import goes_elsewhere_and_on, talks_while_it_learns

ADALORA: dict[str, Any] = {
    "finetuning_type": "adalora",
    "lora_rank": 4,
    "adalora_init_rank": 8,
    "adalora_warmup": 2,
    "adalora_final": 2,
    "adalora_interval": 2,
    "lora_dropout": 0.2,
    "learning_rate": 2e-2,
}


def test_learns_and_reloads(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learns_and_reloads(root, monkeypatch, **ADALORA)


def test_resumes_exactly(root: Path) -> None:
    resumes_exactly(root, stops=(1, 5, 9), **ADALORA)


def test_it_can_be_used_elsewhere_trained_on_and_merged(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_elsewhere_and_on(root, monkeypatch, merges=True, **ADALORA)


def test_it_can_be_talked_to_while_it_learns(root: Path) -> None:
    talks_while_it_learns(root, **ADALORA)
