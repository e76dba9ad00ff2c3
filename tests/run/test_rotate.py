from __future__ import annotations

from pathlib import Path

import pytest

from tuitune.run import manifest
from tuitune.run.rotate import rotate


def checkpoint(run: Path, step: int) -> Path:
    temporary = manifest.temporary(run, step)
    (temporary / "model").write_bytes(b"weights")
    return manifest.seal(temporary, run / f"checkpoint-{step}", {}).path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for step in (8, 9, 10, 11, 100):
        checkpoint(tmp_path, step)
    return tmp_path


def left(run: Path) -> list[str]:
    return sorted(path.name for path in run.iterdir())


def test_the_oldest_go_first(run: Path) -> None:
    assert rotate(run, 2) == [run / "checkpoint-8", run / "checkpoint-9", run / "checkpoint-10"]
    assert left(run) == ["checkpoint-100", "checkpoint-11"]


def test_enough_room_deletes_nothing(run: Path) -> None:
    assert rotate(run, 5) == []
    assert len(left(run)) == 5


def test_the_best_and_the_newest_stay_whatever_the_limit(run: Path) -> None:
    rotate(run, 1, {run / "checkpoint-9"})
    assert left(run) == ["checkpoint-100", "checkpoint-9"]
    rotate(run, 0)
    assert left(run) == ["checkpoint-100"]


def test_the_best_counts(run: Path) -> None:
    rotate(run, 3, [run / "checkpoint-8"])
    assert left(run) == ["checkpoint-100", "checkpoint-11", "checkpoint-8"]


def test_a_broken_newest_does_not_push_out_a_good_one(run: Path) -> None:
    (run / "checkpoint-100" / "model").unlink()
    (run / "checkpoint-200").mkdir()
    rotate(run, 1)
    assert left(run) == ["checkpoint-100", "checkpoint-11", "checkpoint-200"]


def test_with_deep_checks_a_changed_newest_does_not_count(run: Path) -> None:
    (run / "checkpoint-100" / "model").write_bytes(b"WEIGHTS")
    rotate(run, 1, deep=True)
    assert left(run) == ["checkpoint-100", "checkpoint-11"]
