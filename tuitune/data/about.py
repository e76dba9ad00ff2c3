"""What prepared rows were made of, so that rows of other data or another tokenizer are never taken for them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tuitune.data.keep import sampled_checksum
from tuitune.data.options import KINDS, DataOptions, packs
from tuitune.data.templates.base import Style

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tuitune.data.sources import Source
    from tuitune.data.templates import Template

# To be raised whenever the same rows would become other tokens.
VERSION = 1
# What a recipe says that changes no token: where things lie, and what is hashed in other ways.
_ELSEWHERE = frozenset(
    {"dataset", "eval_dataset", "dataset_dir", "template", "default_system", "stage", "streaming", "buffer_size"}
    | {"tokenized_path", "overwrite_cache", "locate", "media_dir", "seed", "disable_shuffling", "neat_packing"}
    | {"packing", "name", "author"}
)
_WORDS = {
    "data": "the data sets", "evaluation": "eval_dataset", "tokenizer": "the tokenizer", "template": "the template",
    "kind": "what the stage needs of a row", "version": "the version of TuiTune",
}  # fmt: skip


def about_data(
    options: DataOptions,
    sources: Sequence[Source],
    held: Sequence[Source],
    tokenizer: PreTrainedTokenizerBase,
    template: Template,
) -> dict[str, Any]:
    """Return everything that the tokens depend on, as JSON values."""
    keys = sorted(name for name in vars(DataOptions) if not name.startswith("_") and name not in _ELSEWHERE)
    return {
        "version": VERSION,
        "kind": KINDS[options.stage],
        "data": [_content(source) for source in sources],
        "evaluation": [_content(source) for source in held],
        "tokenizer": tokenizer_hash(tokenizer),
        "template": template_hash(template, options),
        "packing": packs(options),
        "seed": options.seed if options.val_size or options.mix_strategy != "concat" else None,
    } | {key: getattr(options, key) for key in keys}


def _content(source: Source) -> list[Any]:
    # A file may have been rewritten with its former size and time.
    return [source.fingerprint(), *(sampled_checksum(path) for path in source.paths if path.is_file())]


def key_of(about: Mapping[str, Any]) -> str:
    """Return a short hash of it, fit for the name of a folder."""
    return hashlib.sha256(_text(about)).hexdigest()[:24]


def differences(former: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return in words what differs."""
    found = []
    for key in sorted(former.keys() | now.keys()):
        before, after = _plain(former.get(key)), _plain(now.get(key))
        if before != after and key in _WORDS:
            found.append(f"{_WORDS[key]} changed")
        elif before != after:
            found.append(f"{key} was {json.dumps(before)} and is {json.dumps(after)}")
    return found


def tokenizer_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return a hash of vocabulary, merges, special tokens, and what else decides how text becomes ids."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    parts = [
        type(tokenizer).__name__,
        "" if backend is not None else json.dumps(sorted(tokenizer.get_vocab().items())),
        str(getattr(tokenizer, "chat_template", None)),
        str(bool(getattr(tokenizer, "split_special_tokens", False))),
        repr(sorted((name, str(token)) for name, token in tokenizer.special_tokens_map.items())),
        repr([getattr(tokenizer, name, None) for name in ("add_bos_token", "add_eos_token", "add_prefix_space")]),
    ]
    digest = hashlib.sha256(backend.to_str().encode() if backend is not None else b"")
    digest.update(json.dumps(parts).encode())
    return digest.hexdigest()[:32]


def template_hash(template: Template, options: DataOptions) -> str:
    """Return a hash of a template's text and of how tools and thoughts are written."""
    fields: dict[str, Any] = {}
    if dataclasses.is_dataclass(template) and not isinstance(template, type):
        fields = dataclasses.asdict(template)
    text = {name: repr(value) for name, value in fields.items()}
    style = dataclasses.asdict(Style.of(options))
    return hashlib.sha256(_text({"class": type(template).__name__, "name": template.name} | text | style)).hexdigest()[
        :32
    ]


def _text(value: object) -> bytes:
    return json.dumps(_plain(value), sort_keys=True).encode()


def _plain(value: object) -> object:
    """Return `value` as JSON brings it back."""
    return json.loads(json.dumps(value, default=str))
