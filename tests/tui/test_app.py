from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input

from tests.cli.given import plant, story
from tests.engine.given import data_folder, model_folder, recipe_text
from tests.tui.given import offered, screen_text, typed, until
from tuitune.chat.conversation import Conversation
from tuitune.fit.target import choose_target
from tuitune.run import RunDir, State, events, index
from tuitune.run.process import detach
from tuitune.tui.app import TuiTune
from tuitune.tui.asking import Ask, TextAsk
from tuitune.tui.draft import Draft
from tuitune.tui.fitting import Fitting
from tuitune.tui.leave import Leave
from tuitune.tui.panes.chat import ChatPane
from tuitune.tui.panes.loss import LossPane
from tuitune.tui.panes.recipe import RecipePane
from tuitune.tui.screens.runs import RunsScreen
from tuitune.tui.screens.yaml import YamlScreen
from tuitune.tui.settings import Settings
from tuitune.tui.workbench import Workbench

WIDE, MIDDLE, SMALL = (160, 50), (120, 40), (80, 24)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A tiny model, a few rows, and a recipe that would train for a long time; the steps are few, and so to draw."""
    model_folder(tmp_path)
    data_folder(tmp_path)
    path = tmp_path / "recipe.yaml"
    places: dict[str, Any] = {"dataset_dir": "data", "model_name_or_path": "./tiny"}
    path.write_text(recipe_text(tmp_path, max_steps=100_000, gradient_accumulation_steps=16, **places))
    return path


def made(recipe: Path | None = None, run: RunDir | None = None) -> TuiTune:
    draft = Draft()
    if recipe is not None:
        draft.open(recipe)
    else:
        draft.use_preset("quickstart")
    return TuiTune(draft, Settings.load(), run=run)


@contextlib.asynccontextmanager
async def opened(app: TuiTune, size: tuple[int, int] = MIDDLE) -> AsyncIterator[Pilot[Leave]]:
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: bool(app.screen.query(ChatPane)))
        try:
            yield pilot
        finally:
            host = app.control.host
            if app.control.working and host is not None:
                from tuitune.run.inbox import StopNow

                host.ask(StopNow())
                await until(pilot, lambda: host.wait(0))


def go(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(work())  # type: ignore[arg-type]


def said(app: TuiTune) -> str:
    return "\n".join(str(note.message) for note in app._notifications)


def asked(app: TuiTune, kind: type[Screen[Any]] = Ask) -> bool:
    """Whether a question is asked and takes keys."""
    return isinstance(app.screen, kind) and app.focused is not None


async def training(pilot: Pilot[Leave], app: TuiTune) -> None:
    await typed(pilot, "ctrl+r")
    await until(pilot, lambda: app.control.view is not None and app.control.view.picture.step > 1)


@pytest.mark.parametrize(
    ("size", "seen", "hidden"),
    [
        (WIDE, ["1 Model", "2 Recipe", "3 Loss", "4 Chat", "5 GPU", "6 Log", "Fit ≈"], []),
        (MIDDLE, ["1 Model", "2 Recipe", "3 Loss", "4 Chat", "5 GPU", "Fit ≈"], ["6 Log"]),
        (SMALL, ["1 Model   2 Recipe   3 Loss   4 Chat   5 GPU   6 Log", "lora_rank", "Fit ≈"], ["No run yet"]),
    ],
)
def test_what_shows_depends_on_the_room(size: tuple[int, int], seen: list[str], hidden: list[str]) -> None:
    async def work() -> None:
        app = made()
        async with opened(app, size) as pilot:
            await until(pilot, lambda: "Fit ≈" in screen_text(app))
            text = screen_text(app)
            assert all(word in text for word in seen), text
            assert not any(word in text for word in hidden), text
            assert "^r start" in text
            assert "^q quit" in text

    go(work)


def test_digits_go_to_the_panes_and_the_log_shows_alone_where_it_has_no_place() -> None:
    async def work() -> None:
        app = made()
        async with opened(app) as pilot:
            await pilot.press("3")
            await until(pilot, lambda: isinstance(app.focused, LossPane))
            await pilot.press("6")
            await until(pilot, lambda: "6 Log" in screen_text(app))
            assert "3 Loss" not in screen_text(app)
            await pilot.press("escape")
            await until(pilot, lambda: "3 Loss" in screen_text(app))
            assert "6 Log" not in screen_text(app)

    go(work)


def test_zoom_shows_one_pane_and_all_again() -> None:
    async def work() -> None:
        app = made()
        async with opened(app, WIDE) as pilot:
            await pilot.press("3", "z")
            await until(pilot, lambda: "5 GPU" not in screen_text(app))
            assert "No run yet" in screen_text(app)
            await pilot.press("z")
            await until(pilot, lambda: "5 GPU" in screen_text(app))

    go(work)


def test_train_pause_go_on_save_ask_live_stop_and_resume(recipe: Path) -> None:
    async def work() -> None:
        app = made(recipe)
        async with opened(app) as pilot:
            await training(pilot, app)
            view = app.control.view
            assert view is not None
            await until(pilot, lambda: "training" in screen_text(app) and "^r pause" in screen_text(app))
            await typed(pilot, "ctrl+r")
            await until(pilot, lambda: view.picture.paused)
            await until(pilot, lambda: "^r go on" in screen_text(app))
            assert State.read(view.run.state).status == "paused"  # type: ignore[union-attr]
            await typed(pilot, "ctrl+r")
            await until(pilot, lambda: not view.picture.paused)
            app.action_run_save()
            await until(pilot, lambda: view.picture.saved is not None)
            app.action_run_rate()
            await until(pilot, lambda: asked(app, TextAsk))
            await typed(pilot, "ctrl+u")
            await until(pilot, lambda: not app.screen.query_one(Input).value)
            await typed(pilot, *"0.0125", "enter")
            await until(pilot, lambda: view.picture.logged.learning_rate > 0.012)  # type: ignore[union-attr]
            await typed(pilot, "4")
            await until(pilot, lambda: app.focused is not None and "prompt" in type(app.focused).__name__.lower())
            await typed(pilot, *"hi", "enter")
            await until(pilot, lambda: bool(list(view.run.path.glob("replies/*.txt"))))
            await until(pilot, lambda: not app.screen.query_one(ChatPane).busy)
            await typed(pilot, "f9")
            await until(pilot, lambda: asked(app))
            await typed(pilot, "enter")
            await until(pilot, lambda: view.status == "stopped")
            stopped = view.picture.step
            assert (view.run.path / f"checkpoint-{stopped}").is_dir()
            await until(pilot, lambda: not app.control.working)
            await typed(pilot, "ctrl+r")
            await until(pilot, lambda: asked(app) and "Resume it" in screen_text(app))
            await typed(pilot, "enter")
            await until(pilot, lambda: app.control.working)
            again = app.control.view
            assert again is not None
            assert again.run.path == view.run.path
            await until(pilot, lambda: again.picture.step > stopped)
            assert again.picture.start_step == stopped

    go(work)


def test_a_recipe_with_mistakes_is_explained_and_not_started() -> None:
    async def work() -> None:
        app = made()
        async with opened(app) as pilot:
            app.draft.set_text("lora_rank", "1O")
            await pilot.press("ctrl+r")
            await until(pilot, lambda: "lora_rank" in said(app))
            assert app.control.view is None
            await until(pilot, lambda: app.screen.query_one(RecipePane).cursor_key == "lora_rank")
            await until(pilot, lambda: "problem" in screen_text(app))
            assert not index.all_runs()

    go(work)


def test_what_is_not_there_is_said_before_a_run_is_made(recipe: Path) -> None:
    async def work() -> None:
        app = made(recipe)
        async with opened(app) as pilot:
            app.draft.set("dataset", "nothing_such")
            await pilot.press("ctrl+r")
            await until(pilot, lambda: "nothing_such" in said(app))
            assert not index.all_runs()
            await until(pilot, lambda: not app.beginning)

    go(work)


def test_quitting_asks_and_keeps_training_detached_by_default(recipe: Path) -> None:
    async def work() -> None:
        app = made(recipe)
        async with opened(app) as pilot:
            await training(pilot, app)
            await typed(pilot, "ctrl+q")
            await until(pilot, lambda: asked(app))
            await typed(pilot, "escape")
            await until(pilot, lambda: isinstance(app.screen, Workbench))
            assert app.control.working
            await typed(pilot, "ctrl+q")
            await until(pilot, lambda: asked(app))
            await typed(pilot, "enter")
            await until(pilot, lambda: app.return_value is not None)
            leave = app.return_value
            assert leave is not None
            assert leave.kind == "detach"
            assert leave.host is app.control.host
            assert any("tuitune attach" in line for line in leave.words)
            assert app.control.working

    go(work)


def test_a_paused_run_is_said_to_stay_paused_when_the_app_is_left(recipe: Path) -> None:
    async def work() -> None:
        app = made(recipe)
        async with opened(app) as pilot:
            await training(pilot, app)
            await typed(pilot, "ctrl+r")
            await until(pilot, lambda: app.control.view is not None and app.control.view.picture.paused)
            await typed(pilot, "f9")
            await until(pilot, lambda: asked(app) and "Leave it paused" in screen_text(app))
            assert "what it has learnt is lost" in screen_text(app)
            await typed(pilot, "escape")
            await until(pilot, lambda: isinstance(app.screen, Workbench))
            await typed(pilot, "ctrl+q")
            await until(pilot, lambda: asked(app) and "Quit while it is paused?" in screen_text(app))
            await typed(pilot, "enter")
            await until(pilot, lambda: app.return_value is not None)
            leave = app.return_value
            assert leave is not None
            assert any("stays paused" in line for line in leave.words)
            assert any("tuitune continue" in line for line in leave.words)

    go(work)


def test_a_second_run_is_not_started_and_quitting_with_stop_and_save_waits_for_the_checkpoint(recipe: Path) -> None:
    async def work() -> None:
        app = made(recipe)
        async with opened(app) as pilot:
            await training(pilot, app)
            view = app.control.view
            assert view is not None
            app.resume(view.run)
            await until(pilot, lambda: "trains in this app already" in said(app))
            app.open_run(plant("other", story()))
            await until(pilot, lambda: "a run trains in this app" in said(app))
            assert len(index.all_runs()) == 2
            await typed(pilot, "ctrl+q")
            await until(pilot, lambda: asked(app))
            await typed(pilot, "s")
            await until(pilot, lambda: app.return_value is not None)
            assert app.return_value.kind == "quit"  # type: ignore[union-attr]
            assert (view.run.path / f"checkpoint-{view.picture.step}").is_dir()

    go(work)


def test_without_a_run_quitting_is_quitting_and_the_draft_is_kept() -> None:
    async def work() -> None:
        app = made()
        async with opened(app) as pilot:
            app.draft.set("lora_rank", 32)
            await pilot.press("ctrl+q")
            await until(pilot, lambda: app.return_value is not None)
        assert "lora_rank: 32" in Draft.recovered()[0].text

    go(work)


def test_a_crashed_run_is_offered_and_declined_only_once() -> None:
    # Its last sign of life must be recent: an old crash is no news.
    touched = [events.RunStarted(1, 0, 3, "run", "tiny", "sft", "lora", t=time.time() - 60)]
    crashed = plant("crashed", touched, status="running", pid=2**22 + 5, step=2, total_steps=3)

    async def work(*, offered: bool) -> None:
        app = made()
        async with opened(app) as pilot:
            if offered:
                await until(pilot, lambda: asked(app) and "crashed at step 2" in screen_text(app))
                await pilot.press("escape")
            else:
                await until(pilot, lambda: not app.workers)
                await pilot.pause()
                assert isinstance(app.screen, Workbench)
                app.offer(again=True)
                await until(pilot, lambda: asked(app))
                await pilot.press("l")
                await until(pilot, lambda: app.control.run is not None)
                assert app.control.run.path == crashed.path  # type: ignore[union-attr]

    go(lambda: work(offered=True))
    go(lambda: work(offered=False))


def test_attach_shows_a_run_of_another_process_and_steers_it(recipe: Path, tmp_path: Path) -> None:
    from tuitune.face.start import open_run
    from tuitune.recipe import Document

    run = open_run(Document.read(recipe), tell=print)
    detach(run)

    async def work() -> None:
        app = made(run=run)
        async with opened(app) as pilot:
            await until(pilot, lambda: app.control.view is not None and app.control.view.picture.step > 2)
            assert app.control.live
            assert not app.control.working
            await until(pilot, lambda: "loss" in screen_text(app))
            await pilot.press("f9")
            await until(pilot, lambda: asked(app))
            await pilot.press("enter")
            await until(pilot, lambda: app.control.view.status == "stopped")  # type: ignore[union-attr]

    go(work)


def test_form_and_text_are_in_step() -> None:
    async def work() -> None:
        app = made()
        async with opened(app) as pilot:
            await pilot.press("ctrl+t")
            await until(pilot, lambda: isinstance(app.screen, YamlScreen) and "lora_rank" in screen_text(app))
            app.draft.set("lora_rank", 64)
            await until(pilot, lambda: screen_text(app).count("64") >= 2)
            await until(pilot, lambda: "lora_rank=64" in screen_text(app))
            await pilot.press("ctrl+t")
            await until(pilot, lambda: isinstance(app.screen, Workbench) and "64" in screen_text(app))

    go(work)


def test_presets_and_runs_can_be_picked() -> None:
    plant("past", story(), status="finished", step=3, total_steps=3)

    async def work() -> None:
        app = made()
        async with opened(app) as pilot:
            app.draft.set("lora_rank", 64)
            await pilot.press("ctrl+n")
            await until(pilot, lambda: offered(app))
            await pilot.press(*"quick", "enter")
            await until(pilot, lambda: app.draft.values["lora_rank"] == 8)
            await pilot.press("f4")
            await until(pilot, lambda: isinstance(app.screen, RunsScreen) and "past" in screen_text(app))
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, Workbench))
            await until(pilot, lambda: app.control.run is not None)
            await until(pilot, lambda: "finished" in screen_text(app))

    go(work)


@pytest.mark.parametrize("size", [WIDE, MIDDLE, SMALL])
def test_how_much_learns_follows_every_key(size: tuple[int, int]) -> None:
    async def work() -> None:
        app = made()
        async with opened(app, size) as pilot:
            await until(pilot, lambda: "trains 2,442,240" in screen_text(app))
            assert "1.8 %" in screen_text(app)
            for key, value, told in (
                ("lora_rank", 16, "trains 4,884,480"),
                ("lora_target", "q_proj,v_proj", "trains 921,600"),
                ("finetuning_type", "freeze", "trains 7,080,192"),
                ("freeze_extra_modules", "norm", "trains 7,080,768"),
                ("finetuning_type", "full", "trains 134,515,008"),
            ):
                app.draft.set(key, value)
                await pilot.pause()
                await until(pilot, lambda told=told: told in screen_text(app))  # type: ignore[misc]
            await until(pilot, lambda: "100 %" in screen_text(app))

    go(work)


def test_fill_sets_the_largest_batch_as_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    # What is free on this machine changes from one moment to the next.
    target = choose_target("cpu", ram_free=8 << 30, ram_total=16 << 30, cards=[], visible="", cuda=False)
    monkeypatch.setattr(Fitting, "_target", lambda self, recipe, devices: target)

    async def work() -> None:
        app = made()
        async with opened(app) as pilot:
            await until(pilot, lambda: "Fit ≈" in screen_text(app))
            await pilot.press("ctrl+g")
            await until(pilot, lambda: app.draft.values["per_device_train_batch_size"] != 2)
            size = app.draft.recipe().per_device_train_batch_size  # type: ignore[union-attr]
            found = app.fitting.largest(app.draft.recipe())  # type: ignore[arg-type]
            assert found.words.startswith(f"{size} rows are already the most at once: ")
            app.draft.set("per_device_train_batch_size", 64)
            await pilot.press("ctrl+g")
            await until(pilot, lambda: "64 stays" in "".join(n.message for n in app._notifications))
            assert "per_device_train_batch_size: 64" in app.draft.text
            assert app.draft.undo()
            assert app.draft.undo()
            assert app.draft.values["per_device_train_batch_size"] == 2

    go(work)


def test_themes_change_and_are_kept() -> None:
    async def work() -> None:
        app = made()
        async with opened(app) as pilot:
            for name in ("paper", "contrast", "terminal"):
                app.action_theme(name)
                await pilot.pause()
                assert app.theme == name
                assert "TuiTune" in screen_text(app)
            app.settings.flush()
        assert Settings.load().theme == "terminal"

    go(work)


def test_ascii_glyphs_leave_nothing_else_on_the_workbench() -> None:
    async def work() -> None:
        app = made()
        app.ascii_glyphs = True
        async with opened(app) as pilot:
            await pilot.pause()
            assert screen_text(app).isascii(), [c for c in screen_text(app) if not c.isascii()]

    go(work)


def test_keys_can_be_given_to_other_actions(home: Path) -> None:
    home.mkdir()
    (home / "settings.yaml").write_text("keymap: {run.toggle: f6, no.such: f7}\n")

    async def work() -> None:
        app = made()
        async with opened(app) as pilot:
            await until(pilot, lambda: "no.such" in said(app))
            app.draft.set_text("lora_rank", "1O")
            await pilot.press("ctrl+r")
            await pilot.pause()
            assert "lora_rank" not in said(app)
            await pilot.press("f6")
            await until(pilot, lambda: "lora_rank" in said(app))

    go(work)


def test_undo_ends_at_the_recipe_that_was_opened() -> None:
    async def work() -> None:
        app = made()
        async with opened(app) as pilot:
            text = app.draft.text
            app.draft.set("lora_rank", 32)
            await pilot.press("ctrl+z", "ctrl+z", "ctrl+z")
            await pilot.pause()
            assert app.draft.text == text
            assert app.draft.title == "quickstart.yaml"

    go(work)


def test_data_that_are_not_there_are_marked_at_their_field_while_editing() -> None:
    async def work() -> None:
        app = made()
        async with opened(app) as pilot:
            await until(pilot, lambda: not app.draft.problems)
            app.draft.set("dataset", "nothing_such")
            await until(pilot, lambda: [each.key for each in app.draft.problems] == ["dataset"])
            app.draft.set("lora_rank", 32)
            assert [each.key for each in app.draft.problems] == ["dataset"]
            app.draft.set("dataset", "identity")
            await until(pilot, lambda: not app.draft.problems)

    go(work)


def test_a_recipe_opened_with_mistakes_shows_them_at_once() -> None:
    async def work() -> None:
        draft = Draft()
        draft.use_preset("quickstart")
        draft.set_text("lora_rnk", "4")
        app = TuiTune(draft, Settings.load())
        async with opened(app) as pilot:
            await until(pilot, lambda: "did you mean" in said(app))
            await until(pilot, lambda: app.screen.query_one(RecipePane).cursor_key == "lora_rnk")

    go(work)


def test_titles_follow_the_width() -> None:
    async def work() -> None:
        app = made()
        async with opened(app, SMALL) as pilot:
            await pilot.resize_terminal(*WIDE)
            await until(pilot, lambda: "2 Recipe ──" in screen_text(app))
            await pilot.resize_terminal(*SMALL)
            await until(pilot, lambda: "2 Recipe ──" not in screen_text(app))

    go(work)


def test_attaching_brings_the_conversation_back() -> None:
    run = plant("past", story(), status="finished", step=3, total_steps=3)
    talk = Conversation.begin()
    talk.ask("Who are you?")
    talk.answer("I am Tui.", by="live @3")

    async def work() -> None:
        app = made(run=run)
        async with opened(app) as pilot:
            await until(pilot, lambda: "I am Tui." in screen_text(app))

    go(work)


def test_after_the_end_the_log_of_the_app_is_its_own_again(recipe: Path) -> None:
    recipe.write_text(recipe.read_text().replace("max_steps: 100000", "max_steps: 3"))
    logs: list[RunDir | None] = []

    async def work() -> None:
        draft = Draft()
        draft.open(recipe)
        app = TuiTune(draft, Settings.load(), log_to=logs.append)
        async with opened(app) as pilot:
            await pilot.press("ctrl+r")
            await until(pilot, lambda: app.control.view is not None and app.control.view.status == "finished")
            await until(pilot, lambda: len(logs) == 2)
            assert logs[0] is not None
            assert logs[1] is None
            await until(pilot, lambda: app.control.host is None)

    go(work)
