"""`tuitune evaluate` as it is typed: tables, JSON lines, LLaMA-Factory's recipes, and what goes wrong in words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Call
from tests.cli.given import until
from tests.engine.given import data_folder, model_folder
from tests.methods.cycle import train
from tuitune.run.directory import RunDir
from tuitune.run.evaluations import evaluations_of, read
from tuitune.run.job import Job


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A run of two steps that held six rows back; nobody writes into it."""
    place = tmp_path_factory.mktemp("trained")
    model_folder(place)
    data_folder(place)
    return train(place, "run", template="chatml", val_size=6, eval_strategy="steps", eval_steps=2, max_steps=2)


@pytest.fixture
def run(trained: RunDir, root: Path) -> RunDir:
    """A copy of that run; its recipe names the model and the data of the original."""
    return RunDir(Path(shutil.copytree(trained.path, root / "run")))


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_the_table_stands_with_what_is_clear_and_where_it_lies(run: RunDir, call: Call) -> None:
    code, out, err = call("evaluate", str(run.path), "--rows", "5")
    assert code == 0, err
    [folder] = evaluations_of(run)
    assert "tuned - base" in out
    for word in ("loss", "perplexity", "exact match %", "BLEU-4 %", "ROUGE-L %"):
        assert f"\n{word} " in out
    assert "5 of 6 rows of rows, held back from training" in out
    assert str(folder) in out
    assert "There are only 5 rows" in out


def test_with_json_every_line_is_an_object_and_the_last_the_result(run: RunDir, call: Call) -> None:
    code, out, _ = call("evaluate", str(run.path), "--no-base", "--json")
    told = lines(out)
    assert code == 0
    kinds = [each["kind"] for each in told]
    begun = told[kinds.index("begun")]
    assert (begun["models"][0]["key"], begun["rows"]) == ("tuned", 6)
    assert kinds.count("row") == 12
    assert {each["stage"] for each in told if each["kind"] == "progress"} >= {
        "load tuned",
        "loss, tuned",
        "answers, tuned",
    }
    assert {each["key"] for each in told if each["kind"] == "metric"} >= {"loss", "perplexity", "bleu-4"}
    result = told[-1]
    assert result["kind"] == "result"
    found = read(Path(result["path"]))
    assert {metric["key"] for metric in result["metrics"]} == {metric.key for metric in found.metrics}


def test_an_adapter_alone_a_model_alone_and_a_recipe_can_be_measured(run: RunDir, root: Path, call: Call) -> None:
    (root / "mine.json").write_text(json.dumps([{"instruction": "the river", "output": "runs"}] * 3))
    settings = ("template=chatml", "max_new_tokens=4", "threads=1", "--data", "mine.json", "--json")
    adapter = root / "elsewhere"
    run.final.rename(adapter)
    (adapter / "MANIFEST.json").unlink()
    code, out, _ = call("evaluate", str(adapter), *settings)
    assert code == 0, out
    assert [model["key"] for model in lines(out)[-1]["models"]] == ["tuned", "base"]
    code, out, _ = call("evaluate", str(root / "tiny"), *settings)
    assert code == 0, out
    assert [model["key"] for model in lines(out)[-1]["models"]] == ["model"]
    recipe = f"model_name_or_path: {root / 'tiny'}\nadapter_name_or_path: {adapter}\ntemplate: chatml\n"
    recipe += f"finetuning_type: lora\ndo_predict: true\neval_dataset: rows\ndataset_dir: {root / 'data'}\n"
    recipe += f"save_dir: {root / 'saves'}\n"
    (root / "eval.yaml").write_text(recipe + "max_new_tokens: 4\ncutoff_len: 96\nthreads: 1\n")
    code, out, _ = call("evaluate", "eval.yaml", "--rows", "3", "--json")
    assert code == 0, out
    result = lines(out)[-1]
    assert Path(result["path"]).parent == root / "saves"
    assert [model["key"] for model in result["models"]] == ["tuned", "base"]
    assert result["data"]["kind"] == "given"


