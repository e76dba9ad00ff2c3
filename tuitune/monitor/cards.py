"""All cards: found when the driver comes, kept when one of them goes, found again when it returns."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from tuitune.monitor.card import Card
from tuitune.monitor.nvml import CardLost, Nvml, NvmlProblem
from tuitune.monitor.processes import sees_host_pids
from tuitune.monitor.sample import DeviceSample
from tuitune.monitor.visible import device_names

_SILENT = "a card that does not answer"


class Cards:
    """The cards of this machine; `retry` is how often (seconds) NVML is started anew while something is missing."""

    def __init__(self, retry: float = 30.0) -> None:
        self.driver: str | None = None
        self.problem: str | None = None
        self._retry = retry
        self._tried: float | None = None
        self._nvml: Nvml | None = None
        self._cards: dict[str, Card] = {}
        self._host_pids = sees_host_pids()

    def read(self, t: float, pids: Collection[int], *, more: bool) -> tuple[DeviceSample, ...]:
        """Look at each card; with `more`, also for cards that came or went, processes and memory errors."""
        missing = self._nvml is None or any(card.sample.gone for card in self._cards.values())
        if missing and (self._tried is None or t - self._tried >= self._retry):
            self._tried = t
            self._start()
            more = True
        if self._nvml is None:
            return self._named()
        if more:
            self._find(self._nvml)
            for card in self._cards.values():
                card.read_more(pids, host_pids=self._host_pids)
        for card in self._cards.values():
            card.own_by(pids, host_pids=self._host_pids)
            card.read()
        return self._named()

    def miss(self, seconds: int) -> None:
        """Leave a gap in every history: nobody looked."""
        for card in self._cards.values():
            card.miss(seconds)

    def close(self) -> None:
        """Let the driver go."""
        if self._nvml is not None:
            self._nvml.close()
            self._nvml = None

    def _start(self) -> None:
        self.close()
        try:
            self._nvml = Nvml()
            self.driver = self._nvml.text("nvmlSystemGetDriverVersion")
            self.problem = None
        except (NvmlProblem, CardLost) as problem:
            self._nvml, self.problem = None, str(problem) or None
            for card in self._cards.values():
                card.lose(self.problem or "the NVIDIA driver is gone")

    def _find(self, nvml: Nvml) -> None:
        try:
            count = int(nvml.demand("nvmlDeviceGetCount"))
        except CardLost as error:
            self.problem = f"NVML does not list the GPUs: {error}"
            return
        self.problem = None
        found = {self._meet(nvml, index) for index in range(count)}
        for key, card in self._cards.items():
            if key not in found and not card.sample.gone:
                card.lose("the driver lists it no more")

    def _meet(self, nvml: Nvml, index: int) -> str | None:
        nameless = f"#{index}"
        try:
            handle = nvml.demand("nvmlDeviceGetHandleByIndex", index)
            uuid, bus = nvml.text("nvmlDeviceGetUUID", handle), _bus(nvml, handle)
            name = nvml.text("nvmlDeviceGetName", handle) or "unknown card"
            key = uuid or bus or nameless
            if key != nameless:
                self._cards.pop(nameless, None)
            card = self._cards.setdefault(key, Card(index, name, uuid, bus))
            card.attach(nvml, handle, index)
        except CardLost as error:
            return self._silent(index, nameless, str(error))
        return key

    def _silent(self, index: int, nameless: str, words: str) -> str:
        """Note that no card answers at `index`: a known one is gone, or there is one that we never met."""
        key = next((key for key, card in self._cards.items() if card.sample.index == index), nameless)
        self._cards.setdefault(key, Card(index, _SILENT)).lose(words)
        return key

    def _named(self) -> tuple[DeviceSample, ...]:
        samples = sorted((card.sample for card in self._cards.values()), key=lambda sample: sample.index)
        slices = {each.uuid: sample.index for sample in samples for each in sample.instances if each.uuid}
        names = device_names([(sample.index, sample.uuid) for sample in samples], slices, os.environ)
        # After a restart of the driver another card may have the number of the one that is gone.
        here = {sample.index for sample in samples if not sample.gone}
        return tuple(
            replace(sample, device=None if sample.gone and sample.index in here else names.get(sample.index))
            for sample in samples
        )


def _bus(nvml: Nvml, handle: Any) -> str | None:
    info = nvml.ask("nvmlDeviceGetPciInfo_v3", handle)
    if info is None:
        return None
    place = info.busId
    return place.decode("ascii", "replace") if isinstance(place, bytes) else str(place)
