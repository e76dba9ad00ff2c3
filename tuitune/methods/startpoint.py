"""Adapters that begin with a part of the weights: PiSSA (arXiv 2404.02948) and LoftQ (arXiv 2310.08659).

Both give the adapter B A of a layer a start B0 A0 and take that start out of the base below it, so the base in memory
is not the model that was loaded. The start is saved beside the adapter and taken out again wherever the adapter is
loaded (resume, chat, further training, merging); only then the base is the same in every bit. peft's own PiSSA
decomposes anew instead, which a random projection does not survive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from tuitune.errors import ModelError
from tuitune.fit.files import read_object
from tuitune.methods.loftq import alternate, requantise
from tuitune.methods.lowrank import Pair, factors, product
from tuitune.models.originals import Originals
from tuitune.models.quantise import is_quantised

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import Tensor

    from tuitune.methods.base import Attempt
    from tuitune.recipe import Recipe

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


def begin(model: Any, recipe: Recipe, attempt: Attempt) -> None:
    """Give the fresh adapter of a peft model its start, that of the checkpoint where the run goes on from one.

    Raises ModelError where no layer can begin like this.
    """
    made = StartPoint.beside(attempt.checkpoint) if attempt.checkpoint else None
    if made is None:
        made = _loftq(model, recipe, attempt) if recipe.loftq_init else _pissa(model, recipe, attempt)
    take_out(model, made)
    if made.kind == "pissa":
        _begins_as(model, "pissa" if recipe.pissa_iter < 0 else ONLY_OURS)
        return
    attempt.say(
        "LoftQ's adapter makes up for the rounding of the quantised weights and belongs to them: beside the model as "
        "it was it would be wrong; `tuitune export` makes ordinary weights"
    )
    if made.taken:
        _begins_as(model, ONLY_OURS)
        attempt.say(
            "LoftQ with more than one round changes the quantised weights: other programs cannot load the adapter on "
            "them; `tuitune export` merges it for all"
        )


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
        _begins_as(model, stored if isinstance(stored, str) else True)


def _begins_as(model: Any, how: str | bool) -> None:
    # For the file only: nothing is begun by it here.
    model.active_peft_config.init_lora_weights = how


# Decomposing


def _pissa(model: Any, recipe: Recipe, attempt: Attempt) -> StartPoint:
    made = StartPoint("pissa")
    generator = torch.Generator().manual_seed(recipe.seed)
    layers = _eligible(model, "PiSSA", attempt.say, lambda layer: layer.get_base_layer().weight.is_floating_point())
    for name, layer in _watched(layers, "PiSSA", attempt):
        adapter = adapter_of(layer)
        weight = oriented(layer, layer.get_base_layer().weight.data)
        pair = factors(weight, layer.r[adapter], layer.scaling[adapter], rounds=recipe.pissa_iter, generator=generator)
        made.start[name] = _put(layer, pair)
    return made


def _loftq(model: Any, recipe: Recipe, attempt: Attempt) -> StartPoint:
    made = StartPoint("loftq")
    layers = _eligible(model, "LoftQ", attempt.say, lambda layer: is_quantised(layer.get_base_layer()))
    originals = Originals(model.get_base_model())
    generator = torch.Generator().manual_seed(recipe.seed)
    for name, layer in _watched(layers, "LoftQ", attempt):
        adapter, base = adapter_of(layer), layer.get_base_layer()
        scale = layer.scaling[adapter]

        def near(error: Tensor, layer: Any = layer, adapter: str = adapter, scale: float = scale) -> Pair:
            return factors(error, layer.r[adapter], scale, generator=generator)

        taken, pair = alternate(base, originals.weight(name, base), near, scale, recipe.loftq_iter)
        made.start[name] = _put(layer, pair)
        if taken is not None:
            made.taken[name] = taken
    return made


def _eligible(model: Any, what: str, say: Callable[[str], None], fits: Callable[[Any], bool]) -> dict[str, Any]:
    """Return the layers that can begin like this; say which begin as plain LoRA. Raises ModelError for none."""
    from peft.tuners.lora import Embedding, LoraLayer

    base = model.get_base_model()
    layers = {name: layer for name, layer in base.named_modules() if isinstance(layer, LoraLayer)}
    uses: dict[int, int] = {}
    for module in base.modules():
        for parameter in module.parameters(recurse=False):
            uses[id(parameter)] = uses.get(id(parameter), 0) + 1

    def good(layer: Any) -> bool:
        weight = getattr(layer.get_base_layer(), "weight", None)
        if isinstance(layer, Embedding) or weight is None or uses.get(id(weight), 0) > 1:
            return False  # taken out of a tied embedding, it would be missing in the head too
        return weight.dim() == 2 and fits(layer)

    chosen = {name: layer for name, layer in layers.items() if good(layer)}
    if not chosen:
        raise ModelError(f"{what} finds no layer to begin from", "it needs linear layers that share no weights")
    left = sorted({name.rsplit(".", 1)[-1] for name in layers.keys() - chosen.keys()})
    if left:
        say(f"{what} begins in linear layers; as a plain LoRA begin {', '.join(left)}")
    return chosen


def _watched(layers: dict[str, Any], what: str, attempt: Attempt) -> Iterator[tuple[str, Any]]:
    attempt.phase("init", what)
    for done, (name, layer) in enumerate(layers.items()):
        attempt.check()
        yield name, layer
        attempt.progress(done + 1, len(layers))


def _put(layer: Any, pair: Pair) -> Pair:
    """Write a start into the adapter and return it as the adapter's own format has it; surplus rank stays as it was."""
    adapter = adapter_of(layer)
    a, b = layer.lora_A[adapter].weight, layer.lora_B[adapter].weight
    with torch.no_grad():
        a[: len(pair.a)] = pair.a.to(a)
        b[:, : len(pair.a)] = pair.b.to(b)
    return Pair(a.detach().clone(), b.detach().clone())


# Taking out and putting back


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
    return Pair(pair.a.to(tensor.device), pair.b.to(tensor.device))


def adapter_of(layer: Any) -> str:
    (name,) = layer.active_adapters
    return str(name)
