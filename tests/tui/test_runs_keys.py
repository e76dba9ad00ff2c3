"""The Runs screen: keys that come at once, what follows from marks, what is named how, folders that are broken."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from textual.events import Key
from textual.widgets import Input

from tests.cli.given import finished, plant
from tests.face.importing import given as others
from tests.tui.given import screen_text
from tests.tui.test_runs_screen import SMALL, WIDE, at, curve, go, home, listed, opened, said, three, until
from tuitune.run import places, trash
from tuitune.run.shelf import Entry
from tuitune.tui.app import TuiTune
from tuitune.tui.asking import Picker, TextAsk
from tuitune.tui.keys import KeysLine
from tuitune.tui.panes.runs_differs import DiffersPane
from tuitune.tui.panes.runs_overlay import OverlayPane
from tuitune.tui.panes.runs_table import RunTable
from tuitune.tui.screens.compare import CompareScreen
from tuitune.tui.screens.evaluate import EvaluateScreen
from tuitune.tui.screens.runs import RunsScreen
from tuitune.tui.screens.runs_data import Desk
from tuitune.tui.workbench import Workbench

__all__ = ["home"]  # the fixture


def test_a_key_that_is_faster_than_the_list_acts_when_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    three()
    gate = threading.Event()
    whole = Desk.entries

    def slow(self: Desk) -> list[Entry]:
        assert gate.wait(60)
        return whole(self)

    async def work() -> None:
        async with opened() as (app, pilot):
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, Workbench))
            app.screen.set_focus(None)
            monkeypatch.setattr("tuitune.tui.screens.runs_seen._seen", {})  # as at the first opening
            monkeypatch.setattr(Desk, "entries", slow)
            app.post_message(Key("f4", None))
            app.post_message(Key("v", "v"))
            await until(pilot, lambda: isinstance(app.screen, RunsScreen) and app.screen.waits)
            assert at(app).runs_pane.line.value == ""
            assert isinstance(app.focused, RunTable)
            gate.set()
            await until(pilot, lambda: isinstance(app.screen, EvaluateScreen))

    go(work)


def test_nothing_is_deleted_that_is_not_seen_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    three()

    async def work() -> None:
        async with opened() as (app, pilot):
            pane = at(app).runs_pane
            pane.show([])
            pane.known = False
            await pilot.press("d")
            await until(pilot, lambda: "d again then" in said(app))
            assert trash.trashed() == []

    go(work)


def test_two_marked_runs_are_compared_with_each_other_and_one_with_its_base() -> None:
    runs = three()

    async def work() -> None:
        async with opened() as (app, pilot):
            await pilot.press("space", "b")  # one is marked, the next one is under the cursor
            await until(pilot, lambda: compared(app) == [str(runs[1].path), "base"])
            await pilot.press("escape", "escape")
            await until(pilot, lambda: isinstance(app.screen, Workbench))
            await pilot.press("f4")
            await until(pilot, lambda: isinstance(app.screen, RunsScreen) and len(listed(app)) == 3)
            await pilot.press("space", "b")  # gamma and beta; the cursor stands on alpha
            await until(pilot, lambda: compared(app) == [str(runs[2].path), str(runs[1].path)])

    go(work)


def compared(app: TuiTune) -> list[str]:
    sides = app.screen.sides if isinstance(app.screen, CompareScreen) else None
    return sides.words if sides is not None else []


def test_what_was_sorted_for_stands_first() -> None:
    three()

    async def work() -> None:
        async with opened() as (app, pilot):
            await pilot.press("end", "s")
            await until(pilot, lambda: isinstance(app.screen, Picker))
            await pilot.press(*"best ev", "enter")
            await until(pilot, lambda: isinstance(app.screen, RunsScreen) and listed(app)[0] == "beta")
            assert at(app).entry.run.name == "beta"  # type: ignore[union-attr]

    go(work)


def test_a_wide_list_says_the_model_and_its_keys_what_comes_next() -> None:
    three()

    async def work() -> None:
        async with opened(WIDE) as (app, pilot):
            line = next(line for line in screen_text(app).splitlines() if "beta" in line)
            assert "smollm2-135m" in line
            foot = "".join(text for text, _ in app.screen.query_one(KeysLine).rows(WIDE[0], 1)[0])
            for word in ("evaluate", "export", "serve", "compare", "chat"):
                assert word in foot
            await pilot.resize_terminal(*SMALL)
            await until(pilot, lambda: "smollm2-135m" not in screen_text(app))

    go(work)


def test_a_run_has_one_name_and_two_of_one_recipe_have_two() -> None:
    for n in (1, 2):
        plant(f"2026112{n}-083753-small-sft-lora", [*curve(20, 0.5, 1000.0 * n), finished(20, t=1000.0 * n + 30)])

    async def work() -> None:
        async with opened(WIDE) as (app, pilot):
            await pilot.press("a")
            await until(pilot, lambda: len(at(app).curves) == 2)
            overlay, differs = app.screen.query_one(OverlayPane), app.screen.query_one(DiffersPane)
            await until(pilot, lambda: differs._compared is not None and len(overlay._lines) == 2)
            assert [name for *_, name in overlay._labels(overlay._lines, 36)] == [
                "a 1122-0837-small-sft-lora", "b 1121-0837-small-sft-lora",
            ]  # fmt: skip
            # where there is room for no more
            await until(pilot, lambda: "0.822 b 1121-0837\n" in screen_text(app) + "\n")
            head = ["".join(text for text, _ in row) for row in differs.body(60, 20)[:2]]
            assert head == ["a 20261122-083753-small-sft-lora", "b 20261121-083753-small-sft-lora"]

    go(work)


def test_one_broken_folder_keeps_none_of_the_others_out(tmp_path: Path) -> None:
    for name in ("saves/a", "saves/bad", "saves/c"):
        folder = others.factory(tmp_path, name)
        os.utime(folder / "trainer_log.jsonl")
    (tmp_path / "saves/bad/training_args.yaml").write_text("a: [1\n")

    async def work() -> None:
        async with opened() as (app, pilot):
            await pilot.press("i")
            await until(pilot, lambda: isinstance(app.screen, TextAsk))
            app.screen.query_one(Input).value = str(tmp_path / "saves")
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, RunsScreen) and sorted(listed(app)) == ["a", "c"])
            await until(pilot, lambda: "imported: a, c" in said(app) and "not imported: " in said(app))
            text = said(app)
            assert "not imported: saves/bad/training_args.yaml has 1 problem: line 2" in text
            assert "a, c: its log was written moments ago" in text

    go(work)


def test_a_run_whose_name_is_no_text_goes_to_the_trash_and_comes_back() -> None:
    three()
    name = os.fsdecode(b"bad\xff bytes")
    plant(name, [*curve(4, 1.0, 9000.0), finished(4, t=9100.0)])

    async def work() -> None:
        async with opened() as (app, pilot):
            await until(pilot, lambda: listed(app)[0] == name)
            await pilot.press("d")
            await until(pilot, lambda: len(listed(app)) == 3 and not (places.runs() / name).exists())
            await pilot.press("u")
            await until(pilot, lambda: len(listed(app)) == 4)
            assert (places.runs() / name).is_dir()

    go(work)
