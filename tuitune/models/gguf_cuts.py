"""How text is cut before bytes are merged: the names of `tokenizer.ggml.pre` in GGUF files, and what each means.

llama.cpp has the regular expressions in its program (src/llama-vocab.cpp, llm_tokenizer_bpe) and a file names one of
them. Here each is composed of the same parts, to read a file by it and to try what a file says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cut:
    """Patterns that cut one after the other, as llama.cpp has them.

    whole: a piece that is a token is not merged from its bytes. own: the patterns of the tokenizers that go by this
    name, where llama.cpp comes near them only (it has no classes of upper and lower case).
    """

    patterns: tuple[str, ...]
    whole: bool = False
    own: tuple[str, ...] = ()


_SUFFIX = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_GAPS = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_NEAR = (r"(?:(?=\p{L})[^a-z])", r"(?:(?=\p{L})[^A-Z])")  # llama.cpp's reading: any letter but those of ASCII
_CASES = (r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]")
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
_DIGIT = r"\p{N}"


def _modern(digits: str) -> str:
    return "|".join((_SUFFIX, _WORD, digits, _SIGNS, _GAPS))


def _cased(digits: str, suffix: str, cases: tuple[str, str] = _NEAR) -> tuple[str]:
    """Return the pattern that cuts words also where small letters are followed by capitals."""
    start, (upper, lower) = r"[^\r\n\p{L}\p{N}]?", cases
    words = (f"{start}{upper}*{lower}+{suffix}", f"{start}{upper}+{lower}*{suffix}")
    return ("|".join((*words, digits, r" ?[^\s\p{L}\p{N}]+[\r\n/]*", _GAPS)),)


_ASCII_SIGN = r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"
_DEEPSEEK = (
    r"\p{N}{1,3}",
    "[一-龥\u3040-ゟ゠-ヿ]+",
    _ASCII_SIGN + r"[A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|" + _GAPS,
)

# In the order in which a writer tries them: of two that may do the same, the one that cuts less comes first.
CUTS: dict[str, Cut] = {
    "llama-bpe": Cut((_modern(r"\p{N}{1,3}"),), whole=True),
    "smaug-bpe": Cut((_modern(r"\p{N}{1,3}"),)),
    "qwen2": Cut((_modern(_DIGIT),)),
    "tekken": Cut(_cased(_DIGIT, ""), whole=True, own=_cased(_DIGIT, "", _CASES)),
    "gpt-4o": Cut(_cased(r"\p{N}{1,3}", f"{_SUFFIX}?"), own=_cased(r"\p{N}{1,3}", f"{_SUFFIX}?", _CASES)),
    "gpt-2": Cut((_GPT2,)),
    "smollm": Cut((_DIGIT, _GPT2)),
    "deepseek-v3": Cut(_DEEPSEEK),
    "qwen35": Cut(("|".join((
        _SUFFIX, r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+", _DIGIT, r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*", _GAPS
    )),)),
    "seed-coder": Cut(("|".join((_SUFFIX, _WORD, _DIGIT, r" ?[^\s\p{L}\p{N}\r\n]+", _GAPS)),)),
    "minicpm5": Cut((r"\p{N}{1,3}", _modern(r"\p{N}+")), whole=True),
}  # fmt: skip

_ALSO = {
    "llama-bpe": "llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2",
    "smaug-bpe": "dbrx glm4 chatglm-bpe",
    "qwen2": "deepseek-r1-qwen megrez kormo stablelm2 hunyuan solar-open grok-2",
    "gpt-4o": "llama4 kanana2 talkie minimax-m2",
    "gpt-2": "phi-2 gigachat a.x-4.0 mellum olmo mpt jais trillion granite-docling exaone4",
    "smollm": "starcoder refact command-r codeshell exaone minerva-7b mellum2",
    "deepseek-v3": "hunyuan-dense joyai-llm",
}
_SAME = {also: name for name, others in _ALSO.items() for also in others.split()}
# Their tokenizers compose Unicode first (NFC): Qwen's, Cohere's, and GPT-NeoX's with those made from it.
_COMPOSED = {"qwen2", "qwen35", "deepseek-r1-qwen", "command-r", "olmo", "mpt"}
# Where such a file does not say whether a text gets the first token, llama.cpp puts it there.
_BEGUN = {"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "tekken"}
# Files from before GGUF had the name (April 2024): what has always been cut so in these architectures.
_ALWAYS = {"gpt2": "gpt-2", "qwen2": "qwen2", "qwen2moe": "qwen2", "starcoder2": "starcoder", "command-r": "command-r"}


def cut_of(name: str) -> Cut:
    """Return how llama.cpp cuts for a name of `tokenizer.ggml.pre`; raises KeyError for one not known here."""
    return CUTS[_SAME.get(name, name)]


def named_cut(name: str, architecture: str) -> str | None:
    """Return the name to cut by when a file of this architecture says `name` ("" for nothing); None: not known here."""
    if name in ("", "default"):
        return _ALWAYS.get(architecture)
    return name if _SAME.get(name, name) in CUTS else None


def begins(name: str) -> bool:
    """Whether a text gets the first token under this name when the file does not say."""
    return name in _BEGUN


def set_cut(made: Any, name: str) -> None:
    """Let a byte-level tokenizer (of the library tokenizers) cut as the models do that go by `name`."""
    from tokenizers import normalizers, pre_tokenizers

    cut = cut_of(name)
    patterns = cut.own or cut.patterns
    bytewise = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=patterns[-1] == _GPT2)
    # The last cut of GPT-2 is ByteLevel's own, and several times as fast there.
    splits = [_split(pattern) for pattern in patterns if pattern != _GPT2]
    made.pre_tokenizer = pre_tokenizers.Sequence([*splits, bytewise]) if splits else bytewise
    made.normalizer = normalizers.NFC() if name in _COMPOSED else None
    made.model.ignore_merges = cut.whole


def _split(pattern: str) -> Any:
    from tokenizers import Regex, pre_tokenizers

    if pattern == _DIGIT:
        return pre_tokenizers.Digits(individual_digits=True)
    return pre_tokenizers.Split(Regex(pattern), "isolated")
