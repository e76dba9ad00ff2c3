"""Thoughts in an answer: told apart from what is said, also while it is still being written."""

from __future__ import annotations

import functools


@functools.cache
def _words() -> tuple[tuple[str, str], ...]:
    from tuitune.data.templates.thoughts import WORDS  # late: screens import this module

    return WORDS


def split(text: str) -> tuple[str, str]:
    """Return the thoughts that an answer begins with, without the words around them, and the rest.

    Thoughts that have not ended yet are all there is. Where there are none, the text is returned as it is.
    """
    begun = text.lstrip()
    for opening, closing in _words():
        if begun.startswith(opening):
            inside, _, rest = begun[len(opening) :].partition(closing)
            return inside.strip(), rest.lstrip()
        # A prompt of others' may have held the opening words.
        inside, found, rest = begun.partition(closing)
        if found and opening not in inside:
            return inside.strip(), rest.lstrip()
    return "", text


class Splitter:
    """Takes an answer in pieces; returns what is said as it comes, and keeps the thoughts before it."""

    def __init__(self) -> None:
        self._text = self._said = ""

    @property
    def thoughts(self) -> str:
        """The thoughts so far."""
        return split(self._text)[0]

    @property
    def thinking(self) -> bool:
        """Whether nothing but thoughts has come."""
        begun = self._text.lstrip()
        return not self._said and any(begun.startswith(opening) for opening, _ in _words())

    def feed(self, piece: str) -> str:
        """Take a piece; return what has been said more."""
        self._text += piece
        begun = self._text.lstrip()
        if self._said:
            new = piece
        elif any(opening.startswith(begun) for opening, _ in _words()):
            new = ""  # it may become the opening words
        else:
            new = split(self._text)[1]
        self._said += new
        return new

    def flush(self) -> str:
        """Return what waited, at the end."""
        new = "" if self._said else split(self._text)[1]
        self._said += new
        return new
