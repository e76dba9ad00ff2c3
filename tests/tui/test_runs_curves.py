"""The Runs screen's curves: which figure they show, who has none, and what a thread may still tell."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from tests.cli.given import finished, plant
from tests.tui.given import screen_text
from tests.tui.test_runs_screen import RECIPE, SMALL, WIDE, at, curve, go, home, listed, opened, said, three, until
from tuitune.run import RunDir, events
from tuitune.run.remarks import edit
from tuitune.tui.panes.runs_curve import Curve
from tuitune.tui.panes.runs_differs import DiffersPane
from tuitune.tui.panes.runs_overlay import OverlayPane
from tuitune.tui.screens.runs_data import Desk
from tuitune.tui.workbench import Workbench

__all__ = ["home"]  # the fixture


def preferring(name: str = "pairs", t: float = 9000.0) -> RunDir:
    """A run that learns from pairs: it logs its accuracy beside the loss."""
    found: list[events.Event] = []
    for event in curve(40, 0.4, t):
        if isinstance(event, events.RunStarted):
            event = replace(event, stage="dpo")
        if isinstance(event, events.StepLogged):
            event = replace(event, metrics={"rewards/accuracies": event.step / 40})
        found.append(event)
    return plant(name, [*found, finished(40, t=t + 60)], recipe=RECIPE.format(rank=8, data="pairs"))


def test_a_figure_that_no_drawn_run_logs_gives_way_to_the_loss_and_comes_back() -> None:
    three()
    preferring()

    async def work() -> None:
        async with opened() as (app, pilot):
            pane = app.screen.query_one(OverlayPane)
            assert listed(app)[0] == "pairs"
            await pilot.press("space")
            await until(pilot, lambda: len(pane._lines) == 1)
            await pilot.press("m")
            await until(pilot, lambda: "m acc" in screen_text(app) and len(pane._lines) == 1)
            assert pane._labels(pane._lines)[0][0] > 0.5
            await pilot.press("a")  # none is marked: the run under the cursor is drawn, which knows its loss only
            await until(
                pilot, lambda: "m loss" in screen_text(app) and [line.name for line in pane._lines] == ["gamma"]
            )
            assert "nan" not in screen_text(app)
            assert pane._labels(pane._lines)[0][0] > 1.5  # its loss
            await pilot.press("up")
            await until(pilot, lambda: "m acc" in screen_text(app) and [line.name for line in pane._lines] == ["pairs"])
            await pilot.press("m")
            await until(pilot, lambda: "m loss" in screen_text(app) and len(pane._lines) == 1)
            assert at(app).figure is None

    go(work)


def test_runs_without_the_figure_stand_below_the_chart_and_not_in_it() -> None:
    three()
    preferring()

    async def work() -> None:
        async with opened() as (app, pilot):
            pane = app.screen.query_one(OverlayPane)
            await pilot.press("space", "space", "space")
            await until(pilot, lambda: len(pane._lines) == 3)
            await pilot.press("m")
            await until(pilot, lambda: "without acc (m: another figure): b gamma" in screen_text(app))
            assert "nan" not in screen_text(app)
            await pilot.press("E", "E")
            await until(pilot, lambda: "no evaluation with acc (E: the training): a pairs; without" in screen_text(app))

    go(work)


def test_a_run_without_evaluations_says_so() -> None:
    plant("bare", [event for event in curve(40, 0.5) if not isinstance(event, events.EvalLogged)])

    async def work() -> None:
        async with opened() as (app, pilot):
            pane = app.screen.query_one(OverlayPane)
            await until(pilot, lambda: len(pane._lines) == 1)
            await pilot.press("E", "E")
            await until(pilot, lambda: pane.look.kinds == "evaluation")
            await until(pilot, lambda: "not evaluated (E: the training): a bare" in screen_text(app))
            await pilot.press("E")
            await until(pilot, lambda: "not evaluated" not in screen_text(app))

    go(work)


def test_a_curve_that_is_read_when_the_screen_has_gone_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    three()
    left, told = threading.Event(), threading.Event()
    whole = Desk.curves

    def late(self: Desk, runs: Sequence[RunDir], figure: str | None, tell: Callable[[Curve], None]) -> None:
        assert left.wait(60)
        try:
            whole(self, runs, figure, tell)
        finally:
            told.set()

    monkeypatch.setattr(Desk, "curves", late)

    async def work() -> None:
        async with opened() as (app, pilot):
            await pilot.press("a")
            await pilot.press("n")
            await until(pilot, lambda: isinstance(app.screen, Workbench))
            await pilot.pause(0.2)
            left.set()
            await until(pilot, told.is_set)
            await pilot.pause(0.2)
            assert "ctrl+r starts it" in said(app)
            assert "Error" not in said(app)

    go(work)


def test_a_message_that_is_said_again_does_not_stack() -> None:
    three()

    async def work() -> None:
        async with opened() as (app, pilot):
            await until(pilot, lambda: at(app).entry is not None)
            await pilot.press("m", "m", "m")
            await until(pilot, lambda: "no other figure" in said(app))
            assert said(app).count("no other figure") == 1

    go(work)


def test_a_note_keeps_its_lines_in_the_pane_of_its_run() -> None:
    edit(three()[2], lambda before: before.noted("first line\nsecond line"))

    async def work() -> None:
        async with opened(WIDE) as (app, pilot):
            await until(pilot, lambda: "second line" in screen_text(app))
            pane = at(app).facts
            lines = ["".join(text for text, _ in row).strip() for row in pane.body(60, 40)]
            assert lines[lines.index("first line") + 1] == "second line"

    go(work)


def test_columns_that_have_no_room_are_gone_to() -> None:
    for n in range(8):
        plant(f"run{n}", [*curve(4, 1.0, 1000.0 * n), finished(4)], recipe=RECIPE.format(rank=n + 1, data="d"))

    async def work() -> None:
        async with opened(SMALL) as (app, pilot):
            pane = app.screen.query_one(DiffersPane)
            await pilot.press("a", "3")
            await until(pilot, lambda: pane._compared is not None and pane.has_focus and "more →" in screen_text(app))
            names = [entry.run.name for entry in pane._compared.entries]  # type: ignore[union-attr]
            assert names[0] in screen_text(app)
            assert names[-1] not in screen_text(app)
            await pilot.press(*["right"] * 7)
            await until(pilot, lambda: names[-1] in screen_text(app))
            text = screen_text(app)
            assert "← " in text
            assert "more →" not in text
            assert names[0] not in text
            row = next(line for line in text.splitlines() if "lora_rank" in line)
            assert row.split()[-1] == str(int(names[-1][3:]) + 1)
            await pilot.press("left")
            await until(pilot, lambda: "1 more →" in screen_text(app))

    go(work)
