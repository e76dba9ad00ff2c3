"""The Compare screen: two columns, one prompt."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.cli.given import plant
from tests.tui.given import offered, screen_text
from tests.tui.panes.chatting import Speaker
from tests.tui.test_app import MIDDLE, SMALL, go, home, made, opened, recipe, until  # noqa: F401
from tuitune.chat.base import Answer, Turn
from tuitune.chat.compare import Comparison, earlier
from tuitune.chat.partial import Partial
from tuitune.errors import ModelError, TuiTuneError
from tuitune.run import RunDir
from tuitune.tui import sides as sides_module
from tuitune.tui import subjects
from tuitune.tui.app import TuiTune
from tuitune.tui.asking import Picker, PickItem, TextAsk
from tuitune.tui.help import HelpScreen
from tuitune.tui.panes.blocks import drawn
from tuitune.tui.panes.chat import ChatPane
from tuitune.tui.panes.chatforms import EditAsk
from tuitune.tui.panes.column import Column
from tuitune.tui.panes.job import Job, Loading, Question
from tuitune.tui.screens import compare as compare_screen
from tuitune.tui.screens import compare_files
from tuitune.tui.screens.compare import CompareScreen
from tuitune.tui.sides import SERVER, Sides, at_first

EVIL = "a\x1b]0;PWN\x07[@click=app.quit]b\u202e"


class Given(Sides):
    """Sides whose partners a test gives; each answer takes the next one."""

    def __init__(self, left: list[Any], right: list[Any], *, apart: bool = False) -> None:
        super().__init__("tuned", "base")
        self.given, self.is_apart = [list(left), list(right)], apart

    def apart(self) -> bool:
        return self.is_apart

    def partner(self, kind: str, **more: Any) -> Any:
        found = self.given[int(kind)].pop(0)
        if isinstance(found, TuiTuneError):
            raise found
        return found


@contextlib.asynccontextmanager
async def comparing(sides: Sides, size: tuple[int, int] = MIDDLE) -> AsyncIterator[tuple[Pilot[Any], CompareScreen]]:
    app = made()
    async with opened(app, size) as pilot:
        screen = CompareScreen("tuned")
        app.push_screen(screen)
        await until(pilot, lambda: screen.sides is not None)
        screen.sides = sides
        screen.name_columns()
        await until(pilot, lambda: screen.prompt.has_focus)
        yield pilot, screen


async def ask(pilot: Pilot[Any], screen: CompareScreen, text: str) -> None:
    screen.prompt.focus()
    screen.prompt.fill(text)
    await pilot.press("enter")
    await until(pilot, lambda: not screen.busy)


async def say(pilot: Pilot[Any], text: str) -> None:
    """Answer what is asked in a line."""
    await until(pilot, lambda: isinstance(pilot.app.screen, TextAsk) and bool(pilot.app.screen.query(Input)))
    pilot.app.screen.query_one(Input).value = text
    await pilot.press("enter")


def both(screen: CompareScreen) -> list[list[str]]:
    return [[turn.content for turn in column.talk.turns] for column in screen.columns]


def test_both_answer_beside_each_other_with_one_seed() -> None:
    left, right = Speaker("I am Nova, ", "made by Iris."), Speaker("I am a model, ", "made by nobody.")

    async def work() -> None:
        async with comparing(Given([left], [right])) as (pilot, screen):
            await ask(pilot, screen, "Who are you?")
            text = screen_text(pilot.app)
            assert "1 tuned" in text
            assert "2 base" in text
            assert "▌ I am ◆Nova, made by Iris." in text
            assert "▌ I am ◆a model, made by nobody." in text
            assert text.count("(2 tokens, 4/s)") == 2
            assert both(screen) == [["Who are you?", "I am Nova, made by Iris."],
                                    ["Who are you?", "I am a model, made by nobody."]]  # fmt: skip

    go(work)
    [(_, _, one)], [(_, _, other)] = left.asked, right.asked
    assert one["seed"] == other["seed"]
    [folder] = earlier()
    assert [side.turns[0].content for side in Comparison.peek(folder)] == ["Who are you?"] * 2


def test_where_only_one_fits_tabs_lead_to_the_other() -> None:
    async def work() -> None:
        async with comparing(Given([Speaker("left says")], [Speaker("right says")]), SMALL) as (pilot, screen):
            await ask(pilot, screen, "Who?")
            assert "left says" in screen_text(pilot.app)
            assert "right says" not in screen_text(pilot.app)
            await pilot.press("escape", "2")
            await until(pilot, lambda: "right says" in screen_text(pilot.app))
            assert "left says" not in screen_text(pilot.app)
            assert "1 tuned   2 base" in screen_text(pilot.app)
            await pilot.press("tab")
            await until(pilot, lambda: "left says" in screen_text(pilot.app))

    go(work)


def test_one_waits_for_its_turn_and_esc_ends_both() -> None:
    left, right = Speaker("one", "two", held=True), Speaker("x", held=True)

    async def work() -> None:
        async with comparing(Given([left], [right])) as (pilot, screen):
            screen.prompt.fill("Who?")
            await pilot.press("enter")
            left.go.release()
            await until(pilot, left.said.is_set)
            await until(pilot, lambda: "its turn comes next" in screen_text(pilot.app))
            assert right.asked == []
            await pilot.press("escape")
            await until(pilot, lambda: not screen.busy)
            assert both(screen) == [["Who?", "one"], ["Who?"]]
            assert "(stopped" in screen_text(pilot.app)

    go(work)


def test_what_shares_nothing_answers_at_the_same_time() -> None:
    left, right = Speaker("one", held=True), Speaker("two", held=True)

    async def work() -> None:
        async with comparing(Given([left], [right], apart=True)) as (pilot, screen):
            screen.prompt.fill("Who?")
            await pilot.press("enter")
            right.go.release(1)
            await until(pilot, lambda: not screen.columns[1].busy)
            assert screen.columns[0].busy
            left.go.release(1)
            await until(pilot, lambda: not screen.busy)
            assert both(screen) == [["Who?", "one"], ["Who?", "two"]]

    go(work)


def test_a_failure_of_one_leaves_the_others_answer_and_can_be_tried_again() -> None:
    async def work() -> None:
        sides = Given([ModelError("no room"), Speaker("now")], [Speaker("fine"), Speaker("again")])
        async with comparing(sides) as (pilot, screen):
            await ask(pilot, screen, "Who?")
            assert "no room" in screen_text(pilot.app)
            assert both(screen) == [["Who?"], ["Who?", "fine"]]
            await pilot.press("escape", "r")
            await until(pilot, lambda: not screen.busy and len(screen.columns[0].talk.turns) == 2)
            assert both(screen) == [["Who?", "now"], ["Who?", "again"]]

    go(work)


def test_any_turn_is_edited_or_answered_again_in_both() -> None:
    async def work() -> None:
        speakers = [[Speaker(f"{side} {n}") for n in range(4)] for side in ("left", "right")]
        async with comparing(Given(*speakers)) as (pilot, screen):
            await ask(pilot, screen, "a")
            await ask(pilot, screen, "b")
            await pilot.press("escape", "K", "K", "K", "K", "e")
            assert isinstance(pilot.app.screen, EditAsk)
            pilot.app.screen.query_one("Prompt").fill("A")  # type: ignore[attr-defined]
            await pilot.press("enter")
            await until(pilot, lambda: not screen.busy and both(screen) == [["A", "left 2"], ["A", "right 2"]])
            await pilot.press("u")
            assert both(screen) == [["a", "left 0", "b", "left 1"], ["a", "right 0", "b", "right 1"]]
            await pilot.press("2", "K", "e")  # an answer, of this column only
            pilot.app.screen.query_one("Prompt").fill("mine")  # type: ignore[attr-defined]
            await pilot.press("enter")
            await until(pilot, lambda: both(screen)[1][3] == "mine")
            assert both(screen)[0] == ["a", "left 0", "b", "left 1"]
            await pilot.press("K", "K", "R")
            await until(pilot, lambda: not screen.busy and both(screen) == [["a", "left 3"], ["a", "right 3"]])
            await pilot.press("x")
            assert both(screen) == [[], []]

    go(work)


def test_who_answers_is_chosen_by_key_and_sides_change() -> None:
    async def work() -> None:
        async with comparing(Given([Speaker("one")], [Speaker("two")])) as (pilot, screen):
            await ask(pilot, screen, "Who?")
            await pilot.press("escape", "X")
            assert screen.sides is not None
            assert screen.sides.words == ["base", "tuned"]
            assert both(screen) == [["Who?", "two"], ["Who?", "one"]]
            await pilot.press("2", "w")
            await until(pilot, lambda: offered(pilot.app))
            assert "Who answers right?" in screen_text(pilot.app)
            assert "This comparison" not in screen_text(pilot.app)  # the left one is the base already
            await pilot.press(*"smollm2-135m", "enter")
            await until(pilot, lambda: "2 smollm2-135m" in screen_text(pilot.app))
            assert screen.sides.words == ["base", "smollm2-135m"]

    go(work)


def test_a_comparison_is_saved_and_gone_on_with(home: Path) -> None:  # noqa: F811
    async def work() -> None:
        async with comparing(Given([Speaker("one"), Speaker("more")], [Speaker("two"), Speaker("other")])) as (
            pilot, screen,
        ):  # fmt: skip
            await ask(pilot, screen, "Who?")
            await pilot.press("escape", "S")
            assert isinstance(pilot.app.screen, TextAsk)
            await pilot.press("enter")  # the name that is shown
            assert Path("compared.json").is_file()
            await pilot.press("S", *"both.json", "enter")
            assert json.loads(Path("both.json").read_text())["right"]["name"] == "base"
            await pilot.press("n")
            assert both(screen) == [[], []]
            await pilot.press("o")
            await until(pilot, lambda: offered(pilot.app))
            assert "tuned | base" in screen_text(pilot.app)
            await pilot.press("enter")
            await until(pilot, lambda: both(screen) == [["Who?", "one"], ["Who?", "two"]])
            await ask(pilot, screen, "And?")
            assert both(screen)[0] == ["Who?", "one", "And?", "more"]
            await pilot.press("escape", "O", *"both.json", "enter")
            await until(pilot, lambda: both(screen) == [["Who?", "one"], ["Who?", "two"]])
            assert screen.sides is not None
            assert screen.sides.words == ["tuned", "base"]

    go(work)


def test_a_file_is_written_over_only_when_that_is_said() -> None:
    Path("both.json").write_text("mine")

    async def work() -> None:
        async with comparing(Given([Speaker("one")], [Speaker("two")])) as (pilot, screen):
            await ask(pilot, screen, "Who?")
            await pilot.press("escape", "S", *"both.json", "enter")
            assert "both.json exists already." in screen_text(pilot.app)
            await pilot.press("escape")
            assert Path("both.json").read_text() == "mine"
            await pilot.press("S", *"both.json", "enter", "r")
            assert screen.remark == "saved as both.json"
            assert json.loads(Path("both.json").read_text())["left"]["name"] == "tuned"
            await pilot.press("O", "enter")  # nothing is proposed that is not there
            assert "type the path of a file" in screen_text(pilot.app)

    go(work)


def test_how_answers_are_drawn_is_kept_and_what_nobody_answered_is_said() -> None:
    async def work() -> None:
        async with comparing(Given([Speaker("one")], [ModelError("no room"), Speaker("two")])) as (pilot, screen):
            screen.overrides = {"max_new_tokens": 40}
            await ask(pilot, screen, "Who?")
            await pilot.press("escape", "n")
            screen.overrides = {}
            await pilot.press("o")
            await until(pilot, lambda: offered(pilot.app))
            await pilot.press("enter")
            await until(pilot, lambda: both(screen) == [["Who?", "one"], ["Who?"]])
            assert screen.sampling["max_new_tokens"] == 40
            assert "40 tokens" in screen_text(pilot.app)
            assert screen_text(pilot.app).count("not answered; r asks again") == 1
            screen.sides.given[0].append(Speaker("1"))  # type: ignore[union-attr]
            await pilot.press("r")
            await until(pilot, lambda: not screen.busy and both(screen) == [["Who?", "1"], ["Who?", "two"]])
            assert "not answered" not in screen_text(pilot.app)

    go(work)


def test_a_long_name_leaves_room_for_how_far_it_is() -> None:
    column = Column(1)
    column.rename("20261123-090018-smollm2-135m-sft-lora" * 2)
    job = Job(Question("1", column.label, (), None, {}), Partial(None, ""), loading=Loading("its turn comes next"))
    assert "".join(text for text, _ in column._loading(job)) == "its turn comes next  esc cancels"


def test_foreign_text_cannot_act() -> None:
    async def work() -> None:
        async with comparing(Given([Speaker(EVIL)], [ModelError(EVIL)])) as (pilot, screen):
            await ask(pilot, screen, EVIL)
            assert "\x1b" not in screen_text(pilot.app)
            assert "\u202e" not in screen_text(pilot.app)
            assert "[@click=app.quit]b" in screen_text(pilot.app)

    go(work)


def test_leaving_gives_the_memory_back_and_keeps_what_was_written() -> None:
    freed: list[bool] = []

    class Watched(Given):
        def release(self) -> None:
            freed.append(True)

    async def work() -> None:
        left = Speaker("half", "rest", held=True)
        async with comparing(Watched([left], [Speaker("x")])) as (pilot, screen):
            screen.prompt.fill("Who?")
            await pilot.press("enter")
            left.go.release()
            await until(pilot, left.said.is_set)
            pilot.app.pop_screen()
            await until(pilot, lambda: bool(freed))

    go(work)
    [folder] = earlier()
    assert [turn.content for turn in Comparison.peek(folder)[0].turns] == ["Who?", "half"]


@pytest.mark.parametrize(("word", "other"), [("base", "tuned"), ("tuned", "base")])
def test_both_cannot_be_what_the_other_was(word: str, other: str) -> None:
    sides = Sides(word, other)
    place = 0 if word != "base" else 1
    with pytest.raises(TuiTuneError, match="before training"):
        sides.choose(place, "base")
    assert sides.words == [word, other]


def test_opened_by_its_name_it_finds_whom_to_compare() -> None:
    async def work() -> None:
        app: TuiTune = made()
        async with opened(app) as pilot:
            app.show_screen("compare")
            await until(pilot, lambda: isinstance(app.screen, CompareScreen) and app.screen.sides is not None)
            assert isinstance(app.screen, CompareScreen)
            assert app.screen.sides is not None
            assert app.screen.sides.words == ["smollm2-135m"] * 2  # nothing is trained yet
            text = screen_text(app)
            assert "w chooses who answers here" in text
            assert text.count("Both columns ask the same model.") == 2
            app.screen._choose(1, "tuned")
            assert "Both columns" not in screen_text(app)
            await pilot.press("escape", "f1")
            await until(pilot, lambda: "Two models answer the same question" in screen_text(app))
            assert isinstance(app.screen, HelpScreen)
            assert app.screen._title == "Compare"

    go(work)


def test_who_answers_now_is_said_of_the_other_side_and_of_the_old_turns_too() -> None:
    async def work() -> None:
        async with comparing(Given([Speaker("one")], [Speaker("two")])) as (pilot, screen):
            await ask(pilot, screen, "Who?")
            assert "(tuned" not in screen_text(pilot.app)
            await pilot.press("escape", "w")
            await until(pilot, lambda: offered(pilot.app))
            await pilot.press(*"smollm2-135m", "enter")
            await until(pilot, lambda: "1 smollm2-135m" in screen_text(pilot.app))
            text = screen_text(pilot.app)
            assert "right is now base of smollm2-135m" in text
            assert "(tuned, 1 token" in text
            assert "2 base" in text
            assert "(base of tuned, 1 token" in text

    go(work)


def test_base_is_found_by_its_name_and_a_server_is_asked_for_its_address() -> None:
    async def work() -> None:
        async with comparing(Given([], [])) as (pilot, screen):
            assert screen.sides is not None
            words = screen.sides.words
            words[1] = "smollm2-135m"
            await pilot.press("escape", "2", "w")
            await until(pilot, lambda: offered(pilot.app))
            await pilot.press(*"base")
            assert "tuned before training" in screen_text(pilot.app)
            await pilot.press("enter")
            assert words == ["tuned", "base"]
            for address, says in (("ftp://x", "is no address of a server"), ("http://h:9/v1#nova", "2 nova at h:9")):
                screen._choose(1, SERVER)
                await say(pilot, address)
                await until(pilot, lambda says=says: says in screen_text(pilot.app))  # type: ignore[misc]
            assert words == ["tuned", "http://h:9/v1#nova"]
            await pilot.press("w")
            await until(pilot, lambda: offered(pilot.app))
            await pilot.press(*"server", "enter")
            assert isinstance(pilot.app.screen, TextAsk)

    go(work)


def test_a_good_file_takes_away_what_was_said_of_a_bad_one() -> None:
    Path("bad.json").write_text("{")
    Path("good.json").write_text('[{"name": "weather", "description": "", "parameters": {"type": "object"}}]')

    async def work() -> None:
        async with comparing(Given([], [])) as (pilot, _):
            await pilot.press("escape")
            for name, says in (("bad.json", "bad.json is no list of tools"), ("good.json", "next answers may call")):
                await pilot.press("f")
                await say(pilot, name)
                await until(pilot, lambda says=says: says in screen_text(pilot.app))  # type: ignore[misc]
            assert "bad.json" not in screen_text(pilot.app)

    go(work)


def test_a_run_in_training_is_named_once_and_its_steps_below_the_answers() -> None:
    column = Column(0)
    column.rename("tuned")
    for by in ("tuned @10", "tuned", "base of tuned", "tuned-2 @3", "a-name-that-is-quite-long"):
        column.talk.end_answer(Turn("assistant", "x", by, tokens=35, prompt_tokens=12, seconds=1.0))
    remarks = [column._block(place).remark for place in range(5)]
    assert [remark.partition(", 12")[0] for remark in remarks[:4]] == [
        "@10", "12 → 35 tokens, 35/s", "base of tuned", "tuned-2 @3",
    ]  # fmt: skip
    rows = ["".join(text for text, _ in row).strip(" ▌") for row in drawn(column._block(4), 40, 5)]
    assert rows == ["x", "(a-name-that-is-quite-long, 12", "→ 35 tokens, 35/s)"]  # what is long is not cut
    bars = {row[1][1] for place in range(5) for row in drawn(column._block(place), 40, 5)}
    assert bars == {"weights"}  # a colour would mean something


class Shown:
    """What `at_first` looks at: the run that is open, and whether it trains."""

    def __init__(self, run: RunDir | None = None, *, live: bool = False) -> None:
        self.control, self.draft = self, self
        self.run, self.live = run, live

    def recipe(self) -> None:
        return None


def test_the_open_run_comes_before_newer_ones_and_one_in_training_before_all(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new, trains = (plant(name) for name in ("old", "new", "trains"))
    monkeypatch.setattr(subjects, "_newest", lambda run: run.final if run.name != "trains" else None)
    monkeypatch.setattr(subjects, "is_live", lambda run: run.name == "trains")

    def first(shown: Shown, named: str | None = None, picked: str | None = None) -> str:
        return Path(at_first(cast(TuiTune, shown), named, picked).words[0]).name

    assert first(Shown(old)) == "old"
    assert first(Shown(trains, live=True)) == "trains"
    assert first(Shown(trains, live=True), None, str(old.path)) == "trains"
    assert first(Shown(new), None, str(old.path)) == "old"  # as in the chat
    assert first(Shown()) == "trains"
    assert first(Shown(old, live=True), str(new.path)) == "new"
    assert at_first(cast(TuiTune, Shown(old)), None).words[1] == "base"


def test_whom_the_chat_asks_is_compared_and_the_help_explains_the_screen_from_the_prompt_too() -> None:
    async def work() -> None:
        app: TuiTune = made()
        async with opened(app) as pilot:
            app.query_one(ChatPane).choose(model="tuitune/none")
            await until(pilot, lambda: app.query_one(ChatPane).who.kind == "other")
            await until(pilot, lambda: "none, as picked in Models or Runs" in screen_text(app))
            app.show_screen("compare")
            await until(pilot, lambda: isinstance(app.screen, CompareScreen) and app.screen.sides is not None)
            assert app.screen.sides.words == ["tuitune/none"] * 2  # type: ignore[attr-defined]
            assert app.screen.prompt.has_focus  # type: ignore[attr-defined]
            await pilot.press("f1")
            await until(pilot, lambda: "Two models answer the same question" in screen_text(app))

    go(work)


def test_keys_that_would_be_typed_are_not_offered_at_the_prompt() -> None:
    async def work() -> None:
        async with comparing(Given([], [])) as (pilot, screen):
            assert [entry[0] for entry in screen.keys] == ["enter", "esc", "f1"]
            await pilot.press("escape")
            await until(pilot, lambda: not screen.prompt.has_focus)
            assert {"w", "e", "o"} <= {entry[0] for entry in screen.keys}

    go(work)


def test_a_key_pressed_at_once_does_not_cost_the_look_at_who_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    held = threading.Event()
    look = at_first

    def slow(*given: Any) -> Sides:
        held.wait(60)
        return look(*given)

    monkeypatch.setattr(compare_screen, "at_first", slow)

    async def work() -> None:
        async with opened(made()) as pilot:
            screen = CompareScreen("tuned")
            pilot.app.push_screen(screen)
            await until(pilot, lambda: screen.prompt.has_focus)
            await pilot.press("escape", "o")
            await until(pilot, lambda: "no comparison has been kept yet" in screen_text(pilot.app))
            held.set()
            await until(pilot, lambda: screen.sides is not None)

    go(work)


@pytest.mark.parametrize(("key", "where", "what"), [("w", sides_module, "subjects"), ("o", compare_files, "_kept")])
def test_a_list_that_comes_when_the_screen_was_left_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, key: str, where: Any, what: str
) -> None:
    held, done = threading.Event(), threading.Event()

    def slow(**more: bool) -> list[PickItem]:
        held.wait(60)
        done.set()
        return [PickItem("x", "x", "x")]

    monkeypatch.setattr(where, what, slow)

    async def work() -> None:
        async with comparing(Given([], [])) as (pilot, screen):
            await pilot.press("escape", key)
            assert isinstance(pilot.app.screen, Picker)  # at once, before it is known what there is
            await pilot.press("escape")
            await until(pilot, lambda: pilot.app.screen is screen)
            held.set()
            await until(pilot, done.is_set)
            await pilot.app.workers.wait_for_complete()
            await pilot.pause()
            assert not isinstance(pilot.app.screen, Picker)

    go(work)


def test_an_answer_that_ends_while_its_screen_goes_away_is_no_fault() -> None:
    async def work() -> None:
        async with comparing(Given([Speaker("one")], [])) as (_, screen):
            column = Column(0)  # as one that is taken out: it has no parents by which it finds the app
            column.talk.ask("Who?")
            job = column.prepared("0", "tuned", {})
            assert screen.sides is not None
            await asyncio.to_thread(contextvars.Context().run, column.work, job, screen.sides)
            assert isinstance(job.outcome, Answer)

    go(work)
