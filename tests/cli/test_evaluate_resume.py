"""`tuitune evaluate --resume` as it is typed: which one it goes on with, and what it says of the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Call
from tests.evaluate.given import measured
from tests.methods.cycle import train
from tuitune.errors import Stopped
from tuitune.run.directory import RunDir
from tuitune.run.evaluations import evaluations_of, read


@pytest.fixture
def run(root: Path) -> RunDir:
    """A run of one step that held four rows back."""
    return train(root, "run", template="chatml", val_size=4, eval_strategy="no", max_steps=1)


def interrupted(run: RunDir, name: str) -> Path:
    def cancel(kind: str, values: Any) -> None:
        if kind == "row":
            raise KeyboardInterrupt

    with pytest.raises(Stopped):
        measured(run.path, name=name, line=cancel, answers=False, base=False)
    return next(path for path in evaluations_of(run) if path.name.endswith(name))


def test_a_resume_says_which_it_took_and_takes_another_by_its_name(run: RunDir, call: Call) -> None:
    first, second = interrupted(run, "first"), interrupted(run, "second")
    third = interrupted(run, "third")
    code, _, err = call("evaluate", str(run.path), "--resume")
    assert code == 0
    assert f"goes on with {third.name}" in err
    assert f"also interrupted: {second.name}, {first.name}; --name NAME goes on with one of these" in err
    code, _, err = call("evaluate", str(run.path), "--resume", "--name", "first")
    assert code == 0
    assert f"goes on with {first.name}" in err
    assert [read(path).status for path in (first, second, third)] == ["done", "interrupted", "done"]
    code, _, err = call("evaluate", str(run.path), "--resume", "--rows", "2")
    assert code == 2
    assert "--rows is not what it began with" in err
