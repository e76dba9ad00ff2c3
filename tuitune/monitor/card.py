"""One NVIDIA card: what it is, what it does now, what it did in the last two minutes, also while it is gone."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from tuitune.monitor.nvml import CardLost, Nvml
from tuitune.monitor.processes import described, own_memory
from tuitune.monitor.sample import HISTORY, DeviceSample, Instance, Process

# Why a card holds its clocks down, the gravest first; being idle is no reason to worry and not among them.
_REASONS = (
    (0x40, "hw thermal"), (0x20, "thermal"), (0x80, "power brake"), (0x8, "hw slowdown"), (0x400, "reliability"),
    (0x4, "power cap"), (0x200, "board limit"), (0x10, "sync boost"), (0x2, "clocks set"), (0x100, "display clocks"),
)  # fmt: skip
_HW_SLOWDOWN, _ITS_CAUSES = 0x8, 0x40 | 0x80
_MEMORY_V2 = 0x02000028


class Card:
    """A card, found again by its UUID or its place on the bus."""

    def __init__(self, index: int, name: str, uuid: str | None = None, bus: str | None = None) -> None:
        self._nvml: Nvml | None = None
        self._handle: Any = None
        self._slices: list[tuple[Instance, Any]] = []
        self._history: deque[float] = deque(maxlen=HISTORY)
        self._used: deque[float] = deque(maxlen=HISTORY)
        self.sample = DeviceSample(index=index, uuid=uuid, name=name, bus=bus)

    def attach(self, nvml: Nvml, handle: Any, index: int) -> None:
        """Take a fresh handle: the card is here, or here again."""
        self._nvml, self._handle = nvml, handle
        self.sample = replace(
            self.sample,
            index=index,
            gone=False,
            words="",
            max_sm_mhz=nvml.whole("nvmlDeviceGetMaxClockInfo", handle, nvml.lib.NVML_CLOCK_SM),
            slowdown_c=nvml.whole(
                "nvmlDeviceGetTemperatureThreshold", handle, nvml.lib.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN
            ),
        )

    def lose(self, words: str) -> None:
        """Keep the card as one that is gone; nothing that it said last is shown as present."""
        self._handle, self._slices = None, []
        last = self.sample
        gone = DeviceSample(index=last.index, uuid=last.uuid, name=last.name, device=last.device, bus=last.bus)
        self.sample = replace(gone, total=last.total, slowdown_c=last.slowdown_c, gone=True, words=words)

    def miss(self, seconds: int) -> None:
        """Leave a gap of so many looks in the history."""
        for _ in range(min(seconds, HISTORY)):
            self._remember(None, None)

    def read(self) -> DeviceSample:
        """Ask for what is cheap: memory, utilisation, power, temperature, clocks, reasons."""
        if self._nvml is not None and self._handle is not None:
            try:
                self.sample = replace(self.sample, **self._quick(self._nvml, self._handle))
            except CardLost as error:
                self.lose(str(error))
        self._remember(self.sample.utilisation, self.sample.used)
        self.sample = replace(self.sample, history=tuple(self._history), used_history=tuple(self._used))
        return self.sample

    def read_more(self, pids: Collection[int], *, host_pids: bool) -> None:
        """Ask for what is dear or seldom changes: processes, memory errors, MIG slices."""
        if self._nvml is None or self._handle is None:
            return
        try:
            processes = self._processes(self._nvml, self._handle)
            self._slices = _slices(self._nvml, self._handle)
            self.sample = replace(self.sample, processes=processes, mig=bool(self._slices) or self._in_mig_mode())
            self.sample = replace(self.sample, **_errors(self._nvml, self._handle))
        except CardLost as error:
            self.lose(str(error))
        self.own_by(pids, host_pids=host_pids)

    def own_by(self, pids: Collection[int], *, host_pids: bool) -> None:
        """Say which processes are this run's."""
        if self.sample.gone:
            return
        found = self.sample.processes
        own = own_memory(found, pids, host_pids=host_pids)
        marked = None if found is None else tuple(replace(each, ours=each.pid in pids) for each in found)
        self.sample = replace(self.sample, own=own, processes=marked)

    def _remember(self, utilisation: int | None, used: int | None) -> None:
        self._history.append(math.nan if utilisation is None else float(utilisation))
        self._used.append(math.nan if used is None else float(used))

    def _quick(self, nvml: Nvml, handle: Any) -> dict[str, Any]:
        memory, rates = _memory(nvml, handle), nvml.ask("nvmlDeviceGetUtilizationRates", handle)
        power = nvml.whole("nvmlDeviceGetPowerUsage", handle)
        limit = nvml.whole("nvmlDeviceGetEnforcedPowerLimit", handle)
        return {
            "total": memory[0], "used": memory[1], "free": memory[2],
            "utilisation": None if rates is None else min(100, int(rates.gpu)),
            "power_w": None if power is None else power / 1000,
            "power_limit_w": None if limit is None else limit / 1000,
            "temperature_c": nvml.whole("nvmlDeviceGetTemperature", handle, nvml.lib.NVML_TEMPERATURE_GPU),
            "sm_mhz": nvml.whole("nvmlDeviceGetClockInfo", handle, nvml.lib.NVML_CLOCK_SM),
            "mem_mhz": nvml.whole("nvmlDeviceGetClockInfo", handle, nvml.lib.NVML_CLOCK_MEM),
            "reasons": _reasons(nvml, handle),
            "instances": tuple(_measured(nvml, instance, slot) for instance, slot in self._slices),
        }  # fmt: skip

    def _in_mig_mode(self) -> bool:
        mode = self._nvml.ask("nvmlDeviceGetMigMode", self._handle) if self._nvml else None
        return mode is not None and mode[0] == 1

    def _processes(self, nvml: Nvml, handle: Any) -> tuple[Process, ...] | None:
        found = nvml.ask("nvmlDeviceGetComputeRunningProcesses_v3", handle)
        if found is None:
            found = nvml.ask("nvmlDeviceGetComputeRunningProcesses_v2", handle)
        if found is None:
            return None
        return described((int(process.pid), process.usedGpuMemory) for process in found)


