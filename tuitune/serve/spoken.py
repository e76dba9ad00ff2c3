"""An answer told apart while it is written: thoughts, what is said, and calls of tools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tuitune.data.templates.reading import opening_of, read
from tuitune.data.templates.thoughts import WORDS

if TYPE_CHECKING:
    from tuitune.data.templates.tools import Call, ToolFormat

_JSON = ("{", "[")
_WRITTEN = ('{"', "[")  # how a form of calls begins that is JSON; {name} is a place for a word


@dataclass(frozen=True, slots=True)
class Told:
    """What can be passed on now."""

    thought: str = ""
    said: str = ""
    calls: Sequence[Call] = ()


class Spoken:
    """Takes an answer in pieces and tells its parts, the same however it is cut.

    form: how calls are written, None where no tools are offered. What may be a call is held back to the end. opened:
    the words with which the prompt has begun the thoughts already. one: at most one call is passed on.
    """

    def __init__(self, form: ToolFormat | None = None, *, opened: str = "", one: bool = False) -> None:
        self._form, self._one = form, one
        self._mark = opening_of(form) if form is not None else ""
        self._state: Literal["begins", "thinks", "says", "calls"] = "begins"
        self._held, self._closing = opened, ""
        self._blank = True  # of this part nothing but blanks has come, which are dropped

    def feed(self, text: str) -> Told:
        """Take a piece and return what it lets be told."""
        self._held += text
        if self._state == "begins":
            self._begin()
        thought = self._think() if self._state == "thinks" else ""
        said = self._say() if self._state == "says" else ""
        return Told(thought, said)

    def end(self) -> Told:
        """Return what was held back."""
        if self._state == "thinks":
            return Told(thought=self._held.rstrip())
        said, calls = read(self._form, self._held) if self._form is not None else (self._held, [])
        return Told(said=said, calls=calls[:1] if self._one else calls)

    def _begin(self) -> None:
        begun = self._held.lstrip()
        for opening, closing in WORDS:
            if begun.startswith(opening):
                self._state, self._closing, self._held = "thinks", closing, begun[len(opening) :]
                return
        if begun and not any(opening.startswith(begun) for opening, _ in WORDS):
            self._state, self._blank = "says", False  # blanks before an answer without thoughts are its own

    def _think(self) -> str:
        inside, found, rest = self._held.partition(self._closing)
        if found:
            told = self._unblank(inside.rstrip())
            self._state, self._held, self._blank = "says", rest, True
            return told
        safe = inside[: len(inside) - _begun(inside, self._closing)].rstrip()
        self._held = inside[len(safe) :]
        return self._unblank(safe)

    def _say(self) -> str:
        self._held = self._unblank(self._held)
        place = self._call()
        if place is None:
            place = len(self._held) - (_begun(self._held, self._mark) if self._form is not None else 0)
        else:
            self._state = "calls"
        if self._form is not None:
            place = len(self._held[:place].rstrip())  # blanks before a call are no part of what is said
        told, self._held = self._held[:place], self._held[place:]
        return told

    def _call(self) -> int | None:
        """Return where calls may begin, None where none do so far."""
        if self._form is None or not self._held:
            return None
        if self._mark:
            place = self._held.find(self._mark)
            return None if place < 0 else place
        # Nothing but calls: JSON, or in a few forms a word that could be any.
        written = self._form.calling.head + self._form.calling.each
        if written.startswith(_WRITTEN) and self._held.strip() and not self._held.lstrip().startswith(_JSON):
            self._form = None
            return None
        return 0

    def _unblank(self, text: str) -> str:
        if self._blank:
            text = text.lstrip()
            self._blank = not text
        return text


def _begun(text: str, word: str) -> int:
    """Return how many characters at the end of `text` may be the beginning of `word`."""
    return next((count for count in range(min(len(text), len(word) - 1), 0, -1) if word.startswith(text[-count:])), 0)
