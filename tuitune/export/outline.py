"""What an export will write and take, known before it begins: for `--dry-run` and for the screen. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import psutil

from tuitune import amounts
from tuitune.export.ahead import refusals
from tuitune.export.beside import TOKENIZER, Beside, beside
from tuitune.export.folder import SLACK
from tuitune.export.memory import ends_of, needed, on_disk, result_size, shape_of_source
from tuitune.export.order import Order
from tuitune.fit import machine


@dataclass(frozen=True)
class Outline:
    """Bytes; None where the model has to be fetched first, or the system does not tell.

    embedded: weights of embedding and head; head: of the head alone; tokens: those of the vocabulary. beside: the
    tokenizer's files and whatever else lies beside weights. size: of the result, with these. disk: at the most while it
    is made. memory: at the most. files: names with about their sizes, 0 for small ones. refusals: in words, of the
    place and of the source.
    """

    path: Path
    form: str
    parameters: int | None
    embedded: int
    head: int
    tokens: int
    beside: int
    size: int | None
    disk: int | None
    disk_free: int | None
    memory: int | None
    memory_free: int
    files: tuple[tuple[str, int], ...]
    exists: bool
    refusals: tuple[str, ...] = ()

    @property
    def problems(self) -> list[str]:
        """Return what will refuse it, in words."""
        found = [f"{self.path} exists already"] if self.exists else []
        found += self.refusals
        if self.disk is not None and self.disk_free is not None and (need := self.disk + SLACK) > self.disk_free:
            found.append(f"the disk has {amounts.size(self.disk_free)} free, {amounts.size(need)} are needed")
        if self.memory is not None and self.memory > self.memory_free:
            found.append(f"{amounts.size(self.memory_free)} of memory are free, {amounts.size(self.memory)} are needed")
        return found


def outline(order: Order) -> Outline:
    """Return what an order will write and take; reads heads of files only."""
    shape = shape_of_source(order)
    parameters, ends = shape.parameters if shape is not None else None, ends_of(shape)
    weights = None if parameters is None else result_size(order, parameters, ends)
    more = Beside() if parameters is None else beside(order, parameters, ends.tokens)
    size = weights if weights is None or order.form == "gguf" else weights + more.size
    return Outline(
        order.out, order.form_words, parameters, ends.both, ends.head, ends.tokens, more.size, size,
        None if parameters is None else on_disk(order, parameters, ends, more.room),
        machine.disk_free(order.out.parent), None if parameters is None else needed(order, parameters),
        machine.memory().available + psutil.swap_memory().free, tuple(_files(order, weights or 0, more)),
        order.out.exists() or order.out.is_symlink(), refusals(order),
    )  # fmt: skip


def _files(order: Order, size: int, more: Beside) -> list[tuple[str, int]]:
    if order.form == "gguf":
        from tuitune.export.gguf import file_name

        named = [(file_name(order.out.name, order.gguf_type), size)]
    else:
        named = [*_shards(size, order.shard), ("config.json", 0), ("generation_config.json", 0),
                 *(more.files or ((TOKENIZER, 0),)), ("tokenizer_config.json", 0),
                 ("chat_template.jinja", 0)]  # fmt: skip
    if order.ollama and (order.form == "gguf" or order.quantised is None):
        named.append(("Modelfile", 0))
    if order.card:
        named.append(("README.md", 0))
    return [*named, ("export.json", 0)]


def _shards(size: int, most: int) -> list[tuple[str, int]]:
    count = max(1, math.ceil(size / most))
    if count == 1:
        return [("model.safetensors", size)]
    named = [(f"model-{number:05}-of-{count:05}.safetensors", size // count) for number in range(1, count + 1)]
    return [*named, ("model.safetensors.index.json", 0)]
