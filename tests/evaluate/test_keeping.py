"""Where results cannot be written: said in words, with what to do, and nothing measured is lost."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.evaluate.given import measured
from tuitune.errors import RunError
from tuitune.run.directory import RunDir


def _full(fd: int, data: bytes) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_is_full_at_the_beginning_is_said_and_nothing_is_left(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuitune.run.files.write_all", _full)
    with pytest.raises(RunError, match=r"results cannot be written in .*: the disk is full$") as caught:
        measured(run.path)
    assert "save_dir=FOLDER" in caught.value.hint
    assert not any((run.path / "evaluations").iterdir())


def test_a_disk_that_fills_meanwhile_keeps_what_is_measured_and_says_how_to_go_on(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[bytes] = []
    there = f"save_dir={tmp_path / 'there'}"

    def second(fd: int, data: bytes) -> None:
        rows.append(data)
        if len(rows) > 1:
            _full(fd, data)
        os.write(fd, data)

    with monkeypatch.context() as patch:
        patch.setattr("tuitune.evaluate.sheet.write_all", second)
        with pytest.raises(RunError, match="full; what was measured is kept") as caught:
            measured(run.path, there, answers=False)
    assert caught.value.hint.endswith(f"go on with: tuitune evaluate {run.path} {there} --resume")
    assert measured(run.path, there, resume=True).status == "done"


def test_a_folder_that_is_only_read_is_said_with_what_to_do(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> Path:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr("tuitune.evaluate.folder.private_dir", refuse)
    with pytest.raises(RunError, match="evaluations: Read-only file system") as caught:
        measured(run.path)
    assert "save_dir=FOLDER" in caught.value.hint
