from __future__ import annotations

import json
from pathlib import Path

import pytest

from tuitune.chat.weights import adapter_folder, base_of, newest, of_infer, of_run, run_of
from tuitune.errors import ModelError, RunError, UsageError
from tuitune.recipe import Document, Recipe
from tuitune.run import RunDir, manifest

VALUES = {"model_name_or_path": "smollm2-135m", "dataset": "identity", "name": "A", "author": "B"}


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir.create(tmp_path / "run", "dataset: identity\n")


def sealed(run: RunDir, name: str, step: int) -> Path:
    folder = manifest.temporary(run.path, step)
    (folder / "adapter_config.json").write_text("{}")
    return manifest.seal(folder, run.path / name, {}, step=step, attempt=1).path


def test_the_result_goes_before_a_checkpoint_of_its_step_but_not_of_a_later_one(run: RunDir) -> None:
    with pytest.raises(RunError, match="no weights yet"):
        newest(run)
    early = sealed(run, "checkpoint-5", 5)
    assert newest(run) == early
    sealed(run, "checkpoint-10", 10)
    final = sealed(run, "final", 10)
    assert newest(run) == final
    later = sealed(run, "checkpoint-15", 15)  # resumed and stopped
    assert newest(run) == later


def test_a_damaged_checkpoint_is_not_used(run: RunDir) -> None:
    good = sealed(run, "checkpoint-5", 5)
    bad = sealed(run, "checkpoint-10", 10)
    (bad / "adapter_config.json").write_text("{ }")
    assert newest(run) == good


def test_an_adapter_run_is_its_model_with_the_adapter_and_is_asked_as_it_was_trained(run: RunDir) -> None:
    folder = sealed(run, "final", 3)
    recipe = Recipe.of({**VALUES, "template": "smollm2", "default_system": "Be kind.", "temperature": 0.5})
    weights = of_run(run, recipe)
    assert (weights.model, weights.adapters) == ("smollm2-135m", (folder,))
    assert (weights.template, weights.system, weights.options["temperature"]) == ("smollm2", "Be kind.", 0.5)


def test_a_full_run_is_a_model_of_its_own(run: RunDir) -> None:
    folder = sealed(run, "final", 3)
    weights = of_run(run, Recipe.of({**VALUES, "finetuning_type": "full"}))
    assert (weights.model, weights.adapters) == (str(folder), ())


@pytest.mark.parametrize(("create", "count"), [(True, 3), (False, 2)])
def test_adapters_that_were_merged_are_merged_again(run: RunDir, tmp_path: Path, create: bool, count: int) -> None:
    folder = sealed(run, "final", 3)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text("{}")
    named = {"adapter_name_or_path": f"{tmp_path}/one,{tmp_path}/two", "create_new_adapter": create}
    weights = of_run(run, Recipe.of({**VALUES, **named}))
    merged = [tmp_path / "one", tmp_path / "two"][: count - 1]
    assert weights.adapters == (*merged, folder)


def test_an_adapter_says_where_it_belongs(run: RunDir, tmp_path: Path) -> None:
    folder = sealed(run, "final", 3)
    assert adapter_folder(run.path) == adapter_folder(folder) == folder
    assert run_of(folder) == run
    assert run_of(tmp_path / "somewhere") is None
    with pytest.raises(ModelError, match="does not say which model"):
        base_of(folder)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "org/name"}))
    assert base_of(folder) == "org/name"
    with pytest.raises(ModelError, match="is no adapter"):
        adapter_folder(tmp_path)


def test_rollouts_say_nothing_of_how_long_answers_in_a_chat_may_be(run: RunDir) -> None:
    sealed(run, "final", 3)
    long = of_run(run, Recipe.of({**VALUES, "max_new_tokens": 7}))
    assert long.options["max_new_tokens"] == 7
    online = {**VALUES, "stage": "grpo", "reward_functions": "length", "max_new_tokens": 7}
    assert "max_new_tokens" not in of_run(run, Recipe.of(online)).options


def test_a_recipe_for_inference_names_model_adapters_and_how_to_ask(run: RunDir, tmp_path: Path) -> None:
    folder = sealed(run, "final", 3)
    text = f"model_name_or_path: org/model\nadapter_name_or_path: {folder}\ntemplate: qwen3\ninfer_backend: hf\n"
    more = "infer_dtype: bfloat16\ntrust_remote_code: true\ntemperature: 0.5\n"
    recipe = Document.parse(text + more, None).recipe("serve")
    weights = of_infer(recipe)
    assert (weights.model, weights.adapters, weights.template) == ("org/model", (folder,), "qwen3")
    assert (weights.dtype, weights.trust_remote_code, weights.options["temperature"]) == ("bfloat16", True, 0.5)


def test_another_engine_is_refused_with_what_to_do() -> None:
    for engine in ("vllm", "sglang"):
        text = f"model_name_or_path: org/model\ninfer_backend: {engine}\n"
        recipe = Document.parse(text, None).recipe("serve")
        with pytest.raises(UsageError, match=f"infer_backend: {engine}") as caught:
            of_infer(recipe)
        assert "tuitune serve" in caught.value.hint
