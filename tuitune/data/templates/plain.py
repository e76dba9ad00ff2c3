"""Words of a message that spell a special token stay words.

While a conversation is rendered, each such word is held by one private-use character. What the template itself writes
keeps its tokens; what was held is tokenised as plain text, by a copy of the tokenizer whose special tokens bear other
names. A text without such words never comes here: its ids are those of the tokenizer, and the copy's would be the same.
"""

from __future__ import annotations

import functools
import json
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

# Plane 16, private use. Such characters of a user's own are held like special tokens, so that none is mistaken.
_FIRST, _LAST = 0x100000, 0x10FFFD
_RESERVED = re.compile(f"[{chr(_FIRST)}-{chr(_LAST)}]")
PLACE = 0x10F000  # places that are not words: own_split.py marks answers with them


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


def id_of(token: str, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return the id of `token` if it is a single token of this vocabulary."""
    found = tokenizer.convert_tokens_to_ids(token)
    return found if isinstance(found, int) and tokenizer.convert_ids_to_tokens(found) == token else None


def plain_ids(text: Text, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the ids of `text`: marks of the template as tokens, held words as plain text; raises Unspeakable."""
    if tokenizer.split_special_tokens:
        return _encode(str(text), tokenizer)
    renamed = _renamed(tokenizer, text.marks.every)
    ids = _by_parts(text, tokenizer) if renamed.backend is None else renamed.ids(text, renamed.backend)
    # Some tokenizers (unigram) make a special token even of plain text: then nothing helps but leaving the row out.
    written = [mark for mark in text.marks.found(True).findall(text.text) if mark != tokenizer.unk_token]
    if sum(token in renamed.marks for token in ids) != len(written):
        words = ", ".join(sorted(words for _, words in text.held)[:3])
        raise Unspeakable(f"it spells special tokens ({words}) that this tokenizer cannot write as plain text")
    return ids


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


def _encode(text: str, tokenizer: PreTrainedTokenizerBase, **more: Any) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False, **more)["input_ids"]
    return ids


def _by_parts(text: Text, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Encode between the marks, for tokenizers written in Python, which know nothing of what stands before."""
    ids: list[int] = []
    ends = [0, *(end for match in text.marks.found(True).finditer(text.text) for end in match.span()), len(text.text)]
    for number, (start, end) in enumerate(pairwise(ends)):
        part = restored(text.text[start:end], text.held)
        if number % 2:
            number_of = id_of(part, tokenizer)
            ids += [] if number_of is None else [number_of]
        elif part:
            ids += _encode(part, tokenizer, split_special_tokens=True)
    return ids


@dataclass(frozen=True)
class _Renamed:
    """A copy of a tokenizer whose marks bear names that no text can hold, or none for those written in Python.

    `names` leads from marks to those, `known` from ids of the copy to the tokenizer's; `marks` are ids of the latter.
    """

    marks: frozenset[int]
    backend: Tokenizer | None = None
    names: dict[str, str] = field(default_factory=dict)
    known: dict[int, int] = field(default_factory=dict)

    def ids(self, text: Text, backend: Tokenizer) -> list[int]:
        named = text.marks.found(True).sub(lambda match: self.names[match[0]], text.text)
        encoded = backend.encode(restored(named, text.held), add_special_tokens=False)
        return [self.known.get(token, token) for token in encoded.ids]


def _renamed(tokenizer: PreTrainedTokenizerBase, marks: frozenset[str]) -> _Renamed:
    key = (len(tokenizer), marks)
    known = _known_renamed.get(tokenizer)
    if known is None or known[0] != key:
        # The unknown token comes of any odd letter.
        wanted = (id_of(mark, tokenizer) for mark in marks if mark != tokenizer.unk_token)
        ids = frozenset(each for each in wanted if each is not None)
        backend = getattr(tokenizer, "backend_tokenizer", None)
        known = (key, _Renamed(ids) if backend is None else _rename(backend, marks, ids))
        _known_renamed[tokenizer] = known
    return known[1]


def _rename(backend: Tokenizer, marks: frozenset[str], ids: frozenset[int]) -> _Renamed:
    """Copy `backend` with other names for `marks`, in its list of added tokens and in the model's vocabulary."""
    from tokenizers import Tokenizer

    nonce = secrets.token_hex(8)
    names = {mark: f"{chr(_LAST)}{nonce}{number}{chr(_LAST)}" for number, mark in enumerate(sorted(marks))}
    state = json.loads(backend.to_str())
    for token in state["added_tokens"]:
        if token["content"] in names:
            token.update(content=names[token["content"]], normalized=False, special=True)
    _rename_model(state["model"], names)
    copy = Tokenizer.from_str(json.dumps(state))
    copy.no_truncation()
    copy.no_padding()
    pairs = ((copy.token_to_id(name), backend.token_to_id(mark)) for mark, name in names.items())
    return _Renamed(ids, copy, names, {new: old for new, old in pairs if new is not None and old is not None})


def _rename_model(model: dict[str, Any], names: dict[str, str]) -> None:
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, list):  # unigram: pieces with scores
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in vocabulary]
        return
    merged = {"".join(merge if isinstance(merge, list) else merge.split(" ")) for merge in model.get("merges", ())}
    kept = {token: name for token, name in names.items() if token not in merged}
    if isinstance(vocabulary, dict):
        model["vocab"] = {kept.get(token, token): number for token, number in vocabulary.items()}
    if model.get("unk_token") in kept:
        model["unk_token"] = kept[model["unk_token"]]


_known_marks: WeakKeyDictionary[Any, tuple[tuple[int, str], Marks]] = WeakKeyDictionary()
_known_renamed: WeakKeyDictionary[Any, tuple[tuple[int, frozenset[str]], _Renamed]] = WeakKeyDictionary()
