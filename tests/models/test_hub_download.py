from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.fit.planted import LLAMA, head
from tests.models.fake_hub import COMMIT, fake_hub
from tuitune.errors import ModelError
from tuitune.fit.models import resolve
from tuitune.models import hub, modelscope
from tuitune.models.prepare import prepare

_WEIGHTS = head({"a": ("F32", [500_000], 2_000_000)})
_FILES = {
    "config.json": json.dumps(LLAMA).encode(),
    "model.safetensors": _WEIGHTS,
    "pytorch_model.bin": b"pickle",
    "modeling.py": b"code",
    "tokenizer.json": b"{}",
    "README.md": b"---\nlicense: mit\n---\n",
    "original/model.safetensors": b"again",
}
_REFUSALS = {"org/gated": (403, "GatedRepo"), "org/broken": (500, "")}


class Stop(Exception):
    pass


@pytest.fixture
def whole() -> threading.Event:
    """Whether the hub sends large files to their end."""
    event = threading.Event()
    event.set()
    return event


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: threading.Event) -> Iterator[list[str]]:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN", "USE_MODELSCOPE_HUB"):
        monkeypatch.delenv(name, raising=False)
    with fake_hub("org/name", _FILES, _REFUSALS, held=whole) as (address, log):
        monkeypatch.setenv("HF_ENDPOINT", address)
        for name in ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"):
            monkeypatch.setenv(name, "300")
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        monkeypatch.chdir(tmp_path)
        yield log


def _prepare(name: str, revision: str | None = None, **options: Any) -> Path:
    source = resolve(name, revision=revision)
    assert source.kind == "hub"
    return prepare(source, **({"progress": lambda *report: None, "check": lambda: None} | options))


def test_a_download_takes_what_is_needed_and_is_found_afterwards(served: list[str]) -> None:
    reports: list[tuple[str, int, int | None]] = []

    folder = _prepare("org/name", progress=lambda *report: reports.append(report))

    assert sorted(file.name for file in folder.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert folder.name == COMMIT
    assert any(stage == "download" and done > 0 for stage, done, _ in reports)
    found = resolve("org/name")
    assert (found.kind, found.path) == ("cached", folder)


def test_code_is_fetched_only_where_it_is_trusted(served: list[str]) -> None:
    assert (_prepare("org/name", trust_remote_code=True) / "modeling.py").is_file()


def test_a_download_can_be_ended_and_is_not_taken_for_whole(served: list[str], whole: threading.Event) -> None:
    whole.clear()
    stages: list[str] = []

    def check() -> None:
        if "download" in stages:
            raise Stop

    with pytest.raises(Stop):
        _prepare("org/name", check=check, progress=lambda stage, done, total: stages.append(stage))
    assert resolve("org/name").kind == "hub"


@pytest.mark.parametrize(
    ("name", "revision", "words", "hint"),
    [
        ("org/gated", None, "gated", "HF_TOKEN"),
        ("org/none", None, "there is no model 'org/none'", "spelling"),
        ("org/name", "v9", "no revision 'v9'", "model_revision"),
        ("org/broken", None, "cannot fetch org/broken", "HF_ENDPOINT"),
    ],
)
def test_refusals_become_words(served: list[str], name: str, revision: str | None, words: str, hint: str) -> None:
    with pytest.raises(ModelError) as raised:
        _prepare(name, revision)
    assert words in raised.value.message
    assert hint in raised.value.hint


def test_no_network_and_offline(served: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE"):
        _prepare("org/name")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://me:secret@127.0.0.1:9")
    with pytest.raises(ModelError) as raised:
        _prepare("org/name")
    assert "127.0.0.1:9" in raised.value.message
    assert "secret" not in raised.value.message


def test_which_of_many_weights() -> None:
    many = [
        "config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
        "model.safetensors.index.json", "consolidated.safetensors", "model.fp16.safetensors",
        "pytorch_model.bin", "onnx/model.onnx", "tokenizer.model",
        "additional_chat_templates/tool.jinja", "pic.png", "m.gguf", "evil.py",
    ]  # fmt: skip
    assert hub.wanted_files("r", many, trust_remote_code=False) == [
        "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "additional_chat_templates/tool.jinja",
        "config.json", "model.safetensors.index.json", "tokenizer.model",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["adapter_config.json", "adapter_model.safetensors"], "adapter_name_or_path"),
        (["config.json", "pytorch_model.bin"], "safetensors"),
        (["x.Q4_K.gguf", "README.md"], "x.Q4_K.gguf"),
        (["config.json"], "safetensors"),
    ],
)
def test_repositories_without_weights_that_may_be_loaded(names: list[str], words: str) -> None:
    with pytest.raises(ModelError) as raised:
        hub.wanted_files("org/name", names, trust_remote_code=False)
    assert words in raised.value.hint


def test_modelscope_with_and_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments: dict[str, Any] = {
        "revision": None,
        "cache_dir": None,
        "trust_remote_code": False,
        "progress": lambda *a: None,
    }
    monkeypatch.setitem(sys.modules, "modelscope", None)
    with pytest.raises(ModelError) as raised:
        modelscope.download("org/name", **arguments)
    assert "pip install modelscope" in raised.value.hint

    asked: dict[str, Any] = {}

    def fetch(repo: str, **options: Any) -> str:
        asked.update(options, repo=repo)
        return "/where"

    monkeypatch.setitem(sys.modules, "modelscope", SimpleNamespace(snapshot_download=fetch))
    assert modelscope.download("org/name", **arguments) == "/where"
    assert {"*.bin", "*.py"} <= set(asked["ignore_file_pattern"])

    def fail(repo: str, **options: Any) -> str:
        raise ConnectionError("no route")

    monkeypatch.setitem(sys.modules, "modelscope", SimpleNamespace(snapshot_download=fail))
    with pytest.raises(ModelError, match="no route"):
        modelscope.download("org/name", **arguments)


def test_for_the_tokenizer_alone_the_weights_stay_where_they_are(served: list[str]) -> None:
    folder = _prepare("org/name", weights=False)
    assert sorted(file.name for file in folder.iterdir()) == ["README.md", "config.json", "tokenizer.json"]
    # It is not taken for a model, and the whole download comes into the same folder.
    assert resolve("org/name").kind == "hub"
    assert _prepare("org/name") == folder
    assert (folder / "model.safetensors").is_file()
