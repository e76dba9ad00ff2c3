"""The lm-evaluation-harness asked of our loaded model: the same figures as when it is asked of the model itself."""

from __future__ import annotations

import json
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.evaluate.test_choice import Found, Partner, recipe
from tuitune.errors import DataError, UsageError
from tuitune.evaluate.harness import Harness
from tuitune.evaluate.harness_results import figures, paired
from tuitune.evaluate.scores import Around, Kept
from tuitune.run.evaluation import Item

ROWS = [
    {"question": "What is water when cold?", "choices": ["ice", "fire", "wood"], "answer": 0},
    {"question": "Which is a fruit?", "choices": ["river", "plum"], "answer": 1},
    {"question": "Capital of France?", "choices": ["Seine", "Paris"], "answer": 1},
    {"question": "Two plus three?", "choices": ["five", "two"], "answer": 0},
]
TASK = """
task: tiny_choice
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}\\nAnswer:"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{answer}}}}"
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
"""
needs_it = pytest.mark.skipif(find_spec("lm_eval") is None, reason="lm-eval is not installed")


def task_file(folder: Path) -> Path:
    """Write a task and its rows."""
    (folder / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in ROWS))
    path = folder / "task.yaml"
    path.write_text(TASK.format(rows=folder / "rows.jsonl"))
    return path


def run(name: str, partner: Any, **more: Any) -> Found:
    """Ask a task of a model."""
    asked = recipe(Path(), **more)
    around = Around(asked)
    around.begin("cpu")
    items: list[Item] = []
    return Found(Harness(name, asked).run(partner, around, Kept({}, items.append)), items)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


def test_without_the_package_it_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    with pytest.raises(UsageError, match="not installed") as caught:
        Harness("hellaswag", recipe(tmp_path))
    assert "pip install lm-eval" in caught.value.hint


@needs_it
def test_a_task_of_ones_own_gives_the_harness_own_figures(tmp_path: Path) -> None:
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    path = task_file(tmp_path)
    plain = Partner()
    theirs = lm_eval.simple_evaluate(
        model=HFLM(plain.model, backend="causal", tokenizer=plain.tokenizer, batch_size=2), tasks=["tiny_choice"],
        num_fewshot=0, task_manager=TaskManager(include_path=str(tmp_path), include_defaults=False),
    )["results"]["tiny_choice"]  # fmt: skip
    partner = Partner()
    assert partner.path.name == "flat"  # the model's attention is ours by now
    ours = run(f"{path}", partner, n_shot=0, batch_size=2)
    [series] = ours.series
    assert (series.key, series.better, series.error) == ("acc", "more", None)
    assert sum(series.values) / 4 == theirs["acc,none"]
    assert list(series.ids) == [f"tiny_choice:{n}" for n in range(4)]
    assert [item.id for item in ours.items] == [f"tiny_choice:{n}" for n in range(4)]
    assert [item.reference for item in ours.items] == ["ice", "plum", "Paris", "five"]
    for item, row in zip(ours.items, ROWS, strict=True):
        reply = item.answers["tuned"]
        assert item.prompt == f"{row['question']}\nAnswer:"
        assert reply.scores["acc"] == float(reply.text == item.reference)


def test_a_figure_that_is_no_mean_keeps_its_standard_error() -> None:
    values = {"alias": "t", "sample_len": 2, "ppl,none": 7.5, "ppl_stderr,none": 0.5, "f1,strict": 0.5}
    values["f1_stderr,strict"] = "N/A"
    samples = [{"doc_id": n, "ppl": 1.0, "f1": float(n), "filter": kind} for n in (0, 1) for kind in ("none", "strict")]
    ppl, f1 = (paired(each, "t", samples, *about) for each, about in figures("t ", values, {"ppl": False}))
    assert (ppl.key, list(ppl.values), list(ppl.ids), ppl.error, ppl.better) == ("t ppl", [7.5], [""], 0.5, "less")
    assert (f1.key, list(f1.values), list(f1.ids)) == ("t f1 (strict)", [0.0, 1.0], ["t:0:strict", "t:1:strict"])
    [alone] = [each for each, (metric, _) in figures("", values, {}) if metric == "f1"]
    assert alone.error != alone.error  # nobody knows it


@needs_it
def test_a_cancelled_task_ends_at_once(tmp_path: Path) -> None:
    class Cancelled(BaseException):
        pass

    def check() -> None:
        raise Cancelled

    asked = recipe(tmp_path)
    with pytest.raises(Cancelled):
        Harness(str(task_file(tmp_path)), asked).run(Partner(), Around(asked, check=check), Kept({}, [].append))


@needs_it
def test_what_is_no_task_is_refused_before_a_model_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        Harness("nowhere/task.yaml", recipe(tmp_path))
    (tmp_path / "broken.yaml").write_text("task: [")
    with pytest.raises(DataError, match="cannot be read"):
        Harness(str(tmp_path / "broken.yaml"), recipe(tmp_path))
    (tmp_path / "empty.yaml").write_text("hello: 1")
    with pytest.raises(DataError, match="describes no task"):
        Harness(str(tmp_path / "empty.yaml"), recipe(tmp_path))
    path = task_file(tmp_path)
    (tmp_path / "rows.jsonl").unlink()
    with pytest.raises(DataError, match="cannot be asked"):
        Harness(str(path), recipe(tmp_path))


@needs_it
@pytest.mark.slow
def test_an_unknown_name_is_refused_with_a_near_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no task helaswag") as caught:
        Harness("helaswag", recipe(tmp_path))
    assert "hellaswag" in caught.value.hint
