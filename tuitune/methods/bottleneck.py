"""Bottleneck adapters (Houlsby et al., arXiv 1902.00751): two narrow projections behind both halves of every layer.

Each stands after the attention or the MLP and before the residual is added, with a connection past it: it gives
x + up(f(down(x))). The upper projection begins at zero, so training begins with the model as it is. peft has no such
adapter, so the form on disk is ours; its kind in adapter_config.json is one that peft does not know and refuses.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from tuitune.errors import ModelError
from tuitune.methods.adapters import BOTTLENECK, CONFIG, WEIGHTS, Adapter, needs_weights
from tuitune.models.halves import halves, held
from tuitune.models.layers import text_config
from tuitune.text import clean_line

if TYPE_CHECKING:
    from torch import Tensor

    from tuitune.recipe import Recipe

_ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}
_NAME = "bottleneck"  # of the adapter in the module that it stands behind


@dataclass
class Shape:
    """What adapter_config.json says; `where`: "both", "mlp" or "attention"."""

    size: int
    activation: str
    where: str
    dropout: float
    base_model_name_or_path: str = ""

    @classmethod
    def read(cls, folder: Path) -> Shape:
        """Read it from an adapter's folder. Raises ModelError."""
        try:
            values = orjson.loads((folder / CONFIG).read_bytes())
            made = cls(
                int(values["size"]), str(values["activation"]), str(values["where"]), float(values["dropout"]),
                str(values.get("base_model_name_or_path") or ""),
            )  # fmt: skip
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ModelError(f"{folder / CONFIG} cannot be read: {clean_line(repr(error))}") from error
        if made.size < 1 or made.activation not in _ACTIVATIONS or not 0 <= made.dropout < 1:
            raise ModelError(f"{folder / CONFIG} does not describe a bottleneck adapter")
        return made

    def write(self, folder: Path) -> None:
        """Write it in the form that lists and chats look for."""
        values = {"peft_type": BOTTLENECK, "task_type": "CAUSAL_LM", **asdict(self)}
        (folder / CONFIG).write_bytes(orjson.dumps(values, option=orjson.OPT_INDENT_2))


class Narrow(nn.Module):
    """x + up(dropout(f(down(x)))) for x (..., width); the sum is made in the format of x."""

    def __init__(self, width: int, shape: Shape, device: torch.device) -> None:
        super().__init__()
        self.down = nn.Linear(width, shape.size, device=device, dtype=torch.float32)
        self.up = nn.Linear(shape.size, width, device=device, dtype=torch.float32)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)
        self.activation: nn.Module = _ACTIVATIONS[shape.activation]()
        self.dropout = nn.Dropout(shape.dropout)
        self.enabled = True

    def forward(self, x: Tensor) -> Tensor:
        """Return x with what the adapter adds."""
        if x.shape[-1] != self.down.in_features:
            raise ModelError("a half of this model's layers has another width than its hidden states")
        narrow = self.dropout(self.activation(self.down(x.to(self.down.weight.dtype))))
        added: Tensor = self.up(narrow)
        return x + added.to(x.dtype)


def _behind(module: nn.Module, inputs: object, output: Any) -> Any:
    """Forward hook of the module that an adapter stands behind."""
    adapter = getattr(module, _NAME)
    if not adapter.enabled:
        return None
    return (adapter(output[0]), *output[1:]) if isinstance(output, tuple) else adapter(output)


class _Adapted:
    """Mixed into the model's class: what the rest of TuiTune asks of a model with an adapter."""

    # Trainer refuses quantised models unless adapters are on them.
    _hf_peft_config_loaded = True
    peft_config: dict[str, Shape]

    @contextlib.contextmanager
    def disable_adapter(self) -> Iterator[None]:
        """Switch the adapters off, while open."""
        layers = adapters_of(self)
        before = [layer.enabled for layer in layers]
        try:
            for layer in layers:
                layer.enabled = False
            yield
        finally:
            for layer, enabled in zip(layers, before, strict=True):
                layer.enabled = enabled

    def save_pretrained(self, save_directory: str | Path, **more: object) -> None:
        """Write the adapters and what they are, not the model."""
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.detach().contiguous().cpu() for name, tensor in _tensors(self).items()}
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
        self.peft_config["default"].write(folder)


@functools.cache
def _adapted_class(plain: Any) -> Any:
    return type(f"Bottleneck{plain.__name__}", (_Adapted, plain), {"__module__": __name__})


def adapters_of(model: Any) -> list[Narrow]:
    """Return the adapters on a model."""
    return [module for module in model.modules() if isinstance(module, Narrow)]


def _tensors(model: Any) -> dict[str, nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if f".{_NAME}." in name}


class Bottleneck(Adapter):
    """Houlsby's adapters in fp32 on a frozen model."""

    name = "bottleneck"
    kind = BOTTLENECK

    def fresh(self, model: Any, recipe: Recipe) -> nn.Module:
        """Return the model with new adapters. Raises ModelError where they have no place."""
        shape = Shape(
            recipe.bottleneck_size, recipe.bottleneck_activation, recipe.bottleneck_where, recipe.bottleneck_dropout,
            model.name_or_path,
        )  # fmt: skip
        made: nn.Module = attach(model, shape, trainable=True)
        return made

    def further(self, model: Any, folder: Path, recipe: Recipe) -> nn.Module:
        """Return the model with the adapters of `folder`, to train them on. Raises ModelError."""
        made: nn.Module = load(model, folder, trainable=True)
        if "bottleneck_dropout" in recipe.asked:
            model.peft_config["default"].dropout = recipe.bottleneck_dropout
            for adapter in adapters_of(made):
                adapter.dropout.p = recipe.bottleneck_dropout
        return made

    def save(self, model: Any, folder: str, *, exact: bool = False) -> None:
        """Write the adapters."""
        model.save_pretrained(folder)

    def restore(self, model: Any, folder: Path) -> bool:
        """Load the adapters of a checkpoint."""
        _fill(model, folder)
        return True

    def noise(self, recipe: Recipe) -> bool:
        """Whether adapters drop anything."""
        return recipe.bottleneck_dropout > 0


def attach(model: Any, shape: Shape, *, trainable: bool) -> Any:
    """Freeze the model, put new adapters on it and return it. Raises ModelError where they have no place."""
    model.requires_grad_(False)
    width = text_config(model).hidden_size
    for place in halves(model, shape.where):
        adapter = Narrow(width, shape, next(held(place)).device)
        place.add_module(_NAME, adapter.requires_grad_(trainable))
        place.register_forward_hook(_behind)
    model.peft_config = {"default": shape}
    model.__class__ = _adapted_class(model.__class__)
    return model


def load(model: Any, folder: Path, *, trainable: bool = False) -> Any:
    """Put the adapters of `folder` on `model`. Raises ModelError where they do not fit."""
    needs_weights(folder)
    made = attach(model, Shape.read(folder), trainable=trainable)
    _fill(made, folder)
    return made


@torch.no_grad()
def _fill(model: Any, folder: Path) -> None:
    try:
        saved = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"the adapter in {folder} cannot be read: {clean_line(str(error))}") from error
    own = _tensors(model)
    if {k: v.shape for k, v in saved.items()} != {k: v.shape for k, v in own.items()}:
        raise ModelError(
            f"the adapter in {folder} cannot be put on this model: its places or widths are others",
            "is it an adapter of this very model?",
        )
    for name, tensor in saved.items():
        own[name].copy_(tensor)
