"""The tokenizer in a GGUF file, made so that it finds the ids that the model was trained with.

transformers builds one too, with three faults for byte-level vocabularies: it cuts text as GPT-2 does for some names
of `tokenizer.ggml.pre` (numbers of SmolLM), it gives special tokens that are not ASCII other ids (DeepSeek's), and it
leaves out composing Unicode. So these are built here; sentencepiece's vocabularies are still left to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.fit.gguf import GgufHeader, read_gguf
from tuitune.models.gguf_cuts import begins, named_cut, set_cut
from tuitune.text import clean_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Note = Callable[[str], None]

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)  # the kinds of tokens
_ARRAYS = tuple(f"tokenizer.ggml.{name}" for name in ("tokens", "token_type", "merges"))
_ROLES = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}


def tokenizer_of(file: Path, note: Note) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a GGUF file; `note` is told where it may cut text otherwise than in training.

    No other tokenizer may lie in the file's folder: transformers would take that. Raises ValueError where the ids
    cannot be right, and what transformers raises.
    """
    head = read_gguf(file, _ARRAYS)
    tokens = head.arrays.get("tokenizer.ggml.tokens")
    if not tokens:
        raise ValueError("there is no tokenizer in it")
    made = _byte_level(head, note) if _told(head, "model") == "gpt2" else _by_transformers(file, head)
    _hold(made, [str(token) for token in tokens], _kinds(head, len(tokens)))
    return made


def _byte_level(head: GgufHeader, note: Note) -> PreTrainedTokenizerBase:
    import transformers

    build: Any = transformers.PreTrainedTokenizerFast
    tokens = [str(token) for token in head.arrays["tokenizer.ggml.tokens"]]
    kinds = _kinds(head, len(tokens))
    _refuse_other_alphabets(tokens)
    last = max((number for number, kind in enumerate(kinds) if kind != UNUSED), default=-1) + 1
    merges = [str(merge) for merge in head.arrays.get("tokenizer.ggml.merges", [])]
    made, name = byte_level(tokens[:last], merges), _name(head, note)
    set_cut(made, name)
    add_marks(made, tokens, kinds)
    special = {role: _token(tokens, _told(head, f"{key}_token_id")) for role, key in _ROLES.items()}
    found: PreTrainedTokenizerBase = build(
        tokenizer_object=made,
        chat_template=head.metadata.get("tokenizer.chat_template"),
        add_bos_token=special["bos"] is not None and bool(_told(head, "add_bos_token", begins(name))),
        add_eos_token=special["eos"] is not None and bool(_told(head, "add_eos_token", False)),
        **{f"{role}_token": token for role, token in special.items()},
    )
    return found


def byte_level(tokens: Sequence[str], merges: Sequence[str]) -> Any:
    """Return a tokenizer that merges bytes, without its cut and its special tokens; merges: "left right" each."""
    from tokenizers import Tokenizer, decoders, models

    numbers = {token: number for number, token in enumerate(tokens)}
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    try:
        made = Tokenizer(models.BPE(vocab=numbers, merges=pairs))
    except Exception as error:  # the library raises nothing finer
        raise ValueError(f"its merges do not fit its tokens: {error}") from error
    made.decoder = decoders.ByteLevel()
    return made


def add_marks(made: Any, tokens: Sequence[str], kinds: Sequence[int]) -> None:
    """Let the tokens of the kinds CONTROL and USER_DEFINED be found in a text before it is cut."""
    from tokenizers import AddedToken

    marks = [
        AddedToken(token, special=kind == CONTROL, normalized=False)
        for token, kind in zip(tokens, kinds, strict=True)
        if kind in (CONTROL, USER_DEFINED)
    ]
    made.add_special_tokens([mark for mark in marks if mark.special])
    made.add_tokens([mark for mark in marks if not mark.special])


def _name(head: GgufHeader, note: Note) -> str:
    said = str(_told(head, "pre", ""))
    name = named_cut(said, head.architecture or "")
    if name is not None:
        return name
    what = f"names a way not known here, {clean_line(said)!r}" if said not in ("", "default") else "does not say"
    note(
        f"the GGUF file {what} how its tokenizer cuts text into words: it is cut as GPT-2 does, so numbers, signs and "
        "line breaks may get other ids than the model was trained with; its safetensors have the right tokenizer"
    )
    return "gpt-2"


def _refuse_other_alphabets(tokens: Sequence[str]) -> None:
    from tokenizers import pre_tokenizers

    alphabet = set(pre_tokenizers.ByteLevel.alphabet())
    if len(alphabet.intersection(tokens)) < len(alphabet) // 2:
        raise ValueError("its tokenizer is said to be made of bytes (gpt2), and most bytes are not in its vocabulary")


def _by_transformers(file: Path, head: GgufHeader) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name, trust_remote_code=False)
    if _told(head, "model") == "llama" and _told(head, "add_space_prefix") is False:
        _begin_without_space(tokenizer.backend_tokenizer)
    found: PreTrainedTokenizerBase = tokenizer
    return found


def _begin_without_space(made: Any) -> None:
    # transformers does not read the flag.
    from tokenizers import decoders, pre_tokenizers

    if not isinstance(made.pre_tokenizer, pre_tokenizers.Metaspace):
        return
    made.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="never", split=False)
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])


def _hold(made: Any, tokens: Sequence[str], kinds: Sequence[int]) -> None:
    numbers = {token: number for number, token in enumerate(tokens)}
    marks = {token for token, kind in zip(tokens, kinds, strict=True) if kind == CONTROL}
    wrong = [token for token in marks if made.convert_tokens_to_ids(token) != numbers[token]]
    beyond = [token for token, number in made.get_added_vocab().items() if number >= len(tokens)]
    if wrong or beyond:
        raise ValueError(f"its special token {clean_line((wrong or beyond)[0])!r} gets another id than it has")


def _told(head: GgufHeader, name: str, missing: Any = None) -> Any:
    value = head.metadata.get(f"tokenizer.ggml.{name}")
    return missing if value is None else value


def _kinds(head: GgufHeader, count: int) -> list[int]:
    told = [int(kind) for kind in head.arrays.get("tokenizer.ggml.token_type", [])]
    return told if len(told) == count else [NORMAL] * count


def _token(tokens: Sequence[str], number: Any) -> str | None:
    return tokens[number] if isinstance(number, int) and 0 <= number < len(tokens) else None
