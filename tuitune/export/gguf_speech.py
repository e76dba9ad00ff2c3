"""A GGUF file's tokenizer, built again from what the file says as llama.cpp understands it, to be held to the original.

llama.cpp: src/llama-vocab.cpp, llm_tokenizer_bpe and llm_tokenizer_spm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tuitune.export.gguf_cuts import HASHED
from tuitune.models.gguf_cuts import cut_of
from tuitune.models.gguf_words import add_marks, byte_level

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tuitune.export.gguf_vocab import Vocabulary

Note = Callable[[str], None]
_WORD = "▁"

# Digits, signs, scripts, line breaks and gaps: what tokenizers cut differently. In composed Unicode (NFC), since
# llama.cpp composes nothing.
SPOKEN: tuple[str, ...] = (
    HASHED,
    "What is 3 plus 47? It's 50, and 1234567 is more than 89.5%; 2024-11-23 was a Saturday.",
    "  two spaces first\n\nthen\tlines\r\n   and three at the end   ",
    "def add(first, second):\n    return first + second  # sum\n\n\nprint(add(1, 22), 'DON\\'T')",
    "Die Straße führt über Köln; l'été à Genève; ¿Qué? Привет, мир! Καλημέρα. שלום עולם. مرحبا بالعالم",
    "中文和日本語のテキスト、한국어 텍스트。数学：∑ x² ≤ ∞ 👩‍👩‍👧 🇨🇭 ﬁ ½",
    "Steps:\n\n1. one\n\n22. two!\r\n\r\n333.   4444 and  55\t6; a ½ cup, x² at 20°",
    "CamelCaseWords and SHOUTING, snake_case_words, https://example.org/a?b=c&d=%20e http://x.y/~z <b>bold</b> {{x}}",
)


class Rebuilt:
    """A tokenizer that does what llama.cpp would with a vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        bytewise = vocabulary.model == "gpt2"
        self._made: Any = byte_level(vocabulary.tokens, vocabulary.merges) if bytewise else _characters(vocabulary)
        add_marks(self._made, vocabulary.tokens, vocabulary.kinds)
        if bytewise and vocabulary.pre != "default":
            self.cut(vocabulary.pre)

    def cut(self, name: str) -> None:
        """Cut text as llama.cpp does for this name of `tokenizer.ggml.pre`."""
        from tokenizers import Regex, pre_tokenizers

        cut = cut_of(name)
        splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in cut.patterns]
        bytewise = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        self._made.pre_tokenizer = pre_tokenizers.Sequence([*splits, bytewise])
        self._made.model.ignore_merges = cut.whole

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text; special tokens in it are found, none is added."""
        found: list[int] = self._made.encode(text, add_special_tokens=False).ids
        return found


def rebuilt(vocabulary: Vocabulary) -> Rebuilt:
    """Return the tokenizer that llama.cpp makes of a vocabulary."""
    return Rebuilt(vocabulary)


def differing(told: Rebuilt, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[str]:
    """Return the texts that get other ids than the tokenizer's."""
    return [text for text in texts if told.ids(text) != tokenizer(text, add_special_tokens=False).input_ids]


def _characters(vocabulary: Vocabulary) -> Any:
    from tokenizers import Tokenizer, models, normalizers

    numbers = {token: number for number, token in enumerate(vocabulary.tokens)}
    unknown = [token for token, kind in zip(vocabulary.tokens, vocabulary.kinds, strict=True) if kind == 2]
    made = Tokenizer(
        models.BPE(
            vocab=numbers, merges=_joins(vocabulary), byte_fallback=True, unk_token=unknown[0] if unknown else None
        )
    )
    prepend = [normalizers.Prepend(_WORD)] if vocabulary.add_space else []
    made.normalizer = normalizers.Sequence([*prepend, normalizers.Replace(" ", _WORD)])
    return made


def _joins(vocabulary: Vocabulary) -> list[tuple[str, str]]:
    """Return every way to join two tokens into a third, best result first: llama.cpp's rule for sentencepiece."""
    plain = {
        token: score
        for token, kind, score in zip(vocabulary.tokens, vocabulary.kinds, vocabulary.scores, strict=True)
        if kind == 1
    }
    found = [
        (-score, token[:place], token[place:])
        for token, score in plain.items()
        for place in range(1, len(token))
        if token[:place] in plain and token[place:] in plain
    ]
    return [(left, right) for _, left, right in sorted(found, key=lambda each: each[0])]
