"""Who has memory on a card, and how much of it is this run's."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import psutil

from tuitune.monitor.sample import Process
from tuitune.text import clean_line

# The inode number that Linux gives to the process-id namespace of the host itself.
_HOST_PIDS = "pid:[4026531836]"
_LONGEST = 200


def described(found: Iterable[tuple[int, int | None]]) -> tuple[Process, ...]:
    """Return processes of (pid, memory) with their commands, the largest first; a process in several slices is one."""
    sizes: dict[int, int | None] = {}
    for pid, memory in found:
        before = sizes.get(pid)
        sizes[pid] = memory if before is None else before + (memory or 0)
    processes = [Process(pid, memory, command(pid)) for pid, memory in sizes.items()]
    return tuple(sorted(processes, key=lambda process: (-(process.memory or 0), process.pid)))


def command(pid: int) -> str:
    """Return the command line of a process on one line, empty when it cannot be seen from here."""
    try:
        words = psutil.Process(pid).cmdline()
    except (psutil.Error, OSError):
        return ""
    return clean_line(" ".join([os.path.basename(words[0]), *words[1:]])[:_LONGEST]) if words else ""


def family(pids: Collection[int]) -> frozenset[int]:
    """Return the processes and all that they have started."""
    found = set(pids)
    for pid in pids:
        with contextlib.suppress(psutil.Error, OSError):
            found |= {child.pid for child in psutil.Process(pid).children(recursive=True)}
    return frozenset(found)


def own_memory(processes: Sequence[Process] | None, pids: Collection[int], *, host_pids: bool) -> int | None:
    """Return the bytes that `pids` have on a card, None where that cannot be told."""
    if not pids:
        return 0
    if processes is None:
        return None
    ours = [process.memory for process in processes if process.pid in pids]
    if ours:
        known = [memory for memory in ours if memory is not None]
        return sum(known) if len(known) == len(ours) else None
    # In a container NVML lists the host's numbers, or nothing: not being listed means nothing there.
    readable = host_pids or (bool(processes) and all(process.command for process in processes))
    return 0 if readable else None


def sees_host_pids(link: Path = Path("/proc/self/ns/pid")) -> bool:
    """Whether process numbers here are those of the host, which is what NVML counts in."""
    try:
        return os.readlink(link) == _HOST_PIDS
    except OSError:
        return True
