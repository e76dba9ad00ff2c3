"""Pictures of the screen, for a person to keep and for the README."""

from __future__ import annotations

import itertools
import re
import time
from pathlib import Path
from typing import Any

from textual.app import App

from tuitune.run.files import private_dir, write_atomic
from tuitune.run.places import home

_TEXT = re.compile(r'(<text [^>]*?x=")([\d.]+)("[^>]*?textLength=")([\d.]+)("[^>]*>)((?:&#160;)+)([^<]+)(</text>)')
_CELL = 12.2  # units of the picture's width for a cell


def picture(app: App[Any], title: str = "TuiTune") -> str:
    """Return the screen as SVG."""
    return _TEXT.sub(_moved, app.export_screenshot(title=title))


def keep(svg: str) -> Path:
    """Save a picture among the user's screenshots and return where; raises OSError or RunError.

    The file is private: it may show a conversation.
    """
    folder = private_dir(home() / "screenshots")
    stem = time.strftime("%Y%m%d-%H%M%S")
    names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    path = next(path for name in names if not (path := folder / f"{name}.svg").exists())
    write_atomic(path, svg.encode())
    return path


def _moved(match: re.Match[str]) -> str:
    # Some viewers drop the blanks that a text begins with, and then stretch what is left.
    head, x, middle, length, tail, blanks, text, end = match.groups()
    shift = blanks.count("&#160;") * _CELL
    return f"{head}{float(x) + shift:.1f}{middle}{float(length) - shift:.1f}{tail}{text}{end}"
