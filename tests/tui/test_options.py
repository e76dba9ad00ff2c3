"""The settings of a command as a form: what shows, what is refused, what is kept, what the command is given."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.tui.given import Bench, bench, screen_text
from tuitune.errors import RecipeError
from tuitune.tui.optiondraft import OptionDraft, group
from tuitune.tui.panes.options import OptionsPane
from tuitune.tui.picker import Picker

SECTIONS = (("Form", group("export")), ("Answers", ("max_new_tokens", "temperature")))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def draft(name: str = "export") -> OptionDraft:
    return OptionDraft(name, "export", SECTIONS)


def on_form(
    work: Callable[[Pilot[None], Bench, OptionsPane], Awaitable[None]], options: OptionDraft | None = None
) -> None:
    async def run() -> None:
        pane = OptionsPane(options or draft(), digit="2")
        app = bench(pane, css="OptionsPane { height: 1fr; }")
        async with app.run_test(size=(80, 30), notifications=True) as pilot:
            pane.focus_first()
            await pilot.pause()
            await work(pilot, app, pane)

    asyncio.run(run())


def test_only_the_keys_of_the_command_show_and_only_those_that_apply() -> None:
    async def work(pilot: Pilot[None], app: Bench, pane: OptionsPane) -> None:
        text = screen_text(app)
        assert "export_format" in text
        assert "temperature" in text
        assert "export_gguf_type" not in text  # of GGUF only
        assert "export_legacy_format" not in text  # without an effect
        assert "lora_rank" not in text
        assert "model_name_or_path" not in text
        pane.go_to("export_format")
        await pilot.press("right")
        await pilot.pause()
        assert "export_gguf_type" in screen_text(app)
        assert "export_dtype" not in screen_text(app)
        assert pane.options.settings() == ["export_format=gguf"]

    on_form(work)


def test_values_are_edited_as_in_the_recipe_and_taken_back() -> None:
    async def work(pilot: Pilot[None], app: Bench, pane: OptionsPane) -> None:
        pane.go_to("export_size")
        await pilot.press("plus", "plus")
        assert pane.options.value("export_size") == 7
        await pilot.press("enter", "backspace", "1", "2", "enter")
        assert pane.options.value("export_size") == 12
        pane.go_to("export_ollama")
        await pilot.press("space")
        assert sorted(pane.options.settings()) == ["export_ollama=false", "export_size=12"]
        await pilot.press("ctrl+z", "ctrl+z")
        assert pane.options.settings() == ["export_size=7"]
        await pilot.press("ctrl+y")
        assert pane.options.settings() == ["export_size=12"]
        pane.go_to("export_size")
        await pilot.press("delete")
        assert pane.options.settings() == []
        pane.go_to("export_dtype")
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, Picker)

    on_form(work)


def test_what_a_command_takes_instead_of_the_default_is_said_and_the_default_can_be_asked_for() -> None:
    async def work(pilot: Pilot[None], app: Bench, pane: OptionsPane) -> None:
        pane.go_to("max_new_tokens")
        await pilot.pause()
        assert "twice the data's" in screen_text(app)
        assert "1024" not in screen_text(app)
        await pilot.press("enter", *"1024", "enter")
        assert pane.options.settings() == ["max_new_tokens=1024"]
        await pilot.pause()
        assert [line for line in screen_text(app).split("\n") if "max_new_tokens  " in line and " 1024 " in line]
        await pilot.press("delete")
        assert pane.options.settings() == []
        pane.options.about({"max_new_tokens": 32})
        await pilot.pause()
        assert "twice" not in screen_text(app)  # the run says it

    on_form(work, OptionDraft("evaluate", "evaluate", SECTIONS))


def test_a_wrong_value_is_refused_in_the_words_of_the_recipe() -> None:
    async def work(pilot: Pilot[None], app: Bench, pane: OptionsPane) -> None:
        pane.go_to("export_size")
        await pilot.press("enter", "backspace", "0", "enter")
        await pilot.pause()
        assert "1 problem" in screen_text(app)
        assert "at least 1" in screen_text(app)
        assert [problem.key for problem in pane.options.wrong] == ["export_size"]
        with pytest.raises(RecipeError):
            pane.options.settings()
        await pilot.press("ctrl+z")
        assert pane.options.settings() == []

    on_form(work)


def test_what_was_set_is_there_in_the_next_session(home: Path) -> None:
    first = draft()
    first.set("export_format", "gguf")
    first.set("export_size", 9)
    again = draft()
    assert again.settings() == ["export_format=gguf", "export_size=9"]
    assert again.changed == {"export_format", "export_size"}
    assert draft("other").settings() == []
    assert oct((home / "options" / "export.yaml").stat().st_mode)[-3:] == "600"
    assert again.undo() is False  # what was set before is no step of this session


def test_what_is_meant_for_once_is_not_there_in_the_next_session() -> None:
    first = draft()
    first.set("export_hub_model_id", "me/it")
    first.set("export_size", 9)
    again = OptionDraft("export", "export", SECTIONS, once=("export_hub_model_id",))
    assert again.settings() == ["export_size=9"]
    again.set("export_hub_model_id", "me/other")
    assert again.settings() == ["export_size=9", "export_hub_model_id=me/other"]


@pytest.mark.parametrize("text", ["{{{", "export_size: 9\nlora_rank: 3\nnonsense: 1\n", "\x00\xff"])
def test_a_strange_file_costs_nothing_but_itself(home: Path, text: str) -> None:
    (home / "options").mkdir(parents=True)
    (home / "options" / "export.yaml").write_bytes(text.encode("latin-1"))
    found = draft()
    assert found.settings() == (["export_size=9"] if "export_size" in text else [])
    found.set("export_dtype", "float16")
    assert draft().settings()[-1] == "export_dtype=float16"


def test_the_subjects_recipe_holds_where_nothing_is_set() -> None:
    options = draft()
    options.about({"max_new_tokens": 77, "lora_rank": 4, "do_sample": False})
    assert options.value("max_new_tokens") == 77
    assert options.settings() == []  # the command reads the run's recipe itself
    options.set("temperature", 0.5)
    assert options.settings() == []  # means nothing where the likeliest token is taken
    options.about({"do_sample": True})
    assert options.settings() == ["temperature=0.5"]

    async def work(pilot: Pilot[None], app: Bench, pane: OptionsPane) -> None:
        pane.options.about({"max_new_tokens": 55})
        pane.go_to("max_new_tokens")
        await pilot.pause()
        assert "run's 55" in screen_text(app)

    on_form(work, options)


def test_its_keys_have_ids_of_their_own() -> None:
    ids = {binding.id for _, binding in OptionsPane._merge_bindings()}
    assert "options.edit" in ids
    assert not any(str(each).startswith("recipe.") for each in ids)


def test_a_folder_that_cannot_be_written_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = draft()

    def full(*given: object, **named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tuitune.tui.optiondraft.write_atomic", full)
    options.set("export_size", 3)
    assert "No space left" in options.trouble
    assert options.settings() == ["export_size=3"]