def test_what_cannot_be_measured_is_refused_in_words(run: RunDir, root: Path, call: Call) -> None:
    for words, part in (
        ([str(root / "tiny")], "names no data to measure on"),
        ([str(run.path), "--data", "nowhere.json"], "nowhere.json"),
        ([str(run.path), "--metric", "nowhere.py"], "cannot be read"),
        ([str(run.path), "lora_rnk=3"], "lora_rnk"),
        ([str(run.path), "learning_rate=1e-3"], "only training reads it"),
        ([str(run.path), "export_dir=x"], "has no effect here"),
        ([str(run.path), "--resume"], "no interrupted evaluation"),
        ([str(run.path), "--rows", "9" * 23], "--rows"),
        ([str(run.path), "max_new_tokens=" + "9" * 23], "max_new_tokens: is too large"),
        (["nobody"], "nobody"),
    ):
        code, _, err = call("evaluate", *words)
        assert code != 0
        assert part in err
        assert "Traceback" not in err
    assert evaluations_of(run) == []


def test_one_model_is_not_measured_twice(run: RunDir, call: Call) -> None:
    code, _, err = call("evaluate", str(run.path), "--with", str(run.path))
    assert code == 2
    assert "measured twice" in err
    assert evaluations_of(run) == []


def test_a_narrow_terminal_shows_the_figures_without_intervals(run: RunDir, call: Call) -> None:
    from io import StringIO

    from tuitune.cli.console import Screen
    from tuitune.cli.evaluate import print_results

    other = shutil.copytree(run.path, run.path.parent / "tuned")
    call("evaluate", str(run.path), "--with", str(other), "--no-answers")
    found = read(evaluations_of(run)[0])
    assert [model.key for model in found.models] == ["run", "base", "tuned"]
    drawn = StringIO()
    print_results(Screen(file=drawn, width=80, force_terminal=True, color_system=None), found)
    assert max(map(len, drawn.getvalue().splitlines())) <= 80
    assert "perplexity" in drawn.getvalue()
    assert "tuned - base" in drawn.getvalue()
    assert "Brackets" not in drawn.getvalue()  # there are none: the file has them
    assert "results.md has them" in drawn.getvalue()


@pytest.mark.parametrize(
    ("more", "words"),
    [((), "cancelled before anything was measured"), (("--resume",), "cancelled; what was measured before is kept")],
)
def test_ctrl_c_while_it_is_found_out_what_is_asked_says_what_is_left(
    more: tuple[str, ...], words: str, run: RunDir, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*asked: object, **rest: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tuitune.face.evaluating.request_of", interrupted)
    code, _, err = call("evaluate", str(run.path), *more)
    assert (code, err.strip()) == (3, words)
    code, out, _ = call("evaluate", str(run.path), *more, "--json")
    [told] = lines(out)
    assert (code, told["message"], told["stopped"]) == (3, words, True)


def told(job: Job, what: Callable[[], bool]) -> None:
    """Read what a job says until something is true of it."""

    def heard() -> bool:
        job.read()
        return what()

    until(heard, 600)


@pytest.mark.slow
def test_a_job_of_its_own_can_be_cancelled_and_goes_on(run: RunDir, root: Path) -> None:
    job = Job.start("evaluate", "evaluate run", ["evaluate", str(run.path), "max_new_tokens=400"], cwd=root)
    told(job, lambda: any(line["kind"] == "row" for line in job.lines))
    job.cancel()
    told(job, lambda: job.status != "running")
    assert job.status == "cancelled"
    [folder] = evaluations_of(run)
    assert read(folder).status == "interrupted"
    again = Job.start("evaluate", "evaluate run", ["evaluate", str(run.path), "--resume"], cwd=root)
    told(again, lambda: again.status != "running")
    assert again.status == "done", again.error
    assert read(folder).status == "done"
