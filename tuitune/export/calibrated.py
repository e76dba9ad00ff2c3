"""GPTQ (Frantar et al., arXiv 2210.17323) and AWQ (Lin et al., arXiv 2306.00978), by the package gptqmodel."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tuitune.errors import ModelError
from tuitune.fit.files import read_object
from tuitune.fit.safetensors import read_safetensors, weight_files
from tuitune.run.files import write_atomic
from tuitune.text import clean_line

if TYPE_CHECKING:
    from tuitune.export.merge import Note, Progress
    from tuitune.export.order import Order

_GROUPS = (128, 64, 32)
_FULL = ("embed", "lm_head", "wte", "wpe")  # what the libraries leave as it is


def quantise(
    order: Order, merged: Path, folder: Path, samples: Sequence[Sequence[int]], *, progress: Progress, note: Note
) -> None:
    """Write the model of `merged` to `folder`, calibrated on `samples` of token ids. Raises ModelError."""
    asked = order.quantised
    assert asked is not None
    group = group_size(merged)
    if group < 0 and asked.library == "awq":
        raise ModelError(
            "awq needs groups of 32, 64 or 128 weights, and the layers of this model divide into none of them",
            "use gptq, or bnb",
        )
    with _prepared():
        library: Any = import_module("gptqmodel")
        scratch = folder / ".offload"
        settings: dict[str, Any] = {
            "bits": asked.bits, "group_size": group, "device": _device(order), "offload_to_disk_path": str(scratch),
        }  # fmt: skip
        if asked.library == "awq":
            kinds: Any = import_module("gptqmodel.quantization")
            settings |= {"quant_method": kinds.METHOD.AWQ, "format": kinds.FORMAT.GEMM}
        try:
            model = library.GPTQModel.load(str(merged), library.QuantizeConfig(**settings))
            progress("quantise", 0, None)
            rows = [{"input_ids": list(row), "attention_mask": [1] * len(row)} for row in samples]
            model.quantize(rows, batch_size=1)
            model.save(str(folder), max_shard_size=order.shard)
        except Exception as error:  # the package raises plain errors of every kind for models that it does not know
            raise ModelError(
                f"gptqmodel cannot quantise this model: {type(error).__name__}: {clean_line(str(error))[:300]}",
                "use export_quantization_method: bnb",
            ) from error
    shutil.rmtree(scratch, ignore_errors=True)
    _without_paths(folder)
    if group < 0:
        note("the layers divide into no groups of 32 weights or more: all weights of a row share one scale")


def _without_paths(folder: Path) -> None:
    """Take out of the configuration where on this machine it was made: it goes wherever the model goes."""
    for name in ("config.json", "quantize_config.json"):
        values = read_object(folder / name)
        stored = values.get("quantization_config", values)
        meta = stored.get("meta") if isinstance(stored, dict) else None
        if isinstance(meta, dict) and meta.pop("offload_to_disk_path", None) is not None:
            write_atomic(folder / name, orjson.dumps(values, option=orjson.OPT_INDENT_2))


def group_size(folder: Path) -> int:
    """Return the largest usual group that divides the inputs of every linear layer, -1 for whole rows."""
    widths = set()
    for file in weight_files(folder) or []:
        for name, tensor in read_safetensors(file).items():
            if len(tensor.shape) == 2 and not any(word in name for word in _FULL):
                widths.add(tensor.shape[1])
    return next((size for size in _GROUPS if all(width % size == 0 for width in widths)), -1)


def _device(order: Order) -> str:
    import torch

    return "cuda:0" if order.device == "auto" and torch.cuda.is_available() else "cpu"


@contextlib.contextmanager
def _prepared() -> Iterator[None]:
    # Two workers load the model, and the package counts one on machines with two processors, and then refuses to work.
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", str(max(2, (os.cpu_count() or 1) // 2)))
    yield
