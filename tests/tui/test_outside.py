"""The user's own editor."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from tuitune.errors import UsageError
from tuitune.tui import outside


@pytest.fixture(autouse=True)
def no_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()


def program(tmp_path: Path, body: str) -> dict[str, str]:
    """Return an environment whose editor is a Python program; `path` is the file."""
    script = tmp_path / "my editor.py"
    script.write_text(f"import os, sys\nfrom pathlib import Path\npath = Path(sys.argv[-1])\n{body}\n")
    return {"VISUAL": f"{sys.executable} '{script}'", "EDITOR": "/nowhere"}


def left(tmp_path: Path) -> list[str]:
    return [str(path.relative_to(tmp_path / "temporary")) for path in (tmp_path / "temporary").rglob("*")]


def test_what_the_editor_writes_comes_back_and_nothing_stays(tmp_path: Path) -> None:
    body = "Path(str(path) + '~').write_text('backup')\nold = path.read_text()\n"
    body += "path.write_text(old + oct(path.stat().st_mode) + path.name)"
    made = outside.edited("é: 1\n", "mine.yaml", program(tmp_path, body))
    assert made == f"é: 1\n{oct(stat.S_IFREG | 0o600)}mine.yaml"
    assert left(tmp_path) == []


def test_the_editor_is_no_shell() -> None:
    assert outside.editor({"EDITOR": "vim -u 'my rc' ; rm -rf /"}) == ["vim", "-u", "my rc", ";", "rm", "-rf", "/"]
    assert outside.editor({"VISUAL": " ", "EDITOR": "nano"}) == ["nano"]
    assert outside.editor({}) == ["vi"]


@pytest.mark.parametrize(
    ("body", "words", "stays"),
    [
        ("path.write_text('half'); sys.exit(3)", "ended with 3", True),
        ("sys.exit(1)", "ended with 1, and nothing was changed", False),
        ("os.kill(os.getpid(), 9)", "killed by signal 9", False),
        ("path.write_bytes(bytes([255]))", "did not write UTF-8", True),
        ("path.unlink()", "took the file away", False),
    ],
)
def test_what_can_go_wrong_is_said(tmp_path: Path, body: str, words: str, stays: bool) -> None:
    with pytest.raises(UsageError, match=words) as error:
        outside.edited("text", "mine.yaml", program(tmp_path, body))
    assert bool([name for name in left(tmp_path) if name.endswith(".kept")]) == stays
    assert (".kept" in error.value.hint) == stays


def test_an_editor_that_is_missing_or_makes_no_sense() -> None:
    with pytest.raises(UsageError, match="there is no editor '/no/such'"):
        outside.edited("text", "a", {"EDITOR": "/no/such --flag"})
    with pytest.raises(UsageError, match="EDITOR has a quote"):
        outside.edited("text", "a", {"EDITOR": "vi 'x"})
    with pytest.raises(UsageError, match="no file can hold"):
        outside.edited("\ud800", "a", {})
