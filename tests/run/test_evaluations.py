"""Evaluations as files: read back, in whatever state they were left, and browsed worst first."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from tuitune.errors import RunError
from tuitune.run.evaluation import Data, Difference, Estimate, Evaluation, Item, Metric, Model, Reply
from tuitune.run.evaluations import (
    PREDICTIONS,
    RESULTS,
    evaluations_in,
    line_of,
    predictions,
    read,
    scores_of,
    worst_first,
    write,
)


def found(folder: Path, status: str = "done") -> Evaluation:
    metric = Metric(
        "data", "loss", "loss", "per token", "less", "mean", {"tuned": Estimate(0.5, 0.4, 0.6, 9)},
        {"tuned": Difference("base", -1.0, None, None, "unclear")},
    )  # fmt: skip
    return Evaluation(
        folder, "run", "held-out", 1.5, status,  # type: ignore[arg-type]
        (Model("tuned", "t", "tuned", "m", ("a",)),), Data("rows", "held_out", 9, 9, "9 rows", "sft"), ("mmlu_test",),
        (metric,), ("a note",), ("a sentence",), 2.0, {"rows": None}, {"what": "run"},
    )  # fmt: skip


def test_what_was_written_is_read_back_the_same(tmp_path: Path) -> None:
    write(found(tmp_path), pid=1, born=0.0)
    assert read(tmp_path) == found(tmp_path)
    assert (tmp_path / RESULTS).stat().st_mode & 0o077 == 0


def test_who_writes_no_more_was_interrupted(tmp_path: Path) -> None:
    write(found(tmp_path, "running"), pid=os.getpid(), born=psutil.Process().create_time())
    assert read(tmp_path).status == "running"
    write(found(tmp_path, "running"), pid=os.getpid(), born=0.0)  # another process had the number
    assert read(tmp_path).status == "interrupted"
    ended = psutil.Popen([sys.executable, "-c", ""])
    born = ended.create_time()
    while ended.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    write(found(tmp_path, "running"), pid=ended.pid, born=born)  # its parent has not looked yet
    assert read(tmp_path).status == "interrupted"
    ended.wait()


def test_what_is_no_evaluation_is_said_and_passed_over(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be read"):
        read(tmp_path)
    for content in (b"{", b"[]", b'{"subject": 3}', b'{"models": [], "settings": {}, "asked": {}}'):
        (tmp_path / RESULTS).write_bytes(content)
        with pytest.raises(RunError, match="holds no results"):
            read(tmp_path)
    assert evaluations_in(tmp_path / "nowhere") == []


def test_lines_of_one_row_are_joined_and_torn_ones_left_out(tmp_path: Path) -> None:
    lines = [
        Item("data", "r:1", prompt="p", reference="x", answers={"tuned": Reply(scores={"loss": 1.0})}),
        Item("data", "r:1", answers={"tuned": Reply("x", {"bleu-4": 9.0}, 3, True)}),
        Item("data", "r:1", answers={"base": Reply("y", {"loss": float("nan")})}),
        Item("mmlu_test", "r:1", "law"),
    ]
    data = b"".join(map(line_of, lines)) + b'{"task": "data", "id": "torn\n[1]\n{"task": 3, "id": 1, "answers": {}}\n'
    (tmp_path / PREDICTIONS).write_bytes(data)
    first, second = predictions(tmp_path)
    assert (first.prompt, first.answers["tuned"]) == ("p", Reply("x", {"loss": 1.0, "bleu-4": 9.0}, 3, True))
    assert first.answers["base"].scores["loss"] != first.answers["base"].scores["loss"]
    assert second.group == "law"
    assert scores_of([first]) == ["loss", "bleu-4"]


def test_rows_are_browsed_the_worst_first_alone_and_against_another_model() -> None:
    def item(name: str, own: float, other: float) -> Item:
        return Item("data", name, answers={"tuned": Reply(scores={"loss": own, "rouge-l": own}),
                                           "base": Reply(scores={"loss": other, "rouge-l": other})})  # fmt: skip

    items = [item("a", 1.0, 5.0), item("b", 3.0, 3.5), item("c", 2.0, 1.0), Item("data", "d")]
    assert [each.id for each in worst_first(items, "tuned", "loss")] == ["b", "c", "a"]
    assert [each.id for each in worst_first(items, "tuned", "rouge-l")] == ["a", "c", "b"]
    assert [each.id for each in worst_first(items, "tuned", "loss", against="base")] == ["c", "b", "a"]
