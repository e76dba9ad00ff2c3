from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tuitune.errors import UsageError
from tuitune.run import RunDir
from tuitune.run.remarks import MOST_NOTE, NAME, Remarks, edit


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir.create(tmp_path / "run", "dataset: identity\n")


def test_a_note_and_tags_are_kept_privately_and_read_again(run: RunDir) -> None:
    assert Remarks.of(run) == Remarks()
    edit(run, lambda before: before.noted("  the first that works\n").tagged(["best", "#paper"]))
    assert Remarks.of(run) == Remarks("the first that works", ("best", "paper"))
    assert (run.path / NAME).stat().st_mode & 0o777 == 0o600
    edit(run, lambda before: before.untagged(["BEST"]).noted(""))
    assert Remarks.of(run) == Remarks("", ("paper",))


def test_a_tag_is_given_once_whatever_its_case(run: RunDir) -> None:
    assert edit(run, lambda before: before.tagged(["Best", "best", "x"])).tags == ("Best", "x")
    assert edit(run, lambda before: before.tagged(["BEST"])).tags == ("Best", "x")


@pytest.mark.parametrize("tag", ["two words", "", "#", "a" * 41, "\x1b[31m", "-x", "a\nb"])
def test_what_is_no_plain_word_cannot_be_a_tag(run: RunDir, tag: str) -> None:
    with pytest.raises(UsageError, match="cannot be a tag"):
        edit(run, lambda before: before.tagged([tag]))
    assert not (run.path / NAME).exists()


def test_a_tag_that_is_not_there_cannot_be_taken(run: RunDir) -> None:
    edit(run, lambda before: before.tagged(["a"]))
    with pytest.raises(UsageError, match="no tag 'b'") as caught:
        edit(run, lambda before: before.untagged(["a", "b"]))
    assert "its tags: a" in caught.value.hint
    assert Remarks.of(run).tags == ("a",)


def test_notes_cannot_write_to_the_terminal_and_have_an_end(run: RunDir) -> None:
    assert edit(run, lambda before: before.noted("a\x1b]0;evil\x07b")).note == "ab"
    with pytest.raises(UsageError, match="4,000 characters"):
        edit(run, lambda before: before.noted("x" * (MOST_NOTE + 1)))


def test_those_who_edit_at_once_lose_nothing(run: RunDir) -> None:
    def work(number: int) -> None:
        for n in range(5):
            edit(run, lambda before, tag=f"t{number}-{n}": before.tagged([tag]))  # type: ignore[misc]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Remarks.of(run).tags) == 20


def test_what_says_nothing_sensible_is_nothing(run: RunDir) -> None:
    for text in ("", "[]", '{"tags": 3}', "{"):
        (run.path / NAME).write_text(text)
        assert Remarks.of(run) == Remarks()
