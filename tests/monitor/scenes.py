"""What happens to cards while they are watched: each scene runs in a process of its own, on the fake NVML.

`python -m tests.monitor.scenes NAME` plays one; test_nvml.py plays them all.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tuitune.monitor import DeviceSample, Sample, Sampler

GIB = 1 << 30
_STATE = Path(os.environ.get("FAKE_NVML_STATE", "nowhere"))
_now: dict[str, int] = {}


def cards(**more: int) -> None:
    """Change the cards: `cards(cards=2, c0_used=5)` writes the keys `cards` and `0.used`."""
    for name, number in more.items():
        key = name[1:].replace("_", ".", 1) if name[0] == "c" and name[1].isdigit() else name
        _now[key] = number
    written = _STATE.with_suffix(".new")
    written.write_text("".join(f"{key} {number}\n" for key, number in _now.items()))
    written.replace(_STATE)


@contextmanager
def watching(*pids: int) -> Iterator[Sampler]:
    sampler = Sampler(period=0.01, slow=0.02, retry=0.02)
    sampler.watch(pids or [os.getpid()])
    sampler.start()
    try:
        yield sampler
    finally:
        sampler.stop()


def until(sampler: Sampler, what: Callable[[Sample], bool]) -> Sample:
    end = time.monotonic() + 60
    while not what(sampler.latest()):
        assert time.monotonic() < end, sampler.latest()
        time.sleep(0.005)
    return sampler.latest()


def both(sample: Sample) -> bool:
    return len(sample.devices) == 2 and not any(card.gone for card in sample.devices)


def two_cards() -> None:
    cards(c0_used=38 * GIB, c1_used=91 * GIB, c1_util=64)
    with watching() as sampler:
        found = until(sampler, both)
        first, second = found.devices
        assert (found.driver, found.problem) == ("580.95.05", None)
        assert [card.name for card in found.devices] == ["NVIDIA H200", "NVIDIA H200"]
        assert [card.device for card in found.devices] == ["cuda:0", "cuda:1"]
        assert [card.uuid for card in found.devices] == ["GPU-0000-0", "GPU-0000-1"]
        assert (first.total, first.used, first.free) == (140 * GIB, 38 * GIB, 140 * GIB - 38 * GIB - GIB // 2)
        assert (first.utilisation, second.utilisation) == (87, 64)
        assert (first.power_w, first.power_limit_w, first.temperature_c, first.slowdown_c) == (412.345, 700, 61, 92)
        assert (first.sm_mhz, first.mem_mhz, first.max_sm_mhz) == (1980, 3201, 1980)
        assert (first.ecc_corrected, first.ecc_uncorrected, first.bus) == (0, 0, "00000000:18:00.0")


def memory_changes_live() -> None:
    with watching() as sampler:
        until(sampler, both)
        for gib in (3, 60, 7):
            cards(c1_used=gib * GIB)
            until(sampler, lambda sample, gib=gib: sample.devices[1].used == gib * GIB)
        assert sampler.latest().devices[0].used == 2 * GIB
        assert len([value for value in sampler.latest().devices[1].used_history if value == 60 * GIB]) >= 1
        assert sampler.latest().devices[1].history[-1] == 87


def mig_refuses_utilisation() -> None:
    cards(c0_mig=2, c0_used=8 * GIB)
    with watching() as sampler:
        card = until(sampler, lambda sample: both(sample) and len(sample.devices[0].instances) == 2).devices[0]
        assert card.mig
        assert (card.utilisation, card.power_w, card.power_limit_w) == (None, None, None)
        assert (card.used, card.temperature_c) == (8 * GIB, 61)
        assert [(each.name, each.used, each.total) for each in card.instances] == [
            ("NVIDIA H200 MIG 1g.18gb", 4 * GIB, 18 * GIB)
        ] * 2
        assert (sampler.latest().devices[1].mig, sampler.latest().devices[1].utilisation) == (False, 87)


def a_card_is_lost_and_returns() -> None:
    with watching() as sampler:
        until(sampler, both)
        cards(c1_lost=1)
        sample = until(sampler, lambda sample: sample.devices[1].gone)
        card = sample.devices[1]
        assert (card.index, card.name, card.uuid, card.device) == (1, "NVIDIA H200", "GPU-0000-1", "cuda:1")
        assert (card.used, card.utilisation, card.power_w, card.own) == (None, None, None, None)
        assert "lost" in card.words.lower()
        assert sample.devices[0].used == 2 * GIB
        cards(c1_lost=0, c1_used=5 * GIB)
        card = until(sampler, both).devices[1]
        assert (card.words, card.uuid) == ("", "GPU-0000-1")
        assert until(sampler, lambda sample: sample.devices[1].used == 5 * GIB)


def a_card_is_listed_no_more() -> None:
    with watching() as sampler:
        until(sampler, both)
        cards(cards=1)
        sample = until(sampler, lambda sample: sample.devices[1].gone)
        assert (len(sample.devices), sample.devices[0].gone) == (2, False)
        cards(cards=2)
        until(sampler, both)


def a_card_that_never_answered() -> None:
    cards(c1_lost=1)
    with watching() as sampler:
        sample = until(sampler, lambda sample: len(sample.devices) == 2)
        assert (sample.devices[1].gone, sample.devices[1].index) == (True, 1)
        cards(c1_lost=0)
        found = until(sampler, both).devices
        assert [card.uuid for card in found] == ["GPU-0000-0", "GPU-0000-1"]


def own_and_other_memory() -> None:
    other = os.getppid()
    cards(c0_used=50 * GIB, c0_pid=os.getpid(), c0_pidmem=38 * GIB, c0_pid2=other, c0_pidmem2=7 * GIB)
    with watching() as sampler:
        card = until(sampler, lambda sample: both(sample) and bool(sample.devices[0].processes)).devices[0]
        assert (card.own, card.others) == (38 * GIB, 12 * GIB)
        found = [(each.pid, each.memory, each.ours) for each in card.processes or ()]
        assert found == [(os.getpid(), 38 * GIB, True), (other, 7 * GIB, False)]
        assert "tests.monitor.scenes" in (card.processes or ())[0].command
        sampler.watch([])
        until(sampler, lambda sample: sample.devices[0].own == 0)
        sampler.watch([other])
        until(sampler, lambda sample: sample.devices[0].own == 45 * GIB)  # the other one has started this one


def a_child_of_the_run_is_the_run() -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        cards(c0_used=50 * GIB, c0_pid=child.pid, c0_pidmem=9 * GIB)
        with watching() as sampler:
            until(sampler, lambda sample: both(sample) and sample.devices[0].own == 9 * GIB)
    finally:
        child.kill()
        child.wait()


def memory_of_the_run_is_not_told() -> None:
    cards(c0_pid=os.getpid(), c0_used=9 * GIB)
    with watching() as sampler:
        card = until(sampler, lambda sample: both(sample) and bool(sample.devices[0].processes)).devices[0]
        assert (card.own, card.others) == (None, 9 * GIB)


def reasons_in_words() -> None:
    expected = {
        0x1: (), 0x4: ("power cap",), 0x20 | 0x4: ("thermal", "power cap"), 0x8 | 0x40: ("hw thermal",),
        0x8: ("hw slowdown",), 0x8 | 0x80: ("power brake",),
    }  # fmt: skip
    with watching() as sampler:
        until(sampler, both)
        for bits, words in expected.items():
            cards(c0_reasons=0x10)
            until(sampler, lambda sample: sample.devices[0].reasons == ("sync boost",))
            cards(c0_reasons=bits)
            until(sampler, lambda sample: sample.devices[0].reasons != ("sync boost",))
            assert sampler.latest().devices[0].reasons == words


def an_old_driver() -> None:
    cards(c0_used=9 * GIB, c0_pid=os.getpid(), c0_pidmem=GIB, c0_reasons=0x4)
    with watching() as sampler:
        card = until(sampler, both).devices[0]
        assert (card.total, card.used) == (140 * GIB, 9 * GIB + GIB // 2)
        assert (card.own, card.utilisation, card.reasons) == (GIB, 87, ("power cap",))
        assert (card.power_limit_w, card.ecc_corrected, card.mig, card.instances) == (None, None, False, ())


def an_older_driver() -> None:
    cards(c0_used=9 * GIB)
    with watching() as sampler:
        card = until(sampler, both).devices[0]
        assert (card.processes, card.own, card.others) == (None, None, 9 * GIB + GIB // 2)


def a_driver_that_does_not_fit_its_library() -> None:
    cards(init=18)
    with watching() as sampler:
        sample = until(sampler, lambda sample: sample.t > 0)
        assert (sample.devices, sample.problem) == ((), "the NVIDIA driver on disk is not the one that runs: reboot")
        assert sample.host.ram_total
        cards(init=0)
        assert until(sampler, both).problem is None


def no_driver_is_no_problem() -> None:
    cards(init=9)
    with watching() as sampler:
        sample = until(sampler, lambda sample: sample.t > 0)
        assert (sample.devices, sample.problem) == ((), None)


def nothing_is_asked_while_paused() -> None:
    with watching() as sampler:
        until(sampler, both)
        sampler.pause()
        before = _parked(sampler)
        cards(c0_used=77 * GIB)
        time.sleep(0.2)  # twenty of its turns
        assert sampler.latest() is before
        assert before.devices[0].used == 2 * GIB
        sampler.resume()
        card = until(sampler, lambda sample: sample.devices[0].used == 77 * GIB).devices[0]
        assert any(value != value for value in card.history), "a pause leaves a gap"


def _parked(sampler: Sampler) -> Sample:
    """Wait until the sampler's thread waits and the look that was under way is over; return that look."""
    end = time.monotonic() + 60
    while True:
        with sampler._turn:
            if sampler._turn._waiters:  # type: ignore[attr-defined]  # those who wait since they were last woken
                return sampler.latest()
        assert time.monotonic() < end
        time.sleep(0.005)


