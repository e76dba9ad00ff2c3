"""Amounts in words, the same wherever a person reads them."""

from __future__ import annotations


def size(value: float) -> str:
    """Return bytes in the unit that fits: 512 B, 8.0 MB, 1.4 GB."""
    if value < 1000:
        return f"{value:.0f} B"
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if round(value, 1) < 1000:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} TB"
