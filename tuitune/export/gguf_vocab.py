"""A tokenizer as a GGUF file holds it: the tokens with their kinds, the merges, and what llama.cpp is to add by itself.

Two sorts can be written: byte-level BPE (GPT-2's, in GGUF's terms "gpt2") and BPE over characters with bytes as a last
resort, as sentencepiece trains it ("llama"). llama.cpp has no merges for the second: it joins the pair whose result has
the highest score, so the rank of a merge becomes the score of its result.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tuitune.export.gguf_cuts import candidates
from tuitune.export.gguf_speech import SPOKEN, differing, rebuilt
from tuitune.models.gguf_words import BYTE, CONTROL, NORMAL, UNKNOWN, UNUSED, USER_DEFINED

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tuitune.export.gguf_speech import Note

_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")
_MARK = re.compile(r"<\|.*\|>|<｜.*｜>", re.DOTALL)
_ADDED_SCORE = -1000.0  # what llama.cpp's converter gives to added tokens
_NAMES = ("bos", "eos", "unk", "sep", "pad")


class NotOurs(Exception):
    """What this writer cannot put into a GGUF file, in words."""


@dataclass(frozen=True)
class Vocabulary:
    """What the tokenizer's part of a GGUF file says. kinds: of each token, by GGUF's numbers; special: role -> id."""

    model: str
    pre: str
    tokens: tuple[str, ...]
    kinds: tuple[int, ...]
    merges: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    special: tuple[tuple[str, int], ...] = ()
    add: tuple[tuple[str, bool], ...] = ()
    add_space: bool | None = None
    template: str | None = None


def vocabulary(tokenizer: PreTrainedTokenizerBase, rows: int, stops: Sequence[int], note: Note) -> Vocabulary:
    """Return the vocabulary of a model with `rows` embeddings whose answers end with `stops`.

    It is tried on texts as llama.cpp would read it; raises NotOurs where the ids differ from the tokenizer's.
    """
    made = _plain(tokenizer, rows, stops)
    if made.model == "gpt2":
        made = replace(made, pre=_pre(tokenizer, made))
    elif differing(rebuilt(made), tokenizer, SPOKEN):
        raise NotOurs("its tokenizer cuts some texts otherwise than llama.cpp would")
    marked = [f"one{token}two" for token, kind in zip(made.tokens, made.kinds, strict=True) if kind == CONTROL][:64]
    if differing(rebuilt(made), tokenizer, marked):
        note("after a special token llama.cpp cuts text a little otherwise than transformers does (a space more)")
    return made


def _plain(tokenizer: PreTrainedTokenizerBase, rows: int, stops: Sequence[int]) -> Vocabulary:
    """Return everything but the cut."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise NotOurs("its tokenizer has no tokenizer.json")
    facts: dict[str, Any] = json.loads(backend.to_str())
    spelled: dict[str, int] = tokenizer.get_vocab()
    if max(spelled.values()) >= rows:
        raise NotOurs(f"its tokenizer has ids up to {max(spelled.values())}, and the model {rows} embeddings")
    model = _sort(facts)
    tokens = [f"[PAD{number}]" for number in range(rows)]
    kinds = [UNUSED] * rows
    for token, number in spelled.items():
        tokens[number], kinds[number] = token, _kind(token, facts, model)
    _added(tokenizer, tokens, kinds)
    merges = [" ".join(pair) if isinstance(pair, list) else str(pair) for pair in facts["model"]["merges"]]
    return Vocabulary(
        model=model,
        pre="default",
        tokens=tuple(tokens),
        kinds=tuple(kinds),
        merges=tuple(merges) if model == "gpt2" else (),
        scores=_scores(tokens, kinds, merges) if model == "llama" else (),
        special=_special(tokenizer, stops, rows),
        add=_adds(tokenizer),
        add_space=_adds_space(facts) if model == "llama" else None,
        template=_template(tokenizer),
    )


