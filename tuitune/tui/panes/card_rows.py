"""Rows about one NVIDIA card, in three sizes, and what more there is to say of it where there is room."""

from __future__ import annotations

from tuitune.monitor import DeviceSample, Process
from tuitune.tui.kit.rows import R, Row, cells, cut, slim, split, width_of
from tuitune.tui.kit.wrapping import wrapped
from tuitune.tui.panes.host_rows import NA, gib, history_row, shares, told, used_of, whole_gib

# Degrees below the card's own limit from which the temperature is worth a look; the limit where it tells none.
_NEAR, _USUAL_LIMIT = 7, 90
_ROOMY = 40
_MAKERS = ("NVIDIA ", "GeForce ", "Tesla ", "Quadro ")


def title(card: DeviceSample, width: int, *, mark: str) -> Row:
    """Return number, name, `mark` (blank where the card is not the chosen one) and memory."""
    right = R("error b", "gone") if card.gone else used_of(card.used, card.total)
    number = _number(card, mark)
    room = width - width_of(right) - width_of(number) - cells(mark) - 1
    name = R("quiet" if card.gone else "ink", _short(card.name, room))
    return split([*number, *name, *R("accent", mark)], right, width)


def full(card: DeviceSample, width: int, *, mark: str) -> list[Row]:
    """Return the card in five rows."""
    if card.gone:
        return _gone(card, width, mark=mark)
    return [
        title(card, width, mark=mark),
        _bar(card, width),
        shares(card.own, card.others, width),
        history_row("util", card.history, card.utilisation, width),
        _vitals(card, width),
    ]


def brief(card: DeviceSample, width: int, *, mark: str) -> list[Row]:
    """Return the card in two rows."""
    return [title(card, width, mark=mark), _bar(card, width)]


def line(card: DeviceSample, width: int, *, mark: str) -> list[Row]:
    """Return the card in one row: number, bar, memory, utilisation."""
    number = _number(card, mark)
    if card.gone:
        return [split([*number, *R("quiet", card.name)], R("error b", "gone"), width)]
    percent = NA if card.utilisation is None else f"{card.utilisation:>3} %"
    right = [*R("quiet", f" {gib(card.used):>5}/{whole_gib(card.total)}"), *told(f"{percent:>7}")]
    room = max(1, width - width_of(number) - width_of(right) - cells(mark))
    return [[*number, *_bar(card, room), *R("accent", mark), *right]]


def details(card: DeviceSample, width: int, room: int) -> list[Row]:
    """Return limits, memory errors, slices and processes, as many rows as there is room for."""
    if card.gone or room < 2:
        return []
    limit = [*R("quiet", "limit "), *_unit(card.power_limit_w, "W")]
    fastest = [*R("quiet", "max "), *_unit(card.max_sm_mhz, "MHz")]
    memory = [*R("quiet", "memory "), *_unit(card.mem_mhz, "MHz")]
    rows = [split(limit, fastest, width), split(memory, _errors(card), width)]
    rows += [
        split(
            R("quiet", "mig ", "ink", each.name.partition("MIG ")[2] or each.name),
            used_of(each.used, each.total),
            width,
        )
        for each in card.instances
    ]
    return _with_processes(rows, card, width, room)


def _with_processes(rows: list[Row], card: DeviceSample, width: int, room: int) -> list[Row]:
    left = room - len(rows) - 1
    if left < 1:
        return rows[:room]
    found = card.processes
    if not found:
        return [*rows, [], R("quiet", f"processes {NA}" if found is None else "no processes")]
    some = found if len(found) <= left else found[: left - 1]
    shown = [_process(process, width) for process in some]
    more = [R("quiet", f"{len(found) - len(some)} more processes")] if len(some) < len(found) else []
    return [*rows, [], *shown, *more]


def _process(process: Process, width: int) -> Row:
    right = [
        *told(f"{gib(process.memory):>6}"),
        *R("quiet", " GiB" if process.memory is not None and width >= _ROOMY else ""),
    ]
    left = R("accent" if process.ours else "runtime", "▪ ", "quiet", f"{process.pid} ")
    room = width - width_of(left) - width_of(right) - 1
    words = told(process.command or NA)
    return split([*left, *((cut(text, room), role) for text, role in words)], right, width)


def _gone(card: DeviceSample, width: int, *, mark: str) -> list[Row]:
    """Return as many rows as a card that is here has, so that nothing below moves."""
    words = wrapped(card.words or "it does not answer", width)[:2]
    rows: list[Row] = [title(card, width, mark=mark), slim([], 0, width), *(R("error", text) for text in words)]
    rows.append(R("quiet", cut("see dmesg for Xid errors", width)))
    return rows + [[]] * (5 - len(rows))


def _bar(card: DeviceSample, width: int) -> Row:
    return slim([(card.own or 0, "accent"), (card.others or 0, "runtime")], card.total or 0, width)


def _vitals(card: DeviceSample, width: int) -> Row:
    """Return power, temperature, what holds the clock down, and the clock; the words give way before the numbers."""
    between = "  " if card.reasons else "   "
    heat = _unit(card.temperature_c, "°C", "warn b" if _warm(card) else "ink")
    left = [*_unit(card.power_w, "W"), *R("ink", between), *heat]
    clock = R("quiet", NA if card.sm_mhz is None else f"{card.sm_mhz} MHz")
    if not card.reasons:
        return split(left, clock, width)
    first, every = card.reasons[0], ", ".join(card.reasons)
    room = width - width_of(left) - 2
    bare = R("quiet", "" if card.sm_mhz is None else f"{card.sm_mhz}")
    for words, tail in ((every, clock), (first, clock), (first, bare)):
        right = [*R("warn", words), *R("quiet", " " if tail else ""), *tail]
        if width_of(right) <= room:
            return split(left, right, width)
    return split(left, R("warn", cut(first, max(1, room))), width)


def _warm(card: DeviceSample) -> bool:
    if any("thermal" in reason for reason in card.reasons):
        return True
    return card.temperature_c is not None and card.temperature_c >= (card.slowdown_c or _USUAL_LIMIT) - _NEAR


def _errors(card: DeviceSample) -> Row:
    if card.ecc_corrected is None and card.ecc_uncorrected is None:
        return R("quiet", f"ecc {NA}")
    mended, bad = (NA if count is None else f"{count}" for count in (card.ecc_corrected, card.ecc_uncorrected))
    return [
        *R("quiet", "ecc "),
        *told(mended),
        *R("quiet", " / "),
        *told(bad, "error b" if card.ecc_uncorrected else "ink"),
    ]


def _unit(value: float | None, unit: str, role: str = "ink") -> Row:
    return R("quiet", f"{NA} {unit}") if value is None else R(role, f"{value:.0f} {unit}")


def _number(card: DeviceSample, mark: str) -> Row:
    return R("accent b" if mark.strip() else "strong b", f"{card.index} ")


def _short(name: str, room: int) -> str:
    for maker in _MAKERS:
        if cells(name) > room:
            name = name.removeprefix(maker)
    return cut(name, max(1, room))
