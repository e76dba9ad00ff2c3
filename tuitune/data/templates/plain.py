"""Words of a message that spell a special token stay words.

While a conversation is rendered, each such word is held by one private-use character. What the template itself writes
keeps its tokens; what was held is tokenised as plain text, by a copy of the tokenizer whose special tokens bear other
names. A text without such words never comes here: its ids are those of the tokenizer, and the copy's would be the same.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Plane 16, private use. Such characters of a user's own are held like special tokens, so that none is mistaken.
_FIRST, LAST = 0x100000, 0x10FFFD
_RESERVED = re.compile(f"[{chr(_FIRST)}-{chr(LAST)}]")
PLACE = 0x108000  # places that are not words: own_split.py marks answers with them


class Unspeakable(Exception):
    """A text that this tokenizer cannot write as plain text; the words are the reason."""


@dataclass(frozen=True, slots=True)
class Marks:
    """The special tokens of a tokenizer, and those that a template writes."""

    special: frozenset[str]
    every: frozenset[str]
    # Of a tokenizer that looks for special tokens in normalised text only.
    normal: Callable[[str], str] | None = field(default=None, compare=False)

    def found(self, everywhere: bool) -> re.Pattern[str]:
        """Return what finds marks in a text, the longest first."""
        return _pattern(self.every if everywhere else self.special)

    def in_text(self, text: str, everywhere: bool) -> bool:
        """Return whether a word of `text` must be held."""
        known = self.every if everywhere else self.special
        if not text.isascii() and _RESERVED.search(text):
            return True
        if self.normal is not None and _pattern(known).search(self.normal(text)):
            return True
        return any(start in text for start in _starts(known)) and bool(_pattern(known).search(text))


@dataclass(frozen=True, slots=True)
class Text:
    """A rendered text in which `held` characters stand for words of a message."""

    text: str
    held: tuple[tuple[str, str], ...]
    marks: Marks

    def __str__(self) -> str:
        return restored(self.text, self.held)


class Shield:
    """Holds the words of one conversation that must stay words."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._held: dict[str, str] = {}
        self._any = False

    def hide(self, text: str, *, everywhere: bool) -> str:
        """Return `text` with its dangerous words held.

        Those are the tokenizer's special tokens and, `everywhere`, every mark that the template writes: what a user or
        a tool says. An answer may write tokens that the tokenizer itself calls ordinary, such as `<tool_call>`.
        """
        if not self._marks.in_text(text, everywhere):
            return text
        self._any = True
        parts, end = [], 0
        for match in self._marks.found(everywhere).finditer(text):
            parts += [_RESERVED.sub(self._hold, text[end : match.start()]), self._hold(match)]
            end = match.end()
        return "".join([*parts, _RESERVED.sub(self._hold, text[end:])])

    def hide_all(self, value: Any) -> Any:
        """Do the same with every text of a JSON value; its tokens that are ordinary stay."""
        if isinstance(value, str):
            return self.hide(value, everywhere=False)
        if isinstance(value, dict):
            return {self.hide_all(key): self.hide_all(each) for key, each in value.items()}
        return [self.hide_all(each) for each in value] if isinstance(value, list) else value

    def done(self, text: str) -> str | Text:
        """Return rendered text as an element of a piece."""
        if not self._any:
            return text
        return Text(text, tuple((held, words) for words, held in self._held.items()), self._marks)

    def _hold(self, match: re.Match[str]) -> str:
        words = match[0]
        if words not in self._held:
            if len(self._held) >= PLACE - _FIRST:
                raise Unspeakable("it has too many different characters of private use")
            self._held[words] = chr(_FIRST + len(self._held))
        return self._held[words]


def restored(text: str, held: Iterable[tuple[str, str]]) -> str:
    """Return `text` with the words that were held."""
    words = dict(held)
    return _RESERVED.sub(lambda match: words.get(match[0], match[0]), text)


def marks_of(tokenizer: PreTrainedTokenizerBase, template: str) -> Marks:
    """Return the special tokens of `tokenizer` and the marks among its other tokens that `template` spells."""
    key = (len(tokenizer), template)
    known = _known_marks.get(tokenizer)
    if known is None or known[0] != key:
        known = (key, _marks(tokenizer, template))
        _known_marks[tokenizer] = known
    return known[1]


def _marks(tokenizer: PreTrainedTokenizerBase, template: str) -> Marks:
    added = tokenizer.added_tokens_decoder.values()
    special = {token.content for token in added if token.special} | {str(t) for t in tokenizer.all_special_tokens}
    special = {token for token in special if token.strip()}
    spelled = {token.content for token in added if _is_mark(token.content) and token.content in template}
    backend = getattr(tokenizer, "backend_tokenizer", None)
    folded = backend is not None and backend.normalizer is not None and any(t.normalized and t.special for t in added)
    normal = backend.normalizer.normalize_str if backend is not None and folded else None
    return Marks(frozenset(special), frozenset(special | spelled), normal)


def _is_mark(token: str) -> bool:
    """Tell a mark such as <tool_response> from the line breaks and indents that some tokenizers add, too."""
    return len(token) > 2 and token == token.strip() and not (token[0].isalnum() or token[-1].isalnum())


@functools.lru_cache(maxsize=16)
def _pattern(tokens: frozenset[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(tokens, key=lambda token: (-len(token), token)))) or r"(?!)")


@functools.lru_cache(maxsize=16)
def _starts(tokens: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted({token[:2] for token in tokens}))


_known_marks: WeakKeyDictionary[Any, tuple[tuple[int, str], Marks]] = WeakKeyDictionary()
