from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.fit import planted
from tests.tui.given import Bench, bench, screen_text
from tuitune.fit.adapters import AdapterInfo
from tuitune.fit.models import ModelInfo
from tuitune.tui.kit.rows import width_of
from tuitune.tui.messages import AdapterChosen, ChatWith, ModelChosen
from tuitune.tui.panes import models as room
from tuitune.tui.panes.model_items import found, item_row, items_of, read_typed, size_of, tail
from tuitune.tui.panes.models import ModelPane

_G = 10**9
_MODELS = [
    ModelInfo("smollm2-135m", None, "embedded", 92_871_040, "llama", "Q4_1", 134_515_008, "apache-2.0"),
    ModelInfo("Qwen/Qwen2.5-7B-Instruct", Path("/c/q"), "cached", 15 * _G, "qwen2", "bfloat16", 7_615_616_512, "mit"),
    ModelInfo("zephyr-merged", Path("/w/zephyr-merged"), "local", 14 * _G, "mistral", "bfloat16"),
    ModelInfo("models/qwen2.5-7b-q4_k_m.gguf", Path("/w/q.gguf"), "gguf", 4 * _G, "qwen2", "Q4_K", 7_615_616_512),
    ModelInfo("日本語モデル/とても長い名前のモデル", Path("/w/j"), "local", 10**6, "llama", "float32", 10**6),
]
_ADAPTERS = [
    AdapterInfo(f"r{i}/final", Path(f"/r{i}/final"), "smollm2-135m", "result", f"r{i}", 90 * i, 9_823_216, float(i))
    for i in range(6)
]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "scan", lambda: list(_MODELS))
    monkeypatch.setattr(room, "scan_adapters", lambda: list(_ADAPTERS))


def _show(body: Callable[[Bench, ModelPane, Pilot[Any]], Awaitable[None]], size: tuple[int, int] = (80, 24)) -> None:
    async def go() -> None:
        pane = ModelPane()
        app = bench(pane)
        async with app.run_test(size=size, notifications=True) as pilot:
            pane.show("smollm2-135m")
            await _settled(app, pilot)
            pane.focus_first()
            await pilot.pause()
            await body(app, pane, pilot)

    asyncio.run(go())


async def _settled(app: Bench, pilot: Pilot[Any]) -> None:
    await pilot.pause()
    await app.workers.wait_for_complete()
    await pilot.pause()
    await pilot.pause()


async def _type(app: Bench, pilot: Pilot[Any], text: str) -> None:
    await pilot.press("slash", *text)
    await _settled(app, pilot)


@pytest.mark.usefixtures("here")
def test_the_model_in_use_stands_first_with_its_adapters() -> None:
    async def body(app: Bench, pane: ModelPane, pilot: Pilot[Any]) -> None:
        lines = screen_text(app).splitlines()
        assert lines[0].endswith(" 5 found")
        assert lines[1].startswith("⌕ / search")
        assert lines[2].startswith("▌•smollm2-135m")
        assert lines[2].split()[-2:] == ["135M", "own"]
        assert [line.split() for line in lines[3:7]] == [
            ["└", "r5", "@450", "result"],
            ["└", "r4", "@360", "result"],
            ["└", "r3", "@270", "result"],
            ["3", "more", "adapters"],
        ]
        assert "Qwen/Qwen2.5-7B-Instruct" in lines[7]
        assert "13.0 GiB folder" in lines[8]
        assert "134,515,008 parameters" in screen_text(app)
        assert "apache-2.0" in screen_text(app)
        assert all(width_of([(line, "")]) <= 80 for line in lines)

    _show(body)


@pytest.mark.usefixtures("here")
def test_a_low_pane_folds_the_adapters_and_has_no_details() -> None:
    async def body(app: Bench, pane: ModelPane, pilot: Pilot[Any]) -> None:
        lines = screen_text(app).splitlines()
        assert "6 adapters" in lines[3]
        assert "…/Qwen2.5-7B-Instruct" in lines[4]
        assert "licence" not in screen_text(app)
        await pilot.press("end")
        await pilot.pause()
        assert screen_text(app).splitlines()[-1].startswith("▌")
        assert "6 of 6" in screen_text(app)

    _show(body, (38, 7))


