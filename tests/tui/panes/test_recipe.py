"""The recipe pane as its user sees it: what it shows, moving, searching, the mouse."""

from __future__ import annotations

import asyncio

import pytest
from textual.events import MouseScrollDown

from tests.tui.panes.forming import SIZES, Desk, desk, on_both
from tuitune.tui.panes.field_edit import FieldEdit
from tuitune.tui.panes.field_help import FieldHelp
from tuitune.tui.panes.form_body import FilterLine
from tuitune.tui.panes.recipe import RecipePane


def test_it_shows_groups_names_values_and_notes() -> None:
    async def steps(it: Desk) -> None:
        assert "Model" in it.text
        assert "quickstart" not in it.row("lora_rank")
        assert "smollm2-135m" in it.row("model_name_or_path")
        assert "= 2 × rank" in it.row("lora_alpha")
        assert "more ↓" in it.text
        assert "adam_beta1" not in it.text

    on_both(steps)


def test_the_cursor_moves_and_stays_in_view() -> None:
    async def steps(it: Desk) -> None:
        assert it.pane.cursor_key == "model_name_or_path"
        await it.press("down", "j")
        assert it.pane.cursor_key == "template"
        await it.press("up", "k", "up")
        assert it.pane.cursor_key == "model_name_or_path"
        await it.press("end")
        assert it.pane.cursor_key == "device"
        assert "▌" in it.row("device")
        assert "more ↑" in it.text
        await it.press("pageup")
        assert "▌" in it.row(it.pane.cursor_key or "")
        await it.press("home")
        assert "Model" in it.text
        assert "more ↑" not in it.text
        await it.press("pagedown")
        assert it.pane.cursor_key not in ("model_name_or_path", "device")

    on_both(steps)


def test_a_warning_is_marked() -> None:
    async def steps(it: Desk) -> None:
        await it.at("trust_remote_code", "space")
        assert "▲" in it.row("trust_remote_code")
        assert "▲ 1" in it.text.split("\n")[0]
        assert "Python code from" in it.text

    on_both(steps)


def test_all_fields_and_the_essential_ones() -> None:
    async def steps(it: Desk) -> None:
        few = len(it.pane.form.lines)
        await it.press("a")
        assert len(it.pane.form.lines) > few + 20
        await it.at("adam_beta1")
        assert "0.9" in it.row("adam_beta1")
        await it.press("a")
        assert len(it.pane.form.lines) == few
        assert it.pane.cursor_key is not None

    on_both(steps)


def test_searching_fields() -> None:
    async def steps(it: Desk) -> None:
        await it.press("slash", *"random")
        assert it.app.query_one(FilterLine).has_focus
        assert "data_seed" in it.text
        assert "lora_rank" not in it.text
        await it.press("enter", "end")
        assert it.pane.form.has_focus
        assert it.pane.cursor_key in ("seed", "data_seed")
        await it.press("escape")
        assert "lora_rank" in it.text
        await it.press("slash", *"zzzz")
        assert "no field matches 'zzzz'" in it.text
        await it.press("escape")
        assert "lora_rank" in it.text
        assert it.pane.form.has_focus

    on_both(steps)


def test_a_search_for_a_field_of_another_method_says_when_it_applies() -> None:
    async def steps(it: Desk) -> None:
        await it.press("slash", *"use_galore")
        assert "not for this recipe yet" in it.text
        assert "finetuning_type: full" in it.text

    on_both(steps)


def test_a_search_goes_to_the_field_of_that_name() -> None:
    async def steps(it: Desk) -> None:
        await it.press("slash", *"lear", "enter")
        assert it.pane.cursor_key == "learning_rate"
        await it.press("enter", "backspace", "5", "enter")
        assert it.draft.values["learning_rate"] == 5.5e-5

    on_both(steps)


def test_fields_come_and_go_with_what_they_depend_on() -> None:
    async def steps(it: Desk) -> None:
        await it.at("finetuning_type", "right")
        assert it.draft.values["finetuning_type"] == "full"
        assert "lora_rank" not in it.text
        assert "lora_rank" in it.draft.values, "nothing is lost"
        await it.press("left")
        assert "8" in it.row("lora_rank")
        await it.at("eval_strategy", "right")
        assert "eval_steps" in [line.key for line in it.pane.form.lines]

    on_both(steps)


