"""What a recipe would train, tensor by tensor, told without loading a weight: the model is built in shapes only.

The real method prepares it. What needs the weights themselves is left out, for it changes no shape: quantisation, and
the starts that take weights apart.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tuitune.engine.plan import Plan, choose_device
from tuitune.errors import ModelError, TuiTuneError
from tuitune.fit.count import Count
from tuitune.fit.estimate import Estimate, estimate
from tuitune.fit.machine import memory, usable_cores
from tuitune.fit.shapes import ModelShape
from tuitune.methods import method
from tuitune.methods.counting import count_of
from tuitune.models.paths import why_padded
from tuitune.models.shaping import Shaping
from tuitune.recipe.fields.matrix import EIGHT_BIT_ADAMW, own_optimizer
from tuitune.recipe.fields.method import PROMPTED
from tuitune.text import clean_line

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from tuitune.recipe import Recipe

# Nothing of the weights is there to begin from.
_NEEDS_WEIGHTS = {"pissa_init": False, "loftq_init": False, "prompt_tuning_init_text": None}


@dataclass(frozen=True)
class Tensor:
    """One trained tensor; `dtype` as torch calls it."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def elements(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Outlook:
    """What a run would train and take. `path` says how rows go through the model, `optimizer` how weights change."""

    tensors: tuple[Tensor, ...]
    count: Count
    plan: Plan
    path: str
    optimizer: str
    fit: Estimate


def outlook(recipe: Recipe, folder: Path) -> Outlook:
    """Return what a run of this recipe with the model in `folder` would train. Raises ModelError, TrainingError."""
    plan = choose_device(recipe, recipe.threads or usable_cores())
    model = in_shapes(folder, recipe, plan.torch_dtype)
    path = _path(recipe, model)
    prepared = _prepared(model, recipe)
    tensors = tuple(
        Tensor(name, tuple(p.shape), str(p.dtype).removeprefix("torch."))
        for name, p in prepared.named_parameters()
        if p.requires_grad
    )
    return Outlook(tensors, count_of(prepared), plan, path, _optimizer(recipe), _fit(recipe, folder, plan))


def in_shapes(folder: Path, recipe: Recipe, dtype: torch.dtype) -> PreTrainedModel:
    """Build the model of a folder, shaped as the recipe says, on the meta device. Raises ModelError."""
    from transformers import AutoModelForCausalLM

    from tuitune.models.blocks import expand
    from tuitune.models.depths import is_routed_folder, routed_model_class

    config: Any = _config(folder, recipe)
    if recipe.mixture_of_depths == "convert":
        # As a converted model's own configuration says it; converting compares logits, which have no numbers here.
        config.mixture_of_depths = {
            "capacity": recipe.mod_capacity, "layers": list(range(1, config.num_hidden_layers, 2)),
        }  # fmt: skip
    routed = recipe.mixture_of_depths == "convert" or is_routed_folder(folder)
    try:
        with torch.device("meta"):
            model: PreTrainedModel = (
                routed_model_class(config)(config)
                if routed
                else AutoModelForCausalLM.from_config(config, trust_remote_code=recipe.trust_remote_code)  # type: ignore[no-untyped-call]
            )
        model.to(dtype)  # type: ignore[arg-type]
    except Exception as error:  # models with code of their own raise what they like
        raise _no_shapes(folder, error) from error
    return expand(model, recipe.expand_blocks) if recipe.expand_blocks else model


def _config(folder: Path, recipe: Recipe) -> Any:
    from transformers import AutoConfig

    from tuitune.models.depths import is_routed_folder, routed_config
    from tuitune.models.rope import scaled_config

    if recipe.rope_scaling:
        return scaled_config(folder, Shaping.of(recipe), trust_remote_code=recipe.trust_remote_code)
    if is_routed_folder(folder):
        return routed_config(folder)
    try:
        return AutoConfig.from_pretrained(
            str(folder), trust_remote_code=recipe.trust_remote_code, local_files_only=True
        )
    except Exception as error:  # configuration classes raise their own; every one becomes words
        raise _no_shapes(folder, error) from error


def _prepared(model: PreTrainedModel, recipe: Recipe) -> nn.Module:
    asked = {key: value for key, value in _NEEDS_WEIGHTS.items() if getattr(recipe, key)}
    bare = recipe.model_copy(update=asked)
    try:
        with warnings.catch_warnings(action="ignore"), torch.device("meta"):  # numbers that are loaded go nowhere
            return method(recipe.finetuning_type).prepare(model, bare)
    except TuiTuneError:
        raise
    except (RuntimeError, NotImplementedError) as error:
        raise ModelError(
            f"this model with finetuning_type: {recipe.finetuning_type} cannot be told in shapes alone: "
            f"{clean_line(str(error))[:300]}",
            "`tuitune train` tells the count once the weights are loaded",
        ) from error


def _path(recipe: Recipe, model: PreTrainedModel) -> str:
    if recipe.finetuning_type in PROMPTED:
        return "padded: learnt vectors stand before every row"
    reason = why_padded(model, recipe.cutoff_len)
    if reason:
        return f"padded: {reason}"
    return "without padding, if the model keeps rows that lie side by side apart (a run tries it first), else padded"


def _optimizer(recipe: Recipe) -> str:
    own = own_optimizer(recipe)
    name = own.removeprefix("use_") if own else recipe.optim
    if recipe.use_lisa:
        return f"{name}, {recipe.lisa_activated_layers} layers at a time, and what stands outside of the layers"
    if recipe.use_badam:
        share = f"{100 * recipe.badam_update_ratio:g} % of each matrix"
        return f"{name}, {'one layer' if recipe.badam_mode == 'layer' else share} at a time"
    if recipe.loraplus_lr_ratio is not None:
        return f"{name}, matrix B with {recipe.loraplus_lr_ratio:g} times the learning rate (LoRA+)"
    eight = recipe.use_galore and recipe.optim in EIGHT_BIT_ADAMW
    return f"{name}, states of 8 bits" if eight else name


def _fit(recipe: Recipe, folder: Path, plan: Plan) -> Estimate:
    shape = ModelShape.read(folder)
    if plan.device == "cpu":
        return estimate(recipe, shape, free=memory().available, total=memory().total)
    free, total = torch.cuda.mem_get_info(torch.device(plan.device))
    units = torch.cuda.is_bf16_supported(including_emulation=False)
    return estimate(recipe, shape, free=free, total=total, kind="cuda", bf16_units=units)


def _no_shapes(folder: Path, error: Exception) -> ModelError:
    return ModelError(
        f"the model in {folder} cannot be built from its config.json: {clean_line(str(error))[:300]}",
        "`tuitune train` tells the count once the weights are loaded",
    )
