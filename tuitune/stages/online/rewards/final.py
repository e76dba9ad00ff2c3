"""What an answer says in the end, and whether two final answers are the same.

Marks are looked for in this order, the last one of a kind counts: `<answer>...</answer>`, `\\boxed{...}` (MATH), `####
...` to the end of the line (GSM8K). Without a mark it is all that follows the thoughts.
"""

from __future__ import annotations

import re
from fractions import Fraction

_TAGGED = re.compile(r"<answer>((?:(?!<answer>).)*?)</answer>", re.DOTALL)
_HASHED = re.compile(r"####[ \t]*([^\n]*)")
_BOXES = ("\\boxed{", "\\fbox{")
_THOUGHTS = "</think>"
_NUMBER = re.compile(
    r"(?<!\w)[-+]?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:e[-+]?\d{1,3})?", re.IGNORECASE
)
_FRACTION = re.compile(r"([-+]?)\\[dt]?frac\{?(\d+)\}?\{?(\d+)\}?")
_MOST_DIGITS = 200  # of a number that is compared as one
_LATEX = ("\\left", "\\right", "\\,", "\\!", "\\;", "\\ ", "$", "€", "£", "\\%", "%")


def final_answer(text: str) -> str:
    """Return what `text` ends on."""
    return marked(text) or text.rpartition(_THOUGHTS)[2].strip()


def marked(text: str) -> str:
    """Return the final answer that is marked as one, or ""."""
    for find in (_tagged, _boxed, _hashed):
        if found := find(text).strip():
            return found
    return ""


def same(text: str, reference: str) -> bool:
    """Whether the final answer of `text` is that of the data.

    Upper and lower case, white space, a full stop at the end and TeX's spacing do not count; numbers are compared by
    value (1,000 = 1000.0, 1/2 = 0.5 = \\frac{1}{2}), without signs of currency and per cent. Where the data's answer is
    a number and `text` marks nothing, its last number counts.
    """
    expected, given = plain(final_answer(reference)), plain(final_answer(text))
    if given == expected:
        return bool(expected)
    wanted = value(expected)
    if wanted is None:
        return False
    found = value(given)
    if found is None and not marked(text):
        numbers = [match.group() for match in _NUMBER.finditer(given)]
        found = value(numbers[-1]) if numbers else None
    return found == wanted


def plain(text: str) -> str:
    """Return a final answer without what makes no difference."""
    for mark in _LATEX:
        text = text.replace(mark, " " if mark in ("\\,", "\\;", "\\ ") else "")
    text = re.sub(r"\\text\{([^{}]*)\}", r"\1", text)
    return " ".join(text.split()).strip().rstrip(".").strip().casefold()


def value(text: str) -> Fraction | None:
    """Return the number that a plain text is, exactly; None for anything else."""
    text = _FRACTION.sub(r"\1\2/\3", text).replace(" ", "")
    if len(text) > _MOST_DIGITS:
        return None
    above, slash, below = text.partition("/")
    first, second = _whole_number(above), _whole_number(below) if slash else Fraction(1)
    return None if first is None or not second else first / second


def _whole_number(text: str) -> Fraction | None:
    return Fraction(text.replace(",", "")) if _NUMBER.fullmatch(text) else None


def _tagged(text: str) -> str:
    found = _TAGGED.findall(text)
    return str(found[-1]) if found else ""


def _hashed(text: str) -> str:
    found = _HASHED.findall(text)
    return str(found[-1]) if found else ""


def _boxed(text: str) -> str:
    """Return what the last box holds, with the braces inside it."""
    at = max(text.rfind(box) for box in _BOXES)
    if at < 0:
        return ""
    start, depth = text.index("{", at) + 1, 1
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if not depth:
            return text[start:place]
    return ""
