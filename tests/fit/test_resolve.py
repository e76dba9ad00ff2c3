from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fit.planted import WEIGHTS, cached, model
from tuitune.errors import ModelError
from tuitune.fit.models import resolve


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "USE_MODELSCOPE_HUB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path / "hf" / "hub"


def test_the_embedded_name() -> None:
    assert resolve("smollm2-135m").kind == "embedded"
    assert resolve(" SmolLM2-135M ").name == "smollm2-135m"


def test_a_folder_here_and_one_beside_the_recipe(tmp_path: Path) -> None:
    model(tmp_path / "cwd" / "mine")
    model(tmp_path / "recipes" / "theirs")

    assert resolve("./mine").kind == "local"
    found = resolve("theirs", search=[tmp_path / "recipes"])

    assert (found.kind, found.path) == ("local", tmp_path / "recipes" / "theirs")
    with pytest.raises(ModelError, match="theirs"):
        resolve("theirs")


def test_a_folder_here_wins_over_the_hub_of_the_same_name(hub: Path) -> None:
    cached(hub, "org/name")
    model(Path("org/name"))
    assert resolve("org/name").kind == "local"


def test_a_gguf_file(tmp_path: Path) -> None:
    (tmp_path / "cwd" / "x.GGUF").write_bytes(b"GGUF")
    assert resolve("x.GGUF").kind == "gguf"
    with pytest.raises(ModelError, match=r"no such file.*y\.gguf"):
        resolve("y.gguf")


def test_a_cached_model_by_branch_and_by_commit(hub: Path) -> None:
    main = cached(hub, "org/name", "a" * 40)
    other = cached(hub, "org/name", "b" * 40, ref="refs/pr/1")

    assert resolve("org/name").path == main
    assert resolve("org/name", revision="refs/pr/1").path == other
    assert resolve("org/name", revision="b" * 40).path == other
    missing = resolve("org/name", revision="v9")
    assert (missing.kind, missing.revision) == ("hub", "v9")
    assert resolve("org/name", revision="../snapshots").kind == "hub"


def test_an_unfinished_download_is_not_there(hub: Path) -> None:
    folder = cached(hub, "org/name", weights=None)
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model-00001-of-00002.safetensors").write_bytes(WEIGHTS)
    assert resolve("org/name").kind == "hub"

    (folder / "model-00002-of-00002.safetensors").symlink_to(hub / "blob-not-there")
    assert resolve("org/name").kind == "hub"


def test_a_given_cache_replaces_the_usual_one(hub: Path, tmp_path: Path) -> None:
    cached(hub, "org/name")
    assert resolve("org/name", cache_dir=tmp_path / "empty").kind == "hub"
    assert resolve("org/name").kind == "cached"


def test_modelscope_by_prefix_and_by_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve("modelscope:org/name").kind == "modelscope"
    assert resolve("modelscope:org/name").name == "org/name"
    monkeypatch.setenv("USE_MODELSCOPE_HUB", "1")
    assert resolve("org/name").kind == "modelscope"


@pytest.mark.parametrize(
    "name", ["", "  ", "a/b/c", "~/none", "/none", "org/na me", "-x/y", "a/..", "no\0", "x" * 5000, "~no-such-user/x"]
)
def test_names_that_can_mean_nothing(name: str) -> None:
    with pytest.raises(ModelError) as raised:
        resolve(name)
    assert "organisation/name" in raised.value.hint


def test_a_slip_is_met_with_the_nearest_names(hub: Path) -> None:
    cached(hub, "org/Tiny-Llama")
    model(Path("my-model"))
    for slip, meant in {"smolm2-135m": "smollm2-135m", "tiny-lama": "org/Tiny-Llama", "my-modle": "my-model"}.items():
        with pytest.raises(ModelError) as raised:
            resolve(slip)
        assert f"Did you mean {meant}?" in raised.value.hint


def test_an_adapter_is_explained() -> None:
    Path("adapter").mkdir()
    Path("adapter/adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "org/base"}))
    with pytest.raises(ModelError) as raised:
        resolve("./adapter")
    assert "adapter_name_or_path" in raised.value.hint
    assert "org/base" in raised.value.hint


def test_folders_without_loadable_weights() -> None:
    model(Path("empty"), None)
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        resolve("empty")
    Path("empty/pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ModelError, match="pickle"):
        resolve("empty")
    Path("bare").mkdir()
    with pytest.raises(ModelError, match=r"no config\.json"):
        resolve("bare")
    Path("bare/checkpoint-20").mkdir()
    Path("bare/checkpoint-100").mkdir()
    with pytest.raises(ModelError) as raised:
        resolve("bare")
    assert "checkpoint-100" in raised.value.hint
    with pytest.raises(ModelError, match="is a file"):
        resolve("empty/pytorch_model.bin")
