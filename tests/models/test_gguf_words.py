from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tests.export.gguf_given import model_of, sentencepiece, written
from tests.tiny import CHAT_TEMPLATE, CORPUS, SPECIAL
from tuitune.fit.gguf import GgufHeader
from tuitune.models import gguf, gguf_words
from tuitune.models.gguf_cuts import CUTS, cut_of, named_cut
from tuitune.models.gguf_words import tokenizer_of
from tuitune.models.load import load_tokenizer

NASTY = (
    *("123456789012"[:length] for length in range(1, 13)),
    *(f"a {'9' * length} b" for length in range(1, 13)),
    "a ½ cup, ¾, x² + y³, Ⅷ, ٣٤٥, 1,234.56",
    "end!\n\nnext?\r\n  22   333\t4",
    "steps:\n\n1. first\n\n2. second\r\n\r\n3",
    "I'm you'LL DON'T we've o'clock 'tis ''s",
    "\n\n\n \n\t\t\n  \n",
    "  two   three    four     \n   end   ",
    "中文和日本語のテキスト、한국어 텍스트。数学1234年",
    "👩‍👩‍👧 🇨🇭 🦙🦙 ok✅ ﬁ",
    "CamelCaseHTTPServer ÀÉÎõ ǅungla İstanbul straßeÄÖ x1y22z333",
    "for(i=0;i<10;i++){ a[i]+=b[-1]; } //--==>> http://x.y/~z",
    "हिन्दी ไทย العربية café cafe\u0301 ｆｕｌｌ",
    "",
)
# As the tokenizer.json files of the models have them: (parts before the last, ByteLevel's own cut, NFC, whole).
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace("{1,3}", "")
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_GPT4O = _TEKKEN.replace("+|[^", "+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^", 1).replace(
    r"*|\p{N}|", r"*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}|"
)
_DEEPSEEK = (
    r"\p{N}{1,3}",
    r"[一-龥぀-ゟ゠-ヿ]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
)
_QWEN35 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SEED = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_DIGITS = "digits"
MAKERS: dict[str, dict[str, Any]] = {
    "llama-bpe": {"parts": (_LLAMA3,), "whole": True},
    "smaug-bpe": {"parts": (_LLAMA3,)},
    "qwen2": {"parts": (_QWEN2,), "composed": True},
    "qwen35": {"parts": (_QWEN35,), "composed": True},
    "tekken": {"parts": (_TEKKEN,), "whole": True},
    "gpt-4o": {"parts": (_GPT4O,)},
    "gpt-2": {"own": True},
    "smollm": {"parts": (_DIGITS,), "own": True},
    "command-r": {"parts": (_DIGITS,), "own": True, "composed": True},
    "deepseek-v3": {"parts": _DEEPSEEK},
    "deepseek-r1-qwen": {"parts": (_QWEN2,), "composed": True},
    "seed-coder": {"parts": (_SEED,)},
    "minicpm5": {"parts": (r"\p{N}{1,3}", _LLAMA3.replace("{1,3}", "+")), "whole": True},
}


@cache
def _maker(name: str) -> str:
    """Train a tokenizer that is made as the models of this name have it; return it as JSON."""
    facts = MAKERS[name]
    made = Tokenizer(models.BPE(ignore_merges=facts.get("whole", False)))
    made.normalizer = normalizers.NFC() if facts.get("composed") else None
    parts: list[Any] = [
        pre_tokenizers.Digits(individual_digits=True)
        if part == _DIGITS
        else pre_tokenizers.Split(Regex(part), "isolated")
        for part in facts.get("parts", ())
    ]
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [*parts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=facts.get("own", False))]
    )
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1200, special_tokens=list(SPECIAL), initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )  # fmt: skip
    made.train_from_iterator([*CORPUS, *NASTY] * 3, trainer)
    return str(made.to_str())


def _tokenizer(name: str) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_maker(name)), bos_token="<|endoftext|>", eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
    )  # fmt: skip


def _file(folder: Path, tokenizer: Any, *, kind: str = "llama") -> Path:
    """Write a tiny model with the tokenizer as a GGUF file that lies alone in its folder."""
    whole = folder / "whole"
    model_of(kind, vocab_size=len(tokenizer) + 8, num_hidden_layers=1).save_pretrained(whole)
    tokenizer.save_pretrained(whole)
    (folder / "alone").mkdir()
    return Path(shutil.move(written(whole, "F16"), folder / "alone"))


def _say(file: Path, said: bytes, instead: bytes) -> None:
    """Let a GGUF file name another cut, in as many letters."""
    head, key, rest = file.read_bytes().partition(b"tokenizer.ggml.pre")
    assert len(said) == len(instead)
    file.write_bytes(head + key + rest.replace(said, instead, 1))


