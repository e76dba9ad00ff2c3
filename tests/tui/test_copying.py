"""Copying goes where it can, cleaned, and says where that is."""

from __future__ import annotations

import asyncio
import os
import shlex
import stat
from pathlib import Path

import pytest
from textual.app import App

from tests.cli.given import EVIL, until
from tuitune.tui.copying import arrives, clipboard_file, copy


@pytest.fixture(autouse=True)
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("TMUX", "STY", "TERM_PROGRAM", "VTE_VERSION"):
        monkeypatch.delenv(name, raising=False)


def copied(text: str) -> tuple[str, str]:
    """Copy in an app; return the words and what the app holds in its clipboard."""
    found: list[str] = []

    async def go() -> None:
        app: App[None] = App()
        async with app.run_test(notifications=True):
            found.extend((copy(app, text), app.clipboard))

    asyncio.run(go())
    return found[0], found[1]


def test_a_short_text_goes_through_the_terminal() -> None:
    words, clipboard = copied("hello")
    assert words == "copied 5 characters"
    assert clipboard == "hello"
    assert not clipboard_file().exists()


def test_what_a_shell_would_obey_is_not_copied() -> None:
    assert "\x1b" not in copied(EVIL)[1]


def test_nothing_is_said_to_be_nothing() -> None:
    assert copied("")[0] == "there is nothing to copy"


def test_a_long_text_is_in_a_private_file() -> None:
    words, clipboard = copied("x" * 80_000)
    assert str(clipboard_file()) in words
    assert "too long" in words
    assert clipboard == ""
    assert clipboard_file().read_text() == "x" * 80_000
    assert stat.S_IMODE(clipboard_file().stat().st_mode) == 0o600


def test_a_terminal_that_may_not_take_it_gets_the_file_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM_PROGRAM", "Apple_Terminal")
    words, clipboard = copied("hello")
    assert "may not take it" in words
    assert clipboard == "hello"
    assert clipboard_file().read_text() == "hello"


def test_a_file_that_cannot_be_written_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    clipboard_file().mkdir()
    assert "clipboard.txt cannot be written" in copied("x" * 80_000)[0]


@pytest.mark.parametrize(
    ("environ", "likely"),
    [
        ({"TERM": "xterm-kitty"}, True),
        ({"TERM": "xterm-256color", "VTE_VERSION": "6800"}, False),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7802"}, True),
        ({"TERM": "linux"}, False),
        ({"TERM": "screen", "STY": "1.pts"}, False),
    ],
)
def test_which_terminals_take_it(environ: dict[str, str], likely: bool) -> None:
    assert arrives(environ) is likely


def test_tmux_gets_it_without_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmux = tmp_path / "bin" / "tmux"
    tmux.parent.mkdir()
    # As before 3.2: -w is unknown, and the text must arrive all the same.
    tmux.write_text(
        f'#!/bin/sh\ncd {shlex.quote(str(tmp_path))}\n[ "$2" = "-w" ] && exit 1\ncat > part && mv part buffer\n'
    )
    tmux.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmux.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TMUX", "/tmp/tmux-0/default,1,0")
    monkeypatch.setattr("tuitune.tui.copying._TMUX_SECONDS", 60.0)
    words, _ = copied("$(touch pwned) `id`")
    assert "tmux" in words
    until(lambda: (tmp_path / "buffer").exists())
    assert (tmp_path / "buffer").read_text() == "$(touch pwned) `id`"
