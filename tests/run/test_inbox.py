from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from tuitune.errors import RunError, UsageError
from tuitune.run.inbox import (
    Broken,
    CancelReply,
    Command,
    Continue,
    Generate,
    Inbox,
    Pause,
    Save,
    SetLearningRate,
    Stop,
    StopNow,
    new_id,
)

HELLO = [{"role": "user", "content": "Hello"}]
SAMPLES: list[Command] = [
    Pause(attempt=3),
    Continue(),
    Save(),
    Stop(save=False),
    StopNow(attempt=1),
    SetLearningRate(2e-5),
    Generate(HELLO, "Be short.", {"temperature": 0.5, "top_k": 50, "do_sample": True, "max_new_tokens": 8}, base=True),
    CancelReply("0000000000000001-00000000"),
]


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    folder = tmp_path / "inbox"
    folder.mkdir(mode=0o700)
    return Inbox(folder)


def test_commands_come_out_as_they_went_in_oldest_first_and_once(inbox: Inbox) -> None:
    ids = [inbox.send(command) for command in SAMPLES]
    assert ids == [command.id for command in SAMPLES] == sorted(ids)
    assert inbox.take() == SAMPLES
    assert inbox.take() == []
    assert list(inbox.path.iterdir()) == []


def test_types_of_options_survive(inbox: Inbox) -> None:
    inbox.send(SAMPLES[6])
    (command,) = inbox.take()
    assert isinstance(command, Generate)
    assert [type(value) for value in command.options.values()] == [float, int, bool, int]


def test_order_is_that_of_making_not_of_sending(inbox: Inbox) -> None:
    first, second = Pause(), Continue()
    inbox.send(second)
    inbox.send(first)
    assert inbox.take() == [first, second]


def test_ids_are_unique_and_rise() -> None:
    ids = [new_id() for _ in range(2000)]
    assert len(set(ids)) == 2000
    assert ids == sorted(ids)


def test_command_files_are_private(inbox: Inbox) -> None:
    before = os.umask(0o022)
    try:
        identifier = inbox.send(Pause())
    finally:
        os.umask(before)
    assert stat.S_IMODE((inbox.path / f"{identifier}.json").stat().st_mode) == 0o600


def test_a_command_that_is_being_written_is_not_seen(inbox: Inbox) -> None:
    (inbox.path / ".half.json").write_bytes(b'{"kind":"pa')
    assert inbox.take() == []
    assert (inbox.path / ".half.json").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"kind":"dance"}',
        b'{"kind":"set_learning_rate"}',
        b'{"kind":"set_learning_rate","value":"x"}',
        b'{"kind":"set_learning_rate","value":-1}',
        b'{"kind":"set_learning_rate","value":"NaN"}',
        b'{"kind":"generate","messages":[]}',
        b'{"kind":"generate","messages":[{"role":"user"}]}',
        b"\xff\x00",
        b'{"kind":"generate","messages":[{"role":"user","content":"a"}],"options":{"top_k":1.5}}',
    ],
)
def test_a_broken_command_is_set_aside_and_told(inbox: Inbox, content: bytes) -> None:
    name = new_id()
    (inbox.path / f"{name}.json").write_bytes(content)
    good = Pause()
    inbox.send(good)
    broken, command = inbox.take()
    assert isinstance(broken, Broken)
    assert broken.id == name
    assert broken.reason
    assert command == good
    assert [path.name for path in inbox.path.iterdir()] == [f".rejected-{name}.json"]
    assert inbox.take() == []


def test_what_is_no_command_file_is_set_aside(inbox: Inbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text('{"kind":"pause"}')
    (inbox.path / "notes.txt").write_text("hello")
    (inbox.path / f"{new_id()}.json").mkdir()
    (inbox.path / f"{new_id()}.json").symlink_to(secret)
    os.mkfifo(inbox.path / f"{new_id()}.json")
    with (inbox.path / f"{new_id()}.json").open("wb") as stream:
        stream.truncate(1 << 30)
    found = inbox.take()
    assert len(found) == 5
    assert all(isinstance(item, Broken) for item in found)
    assert inbox.take() == []
    assert all(path.name.startswith(".rejected-") for path in inbox.path.iterdir())
    assert secret.exists()


def test_the_id_is_the_name_of_the_file_not_what_it_claims(inbox: Inbox) -> None:
    name = new_id()
    (inbox.path / f"{name}.json").write_bytes(b'{"kind":"pause","id":"../../x"}')
    (command,) = inbox.take()
    assert command.id == name


def test_two_takers_share_the_commands(inbox: Inbox) -> None:
    ids = {inbox.send(Save()) for _ in range(200)}
    taken: list[str] = []

    def take() -> None:
        for _ in range(20):
            taken.extend(item.id for item in Inbox(inbox.path).take())

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(ids)


def test_a_taker_sees_whole_commands_while_others_send(inbox: Inbox) -> None:
    senders = [threading.Thread(target=lambda: [inbox.send(Save()) for _ in range(50)]) for _ in range(4)]
    for sender in senders:
        sender.start()
    found: list[Command | Broken] = []
    while any(sender.is_alive() for sender in senders):
        found += inbox.take()
    found += inbox.take()
    assert len(found) == 200
    assert all(isinstance(item, Save) for item in found)


def test_an_empty_inbox_costs_one_look(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Path] = []
    real = os.scandir

    def counted(path: Path) -> object:
        calls.append(path)
        return real(path)

    monkeypatch.setattr("tuitune.run.inbox.os.scandir", counted)
    monkeypatch.setattr("tuitune.run.inbox._read", None)
    assert inbox.take() == []
    assert calls == [inbox.path]


def test_no_inbox_is_an_error_for_the_sender_and_silence_for_the_engine(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "nowhere")
    assert inbox.take() == []
    with pytest.raises(RunError, match="nowhere"):
        inbox.send(Pause())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_a_learning_rate_must_be_a_number_from_0_up(value: float) -> None:
    with pytest.raises(UsageError, match="learning rate"):
        SetLearningRate(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1),
        ("temperature", True),
        ("top_p", 0),
        ("top_p", 1.1),
        ("top_k", 1.0),
        ("top_k", -1),
        ("max_new_tokens", 0),
        ("do_sample", 1),
        ("repetition_penalty", 0.0),
        ("seed", -1),
        ("temperature", float("nan")),
    ],
)
def test_an_option_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=name):
        Generate(HELLO, options={name: value})


def test_an_unknown_option_is_told_what_there_is() -> None:
    with pytest.raises(UsageError, match="heat") as caught:
        Generate(HELLO, options={"heat": 1.0})
    assert "temperature" in caught.value.hint
