"""Editing in the recipe pane: every way to change a value, and mistakes explained."""

from __future__ import annotations

import asyncio

import pytest
from textual.events import Paste

from tests.tui.panes.forming import SIZES, Desk, desk, on_both
from tuitune.tui.panes.field_edit import FieldEdit
from tuitune.tui.picker import Picker


def test_flags_toggle() -> None:
    async def steps(it: Desk) -> None:
        await it.at("use_dora", "space")
        assert it.draft.values["use_dora"] is True
        assert "on" in it.row("use_dora")
        assert "• 1 changed" in it.text
        await it.press("enter")
        assert "use_dora" not in it.draft.values, "what the preset leaves out does not stay in as its default"
        await it.at("tf32", "space", "right")
        assert it.draft.values["tf32"] is False

    on_both(steps)


def test_choices_cycle_and_can_be_picked() -> None:
    async def steps(it: Desk) -> None:
        await it.at("lr_scheduler_type", "right")
        assert it.draft.values["lr_scheduler_type"] == "constant"
        await it.press("left", "left")
        assert it.draft.values["lr_scheduler_type"] == "cosine_with_restarts"
        await it.press("enter")
        assert isinstance(it.app.screen, Picker)
        await it.press(*"min_lr", "enter")
        assert it.draft.values["lr_scheduler_type"] == "cosine_with_min_lr"
        await it.press("enter", "escape")
        assert it.draft.values["lr_scheduler_type"] == "cosine_with_min_lr"

    on_both(steps)


def test_numbers_step() -> None:
    async def steps(it: Desk) -> None:
        await it.at("lora_rank", "plus")
        assert it.draft.values["lora_rank"] == 16
        assert "32" in it.row("lora_alpha")
        await it.press("minus", "minus")
        assert it.draft.values["lora_rank"] == 4
        await it.at("learning_rate", "minus")
        assert it.draft.values["learning_rate"] == 5e-4
        await it.at("lora_alpha", "plus")
        assert it.draft.values["lora_alpha"] == 16
        await it.at("template", "plus")
        assert "press enter" in it.said

    on_both(steps)


def test_enter_edits_where_the_value_stands() -> None:
    async def steps(it: Desk) -> None:
        before = it.row("cutoff_len").index("512")
        await it.at("cutoff_len", "enter")
        assert it.edit.region.x == before
        assert it.edit.region.height == 1
        assert "cutoff_len" in it.text.split("\n")[it.edit.region.y]
        await it.press("0", "enter")
        assert it.draft.values["cutoff_len"] == 5120
        assert not it.app.query(FieldEdit)
        assert it.pane.form.has_focus

    on_both(steps)


def test_typing_begins_a_new_value() -> None:
    async def steps(it: Desk) -> None:
        await it.at("lora_rank", "3", "2", "enter")
        assert it.draft.values["lora_rank"] == 32
        await it.at("template", *"qwen", "enter")
        assert it.draft.values["template"] == "qwen"
        await it.at("max_samples", "9", "down")
        assert it.draft.values["max_samples"] == 9

    on_both(steps)


def test_keys_of_the_form_are_letters_in_an_editor() -> None:
    async def steps(it: Desk) -> None:
        await it.at("template", "enter", "home", "a", "y", "j", "slash", "end", "left", "delete", "backspace", "enter")
        assert it.draft.values["template"] == "ayj/smoll"
        assert "adam_beta1" not in it.text

    on_both(steps)


def test_up_and_down_keep_and_move_on() -> None:
    async def steps(it: Desk) -> None:
        await it.at("lora_rank", "3", "2", "down")
        assert it.draft.values["lora_rank"] == 32
        assert it.pane.cursor_key == "lora_alpha"
        await it.press("6", "4", "up")
        assert it.draft.values["lora_alpha"] == 64
        assert it.pane.cursor_key == "lora_rank"

    on_both(steps)


def test_escape_leaves_the_value_and_empty_is_the_default() -> None:
    async def steps(it: Desk) -> None:
        await it.at("lora_rank", "9", "9", "escape")
        assert it.draft.values["lora_rank"] == 8
        assert not it.draft.dirty
        await it.at("lora_rank", "enter", "enter")
        assert not it.draft.dirty
        await it.at("lora_rank", "enter", "backspace", "enter")
        assert "lora_rank" not in it.draft.values

    on_both(steps)


def test_leaving_an_editor_keeps_what_was_typed() -> None:
    async def steps(it: Desk) -> None:
        await it.at("lora_rank", "1", "2", "tab")
        assert it.draft.values["lora_rank"] == 12

    on_both(steps)


