"""GPTQ (Frantar et al., arXiv 2210.17323) and AWQ (Lin et al., arXiv 2306.00978), by the package gptqmodel."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from tuitune.errors import ModelError
from tuitune.export.memory import ends_of, result_size
from tuitune.export.progress import growing
from tuitune.fit.files import read_object
from tuitune.fit.safetensors import read_safetensors, weight_files
from tuitune.fit.shapes import ModelShape
from tuitune.models.child import run_task
from tuitune.run.files import write_atomic
from tuitune.text import clean_line

if TYPE_CHECKING:
    from tuitune.export.merge import Note, Progress
    from tuitune.export.order import Order

_GROUPS = (128, 64, 32)
_FULL = ("embed", "lm_head", "wte", "wpe")  # what the libraries leave as it is
_AWQ_OUTPUTS = 64  # the package looks for the best clipping of so many outputs at a time
_OTHER = "use export_quantization_method: bnb"


def quantise(
    order: Order, merged: Path, folder: Path, samples: Sequence[Sequence[int]], *, progress: Progress, note: Note
) -> None:
    """Write the model of `merged` to `folder`, calibrated on `samples` of token ids. Raises ModelError."""
    asked = order.quantised
    assert asked is not None
    group = group_size(merged)
    if asked.library == "awq":
        _refuse_shapes(merged, group)
    elif group < 0:
        note("the layers divide into no groups of 32 weights or more: all weights of a row share one scale")
    scratch, file = folder / ".offload", folder / ".order.json"
    told = {
        "model": str(merged), "out": str(folder), "texts": samples, "library": asked.library, "bits": asked.bits,
        "group": group, "device": device_of(order), "scratch": str(scratch), "shard": order.shard,
    }  # fmt: skip
    file.write_bytes(orjson.dumps(told))
    try:
        with growing(folder, "quantise", _written(order, merged), progress):
            run_task("quantise", {"order": str(file)}, progress=lambda *_: None, check=lambda: None, gpu=True)
    except ModelError as error:
        raise _refused(error) from error
    file.unlink()
    shutil.rmtree(scratch, ignore_errors=True)
    _without_paths(folder)


def device_of(order: Order) -> str:
    """Return where to quantise: on the GPU where that is asked for and there is one."""
    import torch

    return "cuda:0" if order.device == "auto" and torch.cuda.is_available() else "cpu"


def group_size(folder: Path) -> int:
    """Return the largest usual group that divides the inputs of every linear layer, -1 for whole rows."""
    widths = {inputs for _, inputs in _layers(folder)}
    return next((size for size in _GROUPS if all(width % size == 0 for width in widths)), -1)


def _layers(folder: Path) -> Iterator[tuple[int, int]]:
    """Yield outputs and inputs of every matrix that is quantised."""
    for file in weight_files(folder) or []:
        for name, tensor in read_safetensors(file).items():
            if len(tensor.shape) == 2 and not any(word in name for word in _FULL):
                yield tensor.shape[0], tensor.shape[1]


def _refuse_shapes(folder: Path, group: int) -> None:
    odd = next((outputs for outputs, _ in _layers(folder) if outputs % _AWQ_OUTPUTS), None)
    if group < 0 or odd is not None:
        what = f"a layer has {odd} outputs" if odd is not None else "their inputs divide into no groups of 32"
        raise ModelError(f"awq needs layers in multiples of {_AWQ_OUTPUTS}: {what}", "use gptq, or bnb")


def _refused(error: ModelError) -> ModelError:
    """Return the error of the child in the words that matter: the last line of what it wrote."""
    last = next((line for line in reversed(error.hint.splitlines()) if line.strip()), "")
    words = clean_line(last or error.message)[:300]
    return ModelError(f"gptqmodel cannot quantise this model: {words}", _OTHER)


def _written(order: Order, merged: Path) -> int:
    """Return about how many bytes the package writes: every layer when it is done, and all of them in the end."""
    shape = ModelShape.read(merged)
    return 2 * result_size(order, shape.parameters or 0, ends_of(shape))


def _without_paths(folder: Path) -> None:
    """Take out of the configuration where on this machine it was made: it goes wherever the model goes."""
    for name in ("config.json", "quantize_config.json"):
        values = read_object(folder / name)
        stored = values.get("quantization_config", values)
        meta = stored.get("meta") if isinstance(stored, dict) else None
        if isinstance(meta, dict) and meta.pop("offload_to_disk_path", None) is not None:
            write_atomic(folder / name, orjson.dumps(values, option=orjson.OPT_INDENT_2))
