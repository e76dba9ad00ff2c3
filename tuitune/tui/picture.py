"""Pictures of the screen, for a person to keep and for the README."""

from __future__ import annotations

import re
from typing import Any

from textual.app import App

_TEXT = re.compile(r'(<text [^>]*?x=")([\d.]+)("[^>]*?textLength=")([\d.]+)("[^>]*>)((?:&#160;)+)([^<]+)(</text>)')
_CELL = 12.2  # units of the picture's width for a cell


def picture(app: App[Any], title: str = "TuiTune") -> str:
    """Return the screen as SVG."""
    return _TEXT.sub(_moved, app.export_screenshot(title=title))


def _moved(match: re.Match[str]) -> str:
    # Some viewers drop the blanks that a text begins with, and then stretch what is left.
    head, x, middle, length, tail, blanks, text, end = match.groups()
    shift = blanks.count("&#160;") * _CELL
    return f"{head}{float(x) + shift:.1f}{middle}{float(length) - shift:.1f}{tail}{text}{end}"
