from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tuitune.chat.base import Turn
from tuitune.chat.conversation import Conversation
from tuitune.errors import RunError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path))
    return tmp_path


def test_every_change_is_on_disk_at_once_in_a_private_file(home: Path) -> None:
    talk = Conversation.begin(system="Be kind.")
    talk.ask("héllo \ud800 \x1b[2J")
    assert talk.path is not None
    assert talk.path.parent == home / "chats"
    assert stat.S_IMODE(talk.path.stat().st_mode) == 0o600
    assert Conversation.load(talk.path).system == "Be kind."
    talk.answer("hi", by="a model")
    assert [turn.role for turn in Conversation.load(talk.path).turns] == ["user", "assistant"]
    assert Conversation.load(talk.path).turns[0].content.startswith("héllo ")


def test_nothing_is_written_before_something_is_said(home: Path) -> None:
    Conversation.begin()
    assert list((home / "chats").iterdir()) == []
    Conversation().ask("nowhere")


def test_a_crash_costs_at_most_the_line_that_was_being_written(home: Path) -> None:
    talk = Conversation.begin()
    talk.ask("one")
    assert talk.path is not None
    with talk.path.open("ab") as file:
        file.write(b'{"kind":"turn","role":"assistant","cont')
    again = Conversation.load(talk.path)
    assert again.turns == [Turn("user", "one")]
    again.answer("two")
    assert Conversation.load(talk.path).turns == [Turn("user", "one"), Turn("assistant", "two")]


def test_clear_and_undo_count_when_it_is_read_again(home: Path) -> None:
    talk = Conversation.begin()
    talk.ask("one")
    talk.clear()
    talk.ask("two")
    talk.ask("three")
    talk.undo()
    talk.instruct("x")
    talk.instruct(None)
    assert talk.path is not None
    again = Conversation.load(talk.path)
    assert (again.turns, again.system) == (talk.turns, talk.system) == ([Turn("user", "two")], None)


def test_strange_lines_are_left_out(home: Path) -> None:
    path = home / "x.jsonl"
    path.write_text('[]\n3\n{"kind":"turn","role":"system","content":"x"}\n{"kind":"turn"}\n\x00\n')
    assert Conversation.load(path).turns == []


def test_a_disk_that_takes_nothing_is_said(home: Path) -> None:
    talk = Conversation(home / "missing" / "x.jsonl")
    with pytest.raises(RunError, match="cannot be written"):
        talk.ask("one")


def test_every_line_of_the_file_is_json_for_others_and_a_torn_one_spoils_no_other(home: Path) -> None:
    talk = Conversation.begin(system="S")
    talk.ask("one")
    assert talk.path is not None
    kinds = [json.loads(line)["kind"] for line in talk.path.read_text().split("\n")[:-1]]
    assert kinds == ["system", "turn"]
    with talk.path.open("ab") as file:
        file.write(b'{"kind":"tu')
    talk.answer("two")
    talk.ask("three")
    *_, torn, answer, question, end = talk.path.read_text().split("\n")
    assert torn == '{"kind":"tu'
    assert [json.loads(line)["content"] for line in (answer, question)] == ["two", "three"]
    assert end == ""
