"""Which weights of a model LoRA stands beside: layers by name, and the matrices that a model keeps without a layer.

transformers keeps the experts of a layer as one tensor of three dimensions and a router as a bare matrix. peft reaches
them as parameters; as layers it finds neither (and of their neighbours, the shared experts, it would lose some when
the adapter is read again, because it takes their names for those of the experts in older models).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tuitune.errors import ModelError
from tuitune.methods.adapters import linears
from tuitune.recipe.fields.lora import is_regex
from tuitune.text import clean_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from torch import Tensor

    from tuitune.recipe import Recipe


@dataclass(frozen=True)
class Targets:
    """Names as peft matches them, by their end: layers, and bare parameters."""

    modules: tuple[str, ...]
    parameters: tuple[str, ...]


def find(model: Any, names: tuple[str, ...], within: tuple[str, ...] = (), *, key: str = "lora_target") -> Targets:
    """Return what `lora_target` (or another `key`) means on this model: `all`, one regular expression, or names.

    `all` is every linear layer of the text model but the head, experts and routers included. within: only what lies in
    one of these modules, where any is given. Raises ModelError.
    """
    layers, bare = _layers(model), _bare(model)
    if names == ("all",):
        inside = _text_model(model)
        picked = {name for name, _ in linears(model) if name in inside and name in layers}
        loose = {name for name, wanted in bare.items() if wanted and name.rpartition(".")[0] in inside}
    else:
        picked, loose = _named(names, layers, bare, key)
    if within:
        picked, loose = ({name for name in found if name.startswith(within)} for found in (picked, loose))
        if not picked | loose:
            raise ModelError(
                f"{key} {clean_line(', '.join(names))} names nothing in the inserted blocks", f"use {key}: all"
            )
    eaten = _eaten(model, {_leaf(name) for name in picked})
    for name in sorted(name for name in picked if _leaf(name) in eaten):
        _refuse_quantised(name, layers[name])
    loose |= {f"{name}.weight" for name in picked if _leaf(name) in eaten}
    picked = {name for name in picked if _leaf(name) not in eaten}
    every = [f"{module}.{name}" for module, m in model.named_modules() for name, _ in m.named_parameters(recurse=False)]
    return Targets(_shortest(picked, [name for name, _ in model.named_modules()], 1), _shortest(loose, every, 2))


def _layers(model: Any) -> dict[str, Any]:
    """Return all layers that peft has a LoRA adapter for, with their names."""
    from torch import nn

    kinds = (nn.Embedding, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    found = dict(linears(model))
    return found | {name: module for name, module in model.named_modules() if isinstance(module, kinds)}


def _bare(model: Any) -> dict[str, bool]:
    """Return the matrices that are no layer's, each with whether `all` takes it: experts (3-D) and routers."""
    layers = _layers(model)
    found: dict[str, bool] = {}
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if path and path not in layers and parameter.ndim in (2, 3):
                router = "Router" in type(module).__name__ and parameter.ndim == 2
                found[f"{path}.{name}"] = router or (parameter.ndim == 3 and "expert" in _leaf(path))
    return found


def _text_model(model: Any) -> set[str]:
    """Return the names of the modules below the head; of a model that sees or hears too, those for text."""
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else None
    decoder = model if decoder is None else decoder
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    members = {id(module) for module in decoder.modules() if module is not head}
    return {name for name, module in model.named_modules() if id(module) in members}


def _named(
    names: tuple[str, ...], layers: Collection[str], bare: Collection[str], key: str
) -> tuple[set[str], set[str]]:
    """Return the layers and bare parameters that names or an expression mean. Raises ModelError for a misfit."""
    picked: set[str] = set()
    loose: set[str] = set()
    for name in names:
        pattern = re.compile(name if is_regex(names) else rf"(.*\.)?{re.escape(name)}")
        mine = {layer for layer in layers if pattern.fullmatch(layer)}
        # A router is meant by its module's name, experts by theirs, one of their matrices by its own.
        theirs = {each for each in bare if pattern.fullmatch(each) or pattern.fullmatch(each.rpartition(".")[0])}
        if not mine and not theirs:
            raise _unknown(name, layers, bare, key, expression=is_regex(names))
        picked |= mine
        loose |= theirs
    return picked, loose


