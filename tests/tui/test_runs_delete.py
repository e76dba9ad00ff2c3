"""The Runs screen: runs that are deleted while they are hidden, or while the list is being read."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.tui.given import screen_text
from tests.tui.test_runs_screen import at, go, home, listed, opened, said, three, until
from tuitune.run import RunDir, index, trash
from tuitune.run.shelf import Entry
from tuitune.run.trash import Trashed
from tuitune.tui.asking import Ask
from tuitune.tui.panes.runs_list import RunsPane
from tuitune.tui.screens.runs import RunsScreen
from tuitune.tui.screens.runs_data import Desk

__all__ = ["home"]  # the fixture


def test_a_marked_run_that_is_hidden_is_asked_about() -> None:
    three()

    async def work() -> None:
        async with opened() as (app, pilot):
            await pilot.press("space", "slash", *"alpha", "enter")
            await until(pilot, lambda: listed(app) == ["alpha"])
            await pilot.press("d")
            await until(pilot, lambda: isinstance(app.screen, Ask) and "Delete 1 marked run?" in screen_text(app))
            text = screen_text(app)
            assert "hidden by the search or the filter now: it" in text
            assert "gamma" in text
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, RunsScreen))
            assert len(index.all_runs()) == 3
            await pilot.press("space", "d")  # another one, which is listed
            await until(pilot, lambda: isinstance(app.screen, Ask) and "now: 1 of them" in screen_text(app))

    go(work)


def test_what_is_deleted_is_gone_at_once_with_its_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    three()
    going_on, entered, gate = threading.Event(), threading.Event(), threading.Event()
    whole = Desk.entries

    def slow(self: Desk) -> list[Entry]:
        found = whole(self)
        if going_on.is_set() and not gate.is_set():
            entered.set()
            assert gate.wait(60)
        return found

    async def work() -> None:
        async with opened() as (app, pilot):
            monkeypatch.setattr(RunsScreen, "beat", lambda self: None)
            await pilot.press("space", "space")
            going_on.set()
            at(app).look()
            await until(pilot, entered.is_set)
            await pilot.press("d")
            await until(pilot, lambda: isinstance(app.screen, Ask))
            await pilot.press("d")
            await until(pilot, lambda: "2 runs in the trash" in said(app))
            pane = at(app).runs_pane
            await until(pilot, lambda: (listed(app), pane.table.marks) == (["alpha"], []))
            gate.set()  # what was read before comes now
            await pilot.pause(0.5)
            assert (listed(app), pane.table.marks) == (["alpha"], [])
            await pilot.press("u")
            await until(pilot, lambda: len(listed(app)) == 3)
            assert pane.table.marks == []

    monkeypatch.setattr(Desk, "entries", slow)
    go(work)


def test_a_second_d_does_not_take_the_word_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    three()
    gate = threading.Event()
    whole = trash.delete

    def slow(run: RunDir) -> Trashed:
        assert gate.wait(60)
        return whole(run)

    monkeypatch.setattr(trash, "delete", slow)

    async def work() -> None:
        async with opened() as (app, pilot):
            await pilot.press("d", "d")
            await pilot.pause(0.2)
            gate.set()
            await until(pilot, lambda: "gamma in the trash" in said(app))
            await until(pilot, lambda: listed(app) == ["beta", "alpha"])
            await pilot.press("u")
            await until(pilot, lambda: len(listed(app)) == 3)

    go(work)


def test_the_list_that_was_shown_last_is_there_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = three()
    gate = threading.Event()
    gate.set()
    whole = Desk.entries

    def slow(self: Desk) -> list[Entry]:
        assert gate.wait(60)
        return whole(self)

    monkeypatch.setattr(Desk, "entries", slow)

    async def work() -> None:
        async with opened() as (app, pilot):
            await pilot.press("down", "escape")
            await until(pilot, lambda: not isinstance(app.screen, RunsScreen))
            gate.clear()
            await pilot.press("f4")
            try:
                await until(pilot, lambda: isinstance(app.screen, RunsScreen) and bool(app.screen.query(RunsPane)))
                await until(pilot, lambda: listed(app) == ["gamma", "beta", "alpha"])
                await until(pilot, lambda: getattr(at(app).entry, "run", None) == runs[1])
            finally:
                gate.set()

    go(work)
