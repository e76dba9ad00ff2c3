"""A program that asked for JSON is told of every failure by one object, whichever command failed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tuitune.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train", "wrong.yaml"], 2, "wrong.yaml has 3 problems"),
        (["plan", "wrong.yaml"], 2, "wrong.yaml has 3 problems"),
        (["runs", "show", "nosuch"], 2, "there is no run 'nosuch'"),
        (["runs", "import", "nowhere"], 2, "there is no folder"),
        (["evaluate", "nosuch"], 2, "there is no run 'nosuch'"),
        (["export", "nosuch", "out"], 2, "nosuch"),
    ],
)
def test_a_failure_is_one_object(
    arguments: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    Path("wrong.yaml").write_text("lora_rnk: 8\n")
    assert main([*arguments, "--json"]) == code
    out, err = capfd.readouterr()
    errors = [each for each in map(json.loads, out.splitlines()) if each["kind"] == "error"]
    assert len(errors) == 1
    assert message in errors[0]["message"]
    assert "error: " in err  # and people are told as ever
    assert main(arguments) == code
    assert '"kind"' not in capfd.readouterr().out
