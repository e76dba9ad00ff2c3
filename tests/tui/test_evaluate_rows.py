"""The Evaluate screen: which rows are measured, what is said of rows that were learnt from, and whom it is about."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tui.evaluated import BASE, ROWS, TUNED, a_run, data_items, evaluated, metrics
from tests.tui.given import offered, rows_text, screen_text
from tests.tui.test_app import WIDE, go, home, said, until  # noqa: F401
from tests.tui.test_evaluate_screen import on_screen
from tuitune.run import RunDir
from tuitune.run import job as room
from tuitune.run.evaluation import Difference, Reply
from tuitune.run.evaluations import read
from tuitune.tui.asking import TextAsk
from tuitune.tui.control import Control
from tuitune.tui.evaluating import Found, history, load
from tuitune.tui.panes.eval_page import page
from tuitune.tui.panes.eval_setup import SetupPane
from tuitune.tui.panes.eval_table import columns, metric_row, told
from tuitune.tui.panes.jobs import JobsPane
from tuitune.tui.screens.evaluate import EvaluateScreen
from tuitune.tui.workbench import Workbench

LEARNT = "the run held no rows back, so these are rows that it has learnt from: good figures on them say little"


@pytest.fixture
def run(home: Path) -> RunDir:  # noqa: F811
    return a_run(home / "runs", "tuned-one")


def change(folder: Path, **values: object) -> None:
    file = folder / "results.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_rows_are_chosen_from_a_list_and_what_is_not_there_is_refused(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "dataset_info.json").write_text(json.dumps({"mine": {"file_name": "mine.json"}}))
    rows = json.dumps([{"instruction": ask, "output": answer} for ask, answer, *_ in ROWS])
    (folder / "mine.json").write_text(rows)
    (tmp_path / "held.json").write_text(rows)

    async def work() -> None:
        async with on_screen(run) as (app, pilot, screen):
            setup = screen.query_one(SetupPane)
            await pilot.press("1", "down", "down", "down", "enter")
            await until(pilot, lambda: "held.json" in screen_text(app) and "identity_zh" in screen_text(app))
            assert screen_text(app).count("mine.json") == 1  # by its name alone
            await pilot.press(*"mine", "enter")
            await until(pilot, lambda: setup.asked.data == "mine")
            await pilot.press("enter")
            await until(pilot, lambda: offered(app))
            await pilot.press(*"another", "enter")
            await until(pilot, lambda: isinstance(app.screen, TextAsk))
            await pilot.press("ctrl+u", *"nosuch", "enter")
            await until(pilot, lambda: "not taken" in said(app) and "nosuch" in said(app))
            assert setup.asked.data == "mine"
            (folder / "dataset_info.json").unlink()  # another model may not know that name
            setup.set_subject(str(a_run(run.path.parent, "other").path))
            await until(pilot, lambda: setup.asked.data == "" and "not on mine" in said(app))

    go(work)


def test_a_job_that_fails_leaves_the_results_that_were_there(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated(run)
    monkeypatch.setattr(room, "PROGRAM", (sys.executable, "-c", "raise SystemExit('no such data')"))

    async def work() -> None:
        async with on_screen(run) as (app, pilot, screen):
            await until(pilot, lambda: "0.550" in screen_text(app))
            await pilot.press("s")
            await until(
                pilot, lambda: "its process is gone" in screen_text(app) and not screen.query_one(JobsPane).running
            )
            await pilot.pause(0.3)
            assert "0.550" in screen_text(app)
            assert "was not evaluated yet" not in screen_text(app)
            assert not any(line.rstrip().endswith("▲") for line in screen_text(app).split("\n"))

    go(work)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), WIDE])
def test_that_rows_were_learnt_from_is_said_whole(run: RunDir, size: tuple[int, int]) -> None:
    folder = evaluated(run, notes=(f"{LEARNT}; train with val_size: 0.1, or name other rows with --data",))
    data = {"name": "identity", "kind": "trained_on", "rows": 4, "of": 4, "words": f"4 rows of identity; {LEARNT}",
            "stage": "sft"}  # fmt: skip
    change(folder, data=data)

    async def work() -> None:
        async with on_screen(run, size) as (app, pilot, screen):
            await until(pilot, lambda: screen.found is not None)
            await pilot.press("3", "z")
            await until(pilot, lambda: "▲ the run held no rows back" in screen_text(app))
            words = " ".join(screen_text(app).replace("│", " ").split())
            assert words.count("good figures on them say little") == 1
            assert "or name other rows with --data" in words
            assert "Rows of identity" in words
            assert "Held-out" not in words

    go(work)


def test_an_answer_that_is_still_to_come_is_not_one_that_was_not_asked_for(run: RunDir) -> None:
    [item, *_] = data_items()
    item.answers["base"] = Reply(None, {"loss": 2.0, "labelled": 5.0, "accuracy": 0.5, "exact_match": 0.0})
    for status, words in (("running", "not answered yet"), ("interrupted", "r goes on"), ("done", "was asked for")):
        found = load(evaluated(run, f"20261123-0{len(words)}0000-a", status=status))  # type: ignore[arg-type]
        assert words in found.missing(item)
        text = "\n".join(rows_text(page(item, [TUNED, BASE], 80, "reference", missing=found.missing(item))))
        assert words in text
    assert "tokens right" in text
    assert "50.0%" in text
    assert "exact match" in text
    assert "labelled" not in text  # how much a row counts is no score of it


def test_the_screen_is_about_whom_it_was_about_until_another_run_is_shown(
    run: RunDir,
    home: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    newer = a_run(home / "runs", "zz-newer")

    async def work() -> None:
        async with on_screen(run) as (app, pilot, screen):
            assert screen.subject == str(run.path)
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, Workbench))
            await pilot.press("f6")
            await until(pilot, lambda: isinstance(app.screen, EvaluateScreen) and bool(app.screen.subject))
            assert isinstance(app.screen, EvaluateScreen)
            assert app.screen.subject == str(run.path)
            monkeypatch.setattr(Control, "run", newer)
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, Workbench))
            await pilot.press("f6")
            await until(pilot, lambda: isinstance(app.screen, EvaluateScreen) and bool(app.screen.subject))
            assert isinstance(app.screen, EvaluateScreen)
            assert app.screen.subject == str(newer.path)

    go(work)


def test_results_of_a_checkpoint_name_it_and_are_those_that_it_is_shown_with(run: RunDir) -> None:
    whole, part = evaluated(run), evaluated(run, "20261123-070000-a", figures=metrics()[:1])
    models = json.loads((part / "results.json").read_text())["models"]
    place = run.path / "checkpoint-20"
    change(part, models=[{**models[0], "adapters": [str(place)]}, *models[1:]])
    assert history(str(run.path)) == [part, whole]
    assert history(str(place)) == [part]
    assert history(str(run.path / "checkpoint-10")) == []
    assert Found(read(whole)).checkpoint == ""

    async def work() -> None:
        async with on_screen(run) as (app, pilot, _):
            await until(pilot, lambda: "checkpoint-20  2" in screen_text(app))
            await pilot.press("3", "left")
            await until(pilot, lambda: "2 of 2" in screen_text(app) and "checkpoint-20" not in screen_text(app))

    go(work)


def test_a_difference_without_an_interval_is_not_called_unclear() -> None:
    loss = metrics()[0]
    few = replace(loss, differences={"tuned": Difference("base", -2.4, None, None, "unclear")})
    shape = columns([TUNED, BASE], [few], 120)
    text = "\n".join(rows_text([metric_row(few, shape, "tuned", 120, here=False), *told(few, 120)]))
    assert "-2.400" in text
    assert "unclear" not in text
    assert "too few rows for an interval" in text
