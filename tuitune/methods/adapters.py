"""What all methods share that put something small beside a frozen model through peft: begin, go on, merge, load.

No torch at import: a recipe's check looks for adapters too.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from tuitune.errors import ModelError
from tuitune.methods.base import Method
from tuitune.run.index import place_of
from tuitune.text import clean_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peft import PeftConfig
    from torch import nn
    from transformers import PreTrainedModel

    from tuitune.recipe import Recipe

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
BOTTLENECK = "TUITUNE_BOTTLENECK"  # a kind that peft does not know, so that it refuses what it could not read
# Kinds of adapters that are no change of any weight, and why.
UNMERGEABLE = {
    **dict.fromkeys(("PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING"), "stands before the text"),
    BOTTLENECK: "computes a function of its own behind layers, which is no change of a weight",
}


class Adapter(Method):
    """A method whose result is an adapter of peft's; a subclass says which."""

    kind: ClassVar[str]  # peft's name, as adapter_config.json has it

    def config(self, model: PreTrainedModel, recipe: Recipe) -> PeftConfig:
        """Return peft's description of a fresh adapter. Raises ModelError."""
        raise NotImplementedError

    def prepare(self, model: PreTrainedModel, recipe: Recipe) -> nn.Module:
        """Freeze the model and put the recipe's adapter on it, or the last of `adapter_name_or_path`."""
        base, last = begin(model, recipe)
        if last is None:
            made = self.fresh(base, recipe)
        else:
            refuse_other_kind(last, self.kind, recipe)
            made = self.further(base, last, recipe)
        return in_format(made, recipe)

    def fresh(self, model: Any, recipe: Recipe) -> nn.Module:
        """Return the model with a new adapter. Raises ModelError where it does not fit."""
        from peft import get_peft_model

        config = self.config(model, recipe)
        try:
            # peft warns of what it settles itself (Conv1D's transposed weights, blocks that do not divide a layer).
            with warnings.catch_warnings(action="ignore"):
                made: nn.Module = get_peft_model(model, config, autocast_adapter_dtype=not recipe.pure_bf16)
        except (ValueError, TypeError, NotImplementedError) as error:
            raise _does_not_fit(model, recipe, error) from error
        return made

    def save(self, model: Any, folder: str, *, exact: bool = False) -> None:
        """Write the adapter; a frozen embedding below it, which peft would add, is the base model's."""
        model.save_pretrained(folder, save_embedding_layers=False)

    def further(self, model: Any, folder: Path, recipe: Recipe) -> nn.Module:
        """Return the model with the adapter of `folder`, to train it on. Raises ModelError."""
        made: nn.Module = load_adapter(model, folder, trainable=True)
        return made


def begin(model: Any, recipe: Recipe) -> tuple[Any, Path | None]:
    """Merge what is to be merged of `adapter_name_or_path`; return the model and the adapter to train on, if any."""
    folders = [adapter_folder(recipe, name) for name in recipe.adapter_name_or_path]
    last = None if recipe.create_new_adapter or not folders else folders.pop()
    for folder in folders:
        model = merge(model, folder)
    return model, last


def merge(model: Any, folder: Path) -> Any:
    """Return the model with the adapter of `folder` in its weights. Raises ModelError where that cannot be."""
    refuse_unmergeable(folder)
    from tuitune.methods.merging import into_weights

    try:
        return into_weights(load_adapter(model, folder))
    except (ValueError, TypeError, AttributeError, NotImplementedError) as error:
        raise ModelError(f"the adapter in {folder} cannot be merged: {clean_line(str(error))[:300]}") from error


def refuse_unmergeable(folder: Path) -> None:
    """Raise ModelError where the adapter in `folder` is no change of any weight."""
    kind = kind_of(folder)
    if kind in UNMERGEABLE:
        raise ModelError(
            f"the adapter in {folder} {UNMERGEABLE[kind]} ({kind}): it cannot be merged",
            "use it beside its model, as the last of adapter_name_or_path",
        )


def in_format(model: nn.Module, recipe: Recipe) -> nn.Module:
    """Bring what learns into fp32, or with `pure_bf16` into bf16; peft does so for some of its kinds only."""
    import torch

    kind = torch.bfloat16 if recipe.pure_bf16 else torch.float32
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype in (torch.bfloat16, torch.float16, torch.float32):
            parameter.data = parameter.data.to(kind)
    return model


