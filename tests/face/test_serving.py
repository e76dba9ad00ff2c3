"""What the words of `tuitune serve` mean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.engine.given import model_folder
from tuitune.errors import RecipeError, UsageError
from tuitune.face.serving import is_name, wanted_of


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model and an adapter in the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    config = {"peft_type": "LORA", "base_model_name_or_path": str(model_folder(tmp_path))}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    return tmp_path


def test_models_are_called_by_their_folders_or_as_is_said(tiny: Path) -> None:
    found = wanted_of(["tiny", "mine=adapter", "org/other=tiny"], environ={})
    assert [name for name, _ in found.models] == ["tiny", "mine", "org/other"]
    assert [len(weights.adapters) for _, weights in found.models] == [0, 1, 0]
    assert found.models[1][1].model == str(tiny / "tiny")
    named = wanted_of(["tiny", "adapter"], ["first", "second"], {})
    assert [name for name, _ in named.models] == ["first", "second"]
    assert [name for name, _ in wanted_of(["tiny"], environ={"API_MODEL_NAME": "gpt-x"}).models] == ["gpt-x"]
    assert [name for name, _ in wanted_of(["tiny", "a=tiny"], environ={"API_MODEL_NAME": "x"}).models] == ["tiny", "a"]


def test_settings_say_how_all_of_them_answer(tiny: Path) -> None:
    words = ["tiny", "temperature=0.3", "max_new_tokens=7", "infer_dtype=float16", "default_system=Be brief.",
             "enable_thinking=false", "device=cpu", "a=adapter"]  # fmt: skip
    for _, weights in wanted_of(words, environ={}).models:
        assert weights.options == {"temperature": 0.3, "max_new_tokens": 7}
        assert (weights.dtype, weights.system, weights.device) == ("float16", "Be brief.", "cpu")
        assert weights.style is not None
        assert weights.style.enable_thinking is False
    assert wanted_of(["tiny", "infer_backend=vllm"], environ={}).recipe.infer_backend == "vllm"
    with pytest.raises(RecipeError):
        wanted_of(["tiny", "temperature=hot"], environ={})


def test_an_infer_recipe_of_llamafactory_is_served_as_it_is(tiny: Path) -> None:
    text = (
        "model_name_or_path: tiny\nadapter_name_or_path: adapter\ntemplate: llama3\ninfer_backend: huggingface\n"
        "trust_remote_code: true\ntemperature: 0.2\n"
    )
    (tiny / "infer.yaml").write_text(text)
    found = wanted_of(["infer.yaml", "top_k=3"], environ={})
    [(name, weights)] = found.models
    assert name == "tiny"
    assert [path.name for path in weights.adapters] == ["adapter"]
    assert (weights.template, weights.trust_remote_code) == ("llama3", True)
    assert weights.options == {"skip_special_tokens": True, "temperature": 0.2, "top_k": 3}
    assert [warning.key for warning in found.recipe.warnings] == ["trust_remote_code"]
    assert wanted_of(["infer.yaml"], ["other"], {}).models[0][0] == "other"
    with pytest.raises(UsageError, match="is a recipe"):
        wanted_of(["infer.yaml", "tiny"], environ={})


@pytest.mark.parametrize(
    ("words", "names", "message"),
    [
        ([], [], "nothing to serve"),
        (["tiny", "tiny"], [], "two models are called tiny"),
        (["tiny"], ["a", "b"], "--name b belongs to no model"),
        (["tiny"], ["bad name"], "is no name for a model"),
        (["nowhere-to-be-found"], [], "nowhere-to-be-found"),
    ],
)
def test_what_cannot_be_meant_is_told(tiny: Path, words: list[str], names: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        wanted_of(words, names, {})


def test_names_are_what_a_request_can_say() -> None:
    assert all(map(is_name, ["a", "org/model-7B", "run@2", "x:y", "v1.0+ft"]))
    assert not any(map(is_name, ["", " a", "-a", "a b", "a\nb", "ü", "a" * 101, "a=b"]))
