"""How commands tell what they do."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tuitune.cli.telling import telling
from tuitune.errors import Stopped, TuiTuneError, UsageError


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_json_is_one_object_a_line_and_nothing_else(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with telling(tmp_path / "log", as_json=True) as tell:
        print("a library prints")
        tell.progress("load", 1, None)
        tell.note("twice")
        tell.note("twice")
        tell.result({"path": Path("there")}, "in words")
    out, err = capfd.readouterr()
    assert lines(out) == [
        {"kind": "progress", "stage": "load", "done": 1, "total": None},
        {"kind": "note", "text": "twice"},
        {"kind": "result", "path": "there"},
    ]
    assert err == ""
    assert "a library prints" in (tmp_path / "log").read_text()


def test_words_go_to_people_without_what_would_move_their_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with telling(tmp_path / "log", as_json=False) as tell:
        tell.progress("load", 0, None)
        tell.note("bad \x1b[2J name")
        tell.result({}, "done: \x1b]0;x\x07there")
    out, err = capfd.readouterr()
    assert "done" in out
    assert "load" in err
    assert "warning: bad" in err
    assert "\x1b" not in out + err


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UsageError("no such thing", "try another"), ("no such thing", "try another", False)),
        (KeyboardInterrupt(), ("cancelled: nothing was written", "", True)),
    ],
)
def test_errors_are_told_as_objects_too_and_go_on(
    error: BaseException, told: tuple[str, str, bool], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with (
        pytest.raises(TuiTuneError, match=told[0]),
        telling(tmp_path / "log", as_json=True, cancelled="cancelled: nothing was written"),
    ):
        raise error
    [line] = lines(capfd.readouterr().out)
    assert (line["kind"], line["message"], line["hint"], line["stopped"]) == ("error", *told)


def test_how_far_a_piece_of_work_is_is_told_with_what_is_done(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuitune.cli.telling._EVERY", 0.0)
    with telling(tmp_path / "log", as_json=True) as tell:
        tell.within("nothing has begun")
        tell.progress("answer", 0, 9)
        tell.within("token 1")
        tell.progress("answer", 2, 9)
        tell.progress("answer", 9, 9)
        tell.progress("sum", 0, None)
    assert [(each["stage"], each["done"], each.get("within")) for each in lines(capfd.readouterr().out)] == [
        ("answer", 0, None), ("answer", 0, "token 1"), ("answer", 2, "token 1"), ("answer", 9, None), ("sum", 0, None),
    ]  # fmt: skip


def test_a_long_stage_is_told_again_where_no_bar_can_be_drawn(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with telling(tmp_path / "log", as_json=False) as tell:
        for done in range(3):
            tell.progress("answer", done, 1000)
        tell.within("token 1")
        monkeypatch.setattr("tuitune.cli.bars._EVERY", 0.0)
        tell.progress("answer", 500, 1000)
        tell.progress("count", 0, None)
        tell.progress("count", 7, None)
    assert capfd.readouterr().err.splitlines() == ["answer", "answer: 500 of 1,000", "count", "count: 7"]


def test_many_small_steps_are_not_told_one_by_one(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with telling(tmp_path / "log", as_json=True) as tell:
        for done in range(1, 10_001):
            tell.progress("count", done, 10_000)
    told = lines(capfd.readouterr().out)
    assert len(told) < 200
    assert told[-1]["done"] == 10_000


def test_a_second_ctrl_c_does_not_break_what_is_tidied_up_and_a_third_does(tmp_path: Path) -> None:
    done: list[str] = []
    before = signal.getsignal(signal.SIGINT)

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGINT)
            done.append("removed")
            signal.raise_signal(signal.SIGINT)
            done.append("never")

    with pytest.raises(Stopped, match="it is gone"), telling(tmp_path / "log", as_json=False, cancelled="it is gone"):
        work()
    assert done == ["removed"]
    assert signal.getsignal(signal.SIGINT) is before
