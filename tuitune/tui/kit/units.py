"""Numbers in few cells: times, sizes, amounts and values of any magnitude."""

from __future__ import annotations

import math

_STEPS = (("", 1.0), ("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12))


def lasting(seconds: float) -> str:
    """Return a length of time as 8.1 s, 3 m 12 s, 1 h 05 m or 2 d 03 h."""
    if not math.isfinite(seconds):
        return "?"
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    if not minutes:
        return f"{rest} s"
    if not hours:
        return f"{minutes} m {rest:02} s"
    days, hours_left = divmod(hours, 24)
    return f"{days} d {hours_left:02} h" if days else f"{hours} h {minutes_left:02} m"


def whole_seconds(seconds: float) -> str:
    """Return a length of time that counts on screen: like `lasting`, without tenths of a second."""
    return f"{int(max(0.0, seconds))} s" if seconds < 10 else lasting(seconds)


def binary(amount: float) -> str:
    """Return bytes as 512 B, 78 MiB or 1.4 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1000:
            return f"{amount:.1f} {unit}" if unit == "GiB" and amount < 100 else f"{amount:.0f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def fixed(value: float, digits: int = 3) -> str:
    """Return a value with `digits` decimals, or in the scientific form where that would say nothing."""
    if not math.isfinite(value):
        return nonfinite(value)
    if value and (abs(value) >= 1e4 or abs(value) < 0.5 * 10**-digits):
        return scientific(value)
    return f"{value:.{max(0, digits - 1 if abs(value) >= 100 else digits)}f}"


def scientific(value: float) -> str:
    """Return a value as 6.6e-5."""
    if not math.isfinite(value):
        return nonfinite(value)
    if value == 0:
        return "0"
    base, exponent = f"{value:.1e}".split("e")
    return f"{base}e{int(exponent)}"


def nonfinite(value: float) -> str:
    """Return the word for what is no number: nan, inf or -inf."""
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


def tick(value: float, gap: float) -> str:
    """Return the label of a mark on an axis whose marks are `gap` apart, in at most five cells where possible."""
    if gap >= 1e-3 and abs(value) < 1e4:
        plain = _decimals(value, gap)
        if len(plain) <= 5:
            return plain
        if 1e-2 <= value < 10:
            return f"{value:.3f}"  # 0.0625 and 6.2e-2 are too long, and a number must not be cut
    if value == 0:
        return "0"
    return amount(value) if abs(value) >= 1e3 else scientific(value).replace(".0e", "e")


def _decimals(value: float, gap: float) -> str:
    digits = next((n for n in range(6) if abs(round(gap, n) - gap) < gap * 1e-6), 6)
    # A one and a two need no point; between them and their halves the point would come and go while a run goes on.
    return f"{value:.{max(digits, 1 if gap < 10 else 0)}f}"


def amount(value: float) -> str:
    """Return a count as 950, 12k, 1.5M."""
    for letter, size in reversed(_STEPS):
        if abs(value) >= size * (1 - 1e-9):
            if size == 1e12 and abs(value) >= 1e15:
                break
            return f"{value / size:.4g}{letter}" if abs(value) < 100 * size else f"{value / size:.0f}{letter}"
    return f"{value:.3g}" if abs(value) < 1 else scientific(value).replace(".0e", "e")
