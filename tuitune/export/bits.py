"""A merged model with few bits per weight: which libraries make it, what is needed, and how near it must answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open

from tuitune.errors import ModelError
from tuitune.export.agree import Agreement, Bound, hold
from tuitune.fit.safetensors import weight_files
from tuitune.models.depths import is_routed_folder
from tuitune.models.load import load_model
from tuitune.models.quantise import Quantiser
from tuitune.models.shaping import Shaping, load_shaped

if TYPE_CHECKING:
    from tuitune.export.merge import Note
    from tuitune.export.order import Order, Quantised

_NEEDS = {"bnb": ("bitsandbytes",), "gptq": ("gptqmodel", "optimum"), "awq": ("gptqmodel",)}
# What is written and read again differs by the rounding of scales that are quantised too.
REREAD = Bound(largest=2e-2)
# What few bits do to the answers of a small model, with room for a worse one: many small errors together.
_BOUNDS = {
    8: Bound(relative=0.3, kl=0.2, top1=0.7),
    4: Bound(relative=0.65, kl=1.2, top1=0.35),
    3: Bound(relative=0.9, kl=3.0, top1=0.1),
    2: Bound(relative=1.2, kl=8.0),
}
# What they do to the products of any one matrix, where a fault in a single one shows; gptq rounds for other inputs.
_ONE = {
    ("bnb", 8): Bound(relative=0.04), ("bnb", 4): Bound(relative=0.2), ("gptq", 8): Bound(relative=0.1),
    ("gptq", 4): Bound(relative=0.5), ("gptq", 3): Bound(relative=0.8), ("gptq", 2): Bound(relative=1.1),
}  # fmt: skip
_ROWS = 64


def refuse_impossible(order: Order) -> None:
    """Raise ModelError where the library that shall quantise is not installed."""
    asked = order.quantised
    if asked is None:
        return
    missing = [name for name in _NEEDS[asked.library] if find_spec(name) is None]
    if missing:
        more = "; bnb, which needs no calibration, comes with TuiTune on Linux" if asked.library != "bnb" else ""
        raise ModelError(
            f"export_quantization_method: {asked.library} needs {' and '.join(missing)}, which is not installed",
            f"pip install --no-deps {' '.join(_NEEDS[asked.library])}{more}; see docs/export.md"
            if asked.library != "bnb"
            else "pip install bitsandbytes",
        )


def refuse_routed(folder: Path) -> None:
    """Raise ModelError for a model that only TuiTune computes."""
    if is_routed_folder(folder):
        raise ModelError(
            "a model with Mixture-of-Depths cannot be quantised: no library knows its routers",
            "leave export_quantization_bit out",
        )


def bound_of(asked: Quantised) -> Bound:
    """Return how near the quantised model must answer to the whole one."""
    return _BOUNDS[asked.bits]


@torch.no_grad()
def matrices(model: Any, merged: Path, asked: Quantised) -> Agreement | None:
    """Compare what every quantised layer makes of random inputs with the matrix in the folder it was made from.

    Return the worst; None where there is none to compare (awq moves factors between layers). Raises ModelError.
    """
    if asked.library == "awq":
        return None
    worst: Agreement | None = None
    draw = torch.Generator().manual_seed(0)
    with _stored(merged) as tensor_of:
        for name, layer in model.named_modules():
            weight = tensor_of(f"{name}.weight") if _is_quantised(layer) else None
            if weight is not None:
                x = torch.randn(_ROWS, weight.shape[1], generator=draw)
                found = layer(x.to(_device_of(layer), _kind_of(model))).float().cpu()
                bias = tensor_of(f"{name}.bias")
                truth = x @ weight.float().T + (0 if bias is None else bias.float())
                made = hold(found, truth, _ONE[asked.library, asked.bits], f"the matrix {name}", "the whole one")
                worst = made if worst is None or made.relative > worst.relative else worst
    return None if worst is None else replace(worst, kl=None, top1=None, what=f"the worst matrix, {worst.what[11:]},")


def _is_quantised(layer: Any) -> bool:
    packed = hasattr(layer, "in_features") and hasattr(layer, "out_features") and not list(layer.children())
    return packed and type(layer) is not torch.nn.Linear


def _device_of(layer: Any) -> Any:
    return next(tensor.device for tensor in (*layer.parameters(), *layer.buffers()))


def _kind_of(model: Any) -> torch.dtype:
    kind: torch.dtype = model.get_input_embeddings().weight.dtype
    return kind


@contextmanager
def _stored(folder: Path) -> Iterator[Callable[[str], torch.Tensor | None]]:
    """Yield what reads one tensor of a folder by its name, None for one that is not there."""
    with ExitStack() as stack:
        files = [stack.enter_context(safe_open(file, "pt")) for file in weight_files(folder) or []]
        place = {name: file for file in files for name in file.keys()}  # noqa: SIM118  (no mapping)
        yield lambda name: place[name].get_tensor(name) if name in place else None


def with_bitsandbytes(order: Order, merged: Path, folder: Path, note: Note) -> Any:
    """Write the model of `merged` to `folder` as transformers loads it again; return it as it is in memory.

    It is written before it computes anything: on some processors bitsandbytes packs weights anew then.
    """
    asked = order.quantised
    assert asked is not None
    dtype: torch.dtype = getattr(torch, order.dtype)
    device = "cuda:0" if order.device == "auto" and torch.cuda.is_available() else "cpu"
    shaping = Shaping(
        quantization_bit=asked.bits, quantization_method="bnb", quantization_type=asked.type,
        double_quantization=asked.double,
    )  # fmt: skip
    quantiser = Quantiser(shaping, dtype, device)
    model: Any = load_model(
        merged, dtype=dtype, device=device, attention="sdpa", trust_remote_code=order.weights.trust_remote_code,
        note=note, device_map={"": device}, **quantiser.arguments(),
    )  # fmt: skip
    quantiser.after_loading(model, note)
    model.save_pretrained(folder, max_shard_size=order.shard)
    return model.eval()


def read(order: Order, folder: Path, note: Note) -> Any:
    """Return the quantised model of a folder, loaded as anybody loads it, on the CPU unless it needs a GPU."""
    asked = order.quantised
    assert asked is not None
    device = "cuda:0" if order.device == "auto" and torch.cuda.is_available() else "cpu"
    settings: dict[str, Any] = {
        "device": device, "attention": "sdpa", "trust_remote_code": order.weights.trust_remote_code, "note": note,
    }  # fmt: skip
    if asked.library == "bnb":
        model: Any = load_model(folder, dtype="auto", device_map={"": device}, **settings)
    else:
        model = load_shaped(folder, Shaping(), dtype=getattr(torch, order.dtype), **settings)
    return model.eval()
