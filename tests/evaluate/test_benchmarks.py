"""Benchmarks beside the rows or without them: their figures, their questions, and what an interruption leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.evaluate.given import measured
from tests.evaluate.test_choice import MMLU, planted
from tuitune.errors import Stopped, UsageError
from tuitune.evaluate import core
from tuitune.evaluate.benchmarks import names_of
from tuitune.evaluate.scores import Kept, Series
from tuitune.run.directory import RunDir
from tuitune.run.evaluation import Item, Reply
from tuitune.run.evaluations import evaluations_of, predictions, read


class Quiz:
    """Ten questions; a model with an adapter knows all answers, another the first three."""

    name = "quiz_test"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def run(self, partner: Any, around: Any, kept: Kept) -> list[Series]:
        assert not partner.model.training
        self.asked.append(partner.key)
        right = 10 if partner.weights.adapters else 3
        ids = [f"quiz:{place}" for place in range(10)]
        values = [float(place < right) for place in range(10)]
        for name, value in zip(ids, values, strict=True):
            reply = Reply("B" if value else "A", {"right": value})
            kept.add(Item(self.name, name, "sums", "2 + 3", "B", {partner.key: reply}))
        return [Series("average", "average", values, ids, unit="%", scale=100.0)]


@pytest.fixture
def quiz(monkeypatch: pytest.MonkeyPatch) -> Quiz:
    made = Quiz()
    monkeypatch.setattr(core, "benchmarks", lambda recipe: [made] if recipe.task else [])
    return made


def test_a_benchmark_alone_needs_no_rows_and_its_questions_can_be_looked_at(run: RunDir, quiz: Quiz) -> None:
    found = measured(run.path, "task=quiz_test")
    assert quiz.asked == ["tuned", "base"]
    assert found.data is None
    metric = found.metric("average", "quiz_test")
    assert metric is not None
    assert (metric.values["tuned"].value, metric.values["base"].value) == (100.0, 30.0)
    assert metric.differences["tuned"].verdict == "better"
    assert found.sentences == ("quiz_test: tuned is clearly better than base in average.",)
    items = predictions(found.path)
    assert (items[5].answers["tuned"].text, items[5].answers["base"].text, items[5].group) == ("B", "A", "sums")
    assert found.name == "quiz-test"


def test_with_data_named_both_are_measured(run: RunDir, quiz: Quiz) -> None:
    found = measured(run.path, "task=quiz_test", data="rows", answers=False, rows=5)
    assert {metric.group for metric in found.metrics} == {"data", "quiz_test"}
    assert {item.task for item in predictions(found.path)} == {"data", "quiz_test"}


def test_a_benchmark_that_is_done_is_not_asked_again_after_an_interruption(run: RunDir, quiz: Quiz) -> None:
    def cancel(kind: str, values: Any) -> None:
        if kind == "row" and values["model"] == "base":
            raise KeyboardInterrupt

    with pytest.raises(Stopped):
        measured(run.path, "task=quiz_test", line=cancel)
    assert read(evaluations_of(run)[0]).status == "interrupted"
    done = measured(run.path, resume=True)
    assert quiz.asked == ["tuned", "base", "base"]
    metric = done.metric("average", "quiz_test")
    assert metric is not None
    assert metric.values["tuned"].value == 100.0


def test_questions_that_were_answered_before_an_interruption_are_not_asked_again(run: RunDir, tmp_path: Path) -> None:
    planted(tmp_path / "mmlu", MMLU)
    asked = ("task=mmlu_test", f"task_dir={tmp_path}", "n_shot=1", "batch_size=1")
    told: list[str] = []

    def tell(kind: str, values: Any) -> None:
        if kind == "row":
            told.append(f"{values['model']} {values['id']}")
            if len(told) == 7:  # two of five by the second model
                raise KeyboardInterrupt

    with pytest.raises(Stopped):
        measured(run.path, *asked, line=tell)
    found = measured(run.path, resume=True, line=tell)
    assert len(told) == len(set(told)) == 10
    assert found.metrics == measured(run.path, *asked).metrics


def test_names_of_benchmarks_stand_with_commas_between() -> None:
    assert names_of("mmlu_test, lm_eval:arc_easy") == ["mmlu_test", "lm_eval:arc_easy"]
    assert names_of(None) == []
    for wrong in ("mmlu_test,", "a,a"):
        with pytest.raises(UsageError):
            names_of(wrong)