def test_a_mistake_is_explained_while_typing_and_after() -> None:
    async def steps(it: Desk) -> None:
        await it.at("lora_rank")
        before = [line[:30] for line in it.text.split("\n")]
        await it.press("0")
        assert "out of range" in it.text
        assert it.edit.has_class("-wrong")
        where = it.edit.region.y
        after = [line[:30] for line in it.text.split("\n")]
        moved = [y for y in range(1, 24) if before[y] != after[y] and y != where and "out of range" not in after[y]]
        assert all(y > len(before) - 8 for y in moved), "rows of the form do not move while one types"
        await it.press("enter")
        assert "1 problem" in it.text
        assert "▲" in it.row("lora_rank")
        assert "out of range" in it.text
        await it.press("plus")
        await it.press("1", "6", "enter")
        assert "problem" not in it.text
        assert it.draft.recipe() is not None

    on_both(steps)


def test_undo_and_redo_go_to_the_field() -> None:
    async def steps(it: Desk) -> None:
        await it.at("lora_rank", "plus")
        await it.press("home", "ctrl+z")
        assert it.draft.values["lora_rank"] == 8
        assert it.pane.cursor_key == "lora_rank"
        await it.press("home", "ctrl+y")
        assert it.draft.values["lora_rank"] == 16
        assert it.pane.cursor_key == "lora_rank"
        await it.press("ctrl+y")
        assert "nothing to make again" in it.said

    on_both(steps)


def test_delete_goes_back_to_the_default() -> None:
    async def steps(it: Desk) -> None:
        await it.at("cutoff_len", "delete")
        assert "cutoff_len" not in it.draft.values
        assert "2048" in it.row("cutoff_len")
        assert "•" in it.row("cutoff_len")
        await it.press("backspace")
        assert "default already" in it.said

    on_both(steps)


@pytest.mark.parametrize(
    "foreign", ["\x1b]52;c;eA==\x07\x1b[31mred", "[/nope][b]", "[@click=app.quit]x[/]", "两个" * 30]
)
def test_foreign_texts_are_harmless(foreign: str) -> None:
    async def go() -> None:
        for size in SIZES:
            async with desk(size) as it:
                it.draft.set("author", foreign)
                it.draft.set("lora_rank", foreign)
                it.draft.set("template", f"line\n{foreign}")
                await it.pilot.pause()
                await it.at("author", "enter", "enter")
                assert it.draft.values["author"] == foreign
                await it.at("template", "enter", "up")
                assert it.draft.values["template"] == f"line\n{foreign}"
                await it.at("lora_rank", "enter", "escape")
                assert "\x1b" not in it.text
                assert "1 problem" in it.text

    asyncio.run(go())


def test_unknown_keys_can_be_mended() -> None:
    async def go() -> None:
        text = "model_name_or_path: m\ndataset: alpaca\nlora_rnak: 8\nweb_token: hf_abc\n"
        for size in SIZES:
            async with desk(size, text=text) as it:
                await it.at("lora_rnak")
                assert "did you mean lora_rank" in it.text.replace("\n", " ") or "no such key" in it.text
                assert "hf_abc" not in it.text
                await it.press("delete")
                assert "lora_rnak" not in it.draft.text
                await it.at("web_token", "enter")
                assert "hf_abc" not in it.text
                await it.press("escape", "delete")
                assert it.draft.recipe() is not None

    asyncio.run(go())


def test_pasted_lines_become_one() -> None:
    async def steps(it: Desk) -> None:
        await it.at("author", "enter", "ctrl+u")
        it.edit.post_message(Paste("two\nlines \x1b[31mhere"))
        await it.press("enter")
        assert it.draft.values["author"] == "two lines here"
        it.pane.form.post_message(Paste("three\nlines"))
        await it.press("enter")
        assert it.draft.values["author"] == "three lines"

    on_both(steps)


def test_the_editor_stays_on_its_row_when_the_window_changes() -> None:
    async def go() -> None:
        async with desk((40, 40)) as it:
            await it.at("learning_rate", "enter")
            await it.pilot.resize_terminal(40, 14)
            await it.pilot.pause()
            await it.pilot.pause()
            assert "learning_rate" in it.text.split("\n")[it.edit.region.y]
            await it.pilot.resize_terminal(100, 30)
            await it.pilot.pause()
            await it.pilot.pause()
            assert "learning_rate" in it.text.split("\n")[it.edit.region.y]

    asyncio.run(go())