@pytest.mark.usefixtures("here")
def test_folded_adapters_unfold() -> None:
    async def body(app: Bench, pane: ModelPane, pilot: Pilot[Any]) -> None:
        await pilot.press("down", "down", "down", "down", "enter")
        await pilot.pause()
        assert "r0" in screen_text(app)
        assert "more adapters" not in screen_text(app)

    _show(body)


@pytest.mark.usefixtures("here")
def test_enter_uses_a_model() -> None:
    async def body(app: Bench, pane: ModelPane, pilot: Pilot[Any]) -> None:
        await pilot.press("end", "up", "up", "enter")
        await pilot.pause()
        (message,) = app.heard
        assert isinstance(message, ModelChosen)
        assert message.name == "zephyr-merged"
        pane.show("zephyr-merged")
        await pilot.pause()
        assert "▌•zephyr-merged" in screen_text(app)
        assert "•smollm2" not in screen_text(app)

    _show(body)


@pytest.mark.usefixtures("here")
def test_typing_finds_and_enter_takes_the_first() -> None:
    async def body(app: Bench, pane: ModelPane, pilot: Pilot[Any]) -> None:
        await _type(app, pilot, "qw gguf")
        assert [item.name for item in pane.list.items] == ["models/qwen2.5-7b-q4_k_m.gguf"]
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.heard[0], ModelChosen)
        assert app.heard[0].name == "models/qwen2.5-7b-q4_k_m.gguf"
        assert pane.search.value == ""
        assert app.focused is pane.list
        await _type(app, pilot, "zzzz")
        assert "no model of that name" in screen_text(app)
        await pilot.press("escape")
        await _settled(app, pilot)
        assert len(pane.list.items) > 5
        await pilot.press("down")
        assert app.focused is pane.list

    _show(body)


@pytest.mark.usefixtures("here")
def test_a_name_of_the_hub_and_a_path_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted.model(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)

    async def body(app: Bench, pane: ModelPane, pilot: Pilot[Any]) -> None:
        await _type(app, pilot, "someone/Model-1")
        assert "on the hub" in screen_text(app)
        await pilot.press("enter")
        await _type(app, pilot, "./mine")
        assert "folder" in screen_text(app)
        await pilot.press("enter")
        await pilot.pause()
        assert [message.name for message in app.heard if isinstance(message, ModelChosen)] == [
            "someone/Model-1",
            "./mine",
        ]

    _show(body)


@pytest.mark.usefixtures("here")
def test_a_chosen_model_that_is_nowhere_is_shown_all_the_same() -> None:
    async def body(app: Bench, pane: ModelPane, pilot: Pilot[Any]) -> None:
        pane.show("org/far-away")
        await pilot.press("home")
        await pilot.pause()
        assert "▌•org/far-away" in screen_text(app)

    _show(body)


@pytest.mark.usefixtures("here")
def test_an_adapter_is_asked_about() -> None:
    async def body(app: Bench, pane: ModelPane, pilot: Pilot[Any]) -> None:
        await pilot.press("down", "enter")
        await pilot.pause()
        assert "What shall be done" in screen_text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert app.heard == []
        await pilot.press("enter", "t")
        await pilot.pause()
        await pilot.press("t", "c")
        await pilot.pause()
        first, second, third = app.heard
        assert isinstance(first, AdapterChosen)
        assert isinstance(second, AdapterChosen)
        assert isinstance(third, ChatWith)
        assert (first.path, first.model) == (second.path, second.model) == (Path("/r5/final"), "smollm2-135m")
        assert (third.adapter, third.model) == (Path("/r5/final"), "smollm2-135m")

    _show(body)


