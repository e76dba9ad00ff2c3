"""Models with Mixture-of-Depths: made from ordinary ones, saved and loaded again (see tuitune.models.routing).

A converted model says another `model_type` on disk, so that whoever does not know the routers refuses it instead of
computing every token with weights that were trained to leave most of them out.
"""

from __future__ import annotations

import functools
import inspect
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import torch
from torch import nn

from tuitune.errors import ModelError
from tuitune.fit.files import read_object
from tuitune.models.layers import decoder_layers, text_config
from tuitune.models.routing import Gate, RoutedLayer
from tuitune.run.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedConfig, PreTrainedModel


MODEL_TYPE = "tuitune_mixture_of_depths"
_RECORD, _BASE = "mixture_of_depths", "base_model_type"  # keys of config.json
_START = 0.02  # spread of router weights at first: small, so that a few steps can move the threshold
# Whatever else a layer is given would have to be gathered token by token too.
_LAYER_TAKES = {
    "hidden_states", "attention_mask", "position_embeddings", "position_ids", "past_key_values", "use_cache",
    "cache_position", "output_attentions", "output_router_logits", "kwargs",
}  # fmt: skip
_LAYER_NEEDS = {"hidden_states", "attention_mask", "position_embeddings", "past_key_values"}


class _RoutedModel:
    """Mixed into a model's class: has routers from its configuration, and says on disk what it is."""

    config: Any

    def __init__(self, config: Any, *args: Any, **more: Any) -> None:
        plain: Any = super().__init__
        plain(config, *args, **more)
        _route(self, **getattr(config, _RECORD))

    def save_pretrained(self, save_directory: str | Path, **more: Any) -> None:
        """Write the model; only TuiTune loads it again."""
        plain: Any = super()
        plain.save_pretrained(save_directory, **more)
        path = Path(save_directory) / "config.json"
        values = orjson.loads(path.read_bytes())
        values |= {_BASE: values["model_type"], "model_type": MODEL_TYPE}
        write_atomic(path, orjson.dumps(values, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))


@functools.cache
def _mixed(prefix: str, mixin: Any, plain: Any) -> Any:
    return type(f"{prefix}{plain.__name__}", (mixin, plain), {"__module__": __name__})


def _routed_class(plain: Any) -> Any:
    return _mixed("MixtureOfDepths", _RoutedModel, plain)


def _route(model: Any, capacity: float, layers: Sequence[int]) -> None:
    _, every = decoder_layers(model)
    config, first = text_config(model), next(model.parameters())
    for number in layers:
        layer: Any = every[number]
        layer.__class__ = _mixed("Routed", RoutedLayer, layer.__class__)
        layer.capacity, layer.place, layer.settings, layer.lessons = capacity, number, config, []
        layer.router = Gate(config.hidden_size, dtype=first.dtype, device=first.device)


def is_routed(model: nn.Module) -> bool:
    """Whether layers of the model leave tokens out."""
    return bool(routed_layers(model))


def routed_layers(model: nn.Module) -> list[RoutedLayer]:
    """Return the layers that leave tokens out; empty for an ordinary model."""
    return [module for module in model.modules() if isinstance(module, RoutedLayer)]


def learn_thresholds(model: nn.Module) -> None:
    """Let the routers take in what they saw in the optimizer step that has just been made."""
    for layer in routed_layers(model):
        layer.router.learn_threshold()


# Conversion


def convert(model: PreTrainedModel, capacity: float) -> PreTrainedModel:
    """Give every second layer a router that picks the share `capacity` of the tokens; return the model.

    Raises ModelError where the model is converted already, or its layers cannot be taken apart token by token.
    """
    config, (_, layers) = text_config(model), decoder_layers(model)
    if is_routed(model):
        raise ModelError("this model has routers already", "set mixture_of_depths: load")
    _refuse(model, layers)
    truth = _logits(model)
    routing = {"capacity": capacity, "layers": list(range(1, len(layers), 2))}
    _route(model, **routing)  # type: ignore[arg-type]
    _refuse_unlike(model, truth)
    for layer in routed_layers(model):
        nn.init.normal_(layer.router.weight, std=_START / math.sqrt(config.hidden_size))
    setattr(config, _RECORD, routing)
    model.__class__ = _routed_class(type(model))
    return model


