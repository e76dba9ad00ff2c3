"""The Runs screen: what it lists, draws and compares, and what its keys do with runs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.cli.given import Engine, finished, plant
from tests.face.importing import given as others
from tests.tui.given import offered, screen_text, until
from tests.tui.runs import online
from tuitune.run import Journal, RunDir, events, index, trash
from tuitune.run.remarks import Remarks, edit
from tuitune.tui.app import TuiTune
from tuitune.tui.asking import Ask, TextAsk
from tuitune.tui.draft import Draft
from tuitune.tui.leave import Leave
from tuitune.tui.panes.chat import ChatPane
from tuitune.tui.panes.runs_differs import DiffersPane
from tuitune.tui.panes.runs_list import RunsPane
from tuitune.tui.panes.runs_overlay import OverlayPane
from tuitune.tui.screens.runs import RunsScreen
from tuitune.tui.settings import Settings
from tuitune.tui.workbench import Workbench

WIDE, MIDDLE, SMALL = (160, 50), (120, 40), (80, 24)
RECIPE = (
    "model_name_or_path: smollm2-135m\nstage: sft\nfinetuning_type: lora\nlora_rank: {rank}\n"
    "dataset: {data}\ntemplate: chatml\n"
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TUITUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def curve(steps: int, level: float, t: float = 1000.0) -> list[events.Event]:
    """An attempt whose loss falls to `level`, a step in a second, evaluated twice."""
    found: list[events.Event] = [events.RunStarted(1, 0, steps, "r", "smollm2-135m", "sft", "lora", t=t),
                                 events.PhaseStarted("train", t=t + 5)]  # fmt: skip
    for step in range(1, steps + 1):
        found.append(events.StepLogged(step, loss=level + 3 / step, tokens=100, tokens_per_second=1e3, t=t + 5 + step))
        if step % (steps // 2) == 0:
            found.append(events.EvalLogged(step, 0.1, level + 0.1, t=t + 5 + step))
    return found


def three() -> list[RunDir]:
    made = []
    for n, (name, steps, level) in enumerate([("alpha", 40, 0.5), ("beta", 80, 0.2), ("gamma", 20, 1.5)]):
        found = [*curve(steps, level, 1000.0 * (n + 1)), finished(steps, t=1000.0 * (n + 1) + steps + 10)]
        made.append(plant(name, found, recipe=RECIPE.format(rank=8 * (n + 1), data=f"data{n}")))
    return made


@contextlib.asynccontextmanager
async def opened(
    size: tuple[int, int] = MIDDLE, subject: str | None = None
) -> AsyncIterator[tuple[TuiTune, Pilot[Leave]]]:
    draft = Draft()
    draft.use_preset("quickstart")
    app = TuiTune(draft, Settings.load(), busy=True)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: bool(app.screen.query(ChatPane)))
        app.show_screen("runs", subject)
        await until(pilot, lambda: any(pane.known for pane in app.screen.query(RunsPane)))
        yield app, pilot


def go(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(work())  # type: ignore[arg-type]


def said(app: TuiTune) -> str:
    return "\n".join(str(note.message) for note in app._notifications)


def at(app: TuiTune) -> RunsScreen:
    assert isinstance(app.screen, RunsScreen)
    return app.screen


def listed(app: TuiTune) -> list[str]:
    return [entry.run.name for entry in at(app).runs_pane.table.entries]


@pytest.mark.parametrize("size", [WIDE, MIDDLE, SMALL])
def test_every_run_is_listed_with_what_counts(size: tuple[int, int]) -> None:
    three()
    plant("dead", curve(4, 1.0, 9000.0))

    async def work() -> None:
        async with opened(size) as (app, pilot):
            await until(pilot, lambda: "gamma" in screen_text(app) and "crashed" in screen_text(app))
            line = next(line for line in screen_text(app).splitlines() if "beta" in line)
            assert "80/80" in line
            assert "0.238" in line
            assert "0.300" in line
            assert "finished" in line
            assert ("sft/lora" in line) == (size != SMALL)
            assert ("data1" in line) == (size != SMALL)
            assert listed(app) == ["dead", "gamma", "beta", "alpha"]

    go(work)


def test_the_time_of_a_resumed_run_is_that_of_its_attempts() -> None:
    again = replace(curve(40, 0.5)[0], attempt=2, step=20, t=9000.0)  # type: ignore[call-arg]
    rest = [events.StepLogged(step, loss=0.4, t=9000.0 + step) for step in range(21, 41)]
    plant("once", [*curve(40, 0.5), finished(40, t=1060.0)], recipe=RECIPE.format(rank=16, data="d"))
    plant("twice", [*curve(40, 0.5)[:31], again, *rest, finished(40, t=9060.0)], recipe=RECIPE.format(rank=8, data="d"))

    async def work() -> None:
        async with opened(WIDE) as (app, pilot):
            await until(pilot, lambda: "in 2 attempts" in screen_text(app))
            await pilot.press("a")
            await until(
                pilot, lambda: ["attempts", "2", "1"] in [line.split()[-3:] for line in screen_text(app).splitlines()]
            )
            line = next(line for line in screen_text(app).splitlines() if "twice" in line)
            assert "1 m 33 s" in line
            await pilot.press("x")
            await until(pilot, lambda: "x training time" in screen_text(app))

    go(work)


def test_it_opens_on_the_run_that_is_meant() -> None:
    three()

    async def work() -> None:
        async with opened(subject="alpha") as (app, pilot):
            await until(pilot, lambda: at(app).entry is not None and at(app).entry.run.name == "alpha")  # type: ignore[union-attr]

    go(work)


def test_searching_is_live_and_escape_ends_it() -> None:
    three()

    async def work() -> None:
        async with opened() as (app, pilot):
            await pilot.press("slash", *"data1")
            await until(pilot, lambda: listed(app) == ["beta"])
            await pilot.press("escape")
            await until(pilot, lambda: len(listed(app)) == 3)
            assert at(app).runs_pane.table.has_focus

    go(work)


def test_sorting_turning_and_filtering() -> None:
    runs = three()
    edit(runs[0], lambda before: before.tagged(["best"]))

    async def work() -> None:
        async with opened() as (app, pilot):
            await pilot.press("s")
            await until(pilot, lambda: offered(app))
            await pilot.press(*"best ev", "enter")
            await until(pilot, lambda: isinstance(app.screen, RunsScreen))
            await until(pilot, lambda: listed(app) == ["beta", "alpha", "gamma"])
            await pilot.press("o")
            assert listed(app) == ["gamma", "alpha", "beta"]
            await pilot.press("f")
            await until(pilot, lambda: offered(app))
            await pilot.press(*"#best", "enter")
            await until(pilot, lambda: isinstance(app.screen, RunsScreen))
            await until(pilot, lambda: listed(app) == ["alpha"] and "only #best" in screen_text(app))

    go(work)


def test_a_click_on_a_title_sorts() -> None:
    three()

    async def work() -> None:
        async with opened() as (app, pilot):
            table = at(app).runs_pane.table
            row = next(n for n, line in enumerate(screen_text(app).splitlines()) if "steps" in line and "state" in line)
            column = screen_text(app).splitlines()[row].index("steps")
            await pilot.click(offset=(column, row))
            await until(pilot, lambda: at(app).runs_pane.order == "steps")
            assert [entry.run.name for entry in table.entries] == ["beta", "alpha", "gamma"]

    go(work)


@pytest.mark.parametrize("size", [MIDDLE, SMALL])
def test_curves_of_marked_runs_lie_over_each_other(size: tuple[int, int]) -> None:
    three()

    async def work() -> None:
        async with opened(size) as (app, pilot):
            await pilot.press("space", "space", "space")
            await until(pilot, lambda: len(at(app).curves) == 3)
            await pilot.press("2")
            await until(pilot, lambda: "a gamma" in screen_text(app))
            text = screen_text(app)
            assert "b beta" in text
            assert "c alpha" in text
            assert text.count("◆") >= 4
            assert "80" in text.splitlines()[-3] + text.splitlines()[-2]  # the axis goes to the last step of all
            pane = app.screen.query_one(OverlayPane)
            labels = {name: value for value, _, name in pane._labels(pane._lines)}
            smooth = at(app).curves
            assert labels["b beta"] == next(c.drawn(0.9).values[-1] for c in smooth.values() if c.run.name == "beta")

    go(work)


def test_the_axis_the_scale_the_smoothing_and_the_kinds_change() -> None:
    runs = three()

    async def work() -> None:
        async with opened() as (app, pilot):
            await pilot.press("a")
            await until(pilot, lambda: len(at(app).curves) == 3)
            pane = app.screen.query_one(OverlayPane)
            drawn = pane._lines
            for across, end in (("time", 80.0), ("tokens", 8000.0), ("steps", 80.0)):
                await pilot.press("x")
                assert pane.look.across == across
                assert pane._extent(drawn)[1] == end
            await pilot.press("p", "p")  # the third smoothing, then none
            assert pane.look.smoothing == 0.0
            assert sorted(value for value, *_ in pane._labels(drawn)) == pytest.approx([0.2 + 3 / 80, 0.575, 1.65])
            await pilot.press("l")
            assert pane.look.log
            assert "log" in screen_text(app)
            await pilot.press("E", "E")
            assert sorted(value for value, *_ in pane._labels(drawn)) == pytest.approx([0.3, 0.6, 1.6])
            await pilot.press("a")
            assert at(app).runs_pane.table.marks == []

    go(work)
    assert all(run.is_run() for run in runs)


def test_zooming_shows_the_later_part() -> None:
    three()

    async def work() -> None:
        async with opened() as (app, pilot):
            await pilot.press("a")
            await until(pilot, lambda: len(at(app).curves) == 3)
            await pilot.press("2", "plus", "plus")
            pane = app.screen.query_one(OverlayPane)
            await until(pilot, lambda: pane.look.zoom == 2)
            assert (pane._window(pane._lines, 60).low, pane._window(pane._lines, 60).high) == (60.0, 80.0)
            await pilot.press("left")
            assert pane._window(pane._lines, 60).high == 75.0
            await pilot.press("0")
            assert pane._window(pane._lines, 60).low == 0.0

    go(work)


def test_runs_that_do_not_log_the_figure_are_named() -> None:
    three()
    plant("rewarded", [replace(event, t=event.t) for event in online(1, 60)])

    async def work() -> None:
        async with opened() as (app, pilot):
            await pilot.press("down", "space", "home", "space")
            await until(pilot, lambda: "learns from rewards (m: another figure): b rewarded" in screen_text(app))
            await pilot.press("a", "home", "space", "space")
            await until(pilot, lambda: "without reward (m: another figure): b" in screen_text(app))
            for _ in range(12):
                await pilot.press("m")
                if at(app).figure == "loss":
                    break
            await until(pilot, lambda: "another figure" not in screen_text(app))

    go(work)


def test_what_differs_stands_side_by_side() -> None:
    three()

    async def work() -> None:
        async with opened() as (app, pilot):
            await pilot.press("space")
            await until(pilot, lambda: "lora_rank" in screen_text(app))  # with the run under the cursor
            await pilot.press("space")
            pane = app.screen.query_one(DiffersPane)
            await until(pilot, lambda: pane._compared is not None and len(pane._compared.entries) == 2)
            text = screen_text(app)
            row = next(line for line in text.splitlines() if "lora_rank" in line)
            assert row.split()[-2:] == ["24", "16"]
            assert "model_name_or_path" not in text
            await pilot.press("a")
            await until(pilot, lambda: pane._compared is None)

    go(work)


def test_what_differs_follows_the_runs() -> None:
    three()

    async def work() -> None:
        async with opened(WIDE) as (app, pilot):
            await pilot.press("a")
            await until(pilot, lambda: "best eval      1.600" in screen_text(app))
            with Journal(index.find("gamma").events) as journal:
                journal.append(replace(events.RunStarted(2, 20, None, "gamma", "m", "sft", "lora"), t=4000.0))
                journal.append(events.EvalLogged(30, loss=0.125, t=4010.0))
            at(app).look()
            await until(pilot, lambda: "best eval      0.125" in screen_text(app))

    go(work)


def test_note_and_tags_are_written_by_keys() -> None:
    runs = three()

    async def work() -> None:
        async with opened(WIDE) as (app, pilot):
            await pilot.press("w")
            await until(pilot, lambda: isinstance(app.screen, TextAsk))
            await pilot.press(*"fine", "enter")
            await until(pilot, lambda: Remarks.of(runs[2]).note == "fine")
            await pilot.press("space", "space", "t")
            await until(pilot, lambda: isinstance(app.screen, TextAsk))
            app.screen.query_one(Input).value = "best x!"
            await pilot.press("end", "enter")
            await until(pilot, lambda: "cannot be a tag" in screen_text(app))
            await pilot.press("backspace", "enter")
            await until(pilot, lambda: [Remarks.of(run).tags for run in runs[1:]] == [("best", "x")] * 2)
            await until(pilot, lambda: "fine" in screen_text(app) and "best x" in screen_text(app))
            await pilot.press("t")
            await until(pilot, lambda: isinstance(app.screen, TextAsk))
            await pilot.press("end", "backspace", "enter")
            await until(pilot, lambda: Remarks.of(runs[1]).tags == ("best",))

    go(work)


def test_a_deleted_run_comes_back_with_u() -> None:
    three()

    async def work() -> None:
        async with opened() as (app, pilot):
            await pilot.press("d")
            await until(pilot, lambda: listed(app) == ["beta", "alpha"] and "u takes it back" in said(app))
            assert [each.name for each in trash.trashed()] == ["gamma"]
            await pilot.press("down", "u")
            await until(pilot, lambda: len(listed(app)) == 3)
            assert trash.trashed() == []
            await until(pilot, lambda: at(app).entry.run.name == "gamma")  # type: ignore[union-attr]

    go(work)


def test_several_are_asked_about_and_the_trash_can_be_emptied() -> None:
    three()

    async def work() -> None:
        async with opened() as (app, pilot):
            await pilot.press("a", "d")
            await until(pilot, lambda: isinstance(app.screen, Ask) and app.focused is not None)
            await pilot.press("enter")  # the safe answer stands first
            assert len(index.all_runs()) == 3
            await pilot.press("d", "d")
            await until(pilot, lambda: listed(app) == [])
            await pilot.press("T")
            await until(pilot, lambda: offered(app))
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, Ask))
            await pilot.press("r")
            await until(pilot, lambda: len(listed(app)) == 1)
            await pilot.press("T", "up", "enter")
            await until(pilot, lambda: isinstance(app.screen, Ask) and "for good" in screen_text(app))
            await pilot.press("d")
            await until(pilot, lambda: "are free again" in said(app))
            assert trash.trashed() == []
            assert len(index.all_runs()) == 1

    go(work)


def test_a_live_run_is_followed_and_not_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    run = plant("live")
    monkeypatch.setattr("tuitune.tui.screens.runs._BEAT", 0.2)

    async def work() -> None:
        with Engine(run):
            async with opened() as (app, pilot):
                await until(pilot, lambda: "running" in screen_text(app))
                with Journal(run.events) as journal:
                    for step in range(1, 40):
                        journal.append(events.StepLogged(step, loss=step / 100, t=time.time() + step))
                await until(pilot, lambda: "0.390" in screen_text(app))
                await pilot.press("d")
                await until(pilot, lambda: "is training" in said(app))
                assert run.is_run()
                await pilot.press("X")
                await until(pilot, lambda: isinstance(app.screen, Ask))
                await pilot.press("s")
                await until(pilot, lambda: "stopped" in screen_text(app))

    go(work)


def test_enter_opens_and_n_takes_the_recipe_for_a_new_run() -> None:
    three()

    async def work() -> None:
        async with opened() as (app, pilot):
            await pilot.press("enter")
            await until(pilot, lambda: app.control.run is not None and isinstance(app.screen, Workbench))
            assert app.control.run is not None
            assert app.control.run.name == "gamma"
            await pilot.press("f4")
            await until(pilot, lambda: isinstance(app.screen, RunsScreen) and app.screen.entry is not None)
            await pilot.press("down", "n")
            await until(pilot, lambda: isinstance(app.screen, Workbench) and app.draft.title == "beta-2.yaml")
            assert app.draft.values["lora_rank"] == 16
            assert not app.draft.dirty
            await until(pilot, lambda: "ctrl+r starts it" in said(app))

    go(work)


def test_what_cannot_be_resumed_says_so() -> None:
    three()

    async def work() -> None:
        async with opened() as (app, pilot):
            await pilot.press("r")
            await until(pilot, lambda: "has finished" in said(app))
            assert isinstance(app.screen, RunsScreen)

    go(work)


def test_runs_of_other_trainers_are_imported_and_compared(tmp_path: Path) -> None:
    folder = others.factory(tmp_path / "lf")
    three()

    async def work() -> None:
        async with opened(WIDE) as (app, pilot):
            await pilot.press("i")
            await until(pilot, lambda: isinstance(app.screen, TextAsk))
            line = app.screen.query_one(Input)
            line.value = str(tmp_path / "nowhere")
            await pilot.press("enter")
            await until(pilot, lambda: "no such folder" in screen_text(app))
            line.value = str(folder)
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, RunsScreen) and "train_1" in listed(app))
            await until(pilot, lambda: at(app).entry is not None and at(app).entry.run.name == "train_1")  # type: ignore[union-attr]
            await until(pilot, lambda: "imported from LLaMA-Factory" in screen_text(app))
            await pilot.press("r")
            await until(pilot, lambda: "was imported" in said(app))

    go(work)


def test_facts_name_checkpoints_and_why_a_run_failed() -> None:
    run = plant("failed", [*curve(10, 1.0), events.RunFailed("CUDA out of memory", "", 10, t=1100.0)])
    (run.path / "checkpoint-10").mkdir()

    async def work() -> None:
        async with opened() as (app, pilot):
            await until(pilot, lambda: "checkpoint-10" in screen_text(app))
            await until(pilot, lambda: "CUDA out of memory" in screen_text(app))

    go(work)


def test_foreign_names_cannot_write_to_the_terminal() -> None:
    run = plant(
        "evil", [events.RunStarted(1, model="a\x1b]0;x\x07b", stage="s\x1b[31m", t=1.0)], recipe="dataset: 'a\x1b[2J'\n"
    )
    edit(run, lambda before: before.noted("n"))
    (run.path / "remarks.json").write_text('{"note": "\\u001b]52;c;x\\u0007note", "tags": ["t\\u001b[1m"]}')

    async def work() -> None:
        async with opened(WIDE) as (app, pilot):
            await until(pilot, lambda: "note" in screen_text(app))
            assert "\x1b" not in screen_text(app)
            await pilot.press("space", "2", "3", "4")
            assert "\x1b" not in screen_text(app)

    go(work)


def test_the_screen_comes_back_as_it_was_left() -> None:
    three()

    async def work() -> None:
        async with opened() as (app, pilot):
            await pilot.press("down", "space", "x", "slash", *"a", "enter")
            await until(pilot, lambda: len(at(app).curves) >= 1)
            before = (at(app).runs_pane.table.marks, at(app).entry.path)  # type: ignore[union-attr]
            await pilot.press("escape")
            assert at(app).runs_pane.line.value == ""
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, Workbench))
            await pilot.press("f4")
            await until(pilot, lambda: any(pane.known for pane in app.screen.query(RunsPane)))
            await until(pilot, lambda: at(app).entry is not None and at(app).entry.path == before[1])  # type: ignore[union-attr]
            await until(pilot, lambda: at(app).runs_pane.table.marks == before[0])
            assert at(app).overlay.look.across == "time"

    go(work)