def _unknown(name: str, layers: Iterable[str], bare: Iterable[str], key: str, *, expression: bool) -> ModelError:
    """Return the error for a target that fits nothing; its hint lists what there is."""
    if expression:
        some = max(sorted(layers), key=lambda each: each.count("."))
        return ModelError(
            f"{key}: the regular expression {clean_line(name)} fits no layer of this model",
            f"it must fit a whole name, such as {some}; begin it with .*",
        )
    known = sorted({_leaf(each) for each in layers} | {".".join(each.split(".")[-2:]) for each in bare})
    return ModelError(
        f"{key}: no layer of this model is called {clean_line(name)}",
        f"it has {', '.join(known)}; `all` takes every linear layer but the head",
    )


def _eaten(model: Any, leaves: set[str]) -> set[str]:
    """Return the names that peft would take for those of experts in older models (transformers 4) and rewrite."""
    from peft import LoraConfig
    from peft.utils.transformers_weight_conversion import convert_peft_config_for_transformers

    found = set()
    for leaf in leaves:
        probe = LoraConfig(target_modules=[leaf])
        try:
            convert_peft_config_for_transformers(probe, model, None)
        except ValueError:  # one half of a fused pair
            found.add(leaf)
        if leaf not in (probe.target_modules or ()):
            found.add(leaf)
    return found


def _refuse_quantised(name: str, layer: Any) -> None:
    weight: Tensor | None = getattr(layer, "weight", None)
    if weight is None or not weight.is_floating_point():
        raise ModelError(
            f"{name} is quantised, and peft has no adapter for it in a model with experts",
            "name the layers of the attention instead, such as lora_target: q_proj,k_proj,v_proj,o_proj",
        )


def _shortest(chosen: set[str], every: list[str], parts: int) -> tuple[str, ...]:
    """Return the shortest ends of names, of at least `parts` parts, that fit exactly the chosen ones; sorted."""
    short: set[str] = set()
    for name in sorted(chosen):
        pieces = name.split(".")
        ends = [".".join(pieces[-n:]) for n in range(parts, len(pieces))]
        short.add(next((end for end in ends if _fits_only(end, chosen, every)), name))
    return tuple(sorted(short))


def _fits_only(end: str, chosen: set[str], every: list[str]) -> bool:
    return all(name in chosen for name in every if name == end or name.endswith(f".{end}"))


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]


def trained_whole(model: Any, recipe: Recipe, *, ties: bool = False) -> list[str] | None:
    """Return the whole names of the modules of `additional_target`, None where there are none. Raises ModelError.

    ties: whether the method keeps an embedding and a head tied that are one; where it does not, they are refused.
    """
    known = [name for name, _ in model.named_modules() if name]
    found: list[str] = []
    for wanted in recipe.additional_target:
        fitting = [name for name in known if name == wanted or name.endswith(f".{wanted}")]
        if not fitting:
            weighty = {
                _leaf(name) for name, m in model.named_modules() if any(True for _ in m.parameters(recurse=False))
            }
            raise ModelError(
                f"additional_target: no module of this model is called {clean_line(wanted)}",
                f"it has {', '.join(sorted(weighty))}",
            )
        found += fitting
    if found and not ties and touches_tied(model, found):
        raise ModelError(
            f"additional_target: the head of this model is its embedding, and {recipe.finetuning_type} would train two "
            "copies apart",
            "use finetuning_type: lora, which keeps them one, or remove it",
        )
    return found or None


def touches_tied(model: Any, names: Collection[str]) -> bool:
    """Return whether one of these names is the embedding or the head of a model whose head is its embedding."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    if head is None or getattr(head, "weight", None) is not getattr(embedding, "weight", None):
        return False
    tied = [name for name, module in model.named_modules() if module is embedding or module is head]
    return any(name == each or name.endswith(f".{each}") for name in tied for each in names)
