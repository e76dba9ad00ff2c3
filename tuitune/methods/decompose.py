"""Where a new adapter begins: PiSSA's and LoftQ's start, found by taking the weights of each layer apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch

from tuitune.errors import ModelError
from tuitune.methods.loftq import alternate
from tuitune.methods.lowrank import Pair, factors
from tuitune.methods.startpoint import ONLY_OURS, StartPoint, adapter_of, begins_as, oriented, take_out
from tuitune.models.originals import Originals
from tuitune.models.quantise import is_quantised

if TYPE_CHECKING:
    from torch import Tensor

    from tuitune.methods.base import Attempt
    from tuitune.recipe import Recipe


def begin(model: Any, recipe: Recipe, attempt: Attempt) -> None:
    """Give the fresh adapter of a peft model its start, that of the checkpoint where the run goes on from one.

    Raises ModelError where no layer can begin like this.
    """
    made = StartPoint.beside(attempt.checkpoint) if attempt.checkpoint else None
    if made is None:
        made = _loftq(model, recipe, attempt) if recipe.loftq_init else _pissa(model, recipe, attempt)
    take_out(model, made)
    if made.kind == "pissa":
        begins_as(model, "pissa" if recipe.pissa_iter < 0 else ONLY_OURS)
        return
    attempt.say(
        "LoftQ's adapter makes up for the rounding of the quantised weights and belongs to them: beside the model as "
        "it was it would be wrong; `tuitune export` makes ordinary weights"
    )
    if made.taken:
        begins_as(model, ONLY_OURS)
        attempt.say(
            "LoftQ with more than one round changes the quantised weights: other programs cannot load the adapter on "
            "them; `tuitune export` merges it for all"
        )


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