@pytest.mark.usefixtures("here")
def test_chat_with_a_model_and_no_dead_key() -> None:
    async def body(app: Bench, pane: ModelPane, pilot: Pilot[Any]) -> None:
        await pilot.press("c", "t")
        await pilot.pause()
        (message,) = app.heard
        assert isinstance(message, ChatWith)
        assert (message.model, message.adapter) == ("smollm2-135m", None)
        assert "t trains an adapter" in screen_text(app)

    _show(body)


@pytest.mark.usefixtures("here")
def test_the_mouse_selects_and_a_double_click_uses() -> None:
    async def body(app: Bench, pane: ModelPane, pilot: Pilot[Any]) -> None:
        await pilot.click(pane.list, offset=(5, 6))
        assert pane.list.item is not None
        assert pane.list.item.name == "zephyr-merged"
        assert app.heard == []
        await pilot.click(pane.list, offset=(5, 5), times=2)
        await pilot.pause()
        assert isinstance(app.heard[0], ModelChosen)
        await pilot.click(pane.list, offset=(5, 20))  # the details are no row
        assert len(app.heard) == 1

    _show(body)


def test_looking_happens_aside_and_again_on_r(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, models = Event(), list(_MODELS[:1])

    def slow() -> list[ModelInfo]:
        gate.wait(60)
        return list(models)

    monkeypatch.setattr(room, "scan", slow)
    monkeypatch.setattr(room, "scan_adapters", list)

    async def go() -> None:
        pane = ModelPane()
        app = bench(pane)
        async with app.run_test(size=(60, 20), notifications=True) as pilot:
            await pilot.pause()
            assert "looking…" in screen_text(app)
            gate.set()
            await _settled(app, pilot)
            assert "1 found" in screen_text(app)
            models.append(_MODELS[1])
            pane.focus_first()
            await pilot.press("r")
            await _settled(app, pilot)
            assert "2 found" in screen_text(app)

    asyncio.run(go())


def test_what_goes_wrong_while_looking_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[ModelInfo]:
        raise OSError("the disk [/red] is\x1b]52;c;x\x07 gone")

    monkeypatch.setattr(room, "scan", broken)

    async def go() -> None:
        pane = ModelPane()
        app = bench(pane)
        async with app.run_test(size=(60, 20), notifications=True) as pilot:
            await _settled(app, pilot)
            assert "the disk [/red] is gone" in screen_text(app)
            assert "cannot look" in screen_text(app)

    asyncio.run(go())


def test_words_are_found_in_any_order_and_with_letters_left_out() -> None:
    assert found("Qwen/Qwen2.5-7B-Instruct", ["7b", "qwen"])
    assert found("Qwen/Qwen2.5-7B-Instruct", ["qwinst"])
    assert not found("smollm2-135m", ["qwen"])
    assert not found("smollm2-135m", ["ms"])
    by_adapter = items_of(_MODELS, _ADAPTERS, chosen="smollm2-135m", query="r3")
    assert [item.name for item in by_adapter] == ["smollm2-135m", "r3"]


@pytest.mark.parametrize("width", [24, 30, 36, 76])
def test_rows_are_as_wide_as_asked_and_cuts_are_marked(width: int) -> None:
    for item in items_of(_MODELS, _ADAPTERS, chosen="smollm2-135m"):
        for cursor in (True, False):
            assert width_of(item_row(item, width, cursor=cursor)) == width
    assert tail("meta-llama/Llama-3.1-8B", 15) == "…/Llama-3.1-8B"
    assert tail("meta-llama/Llama-3.1-8B", 9) == "Llama-3.…"
    assert tail("/a/b/c/final", 9) == "…/c/final"


def test_sizes() -> None:
    assert [size_of(info) for info in _MODELS] == ["135M", "7.6B", "13.0 GiB", "7.6B", "1M"]


def test_what_was_typed_is_read_as_a_name(tmp_path: Path) -> None:
    assert read_typed("a/b").source is not None
    assert "no such file" in read_typed(str(tmp_path / "nothing" / "here")).problem
    assert "\x1b" not in read_typed("x\x1b]52;c;x\x07y z").problem
    assert read_typed("a\0b").problem