def _refuse(model: Any, layers: nn.ModuleList) -> None:
    config = text_config(model)
    takes = set(inspect.signature(layers[0].forward).parameters)
    kind, why = config.model_type, ""
    if len(layers) < 2:
        why = "it has one layer, and every second one would be routed"
    elif model.is_remote_code() or config is not model.config:
        why = "it brings its own code, or is more than a language model"
    elif not takes >= _LAYER_NEEDS or takes - _LAYER_TAKES:
        why = "its layers are given more than hidden states and positions"
    elif _window(config):
        why = f"its layers see a window of {_window(config)} tokens"
    elif getattr(config, "quantization_config", None):
        why = "it is quantised, and all of its weights shall learn"
    if why:
        raise ModelError(
            f"a model of the family {kind} cannot become one with Mixture-of-Depths: {why}",
            "llama, mistral without a window, qwen2, qwen3, gemma and their like can",
        )


def _window(config: Any) -> int | None:
    kinds = set(getattr(config, "layer_types", None) or ())
    window: int | None = getattr(config, "sliding_window", None)
    used = "sliding_attention" in kinds if kinds else getattr(config, "use_sliding_window", True)
    return window if window and used else None


def _refuse_unlike(model: PreTrainedModel, truth: torch.Tensor) -> None:
    """Raise ModelError unless routers of weight zero that pick every token leave the answer as it was."""
    for layer in routed_layers(model):
        nn.init.zeros_(layer.router.weight)
    capacities = [(layer, layer.capacity) for layer in routed_layers(model)]
    try:
        for layer, _ in capacities:
            layer.capacity = 1.0
        mine = _logits(model)
    except (TypeError, ValueError, RuntimeError, AttributeError, KeyError) as error:
        raise ModelError("the layers of this model cannot be taken apart token by token") from error
    finally:
        for layer, capacity in capacities:
            layer.capacity = capacity
    far = float((mine - truth).abs().max()) / (float(truth.abs().max()) or 1.0)
    if not far < (1e-4 if model.dtype in (torch.float32, torch.float64) else 5e-2):
        raise ModelError("the layers of this model mix tokens in a way that routers would change")


@torch.no_grad()
def _logits(model: Any) -> torch.Tensor:
    training = model.training
    model.eval()
    try:
        ids = torch.arange(3, 12, device=model.device)[None]
        return model(input_ids=ids, use_cache=False).logits.float()  # type: ignore[no-any-return]
    finally:
        model.train(training)


def settle(model: PreTrainedModel, how: str, capacity: float) -> PreTrainedModel:
    """Do what the recipe's `mixture_of_depths` says: convert a model, or make sure that it is converted already."""
    if how == "convert":
        return convert(model, capacity)
    if not is_routed(model):
        raise ModelError(
            "mixture_of_depths: load is for a model that has routers, and this one has none",
            "set mixture_of_depths: convert",
        )
    return model


# Loading


def is_routed_folder(folder: Path) -> bool:
    """Whether the model in `folder` is one of ours with Mixture-of-Depths."""
    return read_object(folder / "config.json").get("model_type") == MODEL_TYPE


def routed_config(folder: Path) -> PreTrainedConfig:
    """Return the configuration of such a model, of the class of the model that it was made from. Raises ModelError."""
    from transformers import AutoConfig

    values = read_object(folder / "config.json")
    kind, record = values.pop(_BASE, None), values.get(_RECORD)
    if not isinstance(kind, str) or not isinstance(record, dict) or record.keys() != {"capacity", "layers"}:
        raise ModelError(f"config.json in {folder} does not say how tokens are routed", "save the model again")
    del values["model_type"]
    made: PreTrainedConfig = AutoConfig.for_model(kind, **values)
    return made


def routed_model_class(config: PreTrainedConfig) -> Any:
    """Return the class that loads a model with this configuration."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    return _routed_class(MODEL_FOR_CAUSAL_LM_MAPPING[type(config)])
