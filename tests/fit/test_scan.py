from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.fit.planted import cached, model
from tuitune.fit import embedded
from tuitune.fit.models import ModelInfo, scan


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUITUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TUITUNE_MODELS", raising=False)
    (tmp_path / "cwd").mkdir()
    return tmp_path


def _by_name(place: Path, hubs: list[Path] | None = None) -> dict[str, ModelInfo]:
    return {info.name: info for info in scan(place / "cwd", hubs or [])}


def test_the_embedded_model_is_listed_before_and_after_it_is_fetched(place: Path) -> None:
    before = _by_name(place)["smollm2-135m"]
    assert before.parameters == 134_515_008
    if embedded.installed_file() is None:
        assert (before.path, before.size_bytes) == (None, 92_871_040)

    folder = model(embedded.embedded_dir())
    assert _by_name(place)["smollm2-135m"].path != folder
    (folder / embedded.MARKER).write_text("{}")

    after = _by_name(place)["smollm2-135m"]
    assert (after.path, after.kind, after.licence) == (folder, "embedded", "apache-2.0")


def test_a_planted_tree(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = place / "hub"
    snapshot = cached(hub, "org/one")
    (snapshot / "README.md").write_text("---\nlanguage: en\nlicense: mit\n---\nlicense: wrong\n")
    cached(hub, "org/half", weights=None)
    model(place / "cwd" / "a" / "b" / "deep")
    model(place / "cwd" / "a" / "b" / "c" / "d" / "too-deep")
    model(place / "cwd" / ".hidden" / "m")
    model(place / "elsewhere" / "m")
    (place / "cwd" / "broken.gguf").write_bytes(b"nonsense")
    os.mkfifo(place / "cwd" / "pipe.gguf")
    (place / "cwd" / "loop").symlink_to(place / "cwd")
    monkeypatch.setenv("TUITUNE_MODELS", f"{place / 'elsewhere'}:{place / 'not-there'}")

    found = _by_name(place, [hub, place / "no-hub"])

    assert set(found) == {"smollm2-135m", "org/one", "a/b/deep", "broken.gguf", str(place / "elsewhere" / "m")}
    one = found["org/one"]
    assert (one.kind, one.architecture, one.dtype, one.parameters, one.licence) == (
        "cached",
        "llama",
        "float32",
        11,
        "mit",
    )
    assert one.size_bytes == (snapshot / "model.safetensors").stat().st_size
    assert (found["broken.gguf"].kind, found["broken.gguf"].parameters) == ("gguf", None)


def test_converted_files_are_listed_once(place: Path) -> None:
    folder = model(place / "cache" / "models" / "mine-12345678")
    (folder / embedded.MARKER).write_text(json.dumps({"source": "mine.gguf", "format": embedded.CONVERSION}))
    infos = [info for info in scan(place / "cache" / "models", []) if info.path == folder]
    assert [info.name for info in infos] == ["mine.gguf"]


def test_a_cache_that_cannot_be_used_hides_nothing_else(place: Path) -> None:
    (place / "cache").write_text("a file")
    model(place / "cwd" / "m")
    assert list(_by_name(place)) == ["m"]


def test_foreign_words_are_cleaned(place: Path) -> None:
    folder = model(place / "cwd" / "evil\x1b[2J\nname", model_type="lla\x1b]52;c;x\x07ma")
    (folder / "README.md").write_text("---\nlicense: mit\x1b[31m\n---\n")
    info = next(info for info in scan(place / "cwd", []) if info.kind == "local")
    assert info.name == "evil name"
    assert info.architecture == "llama"
    assert info.licence is None or "\x1b" not in info.licence


def test_damaged_weights_and_configurations_are_listed_without_numbers(place: Path) -> None:
    model(place / "cwd" / "cut", b"\x00" * 20)
    model(place / "cwd" / "odd", hidden_size="many", num_hidden_layers=None)
    found = _by_name(place)
    assert found["odd"].parameters == 11
    # The formula stands in where the head cannot be read.
    assert found["cut"].parameters is not None
    (place / "cwd" / "cut" / "config.json").write_text("[" * 100_000)
    assert "cut" not in _by_name(place)
