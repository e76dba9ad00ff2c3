"""A recipe's text as a text area can hold it: no character that acts, one line ending, and every one of them back.

What a terminal would obey, and what Textual would take for a line ending, becomes a private character, so that an edit
elsewhere in the text changes nothing about it. These characters lie at the end of the last private plane, where no font
and no standard has anything.
"""

from __future__ import annotations

import re

_ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ud800-\udfff]")
_CODES = (
    *range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0), 0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F),
    *range(0x2066, 0x2070), 0xFEFF, *range(0xD800, 0xE000),
)  # fmt: skip
_FIRST = 0x10F000
_THERE = {code: _FIRST + place for place, code in enumerate(_CODES)}
_BACK = {private: code for code, private in _THERE.items()}
_SIGNS = dict.fromkeys(_BACK, "�")
_PRIVATE = re.compile(f"[{chr(_FIRST)}-{chr(_FIRST + len(_CODES) - 1)}]")


def line_ending(text: str) -> str:
    """Return what ends the lines of a text: CR LF only where all lines end so."""
    return "\r\n" if "\r\n" in text and not re.search(r"(?<!\r)\n|\r(?!\n)", text) else "\n"


def held(text: str) -> str:
    """Return a text as the area holds it."""
    text = text.replace("\r\n", "\n") if line_ending(text) == "\r\n" else text
    return text.translate(_THERE) if _ACTING.search(text) else text


def written(text: str, ending: str) -> str:
    """Return the text that the area holds as it stands in a file."""
    text = text.translate(_BACK) if _PRIVATE.search(text) else text
    return text if ending == "\n" else text.replace("\n", ending)


def visible(line: str) -> str:
    """Return a line that the area holds as it is shown, character by character."""
    return line.translate(_SIGNS) if _PRIVATE.search(line) else line


def difference(old: str, new: str) -> tuple[int, int, str]:
    """Return the shortest change from `old` to `new`: from where to where, and what comes there instead."""
    start = _common(old, new)
    room = min(len(old), len(new)) - start
    end = _common(old[len(old) - room :][::-1], new[len(new) - room :][::-1])
    return start, len(old) - end, new[start : len(new) - end]


def _common(first: str, second: str) -> int:
    """Return how many characters are the same from the start, by halving: comparing slices is what is fast."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if first[low:middle] == second[low:middle] else (low, middle - 1)
    return low


def location(text: str, index: int) -> tuple[int, int]:
    """Return row and column of a place in a text."""
    return text.count("\n", 0, index), index - text.rfind("\n", 0, index) - 1
