"""What this machine has: processor, memory, disk, GPUs, and what the system does to processes at logout. No torch."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil

from tuitune.fit.files import read_text
from tuitune.text import clean_line

T = TypeVar("T")

# Groups without a limit report numbers near 2**63 (version 1) or the word "max" (version 2).
_NO_LIMIT = 1 << 60
_HALF_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")


@dataclass(frozen=True)
class Cpu:
    """The processor; `half_flags` are its instructions for bf16, `quota` the processors that a container may use."""

    name: str
    physical: int
    usable: int
    half_flags: tuple[str, ...]
    quota: float | None = None


@dataclass(frozen=True)
class Memory:
    """Bytes of host memory; `limit` is the control group's, None where there is none."""

    total: int
    available: int
    limit: int | None


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA device; what the driver does not tell is None. Memory is in bytes."""

    index: int
    name: str
    uuid: str | None
    total: int | None
    free: int | None


@dataclass(frozen=True)
class Gpus:
    """The devices the driver shows, or the reason for there being none."""

    devices: tuple[Gpu, ...]
    driver: str | None = None
    problem: str | None = None


def cpu(cpuinfo: Path = Path("/proc/cpuinfo")) -> Cpu:
    """Describe the processor."""
    text = read_text(cpuinfo) or _proc_text(cpuinfo)
    fields = dict(line.split(":", 1) for line in reversed(text.splitlines()) if ":" in line)
    values = {key.strip(): value.strip() for key, value in fields.items()}
    flags = set((values.get("flags") or values.get("Features") or "").split())
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Cpu(
        name=clean_line(values.get("model name", "")) or "unknown processor",
        physical=psutil.cpu_count(logical=False) or os.cpu_count() or 1,
        usable=affinity,
        half_flags=tuple(flag for flag in _HALF_FLAGS if flag in flags),
        quota=_cpu_quota(),
    )


def usable_cores() -> int:
    """Return the physical cores that this process may use: affinity and the control group's quota counted in."""
    found = cpu()
    quota = found.physical if found.quota is None else max(1, int(found.quota))
    return max(1, min(found.physical, found.usable, quota))


def _cpu_quota(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> float | None:
    """Return the least `cpu.max` of the groups above, in processors."""
    quotas = []
    for group, _, _ in _groups(root, _proc_text(own)):
        words = _proc_text(group / "cpu.max").split()
        if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]):
            quotas.append(int(words[0]) / int(words[1]))
    return min(quotas, default=None)


def _proc_text(path: Path) -> str:
    # Files under /proc say that they are empty; they are to be read all the same.
    try:
        with path.open("rb") as stream:
            return stream.read(4 << 20).decode("utf-8", "replace")
    except OSError:
        return ""


def memory(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> Memory:
    """Measure host memory, within the limit of this process's control group (containers, Slurm, systemd)."""
    host = psutil.virtual_memory()
    limit, free = None, host.available
    for group, maximum, current in _groups(root, _proc_text(own)):
        most = _number(group / maximum)
        if most is None or most >= min(_NO_LIMIT, host.total):
            continue
        limit = most if limit is None else min(limit, most)
        free = min(free, max(0, most - _without_cache(group, _number(group / current) or 0)))
    return Memory(limit if limit is not None else host.total, free, limit)


def _groups(root: Path, own: str) -> list[tuple[Path, str, str]]:
    """List the groups whose limits bind: the process's own and all above it, in both versions of the interface."""
    found = []
    for line in own.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "memory" not in controllers.split(","):
            continue
        names = (
            ("memory.max", "memory.current") if not controllers else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        )
        top = root if not controllers else root / "memory"
        parts = [part for part in path.split("/") if part not in ("", "..")]
        found += [(top.joinpath(*parts[:count]), *names) for count in range(len(parts), -1, -1)]
    return found


def _without_cache(group: Path, current: int) -> int:
    # The kernel gives the file cache back under pressure: it counts as free.
    for line in _proc_text(group / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file") and value.isdigit():
            return max(0, current - int(value))
    return current


def _number(path: Path) -> int | None:
    text = _proc_text(path).strip()
    return int(text) if text.isdigit() else None


def disk_free(path: Path) -> int | None:
    """Return the free bytes where `path` is or would be, None when they cannot be told."""
    for place in (path, *path.parents):
        if place.exists():
            try:
                return shutil.disk_usage(place).free
            except OSError:
                return None
    return None


def gpus() -> Gpus:
    """List NVIDIA devices through NVML; a query that a driver does not answer leaves its value out."""
    try:
        import pynvml
    except ImportError:
        return Gpus((), problem="the package nvidia-ml-py is not installed")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        code = getattr(error, "value", None)
        missing = code in (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
        return Gpus((), problem=None if missing else clean_line(str(error)))
    try:
        count = _ask(pynvml, lambda: int(pynvml.nvmlDeviceGetCount())) or 0
        driver = _ask(pynvml, lambda: clean_line(_text(pynvml.nvmlSystemGetDriverVersion())))
        return Gpus(tuple(_gpu(pynvml, index) for index in range(count)), driver)
    finally:
        _ask(pynvml, pynvml.nvmlShutdown)


def _gpu(nvml: Any, index: int) -> Gpu:
    handle = _ask(nvml, lambda: nvml.nvmlDeviceGetHandleByIndex(index))
    if handle is None:
        return Gpu(index, "a device that does not answer", None, None, None)
    memory = _ask(nvml, lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
    return Gpu(
        index,
        _ask(nvml, lambda: clean_line(_text(nvml.nvmlDeviceGetName(handle)))) or "unknown device",
        _ask(nvml, lambda: _text(nvml.nvmlDeviceGetUUID(handle))),
        int(memory.total) if memory is not None else None,
        int(memory.free) if memory is not None else None,
    )


def _ask(nvml: Any, question: Callable[[], T]) -> T | None:
    try:
        return question()
    except nvml.NVMLError:
        return None


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
