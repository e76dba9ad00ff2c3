"""A merged model as one GGUF file, for llama.cpp, Ollama and whatever is built on them.

The families of `gguf_family` are written here; others, and tokenizers that llama.cpp knows by another name only, by
llama.cpp's own converter where it is installed. Every file is read back: see `read`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import orjson

from tuitune.errors import ModelError
from tuitune.export import gguf_elsewhere
from tuitune.export.agree import Bound
from tuitune.export.gguf_family import describe, family, lost
from tuitune.export.gguf_vocab import NotOurs, Vocabulary, vocabulary
from tuitune.export.usage import plain

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tuitune.export.about import About
    from tuitune.export.gguf_tensors import Planned

Kind = Literal["F16", "BF16", "Q8_0", "Q4_0"]
Progress = Callable[[str, int, int | None], None]
Note = Callable[[str], None]

KINDS: tuple[Kind, ...] = get_args(Kind)
# How far rounding alone may move the answers. Measured on SmolLM2-135M: 0.0011, 0.0068, 0.027 and 0.37, on random
# models up to 0.38; larger models lose less. With all queries in the wrong order it is 1.1. What is smaller than this,
# a wrong tensor among many, does not get here: `read` compares every tensor bit for bit.
BOUNDS: Mapping[Kind, Bound] = {
    "F16": Bound(relative=0.01),
    "BF16": Bound(relative=0.03),
    "Q8_0": Bound(relative=0.1),
    "Q4_0": Bound(relative=0.6),
}


def refuse_family(config: Mapping[str, Any], note: Note = lambda text: None, kind: str | None = None) -> None:
    """Raise ModelError where a model with this config.json can be written neither here nor by the converter.

    kind: the number format that is asked for; the converter does not have all.
    """
    try:
        family(config)
    except NotOurs as reason:
        gguf_elsewhere.find(str(reason))
        gguf_elsewhere.refuse_kind(kind or "F16")
        note(f"llama.cpp's converter writes the GGUF file: {reason}")
    else:
        for sentence in lost(config):
            note(sentence)


def file_name(title: str, kind: str) -> str:
    """Return the file's name, of letters that every program takes."""
    name = plain(title)
    return f"{name}.gguf" if name.lower().endswith(f"-{kind.lower()}") else f"{name}-{kind}.gguf"


def write(
    merged: Path, folder: Path, about: About, kind: Kind, progress: Progress, note: Note = lambda text: None
) -> Path:
    """Write the model in the folder `merged` to one file of `kind` in `folder`; return its path.

    Raises ModelError where neither this writer nor the converter can, or a weight does not fit the number format.
    """
    file = folder / file_name(about.out.name, kind)
    config = orjson.loads((merged / "config.json").read_bytes())
    try:
        write_file(merged, file, config, about.tokenizer, kind, title=about.out.name, progress=progress, note=note)
    except NotOurs as reason:
        program = gguf_elsewhere.find(str(reason))
        progress("gguf", 0, None)
        gguf_elsewhere.convert(program, merged, file, kind)
    return file


def write_file(
    merged: Path,
    file: Path,
    config: Mapping[str, Any],
    tokenizer: PreTrainedTokenizerBase,
    kind: Kind,
    *,
    title: str,
    progress: Progress = lambda stage, done, total: None,
    note: Note = lambda text: None,
) -> None:
    """Write the file by ourselves; raises NotOurs where the family or the tokenizer is none of ours."""
    from gguf import GGUFWriter

    from tuitune.export.gguf_tensors import Weights, plan

    known = family(config)
    weights = Weights(merged)
    planned = plan(weights, config, kind)
    rows = next(each.shape[0] for each in planned if each.name == "token_embd.weight")
    words = vocabulary(tokenizer, rows, _stops(merged, config), note)
    writer = GGUFWriter(file, known.arch)
    try:
        _head(writer, config, planned, kind, title)
        describe(writer, config, rows)
        _say(writer, words)
        _body(writer, planned, weights, config, progress)
    finally:
        writer.close()


def _head(writer: Any, config: Mapping[str, Any], planned: Sequence[Planned], kind: Kind, title: str) -> None:
    from math import prod

    from gguf import GGML_QUANT_VERSION, GGUFType, LlamaFileType, size_label

    writer.add_type(GGUFType.MODEL)
    writer.add_name(title)
    writer.add_size_label(size_label(sum(prod(each.shape) for each in planned), 0, 0, 0))
    writer.add_file_type(LlamaFileType[f"MOSTLY_{kind}"])
    writer.add_quantization_version(GGML_QUANT_VERSION)


def _say(writer: Any, words: Vocabulary) -> None:
    """Put the tokenizer into the file."""
    writer.add_tokenizer_model(words.model)
    writer.add_tokenizer_pre(words.pre)
    writer.add_token_list(words.tokens)
    writer.add_token_types(words.kinds)
    if words.scores:
        writer.add_token_scores(words.scores)
    if words.merges:
        writer.add_token_merges(words.merges)
    for name, number in words.special:
        getattr(writer, f"add_{name}_token_id")(number)
    for name, wanted in words.add:
        getattr(writer, f"add_add_{name}_token")(wanted)
    if words.add_space is not None:
        writer.add_add_space_prefix(words.add_space)
    if words.template:
        writer.add_chat_template(words.template)


def _body(writer: Any, planned: Sequence[Planned], weights: Any, config: Mapping[str, Any], progress: Progress) -> None:
    import numpy as np
    from gguf import GGMLQuantizationType

    from tuitune.export.gguf_tensors import bytes_of, content

    for each in planned:
        kind = GGMLQuantizationType[each.kind]
        writer.add_tensor_info(each.name, each.shape, np.dtype(np.float32), bytes_of(each), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for number, each in enumerate(planned):
        progress("gguf", number, len(planned))
        writer.write_tensor_data(content(each, weights, config))
    progress("gguf", len(planned), len(planned))


def _stops(merged: Path, config: Mapping[str, Any]) -> list[int]:
    """Return the ids that end an answer, as generation takes them."""
    path = merged / "generation_config.json"
    told = orjson.loads(path.read_bytes()).get("eos_token_id") if path.is_file() else None
    told = config.get("eos_token_id") if told is None else told
    return [int(number) for number in (told if isinstance(told, list) else [told]) if number is not None]


def read(
    file: Path,
    merged: Path,
    progress: Progress = lambda stage, done, total: None,
    note: Note = lambda text: None,
) -> Any:
    """Return the model in a GGUF file, fp32, on the CPU, for its logits to be held to those of the model in `merged`.

    Every weight must be the one of `merged`, rounded as its type rounds, bit for bit; and the tokenizer that the file
    describes must find the same ids. Raises ModelError otherwise, Unreadable for a family that transformers cannot read
    from GGUF.
    """
    from tuitune.export.gguf_check import read_checked

    return read_checked(file, merged, progress, note)


class Unreadable(ModelError):
    """A GGUF file that cannot be read back here, so that it stays unchecked."""