def test_going_to_a_hidden_field_shows_it() -> None:
    async def steps(it: Desk) -> None:
        await it.at("lora_rank", "plus")
        await it.at("finetuning_type", "right")
        it.pane.go_to("lora_rank")
        await it.pilot.pause()
        assert it.pane.cursor_key == "lora_rank"
        assert "no effect here" in it.text

    on_both(steps)


def test_copying_a_line() -> None:
    async def steps(it: Desk) -> None:
        await it.at("learning_rate", "y")
        assert it.app.copied == ["learning_rate: 0.00055"]

    on_both(steps)


def test_help_says_range_and_what_it_was() -> None:
    async def steps(it: Desk) -> None:
        await it.at("lora_rank")
        assert "at least 1" in it.text
        assert "preset 8" in it.text
        assert "Rank of the adapter" in it.text

    on_both(steps)


def test_the_mouse_chooses_edits_and_scrolls() -> None:
    async def steps(it: Desk) -> None:
        rows = it.text.split("\n")
        y = next(index for index, line in enumerate(rows) if " lora_rank " in line)
        await it.pilot.click(offset=(6, y))
        assert it.pane.cursor_key == "lora_rank"
        assert not it.app.query(FieldEdit)
        await it.pilot.click(offset=(6, y))
        await it.pilot.pause()
        assert it.edit.key == "lora_rank"
        await it.press("6")
        y = next(index for index, line in enumerate(rows) if " template " in line)
        await it.pilot.click(offset=(6, y))
        await it.pilot.pause()
        assert it.draft.values["lora_rank"] == 86
        assert it.pane.cursor_key == "template"
        form = it.pane.form
        form.post_message(MouseScrollDown(form, 1, 1, 0, 1, 0, False, False, False))
        await it.pilot.pause()
        assert "more ↑" in it.text
        assert it.pane.cursor_key == "template"
        await it.press("down")
        assert "▌" in it.row("cutoff_len")

    on_both(steps)


def test_a_broken_text_is_said_and_nothing_can_be_edited() -> None:
    async def go() -> None:
        for size in SIZES:
            async with desk(size, text="a: [1\nb: 2\n") as it:
                assert "no recipe yet" in it.text
                assert "Line 2" in it.text
                await it.press("enter", "plus", "delete", "3", "space", "slash", "down")
                assert it.draft.text == "a: [1\nb: 2\n"
                assert "ctrl+t" in it.said
                await it.press("ctrl+z")
                assert "lora_rank" in it.text

    asyncio.run(go())


@pytest.mark.parametrize("size", [(26, 10), (30, 4), (40, 60), (160, 50), (10, 3)])
def test_any_size_works(size: tuple[int, int]) -> None:
    async def go() -> None:
        async with desk(size) as it:
            await it.at("lora_rank", "enter")
            await it.pilot.resize_terminal(80, 24)
            await it.press("down", "a", "end", "home", "slash", "escape")
            await it.pilot.resize_terminal(*size)
            await it.press("end", "pageup")
            assert it.pane.cursor_key

    asyncio.run(go())


def test_every_key_has_a_name_and_a_word_of_help() -> None:
    for binding in RecipePane.BINDINGS:
        assert not isinstance(binding, tuple)
        assert binding.id
        assert binding.id.startswith("recipe.")
        assert binding.description
        assert binding.tooltip
        assert hasattr(RecipePane, f"action_{binding.action.split('(')[0]}")


def test_a_problem_is_told_whole_below_the_form_and_the_rows_come_back() -> None:
    async def at(size: tuple[int, int]) -> None:
        async with desk(size, "model_name_or_path: smollm2-135m\ndataset: identity\nval_size: 0.1\n") as it:
            await it.at("learning_rate")
            help_ = it.app.query_one(FieldHelp)
            plain = help_.size.height
            await it.at("val_size")
            text = " ".join(it.text.split())
            assert "`tuitune evaluate`" in text
            assert "or epoch also measures while it trains" in text
            assert "it trains …" not in text
            assert help_.size.height > plain
            await it.at("learning_rate")
            assert help_.size.height == plain

    for size in ((40, 30), (60, 20)):
        asyncio.run(at(size))
