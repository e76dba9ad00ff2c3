"""Rotary positions stretched to longer texts: linear, dynamic NTK, YaRN (arXiv 2309.00071, section 3) and Llama 3's.

The stretched configuration is an ordinary one of transformers, so a saved model loads anywhere. The factor is the next
whole one that reaches the asked length, as in LLaMA-Factory.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.errors import ModelError
from tuitune.text import clean_line

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from tuitune.models.load import Note
    from tuitune.models.shaping import Shaping

Parameters = dict[str, Any]
_WITHOUT = "remove rope_scaling and keep cutoff_len within what the model knows"


def scaled_config(
    folder: Path, shaping: Shaping, *, trust_remote_code: bool = False, note: Note = lambda text: None
) -> PreTrainedConfig:
    """Return the configuration of the model in `folder` with its positions stretched to `shaping.rope_length` tokens.

    Unchanged where the model reaches that far by itself, which is said through `note`. Raises ModelError for models
    without rotary positions, with such as are stretched already, or that do not know the kind.
    """
    from transformers import AutoConfig

    from tuitune.models.depths import is_routed_folder, routed_config

    try:
        config: PreTrainedConfig = (
            routed_config(folder)
            if is_routed_folder(folder)
            else AutoConfig.from_pretrained(str(folder), trust_remote_code=trust_remote_code, local_files_only=True)
        )
    except Exception as error:  # remote and local classes raise their own; every one becomes words
        raise ModelError(f"config.json in {folder} cannot be read: {clean_line(str(error))[:300]}") from error
    assert shaping.rope_scaling is not None
    stretch(config.get_text_config(), shaping.rope_scaling, shaping.rope_length or 0, note)
    return config


def refuse_ignored(model: Any) -> None:
    """Raise ModelError if the code of a loaded model does not use the kind of positions in its configuration."""
    parameters = model.config.get_text_config().rope_parameters
    nested = [value for value in parameters.values() if isinstance(value, dict)] or [parameters]
    wanted = {value.get("rope_type", "default") for value in nested} - {"default"}
    used: set[str] = set()
    for module in model.modules():
        kind = getattr(module, "rope_type", None)
        used |= set(kind.values()) if isinstance(kind, dict) else {kind} if kind else set()
    if wanted - used:
        raise ModelError("the code of this model computes its positions without regard to rope_scaling", _WITHOUT)


def stretch(config: Any, kind: str, length: int, note: Note) -> None:
    """Change the text configuration of a model in place. Raises ModelError, see `scaled_config`."""
    most = getattr(config, "max_position_embeddings", None)
    if not most or not getattr(config, "rope_parameters", None) or getattr(config, "alibi", False):
        raise ModelError("this model has no rotary positions that rope_scaling could stretch", _WITHOUT)
    if length <= most:
        note(f"rope_scaling: {kind} is not used: the model knows {most} positions, cutoff_len is {length}")
        return
    change = {"linear": _linear, "dynamic": _ntk, "yarn": _yarn, "llama3": _llama3}[kind]
    factor = float(math.ceil(length / most))
    for parameters in _stretched_ones(config):
        _refuse_stretched(parameters, most)
        parameters |= change(config, parameters, factor, length)
    # What is made for one length is not told to reach further.
    config.max_position_embeddings = length if kind == "dynamic" else int(most * factor)
    _try(config, kind)


def _stretched_ones(config: Any) -> list[Parameters]:
    nested = config.nested_rope_parameter_keys(config.rope_parameters)
    if not nested:
        return [config.rope_parameters]
    # Layers with a window never see farther than it, so their positions are known.
    kinds = [config.rope_parameters[key] for key in nested if key != "sliding_attention"]
    found: list[Parameters] = [parameters for parameters in kinds if parameters]
    if not found:
        raise ModelError("all layers of this model see a window only; there is nothing to stretch", _WITHOUT)
    return found


def _refuse_stretched(parameters: Parameters, most: int) -> None:
    kind = parameters.get("rope_type", "default")
    if kind == "default":
        return
    raise ModelError(
        f"the positions of this model are stretched already ({clean_line(str(kind))}, to {most} tokens); "
        "rope_scaling would have to replace that",
        f"remove rope_scaling and keep cutoff_len at most {most}, or begin with the model as it was before",
    )


def _linear(config: Any, parameters: Parameters, factor: float, length: int) -> Parameters:
    return {"rope_type": "linear", "factor": factor}


def _ntk(config: Any, parameters: Parameters, factor: float, length: int) -> Parameters:
    # transformers computes it for the longest row of a batch, which would make a result depend on its neighbours. At
    # one length it is nothing but a larger base.
    most = config.max_position_embeddings
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    width = int(head * parameters.get("partial_rotary_factor", 1.0))
    return {"rope_theta": parameters["rope_theta"] * (factor * length / most - (factor - 1)) ** (width / (width - 2))}


def _yarn(config: Any, parameters: Parameters, factor: float, length: int) -> Parameters:
    return {"rope_type": "yarn", "factor": factor, "original_max_position_embeddings": config.max_position_embeddings}


def _llama3(config: Any, parameters: Parameters, factor: float, length: int) -> Parameters:
    return {
        "rope_type": "llama3", "factor": factor, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": config.max_position_embeddings,
    }  # fmt: skip


def _try(config: Any, kind: str) -> None:
    """Build the configuration as a reload would: some architectures allow only some kinds."""
    try:
        type(config)(**config.to_dict())
    except Exception as error:  # huggingface_hub's strict dataclasses wrap what the checks raise
        raise ModelError(
            f"this architecture does not know rope_scaling: {kind}: {clean_line(str(error))[:300]}",
            "take another kind, or " + _WITHOUT,
        ) from error
