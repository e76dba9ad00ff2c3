from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tuitune.fit.machine import Memory
from tuitune.monitor import DeviceSample, Process, Sample, Sampler
from tuitune.monitor.cards import Cards
from tuitune.monitor.host import Host, machine
from tuitune.monitor.processes import described, own_memory, sees_host_pids
from tuitune.monitor.visible import device_names

_CARDS = [(0, "GPU-aa"), (1, "GPU-bb"), (2, "GPU-cc")]


def test_the_monitor_knows_neither_screen_nor_torch() -> None:
    code = (
        "import sys, tuitune.monitor\n"
        "tuitune.monitor.Sampler().start().stop()\n"
        "print(sorted({'torch', 'textual', 'rich', 'transformers', 'numpy'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, {0: "cuda:0", 1: "cuda:1", 2: "cuda:2"}),
        ({"CUDA_VISIBLE_DEVICES": ""}, {0: "cuda:0", 1: "cuda:1", 2: "cuda:2"}),
        ({"CUDA_VISIBLE_DEVICES": "2,0"}, {2: "cuda:0", 0: "cuda:1"}),
        ({"CUDA_VISIBLE_DEVICES": "GPU-b"}, {1: "cuda:0"}),
        ({"CUDA_VISIBLE_DEVICES": "MIG-1"}, {2: "cuda:0"}),
        ({"CUDA_VISIBLE_DEVICES": "0,7,1"}, {0: "cuda:0"}),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, {}),
        ({"CUDA_VISIBLE_DEVICES": "1", "TUITUNE_GIVEN_DEVICES": "0,1"}, {0: "cuda:0", 1: "cuda:1"}),
        ({"CUDA_VISIBLE_DEVICES": "0", "TUITUNE_GIVEN_DEVICES": ""}, {0: "cuda:0", 1: "cuda:1", 2: "cuda:2"}),
    ],
)
def test_cards_are_named_as_cuda_counts_them(environ: dict[str, str], expected: dict[int, str]) -> None:
    assert device_names(_CARDS, {"MIG-1": 2}, environ) == expected


def _known(pid: int, memory: int | None) -> Process:
    return Process(pid, memory, "python train.py")


def test_own_memory_is_told_only_where_process_numbers_can_be_trusted() -> None:
    ours, other, foreign = _known(5, 40), _known(6, 2), Process(70123, 9, "")
    assert own_memory([ours, other], {5}, host_pids=True) == 40
    assert own_memory([other], {5}, host_pids=True) == 0
    assert own_memory(None, {5}, host_pids=True) is None
    assert own_memory([_known(5, None)], {5}, host_pids=True) is None
    assert own_memory([other], set(), host_pids=True) == 0
    # In a container: the host's numbers, or none at all.
    assert own_memory([foreign], {5}, host_pids=False) is None
    assert own_memory([], {5}, host_pids=False) is None
    assert own_memory([ours, foreign], {5}, host_pids=False) == 40
    assert own_memory([other], {5}, host_pids=False) == 0


def test_others_have_all_that_is_not_known_to_be_ours() -> None:
    assert DeviceSample(0, None, "x", used=10, own=None).others == 10
    assert DeviceSample(0, None, "x", used=10, own=4).others == 6
    assert DeviceSample(0, None, "x", used=None, own=4).others is None


def test_processes_are_listed_once_and_the_largest_first() -> None:
    found = described([(1 << 30, 5), (os.getpid(), 3), (os.getpid(), 4), (1 << 29, None)])
    assert [(each.pid, each.memory) for each in found] == [(os.getpid(), 7), (1 << 30, 5), (1 << 29, None)]
    assert "python" in found[0].command
    assert found[1].command == ""


def test_a_command_line_cannot_write_to_the_terminal() -> None:
    evil = "a\x1b]0;PWN\x07b"
    command = [sys.executable, "-c", "print(flush=True); input()", evil]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()  # from here on it is itself and no longer a copy of us
        assert described([(process.pid, 1)])[0].command.endswith("input() ab")
    finally:
        process.communicate(b"\n")


def test_the_namespace_of_process_numbers(tmp_path: Path) -> None:
    link = tmp_path / "pid"
    link.symlink_to("pid:[4026531836]")
    assert sees_host_pids(link)
    link.unlink()
    link.symlink_to("pid:[4026532999]")
    assert not sees_host_pids(link)
    assert sees_host_pids(tmp_path / "none")


def test_host_memory_is_that_of_the_control_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory", lambda: Memory(total=1000, available=300, limit=1000))
    host = Host()
    first, second = (host.read({os.getpid()}, more=True) for _ in range(2))
    assert (first.ram_used, first.ram_available, first.ram_total) == (700, 300, 1000)
    assert (first.cpu_percent, first.run_cpu) == (None, None), "a rate needs two looks"
    assert second.cpu_percent is not None
    assert second.run_cpu is not None
    assert (second.run_rss or 0) > 1 << 20
    assert second.disk_free
    assert len(second.cpu_history) == 2


def test_a_process_that_ended_takes_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    found = Host().read({process.pid}, more=False)
    assert (found.run_cpu, found.run_rss) == (None, None)


def test_the_card_that_a_recipe_means() -> None:
    def card(index: int, **more: int) -> DeviceSample:
        return DeviceSample(index, None, "x", f"cuda:{index}", **more)

    idle = Sample((card(0, free=5), card(1, free=9)))
    assert idle.card("cpu") is None
    assert idle.card("cuda:0") is idle.devices[0]
    assert idle.card("cuda:7") is None
    assert idle.card("auto") is idle.devices[1]
    busy = Sample((card(0, free=5, own=3), card(1, free=9, own=0)))
    assert busy.card("auto") is busy.devices[0]
    lost = Sample((card(0, free=5), DeviceSample(1, None, "x", "cuda:1", gone=True)))
    assert lost.card("auto") is lost.devices[0]
    assert lost.card("cuda:1") is lost.devices[1]
    assert Sample().card("auto") is None


def test_what_goes_wrong_is_said_and_the_thread_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = threading.Event()
    broken.set()
    real = Host.read

    def read(self: Host, *arguments: object, **more: object) -> object:
        if broken.is_set():
            raise ValueError("odd \x1b[2Jnumbers")
        return real(self, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Host, "read", read)
    sampler = Sampler(nvml=False, period=0.01).start()
    try:
        _until(lambda: sampler.latest().problem == "the machine cannot be looked at: odd numbers")
        broken.clear()
        _until(lambda: sampler.latest().problem is None and sampler.latest().host.ram_total)
    finally:
        sampler.stop()


def test_the_latest_look_is_there_at_once_even_if_a_driver_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    hanging, asked = threading.Event(), threading.Event()

    def read(self: Cards, *arguments: object, **more: object) -> tuple[DeviceSample, ...]:
        asked.set()
        hanging.wait(30)
        return ()

    monkeypatch.setattr(Cards, "read", read)
    sampler = Sampler(period=0.01).start()
    assert asked.wait(30)
    assert sampler.latest() == Sample()
    sampler.stop(timeout=0)
    hanging.set()


def _until(what: object) -> None:
    end = time.monotonic() + 60
    while not what():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.005)
