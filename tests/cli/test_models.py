from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Call
from tests.cli.given import EVIL, seen
from tuitune.cli.bars import Drawn, bars
from tuitune.doctor import Check
from tuitune.errors import ModelError


def test_models_are_objects_with_name_and_path(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}))
    (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    code, out, err = call("models", "--json")
    found = {one["name"]: one for one in map(json.loads, out.splitlines())}
    assert (code, err) == (0, "")
    assert found["mine"]["path"] == str(folder)
    assert "path" in found["smollm2-135m"]
    assert {line.split()[0] for line in call("models")[1].splitlines()} >= {"model", "mine", "smollm2-135m"}


@pytest.fixture
def fetching(monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(source: Any, *, progress: Callable[[str, int, int | None], None]) -> Path:
        if source.name == "org/missing":
            raise ModelError(f"there is no {EVIL}", "look")
        progress("download", 1, 2)
        return Path(f"/models/{source.name}")

    monkeypatch.setattr("tuitune.models.prepare.prepare", prepare)


@pytest.mark.usefixtures("fetching")
def test_a_fetched_model_is_its_place_on_standard_output(call: Call) -> None:
    assert call("models", "get", "org/name") == (0, "/models/org/name\n", "download\n")
    code, out, _ = call("models", "get", "org/name", "--json")
    assert (code, json.loads(out)) == (0, {"name": "org/name", "path": "/models/org/name", "kind": "hub"})


@pytest.mark.usefixtures("fetching")
def test_a_model_that_cannot_be_had_is_exit_1(call: Call) -> None:
    code, out, err = call("models", "get", "org/missing")
    assert (code, out) == (1, "")
    assert err == "error: there is no abcd2Jefg\n  hint: look\n"


def test_bars_on_a_terminal_show_stage_and_share_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("FORCE_COLOR", "1")
    file = io.StringIO()
    with bars(file) as progress:
        progress(f"download {EVIL}", 1, 4)
        progress("convert", 3, 4)
        assert isinstance(progress, Drawn)
        progress.within(f"piece {EVIL}")
    assert "75 %, piece" in seen(file.getvalue())
    assert not set(file.getvalue()) & {"\x07", "\x08", "\x9b"}


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warn", 0), ("fail", 1)])
def test_doctor_fails_when_a_check_does(call: Call, monkeypatch: pytest.MonkeyPatch, status: Any, code: int) -> None:
    checks = [Check("python", "ok", "3.11"), Check("thing", status, f"odd {EVIL}", "do that")]
    monkeypatch.setattr("tuitune.cli.doctor.run_checks", lambda: checks)
    got, out, _ = call("doctor")
    assert got == code
    assert "do that" in out
    assert out.isascii()
    assert "\x1b" not in out
    got, out, _ = call("doctor", "--json")
    assert got == code
    assert [json.loads(line)["name"] for line in out.splitlines()] == ["python", "thing"]
