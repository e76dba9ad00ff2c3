"""The memory that a method promises is the memory that it takes, to the byte, at the worst moment of a step."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.memory import CASES, measure
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A llama whose embedding is its largest tensor, with fewer key-value heads than heads."""
    made = tmp_path_factory.mktemp("model")
    tiny_model(num_hidden_layers=4).save_pretrained(made)
    return made


@pytest.mark.parametrize("name", CASES)
def test_what_is_held_is_what_is_promised(name: str, folder: Path) -> None:
    case = CASES[name]
    seen, shapes = measure(case, folder)
    assert (seen.gradients, seen.states) == (case.gradients(shapes), case.states(shapes))


def test_the_promises_are_worth_it(folder: Path) -> None:
    _, shapes = measure(CASES["BAdam by layer"], folder)
    states = [CASES[name].states(shapes) for name in ("BAdam by layer", "LISA, 2 layers", "Muon", "full")]
    assert states == sorted(states)
    assert CASES["GaLore layerwise, one micro-batch"].gradients(shapes) < CASES["full"].gradients(shapes) / 4
    assert CASES["BAdam by layer"].gradients(shapes) < CASES["full"].gradients(shapes) / 4
