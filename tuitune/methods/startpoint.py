"""Adapters that begin with a part of the weights: PiSSA (arXiv 2404.02948) and LoftQ (arXiv 2310.08659).

Both give the adapter B A of a layer a start B0 A0 and take that start out of the base below it, so the base in memory
is not the model that was loaded. The start is saved beside the adapter and taken out again wherever the adapter is
loaded (resume, chat, further training, merging); only then the base is the same in every bit. peft's own PiSSA
decomposes anew instead, which a random projection does not survive.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from tuitune.errors import ModelError
from tuitune.fit.files import read_object
from tuitune.methods.loftq import requantise
from tuitune.methods.lowrank import Pair, product
from tuitune.models.originals import Originals
from tuitune.models.quantise import is_quantised

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import Tensor


FILE = "tuitune_start.safetensors"
_ATTRIBUTE = "tuitune_start"
# peft refuses a name that it does not know; with one of its own it would begin elsewhere in silence.
ONLY_OURS = "tuitune_start"
Kind = Literal["pissa", "loftq"]


@dataclass
class StartPoint:
    """Where the adapter of each layer began, by the layer's name in the base model.

    taken: what was taken out of a layer before it was quantised, where that is not the start itself (LoftQ).
    """

    kind: Kind
    start: dict[str, Pair] = field(default_factory=dict)
    taken: dict[str, Pair] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write it beside an adapter."""
        tensors: dict[str, Tensor] = {}
        for role, pairs in (("start", self.start), ("taken", self.taken)):
            for name, pair in pairs.items():
                tensors |= {f"{name}.{role}_A": pair.a, f"{name}.{role}_B": pair.b}
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, folder / FILE, {"kind": self.kind})

    @classmethod
    def beside(cls, folder: Path) -> StartPoint | None:
        """Return what lies beside an adapter, None where nothing does. Raises ModelError."""
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            with safe_open(path, "pt") as file:
                kind = (file.metadata() or {}).get("kind", "")
                found = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (no mapping)
            made = cls("loftq" if kind == "loftq" else "pissa")
            for key in found:
                name, _, role = key.rpartition(".")
                if role.endswith("_A"):
                    pairs = made.start if role == "start_A" else made.taken
                    pairs[name] = Pair(found[key], found[f"{key[:-2]}_B"])
        except (OSError, SafetensorError, KeyError) as error:
            raise ModelError(
                f"{path} cannot be read: {error}", "the adapter does not load rightly without it"
            ) from error
        return made


def of(model: Any) -> StartPoint | None:
    """Return the start of the adapter on `model`, None where it began from zero."""
    found: StartPoint | None = getattr(model, _ATTRIBUTE, None)
    return found


def plain_config(folder: Path) -> PeftConfig | None:
    """Return the description of an adapter with a start, so that peft makes none of its own; None for all others."""
    from peft import PeftConfig

    if not (folder / FILE).is_file():
        return None
    config = PeftConfig.from_pretrained(str(folder))
    config.init_lora_weights = True
    return config


def resume(model: Any, folder: Path) -> None:
    """Take the start of the adapter that was just loaded from `folder` out of the base. Raises ModelError."""
    point = StartPoint.beside(folder)
    if point is not None:
        take_out(model, point)
        stored = read_object(folder / "adapter_config.json").get("init_lora_weights")
        begins_as(model, stored if isinstance(stored, str) else True)


def begins_as(model: Any, how: str | bool) -> None:
    """Write into the adapter's description how it began: for other programs only, nothing is begun by it here."""
    model.active_peft_config.init_lora_weights = how


def take_out(model: Any, point: StartPoint) -> None:
    """Take the start out of the base, after which the base is that of the training; remember it on the model.

    A quantised base is quantised anew from its file. Raises ModelError where the adapter is of another model.
    """
    base = model.get_base_model()
    layers = {name: module for name, module in base.named_modules() if name in point.start}
    if layers.keys() != point.start.keys():
        raise ModelError(f"{FILE} names layers that this model does not have", "it is of an adapter of another model")
    originals: Originals | None = None
    for name, layer in layers.items():
        kept, scale = layer.get_base_layer(), layer.scaling[adapter_of(layer)]
        if not is_quantised(kept):
            _subtract(layer, product(on(point.start[name], kept.weight), scale))
            continue
        taken = point.taken.get(name) if point.kind == "loftq" else point.start[name]
        if taken is not None:
            originals = originals or Originals(base)
            weight = originals.weight(name, kept)
            requantise(kept, (weight.float() - product(on(taken, weight), scale)).to(weight.dtype))
    setattr(model, _ATTRIBUTE, point)


def _subtract(layer: Any, delta: Tensor) -> None:
    weight = layer.get_base_layer().weight
    weight.data = (weight.data.float() - oriented(layer, delta)).to(weight.dtype)


def oriented(layer: Any, matrix: Tensor) -> Tensor:
    """Return a weight as (outputs, inputs), or such a matrix as the weight lies (Conv1D has it the other way)."""
    return matrix.T if getattr(layer, "fan_in_fan_out", False) else matrix


def on(pair: Pair, tensor: Tensor) -> Pair:
    """Return a pair on the device of a tensor."""
    return Pair(pair.a.to(tensor.device), pair.b.to(tensor.device))


def adapter_of(layer: Any) -> str:
    """Return the name of the one adapter that works on a layer."""
    (name,) = layer.active_adapters
    return str(name)
