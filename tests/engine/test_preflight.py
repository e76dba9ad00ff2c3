"""What a recipe names is looked for before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.engine.given import recipe_text
from tuitune.engine.preflight import preflight
from tuitune.recipe import Document


def found(root: Path, **more: Any) -> list[tuple[str, str]]:
    return [(p.key, f"{p.reason} {p.hint}") for p in preflight(Document.parse(recipe_text(root, **more)).recipe())]


def test_a_recipe_whose_things_are_there_has_no_problems(root: Path) -> None:
    assert found(root) == []
    assert found(root, dataset="identity", template="smollm2", model_name_or_path="smollm2-135m") == []


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("model_name_or_path", "smolm2-135m", "smollm2-135m"),
        ("dataset", "rowz", "rows"),
        ("dataset", "./absent.jsonl", "absent.jsonl"),
        ("eval_dataset", "rowz", "rows"),
        ("dataset_dir", "nowhere", "dataset_info.json"),
        ("template", "smolm2", "smollm2"),
        ("template", "gemma4", "leave template out"),
        ("tool_format", "qwem", "qwen"),
        ("adapter_name_or_path", "no/such/adapter", "adapter_config.json"),
    ],
)
def test_what_is_missing_is_named_with_what_to_do(root: Path, key: str, value: str, word: str) -> None:
    problems = found(root, **{key: value})
    assert [k for k, _ in problems] == ["dataset" if key == "dataset_dir" else key]
    assert word in problems[0][1]


def test_a_reference_that_is_missing_is_named(root: Path) -> None:
    asked = {
        "stage": "dpo",
        "dataset": "identity_pairs",
        "ref_model": "./absent",
        "ref_model_adapters": ["no/such/adapter"],
    }
    problems = found(root, **asked)
    assert [key for key, _ in problems] == ["ref_model_adapters", "ref_model"]
    assert "adapter_config.json" in problems[0][1]
    assert "absent" in problems[1][1]


def test_rows_that_the_stage_does_not_learn_are_named(root: Path) -> None:
    ((key, words),) = found(root, stage="dpo")
    assert key == "dataset"
    assert "learns from pairs" in words
    ((key, words),) = found(root, dataset="identity_votes")
    assert key == "dataset"
    assert "Set stage: kto" in words
    assert found(root, stage="kto", dataset="identity_votes") == []


def test_a_reward_model_that_is_missing_is_named(root: Path) -> None:
    ((key, words),) = found(root, stage="ppo", reward_model="no_such_run")
    assert key == "reward_model"
    assert "no_such_run" in words


def test_a_file_of_rewards_is_looked_at_and_not_run(root: Path) -> None:
    asked = {"stage": "grpo", "reward_file": str(root / "own.py")}
    ((key, words),) = found(root, **asked)
    assert key == "reward_file"
    assert "cannot be read" in words
    for text, word in (("def reward_a(:\n", "line 1"), ("x()\n", "no function named reward_")):
        (root / "own.py").write_text(text)
        ((key, words),) = found(root, **asked)
        assert key == "reward_file"
        assert word in words
    (root / "own.py").write_text("raise SystemExit\ndef reward_a(answers): return [0.0] * len(answers)\n")
    assert found(root, **asked) == []
    ((key, words),) = found(root, **asked, reward_functions="json", reward_weights="1")
    assert key == "reward_weights"
    assert "1 weights for 2 rewards" in words


def test_all_problems_come_at_once(root: Path) -> None:
    assert [k for k, _ in found(root, model_name_or_path="nope", dataset="nope,identity", template="nope")] == [
        "model_name_or_path",
        "dataset",
        "template",
    ]


def test_prompts_cannot_be_learnt_where_answers_end_late(root: Path) -> None:
    assert found(root, template="chatml", train_on_prompt=True) == []
    [(key, words)] = found(root, template="glm4", train_on_prompt=True)
    assert key == "train_on_prompt"
    assert "efficient_eos" in words
