"""A merged model with few bits per weight: which libraries make it, what is needed, and how near it must answer."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tuitune.errors import ModelError
from tuitune.export.agree import Bound
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
_BOUNDS = {
    8: Bound(relative=0.15, kl=0.1, top1=0.85),
    4: Bound(relative=0.5, kl=0.7, top1=0.5),
    3: Bound(relative=0.8, kl=2.0, top1=0.2),
    2: Bound(relative=1.1, kl=6.0),
}


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
