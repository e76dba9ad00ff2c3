"""What differs between two texts, word by word; scripts written without blanks are compared by the character."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

Kind = Literal["same", "gone", "new"]
MOST = 3000  # words of a text; comparing longer ones would take seconds
_LIGHT = 3  # characters between two changes that make one of them

# A word, a character of a script without blanks, blanks, or a single other sign.
_WIDE = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff01-\uff60\u0e00-\u0eff"
_PIECES = re.compile(rf"[{_WIDE}]|\n|[^\S\n]+|[^\W{_WIDE}]+|[^\w\s]")


class Part(NamedTuple):
    """A stretch of text: in both, only in the first one, or only in the second one."""

    kind: Kind
    text: str


def pieces(text: str) -> list[str]:
    """Return a text as words, blanks and signs, which joined are the text again."""
    return _PIECES.findall(text)


def differences(first: str, second: str) -> list[Part] | None:
    """Return what of the first text is gone in the second, and what is new there; None where they are too long."""
    old, new = pieces(first), pieces(second)
    if max(len(old), len(new)) > MOST:
        return None
    return list(_joined(_parts(old, new)))


def _parts(old: list[str], new: list[str]) -> Iterator[Part]:
    for what, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal":
            yield Part("same", "".join(old[i:j]))
            continue
        if i < j:
            yield Part("gone", "".join(old[i:j]))
        if k < m:
            yield Part("new", "".join(new[k:m]))


def _joined(parts: Iterator[Part]) -> Iterator[Part]:
    """Join changes with nothing but blanks and signs between them: phrases are read more easily than words."""
    run: list[Part] = []
    for part in parts:
        if part.kind == "same" and not (run and _light(part.text)):
            yield from _change(run)
            yield part
            run = []
        else:
            run.append(part)
    yield from _change(run)


def _light(text: str) -> bool:
    return len(text) <= _LIGHT and "\n" not in text and not any(letter.isalnum() for letter in text)


def _change(run: list[Part]) -> Iterator[Part]:
    """Yield a stretch of changes as one of each kind, unless one kind would hold no word."""
    ends = run and run[-1].kind == "same"
    inner, rest = (run[:-1], run[-1:]) if ends else (run, [])
    gone = "".join(part.text for part in inner if part.kind != "new")
    new = "".join(part.text for part in inner if part.kind != "gone")
    if len(inner) > 1 and all(any(letter.isalnum() for letter in text) for text in (gone, new)):
        yield Part("gone", gone)
        yield Part("new", new)
    else:
        yield from inner
    yield from rest


def alike(parts: list[Part]) -> float:
    """Return how much of two texts they share, from 0 to 1, by their letters."""
    same, rest = (
        sum(_letters(part.text) for part in parts if (part.kind == "same") is wanted) for wanted in (True, False)
    )
    return 1.0 if not rest else 2 * same / (2 * same + rest)


def _letters(text: str) -> int:
    return sum(1 for letter in text if letter.isalnum())
