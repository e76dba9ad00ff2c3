"""Where the commands write: consoles that know the terminal they draw on, and JSON lines."""

from __future__ import annotations

import json
import os
import sys
from typing import TextIO

from rich.console import Console, ConsoleDimensions
from rich.text import Text

from tuitune.run.packing import plain
from tuitune.text import clean_line


class Screen(Console):
    """A console that measures its own stream, whatever descriptors 0 to 2 are, and lets broken pipes through."""

    @property
    def size(self) -> ConsoleDimensions:
        """Return the size of the terminal behind the stream, where it is one."""
        try:
            columns, lines = os.get_terminal_size(self.file.fileno())
        except (OSError, ValueError):
            return super().size
        # A terminal that has not been told its size says 0.
        return ConsoleDimensions(columns, lines) if columns and lines and not self._width else super().size

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size

    def on_broken_pipe(self) -> None:
        """Raise it: rich itself would end the process in the middle of a training."""
        raise


def screen(stream: TextIO | None = None, *, width: int | None = None) -> Screen:
    """Return a console on `stream` (default: standard output); nothing it prints is read as markup."""
    return Screen(file=stream or sys.stdout, width=width, markup=False, emoji=False, highlight=False)


def can_draw(console: Console) -> bool:
    """Tell whether bars may be redrawn in place."""
    return console.is_terminal and not console.is_dumb_terminal


def say(console: Console, text: str, style: str = "") -> None:
    """Print a line of our own words with foreign parts in it; only a terminal breaks it, between words."""
    console.print(Text(clean_line(text), style=style), soft_wrap=not console.is_terminal)


def json_line(value: object, stream: TextIO | None = None) -> None:
    """Write one JSON object as one line of ASCII: exact for programs, harmless for a terminal."""
    stream = stream or sys.stdout
    stream.write(json.dumps(plain(value), ensure_ascii=True) + "\n")
    stream.flush()