def _memory(nvml: Nvml, handle: Any) -> tuple[int | None, int | None, int | None]:
    # The second version leaves out what the driver keeps for itself, as nvidia-smi does; older drivers have the first.
    found = nvml.ask("nvmlDeviceGetMemoryInfo", handle, _MEMORY_V2)
    if found is None:
        found = nvml.ask("nvmlDeviceGetMemoryInfo", handle)
    return (None, None, None) if found is None else (int(found.total), int(found.used), int(found.free))


def _reasons(nvml: Nvml, handle: Any) -> tuple[str, ...]:
    bits = nvml.ask("nvmlDeviceGetCurrentClocksEventReasons", handle)
    if bits is None:
        bits = nvml.ask("nvmlDeviceGetCurrentClocksThrottleReasons", handle) or 0
    if bits & _ITS_CAUSES:
        bits &= ~_HW_SLOWDOWN
    return tuple(word for bit, word in _REASONS if bits & bit)


def _errors(nvml: Nvml, handle: Any) -> dict[str, Any]:
    lib, ask = nvml.lib, "nvmlDeviceGetTotalEccErrors"
    return {
        "ecc_corrected": nvml.whole(ask, handle, lib.NVML_MEMORY_ERROR_TYPE_CORRECTED, lib.NVML_VOLATILE_ECC),
        "ecc_uncorrected": nvml.whole(ask, handle, lib.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, lib.NVML_VOLATILE_ECC),
    }


def _slices(nvml: Nvml, handle: Any) -> list[tuple[Instance, Any]]:
    mode = nvml.ask("nvmlDeviceGetMigMode", handle)
    if mode is None or mode[0] != 1:
        return []
    found = []
    for index in range(nvml.whole("nvmlDeviceGetMaxMigDeviceCount", handle) or 0):
        slot = nvml.ask("nvmlDeviceGetMigDeviceHandleByIndex", handle, index)
        if slot is not None:
            name = nvml.text("nvmlDeviceGetName", slot) or f"MIG {index}"
            found.append((Instance(index, name, nvml.text("nvmlDeviceGetUUID", slot)), slot))
    return found


def _measured(nvml: Nvml, instance: Instance, slot: Any) -> Instance:
    total, used, _ = _memory(nvml, slot)
    return replace(instance, total=total, used=used)
