"""The comparisons that are kept: which there are, which of them somebody has open, which a crash cut off."""

from __future__ import annotations

from pathlib import Path

from tuitune.chat.comparefile import NAMES
from tuitune.chat.hold import Hold
from tuitune.chat.partial import Partial
from tuitune.errors import TuiTuneError
from tuitune.run import places


def cut_off(folder: Path) -> bool:
    """Tell whether an answer was being written there when its process died."""
    if not any(Partial.is_left(folder / f"{name}.jsonl") for name in NAMES):
        return False
    hold = Hold.take(folder)
    if hold is not None:
        hold.release()
    return hold is not None


def earlier(most: int = 100) -> list[Path]:
    """Return the folders of kept comparisons, newest first."""
    try:
        found = [path for path in (places.home() / "comparisons").iterdir() if path.is_dir()]
    except (OSError, TuiTuneError):
        return []
    return sorted(found, key=lambda path: path.name, reverse=True)[:most]
