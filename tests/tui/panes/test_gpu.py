"""The GPU pane: what it shows at which size, and what its keys ask for. The driver's side is in tests/monitor."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.tui.given import Bench, bench, rows_text, screen_text
from tuitune.monitor import DeviceSample, HostSample, Instance, Process, Sample
from tuitune.tui.messages import AskDevice
from tuitune.tui.panes.gpu import GpuPane
from tuitune.tui.panes.gpu_plan import plan

GIB = 1 << 30
HOST = HostSample(
    name="Some CPU", cores=8, cpu_percent=34.0, load=2.1, ram_used=118 * GIB, ram_available=385 * GIB,
    ram_total=503 * GIB, swap_used=0, swap_total=8 * GIB, run_cpu=187.0, run_rss=4 * GIB, disk_free=1229 * GIB,
    cpu_history=(10.0, 90.0),
)  # fmt: skip
FIRST = DeviceSample(
    0, "GPU-a", "NVIDIA H200", "cuda:0", total=140 * GIB, used=45 * GIB, free=94 * GIB, own=38 * GIB,
    processes=(Process(4242, 38 * GIB, "python train.py", True), Process(99, 7 * GIB, "")), utilisation=97,
    power_w=412.0, power_limit_w=700.0, temperature_c=61, slowdown_c=92, sm_mhz=1980, mem_mhz=3201, max_sm_mhz=1980,
    ecc_corrected=3, ecc_uncorrected=0, history=(95.0, math.nan, 97.0),
)  # fmt: skip
SECOND = replace(
    FIRST, index=1, uuid="GPU-b", device="cuda:1", used=91 * GIB, own=0, utilisation=64, temperature_c=88,
    sm_mhz=1755, reasons=("thermal", "power cap"),
)  # fmt: skip


def _sample(*cards: DeviceSample, problem: str | None = None) -> Sample:
    return Sample(cards, HOST, "580.95.05" if cards else None, problem, t=1.0)


def _cards(count: int) -> tuple[DeviceSample, ...]:
    return tuple(replace(FIRST, index=i, uuid=f"GPU-{i}", device=f"cuda:{i}", own=0) for i in range(count))


def _watch(
    sample: Sample,
    act: Callable[[Pilot[Any], GpuPane, Bench], Awaitable[None]] | None = None,
    *,
    size: tuple[int, int] = (30, 15),
    device: str = "cuda:0",
    focus: bool = True,
) -> list[str]:
    """Show the sample in a pane of this size and return its lines."""

    async def go() -> list[str]:
        pane = GpuPane()
        app = bench(pane, css=f"Screen {{ align: left top; }} GpuPane {{ width: {size[0]}; height: {size[1]}; }}")
        app.AUTO_FOCUS = None
        async with app.run_test(size=(140, 46), notifications=True) as pilot:
            pane.show(sample, device=device, now=1.0)
            if focus:
                pane.focus_first()
            await pilot.pause()
            if act is not None:
                await act(pilot, pane, app)
                await pilot.pause()
            return [line.rstrip() for line in screen_text(app).splitlines()[: size[1]]]

    return asyncio.run(go())


def test_two_cards_and_the_host_as_drawn_in_the_design() -> None:
    lines = _watch(_sample(FIRST, SECOND))
    assert lines[:4] == [
        "5 GPU ────────── driver 580.95",
        "0 H200 ●       45.0 of 140 GiB",
        "━━━━━━━━━━────────────────────",
        "▪ run 38.0        ▪ others 7.0",
    ]
    assert lines[4].startswith("util ")
    assert lines[4].endswith("▇  97 %")
    assert lines[5] == "412 W   61 °C         1980 MHz"
    assert lines[7] == "1 H200         91.0 of 140 GiB"
    assert lines[11] == "412 W  88 °C  thermal 1755 MHz"
    assert lines[13:] == ["cpu 34 %    ram 118 of 503 GiB", "disk              1.2 TiB free"]


def test_six_rows_hold_the_card_of_the_run() -> None:
    lines = _watch(_sample(FIRST, SECOND), size=(36, 6), device="cuda:1", focus=False)
    assert lines[0].endswith(" 1 more ↑")
    assert lines[1] == "1 NVIDIA H200 ●      91.0 of 140 GiB"
    assert lines[5] == "412 W  88 °C        thermal 1755 MHz"


def test_what_the_driver_refuses_is_said_and_quiet() -> None:
    bare = DeviceSample(0, None, "NVIDIA H200", "cuda:0")
    lines = _watch(_sample(bare), size=(30, 12))
    assert lines[1:6] == [
        "0 NVIDIA H200   n/a of n/a GiB",
        "─" * 30,
        "▪ run n/a         ▪ others n/a",
        "util                       n/a",
        "n/a W   n/a °C             n/a",
    ]

    async def look(pilot: Pilot[Any], pane: GpuPane, app: Bench) -> None:
        spans = [span for row in pane.body(30, 11) for span in row if "n/a" in span[0]]
        assert len(spans) >= 7
        assert {role for _, role in spans} <= {"quiet", "quiet on sel"}

    _watch(_sample(bare), look, size=(30, 12))


def test_heat_and_throttling_are_in_the_colour_of_warnings() -> None:
    async def look(pilot: Pilot[Any], pane: GpuPane, app: Bench) -> None:
        roles = {text: role for row in pane.body(44, 14) for text, role in row}
        assert roles["88 °C"] == "warn b"
        assert roles["61 °C"] == "ink"
        assert roles["thermal, power cap"] == "warn"

    _watch(_sample(FIRST, SECOND), look, size=(44, 15))


def test_a_card_that_is_gone_keeps_its_place() -> None:
    gone = DeviceSample(0, "GPU-a", "NVIDIA H200", "cuda:0", gone=True, words="GPU is lost")
    lines = _watch(_sample(gone, SECOND))
    assert lines[1].endswith("gone")
    assert lines[3] == "GPU is lost"
    assert lines[7].startswith("1 H200")


def test_room_is_used_for_limits_errors_slices_and_processes() -> None:
    card = replace(FIRST, mig=True, instances=(Instance(0, "NVIDIA H200 MIG 1g.18gb", None, 18 * GIB, 4 * GIB),))
    lines = _watch(_sample(card), size=(44, 20))
    assert "limit 700 W                     max 1980 MHz" in lines
    assert "memory 3201 MHz                    ecc 3 / 0" in lines
    assert "mig 1g.18gb                    4.0 of 18 GiB" in lines
    assert "▪ 4242 python train.py              38.0 GiB" in lines
    assert "▪ 99 n/a                             7.0 GiB" in lines


def test_more_processes_than_room_are_counted() -> None:
    many = replace(FIRST, processes=tuple(Process(pid, GIB, "python") for pid in range(1, 30)))
    lines = _watch(_sample(many), size=(30, 18))
    assert any(line.endswith("more processes") for line in lines)
    assert lines[-1].startswith("disk")


def test_eight_cards_fit_by_closing_those_without_the_cursor() -> None:
    async def down(pilot: Pilot[Any], pane: GpuPane, app: Bench) -> None:
        await pilot.press("down", "j", "j", "k")

    lines = _watch(_sample(*_cards(8)), down)
    assert lines[0].endswith("driver 580.95")
    assert [line[0] for line in lines[1:] if line[1:2] == " " and line[0].isdigit()] == list("01234567")
    assert lines[4].startswith("2 H200")
    assert lines[1].endswith("45.0/140   97 %")


def test_what_has_no_room_is_announced() -> None:
    lines = _watch(_sample(*_cards(12)))
    assert lines[0].endswith(" 4 more ↓")


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8, 16])
@pytest.mark.parametrize("height", range(1, 60))
def test_no_plan_is_taller_than_the_pane_and_every_cursor_shows(count: int, height: int) -> None:
    for at in range(count):
        now = plan(count, at, height)
        assert now.first <= at < now.first + len(now.sizes) <= count
        assert now.sizes[at - now.first] == 5
        gaps = sum(now.gap_before(place) for place in range(len(now.sizes)))
        rows = sum(now.sizes) + gaps + (now.details + 1 if now.details else 0) + (now.host + 1 if now.host else 0)
        assert rows <= max(5, height)


def test_enter_asks_to_train_on_the_card_at_the_cursor() -> None:
    heard: list[str] = []

    async def choose(pilot: Pilot[Any], pane: GpuPane, app: Bench) -> None:
        await pilot.press("down", "down", "enter", "up", "enter")
        await pilot.pause()
        heard.extend(each.device for each in app.heard if isinstance(each, AskDevice))

    _watch(_sample(FIRST, SECOND), choose)
    assert heard == ["cuda:1", "cuda:0"]


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ((), "There is no NVIDIA GPU here"),
        ((replace(FIRST, device=None),), "CUDA_VISIBLE_DEVICES"),
        ((replace(FIRST, gone=True),), "GPU 0 is gone"),
    ],
)
def test_a_card_that_cannot_be_used_says_why(cards: tuple[DeviceSample, ...], words: str) -> None:
    async def choose(pilot: Pilot[Any], pane: GpuPane, app: Bench) -> None:
        await pilot.press("enter")
        await pilot.pause()
        assert app.heard == []
        assert [words in note.message for note in app._notifications] == [True]

    _watch(_sample(*cards), choose)


def test_the_mouse_opens_a_card_and_asks_for_it() -> None:
    async def click(pilot: Pilot[Any], pane: GpuPane, app: Bench) -> None:
        await pilot.click(GpuPane, offset=(3, 10))
        assert app.focused is pane
        assert app.heard == []
        await pilot.click(GpuPane, offset=(3, 10), times=2)
        await pilot.pause()
        assert [each.device for each in app.heard if isinstance(each, AskDevice)] == ["cuda:1"]

    _watch(_sample(FIRST, SECOND), click, focus=False)


def test_the_cursor_goes_home_with_the_focus() -> None:
    async def leave(pilot: Pilot[Any], pane: GpuPane, app: Bench) -> None:
        await pilot.press("down")
        await pilot.pause()
        assert screen_text(app).splitlines()[1].startswith("1 ")
        app.screen.set_focus(None)

    lines = _watch(_sample(FIRST, SECOND), leave, size=(36, 6))
    assert lines[1].startswith("0 ")


def test_without_a_card_the_host_is_shown() -> None:
    lines = _watch(_sample(), size=(36, 15))
    assert lines[:6] == [
        "5 GPU ────────────────────────── cpu",
        "memory                118 of 503 GiB",
        "━━━━━━━━━───────────────────────────",
        "▪ run 4.0               ▪ others 114",
        lines[4],
        "run 187 %          disk 1.2 TiB free",
    ]
    assert lines[4].startswith("cpu ")
    assert lines[4].endswith(" 34 %")
    assert " ".join(lines[8:10]).strip() == "no NVIDIA GPU: training runs on the CPU"
    assert "Some CPU" in lines


def test_a_driver_that_does_not_work_is_said() -> None:
    lines = _watch(_sample(problem="the NVIDIA driver on disk is not the one that runs: reboot"), size=(60, 15))
    assert "the NVIDIA driver on disk is not the one that runs: reboot" in lines


def test_a_recipe_for_the_processor_shows_it_where_there_is_little_room() -> None:
    lines = _watch(_sample(FIRST), size=(36, 6), device="cpu", focus=False)
    assert lines[1].startswith("memory")
    assert _watch(_sample(FIRST), size=(36, 6), device="cpu")[1].startswith("0 NVIDIA H200")


def test_a_driver_that_is_silent_is_said() -> None:
    async def later(pilot: Pilot[Any], pane: GpuPane, app: Bench) -> None:
        pane.show(_sample(FIRST), device="auto", now=13.0)

    assert _watch(_sample(FIRST), later)[0].endswith("no answer for 12 s")


def test_before_the_first_look_it_says_what_it_does() -> None:
    assert "looking at this machine" in _watch(Sample())[1]


@pytest.mark.parametrize("size", [(1, 1), (8, 2), (12, 4), (20, 8), (139, 45)])
def test_no_size_breaks_it(size: tuple[int, int]) -> None:
    for cards in ((), (FIRST,), (FIRST, SECOND), _cards(8)):
        _watch(_sample(*cards), size=size)


def test_a_name_cannot_act() -> None:
    evil = replace(FIRST, name="[@click=app.quit]x[/] [/nope]", words="[/]", gone=True)
    lines = _watch(_sample(evil), size=(60, 12))
    assert "[@click=app.quit]x[/] [/nope]" in lines[1]


def test_rows_never_exceed_the_width() -> None:
    async def look(pilot: Pilot[Any], pane: GpuPane, app: Bench) -> None:
        for width in range(24, 100):
            assert all(len(line) <= width for line in rows_text(pane.body(width, 30)))

    _watch(
        _sample(FIRST, SECOND, replace(FIRST, index=2, uuid="c", name="NVIDIA RTX PRO 6000 Blackwell Server Edition")),
        look,
    )
