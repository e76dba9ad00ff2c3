from __future__ import annotations

from pathlib import Path

import pytest

from tuitune.run import RunDir
from tuitune.run.origin import NAME, Origin


def test_the_first_origin_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = RunDir.create(tmp_path / "run", "x: 1\n")
    assert Origin.of(run) is None
    Origin.here(Path("recipes/one.yaml")).keep(run)
    assert Origin.of(run) == Origin(str(tmp_path), str(tmp_path / "recipes"))
    Origin("/other").keep(run)
    found = Origin.of(run)
    assert found is not None
    assert found.folders == (tmp_path, tmp_path / "recipes")
    # The run is still recognised as the same by its recipe.
    assert RunDir.create(tmp_path / "run", "x: 1\n") == run


@pytest.mark.parametrize("content", ["", "[]", '{"cwd": 3}', "{"])
def test_nonsense_is_no_origin(tmp_path: Path, content: str) -> None:
    run = RunDir.create(tmp_path / "run", "x: 1\n")
    (run.path / NAME).write_text(content)
    assert Origin.of(run) is None