def kind_of(folder: Path) -> str:
    """Return peft's name for the kind of the adapter in `folder`. Raises ModelError."""
    try:
        kind = orjson.loads((folder / CONFIG).read_bytes()).get("peft_type")
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{folder / CONFIG} cannot be read: {error}") from error
    if not isinstance(kind, str):
        raise ModelError(f"{folder / CONFIG} does not say what kind of adapter it is")
    return clean_line(kind)


def refuse_other_kind(folder: Path, kind: str, recipe: Recipe) -> None:
    """Raise ModelError unless the adapter in `folder` is of this kind, which the recipe's method can train on."""
    found = kind_of(folder)
    if found != kind:
        raise ModelError(
            f"the adapter in {folder} is of the kind {found}, the recipe says finetuning_type: "
            f"{recipe.finetuning_type}",
            "set the finetuning_type it was made with"
            + ("" if found in UNMERGEABLE else ", or create_new_adapter: true to merge it and begin a new one"),
        )


def adapter_folder(recipe: Recipe, name: str) -> Path:
    """Return where the adapter `name` lies; raises ModelError when there is none."""
    path = place_of(name, recipe.locate(name))
    if (path / "final" / CONFIG).is_file():
        path = path / "final"
    if not (path / CONFIG).is_file():
        raise ModelError(
            f"{name} is no adapter: it has no {CONFIG}",
            "name a run that has a result, a checkpoint, or a folder that peft saved",
        )
    return path


def load_adapter(model: Any, folder: Path, *, trainable: bool = False) -> Any:
    """Put the adapter of `folder` on `model`; raises ModelError when it does not fit.

    An adapter that began with a part of the weights takes it out of the model, quantised or not.
    """
    from peft import PeftModel

    from tuitune.methods import startpoint

    needs_weights(folder)
    if kind_of(folder) == BOTTLENECK:
        from tuitune.methods import bottleneck

        return bottleneck.load(model, folder, trainable=trainable)
    try:
        with warnings.catch_warnings(action="always", record=True) as warned:
            loaded = PeftModel.from_pretrained(
                model, str(folder), is_trainable=trainable, config=startpoint.plain_config(folder)
            )
    except Exception as error:  # peft, safetensors and torch each raise their own; every one becomes words
        reason = clean_line(str(error))[:300]
        if "size mismatch" in reason:
            reason = "its matrices have other sizes than the model's layers"
        raise ModelError(
            f"the adapter in {folder} cannot be put on this model: {reason}", "is it an adapter of this very model?"
        ) from error
    lacks = next((str(w.message) for w in warned if "missing adapter keys" in str(w.message)), "")
    if lacks:
        raise ModelError(f"the adapter in {folder} is not whole: {clean_line(lacks)[:300]}")
    startpoint.resume(loaded, folder)
    return loaded


def needs_weights(folder: Path) -> None:
    """Raise ModelError unless the adapter's weights are there as safetensors."""
    if not (folder / WEIGHTS).is_file():
        raise ModelError(
            f"the adapter in {folder} has no {WEIGHTS}",
            "pickled adapters (.bin) are not read: they can run code; save it again as safetensors",
        )


def linear_names(model: Any) -> list[str]:
    """Return the last names of all linear layers (Conv1D too), sorted."""
    return sorted({name.rsplit(".", 1)[-1] for name, _ in linears(model)})


def linears(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield the linear layers, quantised ones and Conv1D too, with their names."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | Conv1D) or _quantised(module):
            yield name, module


def _quantised(module: Any) -> bool:
    # GPTQ, AWQ, HQQ and others bring layers of their own, which are linear in all but their class.
    return hasattr(module, "in_features") and hasattr(module, "out_features") and not list(module.children())


def _does_not_fit(model: Any, recipe: Recipe, error: Exception) -> ModelError:
    other = "" if recipe.finetuning_type == "lora" else "finetuning_type: lora takes every kind of layer; "
    return ModelError(
        f"{recipe.finetuning_type} does not fit this model: {clean_line(str(error))[:200]}",
        f"{other}the linear layers here are {', '.join(linear_names(model))}",
    )
