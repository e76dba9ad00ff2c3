from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

# The guard moves the descriptors of the whole process, so each test has a process of its own.
HEAD = """
import logging, os, subprocess, sys, warnings
from pathlib import Path
from tuitune.run.streams import guard
log = Path(sys.argv[1])
"""


def run(log: Path, program: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", HEAD + textwrap.dedent(program), str(log)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        # Buffered, as for a user: what was printed before must not surface later somewhere else.
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "console.log"


def test_whatever_prints_prints_into_the_log(log: Path) -> None:
    out, err = run(
        log,
        """
        handler = logging.StreamHandler()
        logging.getLogger().addHandler(handler)
        kept = sys.stdout
        with guard(log) as real:
            os.write(1, b"raw out\\n"); os.write(2, b"raw err\\n")
            print("print"); print("print err", file=sys.stderr); print("old object", file=kept)
            logging.getLogger().error("old handler")
            warnings.warn("a warning")
            subprocess.run(["sh", "-c", "echo child; echo child err >&2"], check=True)
            real.out.write("to the screen\\n"); real.err.write("to the user\\n")
            print("also the screen", file=sys.__stdout__); print("also the user", file=sys.__stderr__)
        """,
    )
    assert out == "to the screen\nalso the screen\n"
    assert err == "to the user\nalso the user\n"
    logged = log.read_text()
    for words in (
        "raw out",
        "raw err",
        "print",
        "print err",
        "old object",
        "old handler",
        "a warning",
        "child",
        "child err",
    ):
        assert f"{words}\n" in logged or f"UserWarning: {words}" in logged
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_all_is_restored_also_after_an_error(log: Path) -> None:
    out, err = run(
        log,
        """
        before = [sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__]
        print("before")
        try:
            with guard(log):
                sys.stdout.write("unfinished")
                raise KeyError("x")
        except KeyError:
            pass
        assert before == [sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__]
        print("after"); os.write(2, b"after err\\n")
        subprocess.run(["sh", "-c", "echo child"], check=True)
        """,
    )
    assert sorted(out.split()) == ["after", "before", "child"]
    assert err == "after err\n"
    assert log.read_text() == "unfinished"


def test_foreign_letters_never_raise(log: Path) -> None:
    out, _ = run(log, r"with guard(log) as real: print('a\udcffé'); real.out.write('b\udcffé\n')")
    assert out == "b\\udcffé\n"
    assert log.read_text(encoding="utf-8") == "a\\udcffé\n"


def test_the_log_is_appended_to(log: Path) -> None:
    log.write_text("old\n")
    run(log, "with guard(log): print('new')")
    assert log.read_text() == "old\nnew\n"


def test_a_terminal_that_was_let_go_gets_nothing_more(log: Path) -> None:
    out, err = run(
        log,
        """
        with guard(log) as real:
            real.out.write("last frame\\n")
            real.let_go()
            real.out.write("late frame\\n"); print("late print")
        print("after"); os.write(2, b"after err\\n")
        """,
    )
    assert (out, err) == ("last frame\n", "")
    assert sorted(log.read_text().split("\n")) == ["", "after", "after err", "late frame", "late print"]


def test_closed_standard_streams_are_no_obstacle(log: Path) -> None:
    code = HEAD + "with guard(log) as real: print('in'); os.write(1, b'raw\\n'); real.out.write('lost')"
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", code, str(log)], check=False
    )
    assert done.returncode == 0
    assert log.read_text() == "in\nraw\n"


def test_a_log_that_cannot_be_written_leaves_the_streams_alone(log: Path) -> None:
    out, _ = run(
        log / "nowhere",
        """
        from tuitune.errors import RunError
        try:
            with guard(log): raise SystemExit("entered")
        except RunError as error:
            print("refused", error.hint)
        """,
    )
    assert out == "refused look at the disk and its permissions\n"


def test_the_guard_does_not_leak_descriptors(log: Path) -> None:
    out, _ = run(
        log,
        """
        with guard(log): pass
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            with guard(log): print("x")
        print(len(os.listdir("/proc/self/fd")) - before)
        """,
    )
    assert out == "0\n"
    assert os.path.getsize(log) == 40


def test_another_log_takes_over_and_gives_back(log: Path) -> None:
    run(
        log,
        """
        other = log.with_name("other.log")
        with guard(log) as real:
            print("first"); sys.stdout.write("half ")
            real.log_to(other)
            print("second"); os.write(2, b"raw\\n"); subprocess.run(["sh", "-c", "echo child"], check=True)
            real.log_to(log)
            print("third")
        """,
    )
    assert log.read_text() == "first\nhalf third\n"
    assert log.with_name("other.log").read_text() == "second\nraw\nchild\n"
