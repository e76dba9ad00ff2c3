"""Tokens as they come into text as it may be shown: whole characters, and nothing of a string that ends the reply."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

_RECENT = 12  # tokens: no character is split over more


@dataclass(frozen=True, slots=True)
class Place:
    """The token `index` of a reply, and where its text stands there: from `start` up to `end`."""

    index: int
    id: int
    start: int
    end: int


class Streamer:
    """Turns tokens into text; a character that is not complete waits, and so does what may begin a stop string.

    marks: special tokens are part of the text, the end mark too, as LLaMA-Factory's skip_special_tokens: false shows
    them. keep: the special tokens that are part of it in any case. ends: ids that end a reply and have no text.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        show: Callable[[str, Sequence[Place]], None],
        *,
        ends: Sequence[int],
        stop: Sequence[str] = (),
        marks: bool = False,
        keep: Collection[int] = (),
    ) -> None:
        self._tokenizer, self._show, self._stop = tokenizer, show, [text for text in stop if text]
        self._whole_marks = marks or bool(keep)
        special = set(tokenizer.all_special_ids) - set(keep) if keep else set()
        self._silent: set[int] = set() if marks else set(ends) | special
        self._prompt = True
        self.ids: list[int] = []
        self.text = ""  # what has been shown
        self.stopped_by: str | None = None
        self._known = ""  # what has been decoded: `text`, and what waits
        self._starts: list[int] = []
        self._sent = 0
        self._from = 0
        self._window = ""

    def put(self, value: Tensor) -> None:
        """Take the next token; the first call carries the prompt."""
        if self._prompt:
            self._prompt = False
            return
        self.ids.append(int(value.flatten()[0]))
        self._starts.append(len(self._known))
        self._grow(final=False)

    def end(self) -> None:
        """Show what waited."""
        self._grow(final=True)

    def _grow(self, *, final: bool) -> None:
        if self.stopped_by is not None:
            return
        self._decode_more(final=final)
        found = self._first_stop()
        if found is not None:
            end, self.stopped_by = found
        else:
            end = len(self._known) if final else len(self._known) - self._held()
        self._release(end, final=final or found is not None)

    def _first_stop(self) -> tuple[int, str] | None:
        places = ((self._known.find(text, len(self.text)), text) for text in self._stop)
        return min((place for place in places if place[0] >= 0), default=None)

    def _held(self) -> int:
        """Return how many characters at the end may be the beginning of a stop string."""
        waits = len(self._known) - len(self.text)
        most = min(waits, max((len(text) for text in self._stop), default=1) - 1)
        for count in range(most, 0, -1):
            tail = self._known[-count:]
            if any(len(text) > count and text.startswith(tail) for text in self._stop):
                return count
        return 0

    def _release(self, end: int, *, final: bool) -> None:
        new = self._known[len(self.text) : end]
        placed: list[Place] = []
        while self._sent < len(self.ids):
            start, after = self._starts[self._sent], self._after(self._sent)
            if after > end if not final else start >= end and after > end:
                break
            token = self.ids[self._sent]
            if token not in self._silent:
                placed.append(Place(self._sent, token, start, min(after, end)))
            self._sent += 1
        self.text += new
        if new or placed:
            self._show(new, placed)

    def _after(self, place: int) -> int:
        return self._starts[place + 1] if place + 1 < len(self._starts) else len(self._known)

    def _decode_more(self, *, final: bool) -> None:
        # Decoded from a few tokens back: a tokenizer may join spaces and bytes across tokens, but not over many.
        text = self._decode(self._from)
        if not final and text.endswith("\ufffd"):
            return
        if text.startswith(self._window):
            self._known += text[len(self._window) :]
        else:  # the window cut something that belongs together: take it from the whole
            whole = self._decode(0)
            self._known = whole if whole.startswith(self._known) else self._known
        self._window = text
        if len(self.ids) - self._from > 2 * _RECENT:
            self._from = len(self.ids) - _RECENT
            self._window = self._decode(self._from)

    def _decode(self, start: int) -> str:
        ids = [token for token in self.ids[start:] if token not in self._silent]
        text = self._tokenizer.decode(
            ids, skip_special_tokens=not self._whole_marks, clean_up_tokenization_spaces=False
        )  # fmt: skip
        assert isinstance(text, str)
        return text
