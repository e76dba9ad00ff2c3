"""The data screen: what is prepared, what is seen of it, and what its keys and the mouse do."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.binding import Binding
from textual.pilot import Pilot

from tests.data.looking import asked, encoded, examples, look, turn
from tests.tui.given import gathered, screen_text
from tests.tui.test_app import MIDDLE, SMALL, WIDE, go, home, made, opened, recipe, said, until  # noqa: F401
from tuitune.data import DataReport, Examples
from tuitune.data.look import Look, View
from tuitune.data.look_side import Side
from tuitune.data.rows import TokenRows
from tuitune.tui.app import TuiTune
from tuitune.tui.help import HelpScreen
from tuitune.tui.leave import Leave
from tuitune.tui.panes.data_facts import ChecksPane, LengthsPane
from tuitune.tui.panes.data_list import RowList
from tuitune.tui.panes.data_packs import BatchesPane
from tuitune.tui.panes.data_rows import RowsPane
from tuitune.tui.panes.data_tokens import TokensPane
from tuitune.tui.picker import Picker
from tuitune.tui.screens.data import DataScreen
from tuitune.tui.screens.yaml import YamlScreen
from tuitune.tui.workbench import Workbench

EVIL = "a\x1b]0;PWN\x07[@click=app.quit]b\u202e"


def hand_made() -> Look:
    """Five rows with everything that can be said about one, two held back, one left out."""
    rows = [
        [*turn("system", "Be kind."), *asked("Who are you?", "I am Ada, and 日本語 is no trouble.\nAsk me more.")],
        asked("Why?", "Because of the rain. " * 12),
        asked("Who are you?", "Me.", end=False),
        asked("Where?", "By the river."),
        asked("Where?", "By the river."),
    ]
    report = DataReport()
    report.add_bad("data/rows.json", 44, "the answer is empty", empty=True)
    report.add_note("the template was guessed")
    held = examples([asked("Held back?", "Yes.")] * 2)
    train = examples(rows, lost=[0, 34, 0, 0, 0])
    return look(train, held, report, rows_per_step=2, batch=2, epochs=3, cutoff_len=96)


def pairs() -> Look:
    rows = [
        asked("Who are you?", "I am Ada."),
        asked("Who are you?", "Nobody at all."),
        asked("Why?", "So."),
        asked("Why?", "No."),
    ]
    return look(examples(rows, 2), kind="pair", batch=1)


def packs() -> Look:
    rows = [asked("Who?", "Me."), asked("Why?", "So it is."), asked("How?", "Well.")]
    return look(examples(rows, [2, 1]), packing=True, cutoff_len=60)


@contextlib.asynccontextmanager
async def on_data(
    found: Look, size: tuple[int, int] = MIDDLE
) -> AsyncIterator[tuple[TuiTune, Pilot[Leave], DataScreen]]:
    """Open the app on its data screen with data that were prepared."""
    app = made()
    app.datalook.look, app.datalook.revision = found, 1
    async with opened(app, size) as pilot:
        await pilot.press("f3")
        await until(pilot, lambda: isinstance(app.screen, DataScreen) and len(app.screen.query_one(RowsPane).list) > 0)
        screen = app.screen
        assert isinstance(screen, DataScreen)
        await pilot.pause()
        yield app, pilot, screen


def place(screen: DataScreen) -> int | None:
    return screen.query_one(RowsPane).list.place


# -- preparing ---------------------------------------------------------------------------------------------------------


def test_the_recipe_is_prepared_as_it_is_edited_and_kept_until_it_changes(recipe: Path) -> None:  # noqa: F811
    async def work() -> None:
        app = made(recipe)
        async with opened(app) as pilot:
            app.draft.set("cutoff_len", 40)  # not saved
            await pilot.press("f3")
            await until(pilot, lambda: app.datalook.look is not None)
            await until(pilot, lambda: "<|im_start|>" in screen_text(app))
            found = app.datalook.look
            assert found is not None
            assert found.setting.cutoff_len == 40
            assert found.train.longest <= 40
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, Workbench))
            await pilot.press("f3")
            await until(pilot, lambda: isinstance(app.screen, DataScreen) and "<|im_start|>" in screen_text(app))
            await pilot.pause(0.4)
            assert app.datalook.look is found
            app.draft.set("learning_rate", 1e-3)  # nothing to do with the data
            await pilot.pause(0.4)
            assert "has changed" not in screen_text(app)
            app.draft.set("cutoff_len", 50)
            await until(pilot, lambda: "the recipe has changed since: cutoff_len; r prepares again" in screen_text(app))
            assert app.datalook.look is found
            await pilot.press("r")
            await until(pilot, lambda: app.datalook.look is not found and not app.datalook.busy)
            await until(pilot, lambda: "has changed" not in screen_text(app))
            assert app.datalook.look is not None
            assert app.datalook.look.setting.cutoff_len == 50

    go(work)


def test_preparing_can_be_called_off(recipe: Path, tmp_path: Path) -> None:  # noqa: F811
    rows = [{"instruction": f"Number {n}", "output": "the river " * 30} for n in range(100_000)]
    (tmp_path / "data" / "rows.json").write_text(json.dumps(rows))

    async def work() -> None:
        app = made(recipe)
        async with opened(app) as pilot:
            await pilot.press("f3")
            await until(pilot, lambda: "preparing: tokenising" in screen_text(app) and "x call off" in screen_text(app))
            await pilot.press("x")
            await until(pilot, lambda: "r prepares the data of the recipe" in screen_text(app))
            assert not app.datalook.busy
            await until(pilot, lambda: not any(w.group == "look" and w.is_running for w in app.workers))
            assert app.datalook.look is None

    go(work)


def test_what_is_wrong_with_the_data_is_said(recipe: Path, tmp_path: Path) -> None:  # noqa: F811
    async def work() -> None:
        app = made(recipe)
        app.draft.set("dataset", ["nowhere"])
        async with opened(app) as pilot:
            await pilot.press("f3")
            await until(pilot, lambda: "there is no data set 'nowhere'" in screen_text(app))
            app.draft.set_text("cutoff_len", "many")
            await pilot.press("r")
            await until(pilot, lambda: "the recipe has problems" in said(app))

    go(work)


# -- what is seen ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "seen", "hidden"),
    [
        (WIDE, ["1 Rows", "2 Tokens", "rows.json, row 1", "3 Checks", "4 Lengths", "duplicates", "median"], []),
        (MIDDLE, ["1 Rows", "2 Tokens", "rows.json, row 1", "3 Checks", "4 Lengths", "duplicates", "median"], []),
        (SMALL, ["1 Rows   2 Tokens   3 Checks   4 Lengths", "rows.json, row 1"], ["duplicates", "median"]),
    ],
)
def test_what_shows_depends_on_the_room(size: tuple[int, int], seen: list[str], hidden: list[str]) -> None:
    async def work() -> None:
        async with on_data(hand_made(), size) as (app, pilot, _):
            text = screen_text(app)
            for word in (*seen, "▫▫日▫▫本▫▫語", "trained", "assistant", "n p row", "f1 help"):
                assert word in text, text
            assert not any(word in text for word in hidden), text
            if size == SMALL:
                for key, word in (("1", "Why?"), ("3", "answers end in"), ("4", "median"), ("2", "語")):
                    await pilot.press(key)
                    await pilot.pause()
                    assert word in screen_text(app)

    go(work)


def test_the_cursor_tells_about_its_token() -> None:
    async def work() -> None:
        async with on_data(hand_made()) as (app, pilot, _):
            await pilot.press("2")
            await pilot.pause()
            assert 'token 1  "<|im_start|>"' in screen_text(app)
            await pilot.press("u")
            assert "trained" in screen_text(app).split("token ")[1].splitlines()[0]
            strand = app.datalook.look.train.view(0).strands[0]  # type: ignore[union-attr]
            first = int(strand.labelled.argmax())
            assert f"token {first + 1}  " in screen_text(app)
            await pilot.press("left")
            assert f"token {first}  " in screen_text(app)
            await pilot.press("end")
            assert f"token {len(strand)}  " in screen_text(app)
            await pilot.press("home", "down", "down", "up", "up", "up")
            assert "token 1  " in screen_text(app)

    go(work)


def test_text_and_ids() -> None:
    async def work() -> None:
        async with on_data(hand_made()) as (app, pilot, _):
            assert "↵" in screen_text(app)
            await pilot.press("t")
            assert "↵" not in screen_text(app)
            assert "日本語" in screen_text(app)
            await pilot.press("i")
            text = screen_text(app)
            assert "↵" in text
            strand = app.datalook.look.train.view(0).strands[0]  # type: ignore[union-attr]
            assert all(str(number) in text for number in strand.ids[:20].tolist())
            await pilot.press("i")
            assert str(int(strand.ids[15])) not in screen_text(app)

    go(work)


def test_two_answers_stand_beside_each_other_or_below() -> None:
    async def work() -> None:
        async with on_data(pairs(), MIDDLE) as (app, pilot, _):
            line = next(line for line in screen_text(app).splitlines() if "chosen" in line)
            assert "rejected" in line
            assert "prompt, computed once" in screen_text(app)
            await pilot.resize_terminal(80, 24)
            await pilot.press("2")

            def below() -> bool:
                [line, *_] = [line for line in screen_text(app).splitlines() if "chosen" in line] or ["rejected"]
                return "rejected" not in line and "rejected" in screen_text(app)

            await until(pilot, below)

    go(work)


def test_packs_and_steps() -> None:
    async def work() -> None:
        async with on_data(packs()) as (app, pilot, screen):
            assert "sequence 2 of 2" in screen_text(app)
            await pilot.press("b")
            await pilot.pause()
            assert "packs: sequences that do not see each other" in screen_text(app)
            assert screen.query_one(BatchesPane).has_focus
            await pilot.press("down", "enter")
            await pilot.pause()
            assert place(screen) == 1
            assert "pack 2" in screen_text(app)
        async with on_data(hand_made()) as (app, pilot, screen):
            await pilot.press("b")
            await pilot.pause()
            text = screen_text(app)
            assert "steps of 2 rows end to end" in text
            assert len(screen.query_one(BatchesPane)) == 3
            found = app.datalook.look
            assert found is not None
            lengths = found.train.lengths
            share = (lengths[0] + lengths[1]) / (2 * max(lengths[0], lengths[1]))
            assert f"{share:.0%}".replace("%", " %") in text
            await pilot.press("escape")
            assert isinstance(app.screen, DataScreen)

    go(work)


def test_what_reward_functions_see_stands_with_a_prompt() -> None:
    async def work() -> None:
        found = look(examples([turn("user", "2+2?")], columns=[{"answer": "4"}]), kind="prompt")
        async with on_data(found) as (app, _, _):
            assert "answer: 4" in screen_text(app)

    go(work)


def test_nothing_in_a_row_acts_or_escapes() -> None:
    async def work() -> None:
        report = DataReport()
        report.add_bad(EVIL, 1, EVIL)
        report.add_note(EVIL)
        found = look(examples([asked(EVIL, EVIL)], columns=[{EVIL: EVIL}], lost=[0]), None, report)
        async with on_data(found) as (app, pilot, _):
            for keys in (["t"], ["i"], ["t", "b"], ["b", "f"]):
                await pilot.press(*keys)
                await pilot.pause()
                assert not set(screen_text(app)) & {"\x1b", "\x07", "\u202e"}
                assert "[@click=app.quit]" in screen_text(app) or "b" in keys

    go(work)


# -- moving, searching, filtering --------------------------------------------------------------------------------------


def test_moving_through_the_list() -> None:
    async def work() -> None:
        async with on_data(hand_made()) as (app, pilot, screen):
            await pilot.press("n")
            assert place(screen) == 1
            assert "cut: 34 tokens lost" in screen_text(app)
            await pilot.press("p", "j", "j")
            assert place(screen) == 2
            await pilot.press("G")
            assert place(screen) == 4
            assert "the same as 4" in screen_text(app)
            await pilot.press("g", "exclamation_mark")
            assert place(screen) == 1
            await pilot.press("exclamation_mark")
            assert place(screen) == 2
            await pilot.press("enter")
            await pilot.pause()
            assert screen.query_one(TokensPane).has_focus

    go(work)


def test_the_bar_of_the_row_is_marked() -> None:
    async def work() -> None:
        async with on_data(hand_made()) as (_, pilot, screen):
            pane = screen.query_one(LengthsPane)
            before = [row for row in pane._shown if ("accent" in row[0][1])]
            await pilot.press("n")
            after = [row for row in pane._shown if ("accent" in row[0][1])]
            assert before != after

    go(work)


def test_searching_and_going_to_a_row() -> None:
    async def work() -> None:
        async with on_data(hand_made()) as (app, pilot, screen):
            rows = screen.query_one(RowsPane)
            await pilot.press("slash", *"RIVER")
            await until(pilot, lambda: len(rows.list) == 2)
            assert place(screen) == 3
            await until(pilot, lambda: "rows.json, row 4 " in screen_text(app))
            await pilot.press("enter")
            assert rows.list.has_focus
            await pilot.press("slash", "escape")
            await until(pilot, lambda: len(rows.list) == 5)
            assert place(screen) == 3  # where one was
            for words, wanted in (("#2", 1), ("rows.json:5", 4), (":1", 0)):
                rows.line.value = words
                title = f"rows.json, row {wanted + 1} "
                await until(pilot, lambda title=title: title in screen_text(app))  # type: ignore[misc]
                assert place(screen) == wanted
                assert len(rows.list) == 5
            rows.line.value = "nowhere"
            await until(pilot, lambda: "nothing holds 'nowhere'" in screen_text(app))

    go(work)


def test_filters_show_what_they_say() -> None:
    async def work() -> None:
        async with on_data(hand_made()) as (app, pilot, screen):
            rows = screen.query_one(RowsPane)
            await pilot.press("f")
            await until(pilot, lambda: isinstance(app.screen, Picker))
            await pilot.press(*"left out", "enter")
            await until(pilot, lambda: rows.filtered == "bad" and app.screen is screen)
            text = screen_text(app)
            assert "rows.json, row 44" in text
            assert "is left out: the answer is empty" in text
            for which, expected in (("cut", [1]), ("twice", [4]), ("unended", [2]), ("longest", [1, 0, 2, 3, 4])):
                rows.filter(which)
                assert rows.list.places is not None
                assert rows.list.places.tolist() == expected
            rows.filter("untrained")
            await until(pilot, lambda: "no example is so" in screen_text(app))

    go(work)


def test_a_check_lists_its_rows() -> None:
    async def work() -> None:
        async with on_data(hand_made()) as (app, pilot, screen):
            await pilot.press("3")
            await pilot.pause()
            assert screen.query_one(ChecksPane).has_focus
            assert "4 / 5" in screen_text(app)
            await pilot.press("enter")
            await pilot.pause()
            assert screen.query_one(RowsPane).filtered == "unended"
            line = next(n for n, text in enumerate(screen_text(app).splitlines()) if "duplicates" in text)
            await pilot.click(offset=(6, line))
            await pilot.pause()
            assert screen.query_one(RowsPane).filtered == "twice"
            assert place(screen) == 4

    go(work)


def test_evaluation_rows() -> None:
    async def work() -> None:
        async with on_data(hand_made()) as (app, pilot, screen):
            await pilot.press("e")
            assert "evaluation all 2" in screen_text(app)
            assert "Held back?" in screen_text(app)
            await pilot.press("e")
            assert len(screen.query_one(RowsPane).list) == 5
        async with on_data(pairs()) as (app, pilot, screen):
            await pilot.press("e")
            assert "set val_size" in said(app)

    go(work)


def test_the_mouse() -> None:
    async def work() -> None:
        async with on_data(hand_made()) as (app, pilot, screen):
            await pilot.click(RowList, offset=(5, 2))
            await pilot.pause()
            assert place(screen) == 2
            lines = screen_text(app).splitlines()
            y = next(n for n, line in enumerate(lines) if "Me." in line)
            await pilot.click(offset=(lines[y].index("Me."), y))
            await pilot.pause()
            assert screen.query_one(TokensPane).has_focus
            assert "trained" in next(line for line in screen_text(app).splitlines() if "token " in line)
            await pilot.click(offset=(screen_text(app).splitlines()[-1].index("/ search"), MIDDLE[1] - 1))
            await pilot.pause()
            assert screen.query_one(RowsPane).line.has_focus

    go(work)


def test_zoom_and_back() -> None:
    async def work() -> None:
        async with on_data(hand_made()) as (app, pilot, _):
            await pilot.press("2", "z")
            await pilot.pause()
            assert "3 Checks" not in screen_text(app)
            await pilot.press("escape")
            await pilot.pause()
            assert "3 Checks" in screen_text(app)
            await pilot.press("f3")
            await pilot.pause()
            assert isinstance(app.screen, Workbench)

    go(work)


# -- keys, help, palette -----------------------------------------------------------------------------------------------


def test_every_key_has_an_id_and_stands_in_the_help() -> None:
    async def work() -> None:
        async with on_data(hand_made()) as (app, pilot, screen):
            for pane in ("1", "2", "3", "4"):
                await pilot.press(pane)
                await pilot.pause()
                focused = screen.focused
                assert focused is not None
                own = (*type(screen).BINDINGS, *type(focused).BINDINGS)
                assert all(isinstance(binding, Binding) and binding.id and binding.tooltip for binding in own)
                await pilot.press("f1")
                await until(pilot, lambda: isinstance(app.screen, HelpScreen))
                await pilot.press("escape")
                await until(pilot, lambda: app.screen is screen)
            await pilot.press("2", "ctrl+p")
            await gathered(pilot)
            await pilot.press(*"next trained")
            await gathered(pilot)
            await pilot.press("enter")
            await until(pilot, lambda: app.screen is screen and "token 1  " not in screen_text(app))
            assert "token " in screen_text(app)

    go(work)


def test_opening_a_recipe_has_moved_and_is_still_there() -> None:
    async def work() -> None:
        app = made()
        async with opened(app) as pilot:
            await pilot.press("f7")
            await until(pilot, lambda: "OpenFile" in type(app.screen).__name__)

    go(work)


def test_from_the_data_to_the_recipe_and_back() -> None:
    async def work() -> None:
        async with on_data(hand_made()) as (app, pilot, _):
            await pilot.press("ctrl+t")
            await until(pilot, lambda: isinstance(app.screen, YamlScreen))
            await pilot.press("ctrl+t")
            await until(pilot, lambda: isinstance(app.screen, DataScreen))
            app.draft.set_text("cutoff_len", "many")
            await pilot.press("f8")
            await until(pilot, lambda: isinstance(app.screen, Workbench))

    go(work)


def test_many_rows_do_not_slow_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    ids, labelled = encoded(asked("Who are you?", "I am Ada."))
    count = 200_000
    rows = TokenRows(
        np.tile(np.array(ids, np.int32), count),
        np.tile(np.array(labelled, bool), count),
        np.arange(count + 1) * len(ids),
    )
    found = look(Examples.of(rows))
    looked_at: list[int] = []
    view = Side.view

    def noted(self: Side, place: int) -> View:
        looked_at.append(place)
        return view(self, place)

    monkeypatch.setattr(Side, "view", noted)

    async def work() -> None:
        async with on_data(found, WIDE) as (_, _, screen):
            listed: Any = screen.query_one(RowsPane).list
            for by in (1, 5000, -300, 1 << 60, -1):
                listed.action_move(by)
                screen.query_one(TokensPane)._build(80, 30)
                listed._build(40, 40)
            assert listed.place == count - 2
            assert len(looked_at) < 500
            assert len(listed._words) < 500

    go(work)
