"""Stages with figures of their own: pairs, votes, reward models and prompts are measured as their training does."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.engine.given import journal
from tests.evaluate.given import measured, trained
from tests.tiny import tiny_tokenizer
from tuitune.evaluate import preferences
from tuitune.recipe import Recipe
from tuitune.run import events
from tuitune.run.evaluation import Evaluation
from tuitune.run.evaluations import predictions

PAIRS: dict[str, Any] = {"stage": "dpo", "dataset": "pairs"}


def value(found: Evaluation, key: str, model: str = "tuned") -> float:
    metric = found.metric(key)
    assert metric is not None, [each.key for each in found.metrics]
    return metric.values[model].value


@pytest.mark.parametrize(
    "recipe",
    [
        PAIRS,
        pytest.param({**PAIRS, "pref_loss": "ipo", "pref_beta": 0.5}, marks=pytest.mark.slow),
        {**PAIRS, "pref_loss": "kto_pair", "ld_alpha": 0.5},
        pytest.param({**PAIRS, "stage": "simpo"}, marks=pytest.mark.slow),
        {"stage": "kto", "dataset": "votes", "pref_ftx": 0.1},
    ],
    ids=["sigmoid", "ipo", "kto_pair", "simpo", "kto"],
)
def test_loss_and_rewards_are_those_of_the_evaluation_while_training(root: Path, recipe: dict[str, Any]) -> None:
    run = trained(root, **recipe)
    said = journal(run, events.EvalLogged)[-1]
    found = measured(run.path)
    assert value(found, "loss") == pytest.approx(said.metrics.get("eval_loss", said.loss), rel=1e-4, abs=1e-6)
    names = ("chosen", "rejected") if recipe["stage"] == "kto" else ("chosen", "rejected", "margins")
    for name in names:
        wanted = said.metrics[f"eval_rewards/{name}"]
        assert value(found, f"rewards/{name}") == pytest.approx(wanted, rel=1e-3, abs=1e-5)
    if recipe["stage"] != "kto":
        assert value(found, "rewards/accuracies") == pytest.approx(100 * said.metrics["eval_rewards/accuracies"])


def test_pairs_say_of_each_model_alone_which_answer_is_likelier(root: Path) -> None:
    run = trained(root, **PAIRS)
    notes: list[str] = []
    found = measured(run.path, note=notes.append)
    assert any("judged by how likely" in note for note in notes)
    rows = [item.answers["base"].scores for item in predictions(found.path)]
    likelier = [row["logp_chosen"] > row["logp_rejected"] for row in rows]
    assert value(found, "preference", "base") == pytest.approx(100 * sum(likelier) / len(likelier))
    # Without the base nothing can be measured from it.
    alone = measured(run.path, base=False)
    assert alone.metric("loss") is None
    assert alone.metric("preference") is not None


def test_another_reference_than_in_training_is_said(root: Path) -> None:
    run = trained(root, **PAIRS, max_steps=1, eval_strategy="no", val_size=8, ref_model=str(root / "tiny"))
    notes: list[str] = []
    assert measured(run.path, note=notes.append).metric("rewards/margins") is not None
    assert any("differ from those" in note for note in notes)


def test_pairs_that_the_base_cannot_read_are_measured_alone() -> None:
    scores = {
        "logp_chosen": -1.0,
        "logp_rejected": -2.0,
        "plain_chosen": -1.0,
        "tokens_chosen": 2.0,
        "tokens_rejected": 2.0,
    }
    rows, before = {"a": scores, "b": scores}, {"a": scores}
    recipe = Recipe.of({"model_name_or_path": "m", "dataset": "d", "stage": "dpo"})
    assert all(series.ids == ["a", "b"] for series in preferences.alone(rows, recipe, {}))
    found = {series.key: series for series in preferences.measured(rows, before, recipe, {}, lambda text: None)}
    assert found["loss"].ids == ["a"]
    assert found["loss"].values == pytest.approx([math.log(2)])


def test_reward_models_are_compared_whatever_tokens_they_read(root: Path, tmp_path: Path) -> None:
    first = trained(root, stage="rm", dataset="pairs", finetuning_type="full", learning_rate=1e-4)
    other = Path(shutil.copytree(first.final, tmp_path / "other"))
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["river", "is"])
    tokenizer.save_pretrained(other)
    notes: list[str] = []
    found = measured(first.path, others=(str(other),), note=notes.append)
    loss = found.metric("loss")
    assert loss is not None
    assert list(loss.differences) == ["other"]
    assert not any("cannot be compared" in note for note in notes)


def test_a_reward_model_is_measured_by_its_scores_and_without_its_base(root: Path) -> None:
    run = trained(root, stage="rm", dataset="pairs")
    said = journal(run, events.EvalLogged)[-1]
    notes: list[str] = []
    found = measured(run.path, note=notes.append)
    assert [model.key for model in found.models] == ["tuned"]
    assert any("scores nothing" in note for note in notes)
    assert value(found, "loss") == pytest.approx(said.loss, rel=1e-4)
    assert value(found, "rewards/margins") == pytest.approx(said.metrics["eval_rewards/margins"], rel=1e-3, abs=1e-5)


def test_prompts_are_answered_and_judged_by_the_recipes_rewards(root: Path) -> None:
    run = trained(root, stage="grpo", reward_functions="length, repetition", num_generations=2, max_steps=1,
                  eval_strategy="no", val_size=4)  # fmt: skip
    notes: list[str] = []
    found = measured(run.path, note=notes.append)
    assert any("no loss to measure" in note for note in notes)
    assert found.metric("loss") is None
    items = predictions(found.path)
    rows = [item.answers["tuned"] for item in items]
    assert len(rows) == 4
    assert all(row.text is not None for row in rows)
    assert value(found, "reward") == pytest.approx(
        sum(row.scores["length"] + row.scores["repetition"] for row in rows) / 4
    )
    assert json.loads((root / "data" / "rows.json").read_text())[int(items[0].id.split(":")[1]) - 1]["output"] == (
        items[0].reference
    )
    assert not any(math.isnan(row.scores["length"]) for row in rows)
