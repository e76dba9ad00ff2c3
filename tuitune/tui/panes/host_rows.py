"""Rows about the host: two lines below the GPUs, or the whole pane where there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tuitune.monitor import HostSample
from tuitune.monitor.sample import HISTORY
from tuitune.tui.kit.rows import R, Row, slim, spark, split
from tuitune.tui.kit.units import binary
from tuitune.tui.kit.wrapping import wrapped

NA = "n/a"
_GIB = 2**30
_ROOMY = 34


def gib(amount: float | None) -> str:
    """Return bytes as a number of GiB, n/a for what is not known."""
    if amount is None:
        return NA
    value = amount / _GIB
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def whole_gib(amount: float | None) -> str:
    """Return a size that does not change as a number of GiB: without decimals, unless it is small."""
    if amount is None:
        return NA
    value = amount / _GIB
    return f"{value:.0f}" if value >= 9.95 or abs(value - round(value)) < 0.05 else f"{value:.1f}"


def told(text: str, role: str = "ink") -> Row:
    """Return a value in its role; what is not told is quiet."""
    return R("quiet" if text == NA else role, text)


def used_of(used: int | None, total: int | None) -> Row:
    """Return `45.4 of 140 GiB`."""
    return [*told(gib(used), "strong b"), *R("quiet", f" of {whole_gib(total)} GiB")]


def shares(own: int | None, others: int | None, width: int) -> Row:
    """Return the legend of a memory bar: this run's and others'."""
    left = [*R("accent", "▪ ", "quiet", "run "), *told(gib(own))]
    return split(left, [*R("runtime", "▪ ", "quiet", "others "), *told(gib(others))], width)


def history_row(name: str, history: Sequence[float], percent: float | None, width: int) -> Row:
    """Return two minutes of a percentage, and what it is now; the columns are the same seconds on every row."""
    padded = [math.nan] * (HISTORY - len(history)) + list(history)
    room = max(0, width - len(name) - 7)
    row = R("quiet", f"{name} ", "spark", spark(padded, room, 0, 100), "ink", " ")
    return (
        [*row, *R("quiet", f"{NA:>5}")]
        if percent is None
        else [*row, *R("strong b", f"{percent:>3.0f}", "quiet", " %")]
    )


def host_lines(host: HostSample, width: int) -> list[Row]:
    """Return processor, memory and disk in two lines."""
    cpu = [*R("quiet", "cpu "), *_percent(host.cpu_percent)]
    ram = [*R("quiet", "ram "), *told(whole_gib(host.ram_used)), *R("quiet", f" of {whole_gib(host.ram_total)} GiB")]
    return [split(cpu, ram, width), split(R("quiet", "disk"), _disk(host), width)]


def host_rows(host: HostSample, words: str, role: str, width: int) -> list[Row]:
    """Return the host in full, the most telling first: memory, processor, this run's process, then `words`."""
    own = None if host.run_rss is None else min(host.run_rss, host.ram_used or host.run_rss)
    others = None if host.ram_used is None else host.ram_used - (own or 0)
    load = [*R("quiet", "load "), *told(NA if host.load is None else f"{host.load:.1f}")]
    swap = [*R("quiet", "swap "), *told(gib(host.swap_used)), *R("quiet", f" of {whole_gib(host.swap_total)} GiB")]
    cores = R("quiet", f" on {host.cores} core{'' if host.cores == 1 else 's'}")
    return [
        split(R("ink", "memory"), used_of(host.ram_used, host.ram_total), width),
        slim([(own or 0, "accent"), (others or 0, "runtime")], host.ram_total or 0, width),
        shares(own, others, width),
        history_row("cpu", host.cpu_history, host.cpu_percent, width),
        split([*R("quiet", "run "), *_percent(host.run_cpu)], [*R("quiet", "disk "), *_disk(host)], width),
        split([*load, *(cores if width >= _ROOMY else [])], swap if host.swap_total else R("quiet", "no swap"), width),
        [],
        *(R(role, line) for line in wrapped(words, width)),
        *(R("quiet", line) for line in wrapped(host.name, width)),
    ]


def _percent(value: float | None) -> Row:
    return R("quiet", NA) if value is None else R("ink", f"{value:.0f} %")


def _disk(host: HostSample) -> Row:
    if host.disk_free is None:
        return R("quiet", NA)
    return R("ink", binary(host.disk_free), "quiet", " free")
