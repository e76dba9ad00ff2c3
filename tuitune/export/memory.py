"""Whether an export fits into main memory or onto the GPU, asked before anything is loaded. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import psutil

from tuitune import amounts
from tuitune.errors import ModelError
from tuitune.export.folder import MORE_ROOM
from tuitune.export.order import BYTES, Order
from tuitune.fit import machine
from tuitune.fit.models import resolve
from tuitune.fit.shapes import ModelShape
from tuitune.fit.sizes import shape_of

_REST = 600 << 20  # Python, torch, and the logits of the check
SCALES = 0.4  # bits of a weight that scales take
GGUF_BITS = {"F16": 16, "BF16": 16, "Q8_0": 8.5, "Q4_0": 4.5}  # with the scale of 16 bits that 32 weights share
_TOKEN = 36  # bytes of a token in a GGUF file: its text, its kind, and its merge or score. SmolLM2: 36.4
_SHARE = 1.1  # what lies beside the weights: adapters, buffers, what one layer's merging takes
Note = Callable[[str], None]


class Ends(NamedTuple):
    """Weights that few bits treat otherwise. both: of embedding and head, left as they are; head: makes the logits.

    tokens: how many there are, which a GGUF file names one by one.
    """

    both: int = 0
    head: int = 0
    tokens: int = 0


_NONE = Ends()


def shape_of_source(order: Order, folder: Path | None = None) -> ModelShape | None:
    """Return the sizes of the model, None where nobody knows before it is fetched."""
    if folder is not None:
        return ModelShape.read(folder)
    weights = order.weights
    return shape_of(resolve(weights.model, revision=weights.revision, cache_dir=weights.cache_dir))


def parameters_of(order: Order, folder: Path | None = None) -> int | None:
    """Return the weights of the model, None where nobody knows before it is fetched."""
    shape = shape_of_source(order, folder)
    return None if shape is None else shape.parameters


def ends_of(shape: ModelShape | None) -> Ends:
    """Return how many of the weights are embedding and head."""
    if shape is None or not (shape.vocab_size and shape.hidden_size):
        return _NONE
    head = shape.vocab_size * shape.hidden_size
    return Ends(head if shape.tied else 2 * head, head, shape.vocab_size)


def needed(order: Order, parameters: int) -> int:
    """Return the bytes of memory at the most: every weight in fp32, three times where adapters go in by shares."""
    return int(4 * parameters * _SHARE * (3 if order.shared else 1)) + _REST


def on_disk(order: Order, parameters: int, ends: Ends = _NONE, rest: int = 0) -> int:
    """Return the bytes that lie on the disk at the most, what is written on the way to the result counted in.

    rest: what lies beside the weights, at the most.
    """
    if order.form == "gguf":  # the merged weights in fp32 come first
        return 4 * parameters + result_size(order, parameters, ends) + 2 * rest
    whole = BYTES[order.dtype] * parameters + rest
    if order.quantised is None:
        return whole
    copies = 1 if order.quantised.library == "bnb" else 2  # gptqmodel keeps finished layers on the disk
    return whole + copies * result_size(order, parameters, ends) + rest


def more_room(order: Order, parameters: int, rest: int = 0) -> str:
    """Return what helps where the disk is too full; a form that takes less only where there is one."""
    plain = replace(order, form="safetensors", dtype="bfloat16", quantised=None)
    least = on_disk(plain, parameters, rest=rest)
    if least >= on_disk(order, parameters, rest=rest):
        return MORE_ROOM
    return f"free some space, name a folder on another disk, or write bfloat16, which takes {amounts.size(least)}"


def result_size(order: Order, parameters: int, ends: Ends = _NONE) -> int:
    """Return about how large the result is, in bytes."""
    if order.form == "gguf":
        return gguf_size(order.gguf_type, parameters, ends.head, ends.tokens)
    if order.quantised is None:
        return BYTES[order.dtype] * parameters
    return size_in(order.quantised.bits + SCALES, parameters, ends.both, BYTES[order.dtype])


def gguf_size(kind: str, parameters: int, head: int, tokens: int) -> int:
    """Return about the bytes of a GGUF file; in a Q4_0 file the head, which makes the logits, is Q8_0."""
    finer = head if kind == "Q4_0" else 0
    weights = (parameters - finer) * GGUF_BITS[kind] + finer * GGUF_BITS["Q8_0"]
    return int(weights / 8) + _TOKEN * tokens


def size_in(bits: float, parameters: int, embedded: int, each: int = 2) -> int:
    """Return the bytes of weights of so many bits beside embeddings of `each` bytes."""
    return int((parameters - embedded) * bits / 8) + embedded * each


def refuse_large(order: Order, folder: Path) -> None:
    """Raise ModelError where the weights do not fit into the memory that is free; killing is the system's other way."""
    parameters = parameters_of(order, folder)
    if parameters is None:
        return
    need, free = needed(order, parameters), machine.memory().available + psutil.swap_memory().free
    if need > free:
        raise ModelError(
            f"merging {order.weights.title} needs {amounts.size(need)} of memory, {amounts.size(free)} are free",
            "end what takes memory, or merge on a machine with more"
            + ("; without export_adapter_weights it takes a third" if order.shared else ""),
        )


def device_for(order: Order, folder: Path, note: Note) -> str:
    """Return where to compute: `cuda:0` where that is asked for and the weights fit on it, else `cpu`.

    Call it when torch may be imported. Raises ModelError where the weights fit nowhere.
    """
    if order.device == "auto":
        import torch

        if torch.cuda.is_available():
            need, free = needed(order, parameters_of(order, folder) or 0), torch.cuda.mem_get_info()[0]
            if need <= free:
                return "cuda:0"
            note(f"merged in main memory: it needs {amounts.size(need)}, and the GPU has {amounts.size(free)} free")
    refuse_large(order, folder)
    return "cpu"