def the_scheduler_gave_one_card() -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = "1"
    with watching() as sampler:
        sample = until(sampler, both)
        assert [card.device for card in sample.devices] == [None, "cuda:0"]
        assert (sample.card("cuda:0"), sample.card("auto")) == (sample.devices[1], sample.devices[1])


def the_pane_follows() -> None:
    print(json.dumps(asyncio.run(_pane())))


async def _pane() -> dict[str, str]:
    from tests.tui.given import bench, screen_text
    from tuitune.tui.panes.gpu import GpuPane

    cards(c0_used=45 * GIB, c0_pid=os.getpid(), c0_pidmem=38 * GIB, c1_used=91 * GIB, c1_reasons=0x4, c1_degrees=88)
    shown = {}
    with watching() as sampler:
        app = bench(GpuPane(), css="GpuPane { width: 30; height: 15; }")
        async with app.run_test(size=(140, 20), notifications=True) as pilot:
            pane = app.query_one(GpuPane)

            async def seen(name: str, what: Callable[[tuple[DeviceSample, ...]], bool]) -> None:
                sample = until(sampler, lambda sample: both_listed(sample) and what(sample.devices))
                pane.show(sample, device="cuda:0")
                await pilot.pause()
                shown[name] = screen_text(app)

            await seen("start", lambda found: found[0].own == 38 * GIB)
            cards(c0_used=60 * GIB)
            await seen("grown", lambda found: found[0].used == 60 * GIB)
            cards(c0_mig=2)
            await seen("mig", lambda found: found[0].mig and found[0].utilisation is None)
            cards(c1_lost=1)
            await seen("gone", lambda found: found[1].gone)
            cards(c1_lost=0)
            await seen("back", lambda found: not found[1].gone)
    return shown


def both_listed(sample: Sample) -> bool:
    return len(sample.devices) == 2


if __name__ == "__main__":
    globals()[sys.argv[1]]()
