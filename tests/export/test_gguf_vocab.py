from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tests.export.gguf_given import sentencepiece
from tests.tiny import CORPUS, SPECIAL, tiny_tokenizer
from tuitune.export.gguf_speech import SPOKEN, differing, rebuilt
from tuitune.export.gguf_vocab import NotOurs, vocabulary
from tuitune.models.gguf_cuts import CUTS, cut_of
from tuitune.models.gguf_words import BYTE, CONTROL, NORMAL, UNKNOWN, UNUSED, USER_DEFINED

_MORE = (
    *CORPUS,
    *SPOKEN,
    "1 12 123 1234 12345 99 1000000",
    "I'm you'LL DON'T we've",
    "naïve CamelCase HTTPServer x1y2",
)


def _byte_level(pattern: str | None, *, whole: bool = False, digits: bool = False) -> PreTrainedTokenizerFast:
    """Train a tokenizer that cuts by one of the patterns that model makers use."""
    made = Tokenizer(models.BPE(ignore_merges=whole))
    parts: list[Any] = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    parts += [pre_tokenizers.Split(Regex(pattern), "isolated")] if pattern else []
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [*parts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)]
    )
    made.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(_MORE * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|im_end|>", bos_token="<|endoftext|>")


# As the tokenizer.json files of Llama 3, Qwen 2 and Mistral Nemo have them.
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace("{1,3}", "")


@pytest.mark.parametrize(
    ("pattern", "more", "name"),
    [
        (_LLAMA3, {"whole": True}, "llama-bpe"),
        (_LLAMA3, {}, "smaug-bpe"),
        (_QWEN2, {}, "qwen2"),
        (None, {}, "gpt-2"),
        (None, {"digits": True}, "smollm"),
    ],
)
def test_the_cut_is_found_by_trying(pattern: str | None, more: dict[str, bool], name: str) -> None:
    tokenizer = _byte_level(pattern, **more)
    made = vocabulary(tokenizer, len(tokenizer) + 3, [2], lambda text: None)
    # Of two names that cut these texts alike the first is taken, and that is as good.
    assert made.model == "gpt2"
    told = rebuilt(made)
    assert differing(told, tokenizer, _MORE) == []
    told.cut(name)
    assert differing(told, tokenizer, _MORE) == []


def test_a_wrong_cut_is_noticed() -> None:
    tokenizer = _byte_level(_LLAMA3)
    told = rebuilt(vocabulary(tokenizer, len(tokenizer), [2], lambda text: None))
    told.cut("qwen2")  # cuts numbers into single digits
    assert differing(told, tokenizer, SPOKEN)


def test_a_way_of_cutting_that_llama_cpp_does_not_have_is_refused() -> None:
    tokenizer = _byte_level(r"\p{N}{5}|[aeiou]|[^aeiou\p{N}]+")
    with pytest.raises(NotOurs, match="no name for the way"):
        vocabulary(tokenizer, len(tokenizer), [2], lambda text: None)


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("llama-bpe", ["I", "'m", " in", " ", "202", "4", "\n\n", " x"]),
        ("qwen2", ["I", "'m", " in", " ", "2", "0", "2", "4", "\n\n", " x"]),
        ("gpt-2", ["I", "'m", " in", " 2024", "\n\n", " x"]),
        ("smollm", ["I", "'m", " in", " ", "2", "0", "2", "4", "\n\n", " x"]),
        ("tekken", ["I", "'m", " in", " ", "2", "0", "2", "4", "\n\n", " x"]),
    ],
)
def test_cuts(name: str, pieces: list[str]) -> None:
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in cut_of(name).patterns]
    found = pre_tokenizers.Sequence(splits).pre_tokenize_str("I'm in 2024\n\n x")
    assert [piece for piece, _ in found] == pieces


def test_a_known_tokenizer_has_its_name_by_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    from hashlib import sha256

    from tuitune.export import gguf_cuts

    tokenizer = tiny_tokenizer()
    digest = sha256(str(tokenizer.encode(gguf_cuts.HASHED)).encode()).hexdigest()
    monkeypatch.setitem(gguf_cuts._KNOWN, digest, "falcon3")
    assert gguf_cuts.candidates(tokenizer)[0] == "falcon3"
    assert cut_of("falcon3") == CUTS["llama-bpe"]


def test_kinds_and_roles() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["<tool_call>"])
    rows = len(tokenizer) + 5
    made = vocabulary(tokenizer, rows, [2, 1], lambda text: None)
    added = tokenizer.convert_tokens_to_ids("<tool_call>")
    assert len(made.tokens) == len(made.kinds) == rows
    assert [made.kinds[number] for number in (0, 1, 2, 3, added)] == [CONTROL, CONTROL, CONTROL, NORMAL, USER_DEFINED]
    assert made.kinds[-5:] == (UNUSED,) * 5
    assert made.tokens[-1] == f"[PAD{rows - 1}]"
    assert dict(made.special) == {"bos": 0, "eos": 2, "pad": 0, "eot": 1}
    assert dict(made.add) == {"bos": False, "eos": False}


def test_the_first_token_is_added_where_the_tokenizer_does_so() -> None:
    from tokenizers import processors

    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
    )
    assert dict(vocabulary(tokenizer, 512, [2], lambda text: None).add) == {"bos": True, "eos": False}


def test_more_tokens_than_embeddings_are_refused() -> None:
    with pytest.raises(NotOurs, match="embeddings"):
        vocabulary(tiny_tokenizer(), 400, [2], lambda text: None)


# Sentencepiece


def _joined(text: str, tokens: Sequence[str], scores: Sequence[float]) -> list[int]:
    """Cut as sentencepiece's BPE does: join the neighbours whose result scores highest, the left pair first."""
    numbers = {token: number for number, token in enumerate(tokens)}
    parts = list("▁" + text.replace(" ", "▁"))
    while True:
        pairs = [
            (-scores[numbers[left + right]], place)
            for place, (left, right) in enumerate(pairwise(parts))
            if left + right in numbers
        ]
        if not pairs:
            break
        _, place = min(pairs)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    bytes_of = [[part] if part in numbers else [f"<0x{byte:02X}>" for byte in part.encode()] for part in parts]
    return [numbers[each] for part in bytes_of for each in part]


def test_a_sentencepiece_vocabulary_has_scores_that_join_as_its_merges_do() -> None:
    tokenizer = sentencepiece()
    made = vocabulary(tokenizer, len(tokenizer), [2], lambda text: None)
    assert (made.model, made.pre, made.add_space, made.merges) == ("llama", "default", True, ())
    assert [made.kinds[number] for number in (0, 1, 2, 3, 258, 259)] == [UNKNOWN, CONTROL, CONTROL, BYTE, BYTE, NORMAL]
    words = " ".join(CORPUS).replace("\n", " ").split()
    drawn = random.Random(0)
    for text in [*CORPUS, *(" ".join(drawn.choices(words, k=6)) for _ in range(20)), "über 🦙"]:
        assert _joined(text, made.tokens, made.scores) == tokenizer(text, add_special_tokens=False).input_ids


def test_a_unigram_tokenizer_is_refused() -> None:
    tokenizer = sentencepiece(models.Unigram([("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), ("▁a", -1.0)], 0))
    with pytest.raises(NotOurs, match="Unigram"):
        vocabulary(tokenizer, len(tokenizer), [2], lambda text: None)