def _sort(facts: dict[str, Any]) -> str:
    kind = facts["model"].get("type")
    if kind != "BPE":
        raise NotOurs(f"its tokenizer is of the sort {kind}, not BPE")
    if facts["model"].get("byte_fallback"):
        return "llama"
    if "ByteLevel" not in json.dumps(facts.get("decoder")):
        raise NotOurs("its tokenizer is neither byte-level BPE nor BPE with bytes as a last resort")
    return "gpt2"


def _kind(token: str, facts: dict[str, Any], model: str) -> int:
    if model == "llama" and _BYTE.fullmatch(token):
        return BYTE
    if model == "llama" and token == facts["model"].get("unk_token"):
        return UNKNOWN
    return NORMAL


def _added(tokenizer: PreTrainedTokenizerBase, tokens: list[str], kinds: list[int]) -> None:
    """Mark the tokens that are found in a text before it is cut; those that look special are, as in llama.cpp."""
    for number, token in tokenizer.added_tokens_decoder.items():
        if kinds[number] == UNKNOWN:
            continue
        control = token.special or _MARK.fullmatch(token.content)
        kinds[number] = CONTROL if control else USER_DEFINED
        tokens[number] = token.content if control else token.content.replace("▁", " ")


def _scores(tokens: Sequence[str], kinds: Sequence[int], merges: Sequence[str]) -> tuple[float, ...]:
    ranks: dict[str, int] = {}
    for rank, merge in enumerate(merges):
        ranks.setdefault(merge.replace(" ", "", 1), rank)
    return tuple(
        _ADDED_SCORE if kind in (CONTROL, USER_DEFINED, UNUSED) else -float(ranks.get(token, 0))
        for token, kind in zip(tokens, kinds, strict=True)
    )


def _special(tokenizer: PreTrainedTokenizerBase, stops: Sequence[int], rows: int) -> tuple[tuple[str, int], ...]:
    found: dict[str, int] = {}
    for name in _NAMES:
        number = getattr(tokenizer, f"{name}_token_id", None)
        if isinstance(number, int) and 0 <= number < rows:
            found[name] = number
    if stops:
        found.setdefault("eos", stops[0])
        others = [number for number in stops if number != found["eos"]]
        found.update({"eot": others[0]} if others else {})
    return tuple(found.items())


def _adds(tokenizer: PreTrainedTokenizerBase) -> tuple[tuple[str, bool], ...]:
    """Return which tokens are put around a text by themselves, as the tokenizer does it and not as it says."""
    whole: list[int] = tokenizer("a").input_ids
    bare: list[int] = tokenizer("a", add_special_tokens=False).input_ids
    first = len(whole) > len(bare) and whole[0] == tokenizer.bos_token_id
    last = len(whole) > len(bare) and whole[-1] == tokenizer.eos_token_id
    return (("bos", first), ("eos", last))


def _adds_space(facts: dict[str, Any]) -> bool:
    parts: list[dict[str, Any]] = []
    for part in (facts.get("normalizer"), facts.get("pre_tokenizer")):
        parts += (part or {}).get("normalizers") or (part or {}).get("pretokenizers") or ([part] if part else [])
    return any(
        part["type"] == "Prepend" or (part["type"] == "Metaspace" and part.get("prepend_scheme") != "never")
        for part in parts
    )


def _template(tokenizer: PreTrainedTokenizerBase) -> str | None:
    told: Any = tokenizer.chat_template
    return told.get("default") if isinstance(told, dict) else told


def _pre(tokenizer: PreTrainedTokenizerBase, made: Vocabulary) -> str:
    """Return the name of the cut under which llama.cpp finds the tokenizer's own ids."""
    told = rebuilt(made)
    for name in candidates(tokenizer):
        told.cut(name)
        if not differing(told, tokenizer, SPOKEN):
            return name
    raise NotOurs("llama.cpp has no name for the way its tokenizer cuts text into words")
