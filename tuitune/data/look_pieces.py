"""Single tokens: their bytes, and how they are shown one beside the other without deceiving the eye or the terminal."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tuitune.text import clean

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerBase

# A character of UTF-8 has four bytes at most, so its first one lies at most so many tokens back.
LOOKBACK = 3
PART = "▫"  # stands for a token that holds only a part of a character
NEWLINE, TAB = "↵", "⇥"
_MARK = re.compile(r"<[^<>\s]+>|\[/?[A-Z][A-Z_]+\]")
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\ufff9-\ufffb]"
)
_JOINED = re.compile("[\u200d\ufe0e\ufe0f\U0001f1e6-\U0001f1ff\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")
# What may stand only between two characters of the same token: at its edge it would change the neighbour.
_INSIDE = re.compile("(?<=.)[\ufe0e\ufe0f](?=.)|(?<=.)[\ufe0e\ufe0f]$|(?<=.)\u200d(?=.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Token:
    """One token: its place in the sequence, its id, what is shown of it, its bytes, and what is done with it.

    text: printable, on one line, never empty; `PART` where it holds only a part of a character. target: the id that is
    learnt in this place if it is trained, nearly always its own.
    """

    position: int
    id: int
    text: str
    raw: bytes
    trained: bool
    special: bool
    target: int

    @property
    def partial(self) -> bool:
        """Whether it completes no character."""
        return self.text == PART

    @property
    def words(self) -> str:
        """Its text as it is written, or its bytes where they are no text; harmless for a terminal."""
        try:
            return ascii_controls(self.raw.decode("utf-8"))
        except UnicodeDecodeError:
            return "bytes " + self.raw.hex(" ").upper()


class Pieces:
    """The vocabulary of a tokenizer, token by token; for one thread at a time."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer: Any = tokenizer
        added: dict[int, Any] = dict(getattr(tokenizer, "added_tokens_decoder", {}))
        self._added = {number: str(getattr(token, "content", token)) for number, token in added.items()}
        marks = {number for number, token in added.items() if getattr(token, "special", False)}
        marks |= {number for number, text in self._added.items() if _MARK.fullmatch(text)}
        self.special: NDArray[np.int32] = np.array(sorted(marks | set(tokenizer.all_special_ids)), dtype=np.int32)
        self._special = frozenset(self.special.tolist())
        self._bytes = _byte_table() if _is_byte_level(self._tokenizer) else None
        self._known: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self._tokenizer)

    def raw(self, number: int) -> bytes:
        """Return the bytes of a token; none for a number that the tokenizer does not know."""
        found = self._known.get(number)
        if found is None:
            found = self._known[number] = self._look_up(number)
        return found

    def _look_up(self, number: int) -> bytes:
        if number in self._added:
            return self._added[number].encode("utf-8", "replace")
        try:
            token = self._tokenizer.convert_ids_to_tokens(number)
        except (IndexError, KeyError, OverflowError, TypeError, ValueError):
            return b""
        if token is None or isinstance(token, bytes):
            return token or b""
        table = self._bytes
        if table is not None and all(char in table for char in token):
            return bytes(table[char] for char in token)
        byte = _BYTE.fullmatch(token)
        return bytes([int(byte[1], 16)]) if byte else token.replace("▁", " ").encode("utf-8", "replace")

    def tokens(self, ids: NDArray[np.int32], labelled: NDArray[np.bool_], start: int, stop: int) -> list[Token]:
        """Return the tokens `start` to `stop` of a sequence; both arrays have shape (tokens,)."""
        first = max(0, start - LOOKBACK)
        numbers = ids[first:stop].tolist()
        raws = [self.raw(number) for number in numbers]
        marks = [number in self._special for number in numbers]
        texts = characters(raws, marks)
        found = zip(numbers, texts, raws, labelled[first:stop].tolist(), marks, strict=True)
        tokens = [
            Token(first + at, number, shown(text, raw, number), raw, bool(trained), special, number)
            for at, (number, text, raw, trained, special) in enumerate(found)
        ]
        return tokens[start - first :]

    def text(self, ids: Iterable[int]) -> str:
        """Return the text of some tokens, as it is: not cleaned."""
        return b"".join(self.raw(number) for number in ids).decode("utf-8", "replace")


def characters(raws: Sequence[bytes], marks: Sequence[bool]) -> list[str]:
    """Return for every token the characters that it completes; a mark begins anew."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    texts = []
    for raw, mark in zip(raws, marks, strict=True):
        if mark:
            decoder.reset()
        texts.append(decoder.decode(raw))
    return texts


def shown(text: str, raw: bytes, number: int) -> str:
    """Return what stands for a token on the screen: as many cells beside others as alone, and nothing to obey."""
    if not raw:
        return f"<{number}?>"
    return _shown(text) if text else PART


@lru_cache(maxsize=65536)
def _shown(text: str) -> str:
    text = text.replace("\r\n", "␍\n").replace("\n", NEWLINE).replace("\t", TAB)
    kept = {match.start() for match in _INSIDE.finditer(text)}
    text = "".join(char if at in kept else _one(char) for at, char in enumerate(text))
    if unicodedata.category(text[0]) in ("Mn", "Me", "Mc"):
        text = "◌" + text
    return clean(text) or PART


def _one(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    hidden = 0x80 <= code < 0xA0 or _INVISIBLE.match(char) or _JOINED.match(char)
    return f"<U+{code:04X}>" if hidden else char


def ascii_controls(text: str) -> str:
    """Return a text in quotes with everything that cannot be seen written as an escape."""
    inner = "".join(
        char if char.isprintable() and not _INVISIBLE.match(char) and not _JOINED.match(char) else _escape(char)
        for char in text.replace("\\", "\\\\")
    )
    return f'"{inner}"'


def _escape(char: str) -> str:
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(char) or char.encode("unicode_escape").decode("ascii")


def _is_byte_level(tokenizer: Any) -> bool:
    """Tell whether tokens are written with one letter for each byte, as GPT-2 does: `é` is two of them there."""
    try:
        ids = tokenizer("aé", add_special_tokens=False)["input_ids"]
        return "Ã" in "".join(str(token) for token in tokenizer.convert_ids_to_tokens(ids))
    except (IndexError, KeyError, TypeError, ValueError):
        return False


@lru_cache(maxsize=1)
def _byte_table() -> dict[str, int]:
    """Return the letter of each byte: printable ones of Latin-1 stand for themselves, the others follow from U+0100."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    table = {chr(byte): byte for byte in plain}
    return table | {chr(0x100 + at): byte for at, byte in enumerate(others)}
