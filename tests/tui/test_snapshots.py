"""A few whole screens at fixed sizes, as text. TUITUNE_SNAPSHOTS=update in the environment renews them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.tui.evaluated import a_run as evaluated_run
from tests.tui.evaluated import evaluated
from tests.tui.given import screen_text
from tests.tui.runs import online, opening, run_with, steps
from tests.tui.test_app import opened, until
from tests.tui.test_data_screen import hand_made, packs, pairs
from tuitune.data.look import Look
from tuitune.monitor import Sampler
from tuitune.monitor.sample import DeviceSample, HostSample, Sample
from tuitune.run import RunDir, events, places
from tuitune.tui.app import TuiTune
from tuitune.tui.draft import Draft
from tuitune.tui.leave import Leave
from tuitune.tui.panes.data_rows import RowsPane
from tuitune.tui.panes.loss import LossPane
from tuitune.tui.screens.data import DataScreen
from tuitune.tui.screens.evaluate import EvaluateScreen
from tuitune.tui.settings import Settings

FOLDER = Path(__file__).parent / "snapshots"
GIB = 1 << 30
CARDS = tuple(
    DeviceSample(
        index=index, uuid=f"GPU-{index}", name="NVIDIA H200", device=f"cuda:{index}", total=140 * GIB,
        used=used * GIB, free=(140 - used) * GIB, own=own * GIB, utilisation=97, power_w=412.0, power_limit_w=700.0,
        temperature_c=61 + 5 * index, sm_mhz=1980, history=(97.0,) * 60,
    )
    for index, (used, own) in enumerate(((45, 38), (92, 0)))
)  # fmt: skip
SAMPLE = Sample(
    CARDS,
    HostSample(
        name="A processor", cores=16, cpu_percent=34.0, ram_used=118 * GIB, ram_available=385 * GIB,
        ram_total=503 * GIB, disk_free=1200 * GIB, run_cpu=150.0, run_rss=3 * GIB, load=2.0,
    ),
    driver="580.95",
    t=1.0,
)  # fmt: skip


class Still(Sampler):
    """A machine on which nothing moves."""

    def start(self) -> Sampler:
        return self

    def latest(self) -> Sample:
        return Sample(SAMPLE.devices, SAMPLE.host, SAMPLE.driver, None, time.monotonic())


@pytest.fixture(autouse=True)
def same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in {
        "TUITUNE_HOME": tmp_path / "home", "TUITUNE_CACHE": tmp_path / "cache", "HF_HOME": tmp_path / "hub", "TZ": "UTC"
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("tuitune.tui.fitting.torch_has_cuda", lambda: True)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def a_run(folder: Path) -> RunDir:
    found = [*opening(300), *steps(1, 300), events.RunFinished(300, 330.0, "finished", "final", {}, t=1_795_370_400.0)]
    return run_with(folder, found, "finished", step=300)


def a_rewarded_run(folder: Path) -> RunDir:
    ended = events.RunFinished(300, 330.0, "finished", "final", {}, t=1_795_370_400.0)
    return run_with(folder, [*online(1, 300), ended], "finished", step=300)


@pytest.mark.parametrize(
    ("name", "size", "keys"),
    [
        ("workbench-160x50", (160, 50), []),
        ("workbench-120x40", (120, 40), []),
        ("loss-80x24", (80, 24), ["3"]),
        ("recipe-80x24", (80, 24), ["2"]),
        ("rewards-160x50", (160, 50), ["7"]),
        ("rewards-120x40", (120, 40), ["7", "z"]),
        ("rewards-loss-80x24", (80, 24), ["3"]),
        ("rewards-answers-80x24", (80, 24), ["7"]),
    ],
)
def test_screen(name: str, size: tuple[int, int], keys: list[str], tmp_path: Path) -> None:
    async def work() -> str:
        draft = Draft()
        draft.use_preset("quickstart")
        run = a_rewarded_run(tmp_path) if name.startswith("rewards") else a_run(tmp_path)
        app = TuiTune(draft, Settings.load(), run=run, sampler=Still(nvml=False))
        async with opened(app, size) as pilot:
            await until(pilot, lambda: app.control.view is not None)
            if size[0] < 100:  # the curve comes to the front there
                await until(pilot, lambda: isinstance(app.focused, LossPane))
            draft.use_preset("quickstart")
            draft.set("lora_rank", 16)
            await pilot.press(*keys)
            alone = "loss" in name or "answers" in name or "z" in keys
            await until(pilot, lambda: alone or "Fit ≈" in screen_text(app))
            await until(pilot, lambda: "7" not in keys or "Ann has" in screen_text(app))
            app.tick()
            return await drawn(pilot, name)

    assert asyncio.run(work()) == kept(name)


@pytest.mark.parametrize(
    ("name", "size", "found", "keys"),
    [
        ("data-160x50", (160, 50), hand_made, ["n"]),
        ("data-120x40", (120, 40), pairs, []),
        ("data-80x24", (80, 24), hand_made, ["u"]),
        ("data-batches-120x40", (120, 40), packs, ["b"]),
    ],
)
def test_data(name: str, size: tuple[int, int], found: Callable[[], Look], keys: list[str]) -> None:
    async def work() -> str:
        draft = Draft()
        draft.use_preset("quickstart")
        app = TuiTune(draft, Settings.load(), sampler=Still(nvml=False))
        app.datalook.look = found()
        async with opened(app, size) as pilot:
            await pilot.press("f3")
            await until(
                pilot, lambda: isinstance(app.screen, DataScreen) and len(app.screen.query_one(RowsPane).list) > 0
            )
            await pilot.press(*keys)
            app.tick()
            return await drawn(pilot, name)

    assert asyncio.run(work()) == kept(name)


@pytest.mark.parametrize(
    ("name", "size", "keys"),
    [
        ("evaluate-160x50", (160, 50), ["3"]),
        ("evaluate-120x40", (120, 40), ["3", "down"]),
        ("evaluate-rows-120x40", (120, 40), ["4", "down"]),
        ("evaluate-80x24", (80, 24), ["3", "end"]),
    ],
)
def test_evaluate(name: str, size: tuple[int, int], keys: list[str]) -> None:
    async def work() -> str:
        draft = Draft()
        draft.use_preset("quickstart")
        evaluated(evaluated_run(places.runs(), "tuned"))
        app = TuiTune(draft, Settings.load(), sampler=Still(nvml=False))
        async with opened(app, size) as pilot:
            app.show_screen("evaluate", "tuned")
            await until(pilot, lambda: isinstance(app.screen, EvaluateScreen) and app.screen.found is not None)
            await pilot.press(*keys)
            app.tick()
            return await drawn(pilot, name)

    assert asyncio.run(work()) == kept(name)


async def drawn(pilot: Pilot[Leave], name: str) -> str:
    """Return the screen once it is as it was kept; where it never is, or is renewed, once nothing changes any more."""
    renewed = os.environ.get("TUITUNE_SNAPSHOTS") == "update"
    wanted, end = "" if renewed else kept(name), time.monotonic() + (0 if renewed else 30)
    before, found = "", shown(pilot)
    while found != wanted and (found != before or time.monotonic() < end):
        await pilot.pause(0.3)
        before, found = found, shown(pilot)
    if renewed:
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / f"{name}.txt").write_text(found, encoding="utf-8")
    return found


def shown(pilot: Pilot[Leave]) -> str:
    return "\n".join(line.rstrip() for line in screen_text(pilot.app).splitlines()) + "\n"


def kept(name: str) -> str:
    return (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
