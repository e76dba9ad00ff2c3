"""What becomes of the terminal, the prompt and the training however the app ends; on a pseudo terminal, with a stub."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cli.given import gone, until
from tests.tui.terminal import Terminal, python

REPO = Path(__file__).parents[2]
PROMPT = "prompt>"
STUB = "exec 3>&-; python -m tests.tui.stubapp quickstart; echo en''ded $?"
WAYS = (
    "by print", "by print to stderr", "by an early handler", "by the root logger", "by a warning", "by descriptor 1",
    "by descriptor 2", "by puts", "by a child", "by a child to stderr", "by a worker", "by a worker to descriptor 2",
)  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "home"
    home.mkdir()
    yield home
    # Whatever was detached finishes by itself.
    (home / "finish").touch()
    until(lambda: not left_in(home))


def left_in(home: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            mine = process.environ().get("TUITUNE_HOME") == str(home)
        except (psutil.Error, OSError):
            continue
        if mine and not gone(process.pid):
            found.append(process)
    return found


def environment(home: Path, **more: str) -> dict[str, str]:
    path = f"{Path(python()[0]).parent}:{os.environ['PATH']}"
    return {"TUITUNE_HOME": str(home), "PYTHONPATH": str(REPO), "PS1": PROMPT, "ENV": "", "PATH": path, **more}


def shell(home: Path, **more: str) -> Terminal:
    """A plain shell at its prompt: one that edits no lines, and so leaves the settings of the terminal alone."""
    return Terminal(["sh", "-i"], cwd=home.parent, env=environment(home, **more))


def stub(home: Path, **more: str) -> Terminal:
    """The stub alone on a terminal, without a shell."""
    return Terminal(python("-m", "tests.tui.stubapp", "quickstart"), cwd=home.parent, env=environment(home, **more))


def deaf(home: Path) -> Terminal:
    """The stub, started by something that ignores hangups."""
    line = "trap '' HUP; python -m tests.tui.stubapp quickstart; true"
    return Terminal(["sh", "-c", line], cwd=home.parent, env=environment(home))


def open_stub(terminal: Terminal, keys: str = "") -> None:
    terminal.until(PROMPT)
    terminal.send(STUB + "\r")
    terminal.until("the stub is here")
    if "t" in keys:
        terminal.send("t")
        terminal.until("it trains")


def restored(terminal: Terminal) -> bool:
    """Whether settings and modes are what they were, as far as the bytes tell."""
    modes = {}
    for numbers, end in re.findall(rb"\x1b\[\?([0-9;]+)([hl])", bytes(terminal.output)):
        modes.update(dict.fromkeys(numbers.split(b";"), end))
    on = {number for number, end in modes.items() if end == b"h"} - {b"25", b"7"}
    keyboard = terminal.output.count(b"\x1b[<u") >= terminal.output.count(b"\x1b[>")
    return terminal.settings() == terminal.before and not on and modes.get(b"25") == b"h" and keyboard


def console(home: Path) -> str:
    return (home / "runs" / "one" / "console.log").read_text()


def engine_pid(home: Path) -> int:
    from tuitune.run import RunDir, State

    state = State.read(RunDir(home / "runs" / "one").state)
    assert state is not None
    return state.pid


def finished(home: Path) -> bool:
    return '"RunFinished"' in (home / "runs" / "one" / "events.jsonl").read_text()


def test_an_exit_code_passes_through(home: Path) -> None:
    with shell(home) as terminal:
        open_stub(terminal)
        terminal.send("q")
        shown = terminal.until("ended 7")
        assert "killed" not in shown
        assert restored(terminal)


def test_detach_gives_the_prompt_back_and_the_training_goes_on(home: Path) -> None:
    with shell(home) as terminal:
        open_stub(terminal, "t")
        pid = engine_pid(home)
        terminal.send("d")
        shown = terminal.until("ended 0")
        # Its words are clean, and they stand before the prompt.
        assert "the stub has left\ncome back" in shown
        assert b"\x1b]0;evil" not in terminal.output
        assert restored(terminal)
        terminal.send("echo st''ill here\r")
        terminal.until("still here")
        assert os.getsid(pid) == pid
        assert not _holds_terminal(pid)
    # The terminal has gone, too.
    assert psutil.pid_exists(pid)
    os.kill(pid, signal.SIGTERM)
    until(lambda: (home / "heard-Save").exists())
    (home / "finish").touch()
    until(lambda: finished(home))


def _holds_terminal(pid: int) -> bool:
    held = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            held.append(os.readlink(link))
    return any(name.startswith(("/dev/pts/", "/dev/tty")) for name in held)


def test_quitting_while_an_engine_works_leaves_it_working(home: Path) -> None:
    with shell(home) as terminal:
        open_stub(terminal, "t")
        terminal.send("q")
        assert "one trains on" in terminal.until("ended 0")
    assert not finished(home)


@pytest.mark.parametrize(("key", "code", "words"), [("k", 137, "killed (SIGKILL)"), ("e", 5, "exit code 5")])
def test_a_sudden_death_leaves_a_usable_terminal_and_says_how_to_go_on(
    home: Path, key: str, code: int, words: str
) -> None:
    with shell(home) as terminal:
        open_stub(terminal, "t")
        terminal.send(key)
        shown = terminal.until(f"ended {code}")
        assert words in shown
        assert "tuitune resume one" in shown
        assert restored(terminal)
        terminal.send("echo st''ill here\r")
        terminal.until("still here")


def test_after_a_run_has_ended_a_death_speaks_of_none(home: Path) -> None:
    with shell(home) as terminal:
        open_stub(terminal, "t")
        terminal.send("f")
        terminal.until("it has finished")
        terminal.send("k")
        shown = terminal.until("ended 137")
        assert "resume" not in shown
    assert "by print" in console(home)


def test_a_fault_of_the_screen_alone_ends_with_its_words(home: Path) -> None:
    with shell(home) as terminal:
        open_stub(terminal)
        terminal.send("x")
        shown = terminal.until("ended 9")
        assert "error: a fault of the screen" in shown
        assert "Traceback" not in shown
        assert restored(terminal)


def test_a_fault_of_the_screen_does_not_end_a_training(home: Path) -> None:
    with shell(home) as terminal:
        open_stub(terminal, "t")
        terminal.send("x")
        shown = terminal.until("ended 0")
        assert "the screen failed: ZeroDivisionError: a fault of the screen" in shown
        assert "tuitune attach one" in shown
        assert "Traceback" not in shown
    assert "ZeroDivisionError" in console(home)
    assert not finished(home)


def test_a_busy_thread_does_not_keep_the_prompt_waiting(home: Path) -> None:
    with shell(home) as terminal:
        open_stub(terminal)
        terminal.send("b")
        terminal.until("a thread is busy")
        terminal.send("q")
        terminal.until("ended 7")


def test_a_restart_is_a_fresh_process_under_the_same_guardian(home: Path) -> None:
    # What takes its place opens the real app; here it is told to say its version instead.
    with shell(home) as terminal:
        open_stub(terminal)
        before = _children(terminal)
        terminal.send("l")
        until(lambda: any("tuitune" in each for each in _commands(terminal.pid)))
        until(lambda: _children(terminal) == before)
        os.kill(before[-1], signal.SIGKILL)  # the app, which its guardian began
        assert "killed" in terminal.until("ended 137")


def _children(terminal: Terminal) -> list[int]:
    return [each.pid for each in psutil.Process(terminal.pid).children(recursive=True)]


def _commands(pid: int) -> list[str]:
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        words = []
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
        found.append(words[words.index("-m") + 1] if "-m" in words else "")
    return [each for each in found if each == "tuitune"]


@pytest.mark.parametrize("how", ["HUP", "closed", "closed, ignored"])
def test_a_lost_terminal_leaves_the_training_working(home: Path, how: str) -> None:
    with (deaf if how == "closed, ignored" else stub)(home) as terminal:
        terminal.until("the stub is here")
        terminal.send("t")
        terminal.until("it trains")
        pid = engine_pid(home)
        if how == "HUP":
            os.kill(pid, signal.SIGHUP)
            assert terminal.wait() == 0
            until(lambda: restored(terminal))
        else:
            terminal.hang_up()
            terminal.wait()
        until(lambda: os.getsid(pid) == pid and not _holds_terminal(pid))
        before = psutil.Process(pid).cpu_times()
        until(lambda: psutil.Process(pid).status() in (psutil.STATUS_SLEEPING, psutil.STATUS_RUNNING))
        assert psutil.Process(pid).cpu_times().user - before.user < 5
        assert not finished(home)
    (home / "finish").touch()
    until(lambda: finished(home))
    until(lambda: gone(pid))
    assert "\x1b" not in console(home)


def test_a_lost_terminal_saves_and_ends_where_that_is_asked_for(home: Path) -> None:
    with stub(home, STUB_STOPS="1") as terminal:
        terminal.until("the stub is here")
        terminal.send("t")
        terminal.until("it trains")
        terminal.hang_up()
        until(lambda: finished(home))
        assert (home / "heard-Stop").exists()


def test_a_lost_terminal_without_a_training_ends_it(home: Path) -> None:
    with stub(home) as terminal:
        terminal.until("the stub is here")
        terminal.hang_up()
        terminal.wait()
    until(lambda: not left_in(home))


def test_a_hangup_or_a_wish_to_end_at_the_guardian_reaches_the_app(home: Path) -> None:
    for number, code in ((signal.SIGTERM, 7), (signal.SIGHUP, 7)):
        with stub(home) as terminal:
            terminal.until("the stub is here")
            os.kill(terminal.pid, number)
            assert terminal.wait() == code
            until(lambda: restored(terminal))


def test_without_its_guardian_the_app_gives_the_terminal_up_and_trains_on(home: Path) -> None:
    with shell(home) as terminal:
        open_stub(terminal, "t")
        pid = engine_pid(home)
        os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)
        # The shell may speak before the app has left the screen: then its words go with that screen.
        terminal.until(lambda shown: b"ended 137" in terminal.output)
        until(lambda: os.getsid(pid) == pid)
        until(lambda: restored(terminal))
        assert not finished(home)


def test_nothing_that_libraries_write_reaches_the_screen(home: Path) -> None:
    with shell(home) as terminal:
        open_stub(terminal)
        terminal.send("n")
        shown = terminal.until("all is written")
        assert "by " not in shown
        terminal.send("t")
        terminal.until("it trains")
        terminal.send("n")
        terminal.until("all is written")
        terminal.send("q")
        terminal.until("ended 0")
        assert not any(way.encode() in terminal.output for way in WAYS)
    logs = ((home / "app.log").read_text(), console(home))
    for way in WAYS:
        assert all(way in log for log in logs), way


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_terminal_that_cannot_show_a_screen_is_refused_in_words(home: Path, term: str) -> None:
    with Terminal(python("-m", "tuitune", "quickstart"), cwd=home.parent, env=environment(home, TERM=term)) as terminal:
        shown = terminal.until("tuitune train RECIPE")
        assert f"the terminal calls itself {term}" in shown
        assert terminal.wait() == 2
        assert b"\x1b[?1049h" not in terminal.output


def test_in_the_background_it_is_refused_in_words(home: Path) -> None:
    with shell(home) as terminal:
        terminal.until(PROMPT)
        terminal.send("python -m tuitune quickstart &\r")
        terminal.until("started in the background")
