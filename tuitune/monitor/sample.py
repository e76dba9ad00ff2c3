"""One look at the machine. Memory is in bytes; whatever the driver refuses to tell is None."""

from __future__ import annotations

from dataclasses import dataclass

# What a history remembers: with one look a second, the last two minutes. A second that was not seen is NaN.
HISTORY = 120


@dataclass(frozen=True)
class Process:
    """A process with memory on a card: `ours` is this run's, `command` is empty where it cannot be seen from here."""

    pid: int
    memory: int | None
    command: str
    ours: bool = False


@dataclass(frozen=True)
class Instance:
    """One MIG slice of a card."""

    index: int
    name: str
    uuid: str | None
    total: int | None = None
    used: int | None = None


@dataclass(frozen=True)
class DeviceSample:
    """One NVIDIA card: `index` is nvidia-smi's, `device` the recipe's name for it, None where it is not visible."""

    index: int
    uuid: str | None
    name: str
    device: str | None = None
    bus: str | None = None
    total: int | None = None
    used: int | None = None
    free: int | None = None
    own: int | None = None
    processes: tuple[Process, ...] | None = None
    utilisation: int | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    temperature_c: int | None = None
    slowdown_c: int | None = None
    sm_mhz: int | None = None
    mem_mhz: int | None = None
    max_sm_mhz: int | None = None
    reasons: tuple[str, ...] = ()
    ecc_corrected: int | None = None
    ecc_uncorrected: int | None = None
    mig: bool = False
    instances: tuple[Instance, ...] = ()
    history: tuple[float, ...] = ()
    used_history: tuple[float, ...] = ()
    gone: bool = False
    words: str = ""

    @property
    def others(self) -> int | None:
        """What is used by others than this run; all of it where this run's part cannot be told."""
        return None if self.used is None else max(0, self.used - (self.own or 0))


@dataclass(frozen=True)
class HostSample:
    """Processor, memory and disk; `run_cpu` is of one core (200: two cores), `cpu_percent` of the whole machine."""

    name: str = ""
    cores: int = 0
    cpu_percent: float | None = None
    load: float | None = None
    ram_used: int | None = None
    ram_available: int | None = None
    ram_total: int | None = None
    swap_used: int | None = None
    swap_total: int | None = None
    run_cpu: float | None = None
    run_rss: int | None = None
    disk_free: int | None = None
    cpu_history: tuple[float, ...] = ()
    ram_history: tuple[float, ...] = ()


@dataclass(frozen=True)
class Sample:
    """All of it at `t` (monotonic seconds); `problem` says why cards that may be there cannot be seen."""

    devices: tuple[DeviceSample, ...] = ()
    host: HostSample = HostSample()
    driver: str | None = None
    problem: str | None = None
    t: float = 0.0

    def card(self, device: str) -> DeviceSample | None:
        """Return the card that a recipe's `device` means; for auto the one in use, or the one that a run would take."""
        if device == "cpu":
            return None
        if device != "auto":
            return next((card for card in self.devices if card.device == device), None)
        here = [card for card in self.devices if card.device is not None and not card.gone]
        busy = max(here, key=lambda card: card.own or 0, default=None)
        if busy is not None and busy.own:
            return busy
        if len(here) < len(self.devices):
            # Some cards are not ours to use: a scheduler has chosen, and the first of its choice is taken.
            return min(here, key=_order, default=None)
        return max(here, key=lambda card: (card.free or 0, -card.index), default=None)


def _order(card: DeviceSample) -> int:
    return int((card.device or "cuda:0").removeprefix("cuda:"))
