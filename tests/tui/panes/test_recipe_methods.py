"""Every tuning method from the keyboard: its fields appear, its switches are found, nothing needs YAML."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.tui.given import typed
from tests.tui.panes.forming import Desk, desk
from tuitune.recipe import FIELDS
from tuitune.tui.asking import Picker
from tuitune.tui.panes.form_lines import SECTIONS
from tuitune.tui.panes.form_words import CHOICES

SIZES = [(80, 24), (36, 26), (120, 40)]
_OWN = {
    "lora": {"lora_rank", "lora_alpha", "lora_target", "use_dora", "quantization_bit"},
    "full": {"use_galore", "use_apollo", "use_badam", "use_lisa", "use_muon", "use_adam_mini"},
    "freeze": {"freeze_trainable_layers", "freeze_trainable_modules", "use_galore"},
    "oft": {"oft_block_size", "oft_target", "quantization_bit"},
    "adalora": {"adalora_init_rank", "lora_rank", "lora_target"},
    "vera": {"lora_rank", "lora_target"},
    "ia3": {"lora_target"},
    "loha": {"lora_rank", "lora_alpha"},
    "lokr": {"lora_rank", "lora_alpha"},
    "prompt_tuning": {"num_virtual_tokens"},
    "p_tuning": {"num_virtual_tokens"},
    "prefix_tuning": {"num_virtual_tokens"},
    "bottleneck": {"bottleneck_size"},
}


def on_all(steps: Callable[[Desk], Awaitable[None]]) -> None:
    async def go() -> None:
        for size in SIZES:
            async with desk(size) as each:
                await steps(each)

    asyncio.run(go())


def on_one(number: int, steps: Callable[[Desk], Awaitable[None]]) -> None:
    """Run one of several cases at one size; together they are at all."""

    async def go() -> None:
        async with desk(SIZES[number % len(SIZES)]) as each:
            await steps(each)

    asyncio.run(go())


def keys(it: Desk) -> set[str]:
    return {line.key for line in it.pane.form.lines if line.key}


def test_every_group_has_its_place_and_every_choice_its_words() -> None:
    placed = [group for _, groups in SECTIONS for group in groups]
    assert sorted(placed) == sorted({field.group for field in FIELDS.values()})
    for key, words in CHOICES.items():
        assert set(words) == set(FIELDS[key].choices), key
    assert all(field.help.endswith((".", ")")) for field in FIELDS.values())


@pytest.mark.parametrize("method", list(_OWN))
def test_the_fields_of_the_chosen_method_appear_at_once_and_no_others(method: str) -> None:
    async def steps(it: Desk) -> None:
        await it.at("finetuning_type", "enter")
        assert isinstance(it.app.screen, Picker)
        await typed(it.pilot, *method)
        await it.press("enter")
        assert it.draft.values.get("finetuning_type", "lora") == method
        assert keys(it) >= _OWN[method]
        strange = {key for other in _OWN.values() for key in other} - _OWN[method]
        assert not {key for key in keys(it) & strange if method not in _types(key)}
        await it.press("a")
        assert not {key for key in keys(it) if _types(key) and method not in _types(key)}

    on_one(list(_OWN).index(method), steps)


def _types(key: str) -> tuple[object, ...]:
    """Return the methods that a field is for; empty for all."""
    return next((each.values for each in FIELDS[key].when if each.key == "finetuning_type"), ())


def test_the_list_of_methods_says_what_each_is() -> None:
    async def steps(it: Desk) -> None:
        await it.at("finetuning_type", "enter")
        picked = " ".join(it.text.split())
        assert "bottleneck" in picked
        assert "every weight" in picked
        await it.press(*"rotat", "enter")  # a word of the note finds it
        assert it.draft.values["finetuning_type"] == "oft"
        if it.app.size.width > 60:
            assert "rotations of what goes" in " ".join(it.text.split())

    on_all(steps)


_SWITCHES = {
    "use_galore": {"galore_rank", "galore_scale", "galore_target", "galore_layerwise"},
    "use_apollo": {"apollo_rank", "apollo_scale_type"},
    "use_badam": {"badam_mode", "badam_switch_interval", "badam_switch_mode"},
    "use_lisa": {"lisa_activated_layers", "lisa_interval"},
}


def test_a_switched_on_optimizer_shows_its_fields_at_once() -> None:
    async def steps(it: Desk) -> None:
        await it.at("finetuning_type", "right")
        for switch, fields in _SWITCHES.items():
            assert not keys(it) & fields
            await it.at(switch, "space")
            assert it.draft.values[switch] is True
            assert keys(it) >= fields
            await it.at(switch, "space")
            assert not keys(it) & fields

    on_all(steps)


def test_the_fields_of_a_mode_come_and_go_with_it() -> None:
    async def steps(it: Desk) -> None:
        await it.at("finetuning_type", "right")
        await it.at("use_badam", "space")
        assert "badam_update_ratio" not in keys(it)
        await it.at("badam_mode", "right")
        assert {"badam_update_ratio", "badam_mask_mode"} <= keys(it)
        assert "badam_switch_mode" not in keys(it)

    on_all(steps)


_LEFT_OUT: list[tuple[str, tuple[str, ...], object]] = [
    ("quantization_bit", ("plus",), 4),
    ("quantization_bit", ("plus", "plus"), 8),
    ("use_dora", ("space",), True),
    ("neftune_noise_alpha", ("plus",), 5),
    ("neftune_noise_alpha", ("enter", "7", "enter"), 7),
    ("pissa_init", ("space",), True),
    ("use_dft_loss", ("space",), True),
    ("loraplus_lr_ratio", ("right",), 16),
    ("rope_scaling", ("right",), "linear"),
    ("rope_scaling", ("enter", "y", "a", "r", "n", "enter"), "yarn"),
    ("shift_attn", ("space",), True),
    ("use_llama_pro", ("space",), True),
]


@pytest.mark.parametrize(("key", "presses", "value"), _LEFT_OUT)
def test_what_is_left_out_at_first_is_found_and_switched_on(key: str, presses: tuple[str, ...], value: object) -> None:
    async def steps(it: Desk) -> None:
        await it.press("slash")
        await typed(it.pilot, *key)
        await it.press("enter")
        assert it.pane.cursor_key == key
        await it.press(*presses)
        assert it.draft.values[key] == value
        await it.press("escape")
        assert key in keys(it), "what is set stays in sight"
        await it.at(key, "delete")
        assert key not in it.draft.values

    on_one(_LEFT_OUT.index((key, presses, value)), steps)


def test_a_choice_that_may_be_unset_can_be_unset() -> None:
    async def steps(it: Desk) -> None:
        await it.at("rope_scaling", "right")
        assert it.draft.values["rope_scaling"] == "linear"
        await it.at("rope_scaling", "enter", "up", "enter")
        assert "rope_scaling" not in it.draft.values
        await it.at("rope_scaling", "right", "left")
        assert "rope_scaling" not in it.draft.values

    on_all(steps)


def test_the_last_line_says_how_much_is_left_out() -> None:
    async def steps(it: Desk) -> None:
        await it.press("end")
        await it.pilot.press("pagedown")
        it.pane.form.scroll_by(100)
        await it.pilot.pause()
        assert "more apply" in it.text
        await it.press("a")
        assert all(line.key or line.name for line in it.pane.form.lines)

    on_all(steps)


def test_quantisation_shows_what_belongs_to_it() -> None:
    async def steps(it: Desk) -> None:
        await it.at("quantization_bit", "plus")
        assert {"quantization_method", "quantization_type", "double_quantization"} <= keys(it)
        await it.press("plus")
        assert "quantization_type" not in keys(it), "8 bits have one kind of number"

    on_all(steps)
