"""The host: processor, memory within the control group's limit, swap, disk, and what this run takes of them."""

from __future__ import annotations

import contextlib
import math
import os
from collections import deque
from collections.abc import Collection

import psutil

from tuitune.errors import TuiTuneError
from tuitune.fit import machine
from tuitune.monitor.sample import HISTORY, HostSample
from tuitune.run import places


class Host:
    """Reads the host; rates are those since the look before, and None at the first."""

    def __init__(self) -> None:
        self._cpu = machine.cpu()
        self._cores = machine.usable_cores()
        self._known: dict[int, psutil.Process] = {}
        self._disk_free: int | None = None
        self._swap: tuple[int | None, int | None] = (None, None)
        self._cpu_history: deque[float] = deque(maxlen=HISTORY)
        self._ram_history: deque[float] = deque(maxlen=HISTORY)
        self._first = True

    def read(self, pids: Collection[int], *, more: bool) -> HostSample:
        """Look at the host; with `more`, also at disk and swap."""
        if more:
            self._disk_free, self._swap = _disk_free(), _swap()
        percent = psutil.cpu_percent(None)
        cpu = None if self._first else percent
        self._first = False
        memory = machine.memory()
        used = max(0, memory.total - memory.available)
        self._cpu_history.append(math.nan if cpu is None else cpu)
        self._ram_history.append(float(used))
        run_cpu, run_rss = self._run(pids)
        return HostSample(
            name=self._cpu.name,
            cores=self._cores,
            cpu_percent=cpu,
            load=_load(),
            ram_used=used,
            ram_available=memory.available,
            ram_total=memory.total,
            swap_used=self._swap[0],
            swap_total=self._swap[1],
            run_cpu=run_cpu,
            run_rss=run_rss,
            disk_free=self._disk_free,
            cpu_history=tuple(self._cpu_history),
            ram_history=tuple(self._ram_history),
        )

    def miss(self, seconds: int) -> None:
        """Leave a gap of so many looks in the histories."""
        gap = [math.nan] * min(seconds, HISTORY)
        self._cpu_history.extend(gap)
        self._ram_history.extend(gap)

    def _run(self, pids: Collection[int]) -> tuple[float | None, int | None]:
        """Sum up this run's processes; a process just met has no rate yet."""
        for pid in [pid for pid in self._known if pid not in pids]:
            del self._known[pid]
        rates, sizes = [], []
        for pid in pids:
            with contextlib.suppress(psutil.Error, OSError):
                new = pid not in self._known
                process = self._known.setdefault(pid, psutil.Process(pid)) if new else self._known[pid]
                rate = process.cpu_percent(None)
                sizes.append(int(process.memory_info().rss))
                if not new:
                    rates.append(rate)
        return sum(rates) if rates else None, sum(sizes) if sizes else None


def _disk_free() -> int | None:
    try:
        return machine.disk_free(places.runs())
    except TuiTuneError:
        return None


def _swap() -> tuple[int | None, int | None]:
    try:
        found = psutil.swap_memory()
    except (OSError, RuntimeError):
        return None, None  # some containers hide /proc/vmstat
    return int(found.used), int(found.total)


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except OSError:
        return None
