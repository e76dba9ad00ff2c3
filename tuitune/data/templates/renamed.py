"""A tokenizer's copy whose special tokens bear other names, to tokenise text that spells them."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from tuitune.data.templates.plain import LAST, Text, Unspeakable, restored

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase


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
    names = {mark: f"{chr(LAST)}{nonce}{number}{chr(LAST)}" for number, mark in enumerate(sorted(marks))}
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


_known_renamed: WeakKeyDictionary[Any, tuple[tuple[int, frozenset[str]], _Renamed]] = WeakKeyDictionary()