def _set_pre(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    from tuitune.export import gguf_vocab

    monkeypatch.setattr(gguf_vocab, "_pre", lambda tokenizer, made: name)


def _quiet(stage: str, done: int, total: int | None) -> None:
    """Drop progress."""


@pytest.mark.parametrize("name", MAKERS)
def test_the_ids_are_those_of_the_makers_tokenizer(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = _tokenizer(name)
    _set_pre(monkeypatch, name)
    notes: list[str] = []

    found = tokenizer_of(_file(tmp_path, source), notes.append)

    for text in (*NASTY, *CORPUS, "<|im_start|>user\n12<|im_end|>\n"):
        ids = source(text, add_special_tokens=False).input_ids
        assert found(text, add_special_tokens=False).input_ids == ids, text
        assert found.decode(ids) == source.decode(ids)
    assert (found.bos_token_id, found.eos_token_id, found.pad_token_id) == (0, 2, 0)
    assert len(found) == len(source)
    assert found.backend_tokenizer.model.ignore_merges is MAKERS[name].get("whole", False)
    assert notes == []


def test_the_cuts_are_not_all_one() -> None:
    """The texts tell the ways of cutting apart, or the test above would say nothing."""
    pieces = {}
    for name in MAKERS:
        cutter = Tokenizer.from_str(_maker(name))
        composed = [cutter.normalizer.normalize_str(text) if cutter.normalizer else text for text in NASTY]
        pieces[name] = str([[piece for piece, _ in cutter.pre_tokenizer.pre_tokenize_str(text)] for text in composed])
    alike = {"smaug-bpe": "llama-bpe", "deepseek-r1-qwen": "qwen2"}
    assert len(set(pieces.values())) == len(pieces) - len(alike)
    assert all(pieces[first] == pieces[second] for first, second in alike.items())


def test_every_cut_that_is_written_can_be_read() -> None:
    assert set(CUTS) <= set(MAKERS)
    assert named_cut("pixtral", "llama") == "pixtral"
    assert cut_of("pixtral") == CUTS["llama-bpe"]


@pytest.mark.parametrize(("first", "expected"), [(None, [0, 1]), (True, [0, 1]), (False, [1])])
def test_the_first_token(
    first: bool | None, expected: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a Llama 3 file does not say it, a text gets the first token; where it does, as it says."""
    from tuitune.export import gguf_vocab

    _set_pre(monkeypatch, "llama-bpe")
    monkeypatch.setattr(gguf_vocab, "_adds", lambda tokenizer: () if first is None else (("bos", first),))
    found = tokenizer_of(_file(tmp_path, _tokenizer("llama-bpe")), print)
    assert found("<|im_start|>").input_ids == expected


def test_special_tokens_that_are_not_ascii_keep_their_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = _tokenizer("deepseek-v3")
    source.add_tokens([
        AddedToken("<｜begin▁of▁sentence｜>", special=True, normalized=False),
        AddedToken("<｜User｜>", normalized=False), AddedToken("<think>", normalized=False),
    ])  # fmt: skip
    source.bos_token = "<｜begin▁of▁sentence｜>"
    found = tokenizer_of(_file(tmp_path, source), print)
    text = "<｜begin▁of▁sentence｜><｜User｜>hi 1234<think>\n"
    assert found(text).input_ids == source(text).input_ids
    assert found.bos_token_id == source.bos_token_id
    assert len(found) == len(source)


@pytest.mark.parametrize(("said", "words"), [(b"other", "'other'"), (b"\x1b[2Jx", "'x'"), (b"", "does not say")])
def test_a_cut_not_known_is_said_whenever_the_tokenizer_is_loaded(
    said: bytes, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_pre(monkeypatch, "gpt-2" if said else "default")
    file = _file(tmp_path, _tokenizer("gpt-2"))
    if said:
        _say(file, b"gpt-2", said)
    gguf.convert(str(file), str(tmp_path / "made"), progress=_quiet)
    for _ in range(2):
        notes: list[str] = []
        load_tokenizer(tmp_path / "made", note=notes.append)
        assert len(notes) == 1
        assert words in notes[0]
        assert "GPT-2" in notes[0]


def test_an_old_file_is_cut_as_its_architecture_always_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, notes = _tokenizer("qwen2"), list[str]()
    _set_pre(monkeypatch, "default")
    found = tokenizer_of(_file(tmp_path, source, kind="qwen2"), notes.append)
    assert [found(text).input_ids for text in NASTY] == [source(text).input_ids for text in NASTY]
    assert notes == []


def test_a_tokenizer_beside_the_file_is_not_taken(tmp_path: Path) -> None:
    file = _file(tmp_path, _tokenizer("smollm"))
    other = _tokenizer("qwen2")
    other.chat_template = CHAT_TEMPLATE
    other.save_pretrained(file.parent)
    (file.parent / "generation_config.json").write_text(json.dumps({"eos_token_id": 77}))
    gguf.convert(str(file), str(tmp_path / "made"), progress=_quiet)
    found, source = load_tokenizer(tmp_path / "made"), _tokenizer("smollm")
    assert [found(text).input_ids for text in NASTY] == [source(text).input_ids for text in NASTY]
    assert found.chat_template is None
    assert json.loads((tmp_path / "made" / "generation_config.json").read_text())["eos_token_id"] != 77


def test_characters_said_to_be_bytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = sorted(sentencepiece().get_vocab())
    head = GgufHeader({"tokenizer.ggml.model": "gpt2"}, arrays={"tokenizer.ggml.tokens": tokens})
    monkeypatch.setattr(gguf_words, "read_gguf", lambda file, arrays: head)
    with pytest.raises(ValueError, match="most bytes are not in its vocabulary"):
        tokenizer_of(Path("m.gguf"), print)


def test_merges_of_tokens_that_are_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match="merges do not fit"):
        gguf_words.byte_level(["a", "b"], ["a c"])


@pytest.mark.parametrize("space", [True, False])
def test_sentencepiece_with_and_without_a_space_first(space: bool, tmp_path: Path) -> None:
    source = sentencepiece()
    if not space:
        source.backend_tokenizer.normalizer = normalizers.Replace(" ", "▁")
    found = tokenizer_of(_file(tmp_path, source), print)
    for text in (*CORPUS, "1 12 123 1234567890", "½ ü 🦙 中文", "it's\n\n1.", "a\tb"):
        ids = source(text, add_special_tokens=False).input_ids
        assert found(text, add_special_tokens=False).input_ids == ids, text
        assert found.decode(ids) == text
