from __future__ import annotations

import json
import shlex
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.cli.given import EVIL
from tuitune.cli.main import main
from tuitune.errors import RunError, Stopped

COMMANDS = (
    "train", "resume", "attach", "runs", "pause", "continue", "save", "stop", "lr", "chat", "check", "schema", "doctor",
    "demo", "models",
)  # fmt: skip


@pytest.mark.parametrize("arguments", [("frobnicate",), ("train",), ("train", "--frob"), ("lr", "x", "fast")])
def test_a_wrong_command_line_is_exit_2_and_one_sentence(call: Call, arguments: tuple[str, ...]) -> None:
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert "--help`" in err


@pytest.mark.parametrize(
    "arguments", [("evaluate", "x", "--rows", "0"), ("export", "x", "y", "--gguf", "Q9"), ("check",)]
)
def test_with_json_a_wrong_command_line_is_an_object_too(call: Call, arguments: tuple[str, ...]) -> None:
    code, out, err = call(*arguments, "--json")
    [told] = [json.loads(line) for line in out.splitlines()]
    assert (code, told["kind"]) == (2, "error")
    assert told["message"] in err
    assert "--help" in told["hint"]


def test_help_names_every_command_but_the_hidden_one(call: Call) -> None:
    for arguments in ((), ("--help",)):
        code, out, _ = call(*arguments)
        assert code == 0
        for word in COMMANDS:
            assert f"  {word} " in out
        assert "_host" not in out


def test_a_fault_leaves_its_traceback_in_a_private_file(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ValueError(f"what is {EVIL}")

    monkeypatch.setattr("tuitune.run.index.all_runs", broken)
    code, out, err = call("runs")
    assert (code, out) == (1, "")
    assert err.startswith("error: a fault in TuiTune: ValueError: what is abcd")
    assert "Traceback" not in err
    assert "\x1b" not in err
    log = home / "crash.log"
    assert str(log) in err
    assert "in broken" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_traceback_is_shown_to_who_asks_for_it(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITUNE_DEBUG", "1")
    monkeypatch.setattr("tuitune.run.index.all_runs", lambda: 1 / 0)
    assert "ZeroDivisionError" in call("runs")[2].partition("Traceback")[2]


@pytest.mark.parametrize(
    ("error", "code"), [(RunError("no", "try this"), 1), (Stopped("enough"), 3), (KeyboardInterrupt(), 3)]
)
def test_an_error_brings_its_exit_code(
    call: Call, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def broken() -> None:
        raise error

    monkeypatch.setattr("tuitune.run.index.all_runs", broken)
    assert call("runs")[0] == code


def test_message_and_hint_are_lines_of_their_own_and_clean(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RunError(f"message {EVIL}\nmore", f"hint {EVIL}")

    monkeypatch.setattr("tuitune.run.index.all_runs", broken)
    err = call("runs")[2]
    assert err == "error: message abcd2Jefg more\n  hint: hint abcd2Jefg\n"


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    command = f"{shlex.quote(sys.executable)} -m tuitune schema | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout == "{\n"
    assert done.stderr == ""


def test_after_ctrl_c_it_says_so_and_the_end_of_the_process_is_not_broken_by_another(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*asked: object, **rest: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tuitune.cli.evaluate.evaluate", interrupted)
    monkeypatch.setattr(sys, "argv", ["tuitune", "evaluate", "run"])
    before = signal.getsignal(signal.SIGINT)
    try:
        assert main() == 3
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert capfd.readouterr().err == "cancelled\n"
    assert main(["evaluate", "run"]) == 3  # within another program it stays as it is
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("alone", [True, False])
def test_a_job_hears_that_it_is_to_end_where_a_script_ignored_ctrl_c(alone: bool) -> None:
    code = "import signal; from tuitune.cli.main import main; main(['--version']); print(repr(signal.getsignal(2)))"
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], start_new_session=alone, capture_output=True, text=True, timeout=120,
            check=True,
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)
    assert ("default_int_handler" if alone else "SIG_IGN") in done.stdout
