"""Commands at work are seen by others, whatever terminal they were typed in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.given import plant
from tuitune.errors import RunError
from tuitune.face.users import refuse_used
from tuitune.run.places import home
from tuitune.run.uses import all_at_work, at_work


def test_a_command_is_there_while_it_works() -> None:
    assert all_at_work() == []
    with at_work(["serve", "tuned"]):
        assert all_at_work() == [(["serve", "tuned"], os.getcwd())]
    assert all_at_work() == []


def test_what_a_killed_command_left_counts_for_nothing() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    with at_work(["serve"]):
        [file] = (home() / "uses").iterdir()
        left = json.loads(file.read_text()) | {"pid": child.pid}
        (home() / "uses" / "1.json").write_text(json.dumps(left))
        (home() / "uses" / "2.json").write_text("torn")
        assert len(all_at_work()) == 1
    assert list((home() / "uses").iterdir()) == []


@pytest.mark.parametrize("word", ["tuned", "tun", "name=tuned", "tuned/checkpoint-3", "{path}", "{path}/final"])
def test_a_run_is_in_use_by_whatever_names_it(word: str, tmp_path: Path) -> None:
    run = plant("tuned")
    with at_work(["serve", word.format(path=run.path)]), pytest.raises(RunError, match="in use: tuitune serve"):
        refuse_used(run)
    refuse_used(run)


@pytest.mark.parametrize("words", [["tuned", "other"], ["serve", "--name", "--tuned"], ["serve", "other", "n_shot=5"]])
def test_other_words_are_other_things(words: list[str]) -> None:
    run = plant("tuned")
    with at_work(words):
        refuse_used(run)
