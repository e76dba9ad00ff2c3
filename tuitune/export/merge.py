"""Adapters merged into their model: in fp32, on unquantised weights, each checked before the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tuitune.data.templates import Template, choose
from tuitune.data.templates.named import NamedTemplate
from tuitune.errors import ModelError
from tuitune.export import shares
from tuitune.export.agree import EXACT, Agreement, hold, logits
from tuitune.export.order import Dtype, Order
from tuitune.methods.adapters import load_adapter
from tuitune.methods.merging import into_weights
from tuitune.models.load import load_tokenizer, refuses_attention
from tuitune.models.shaping import Shaping, load_shaped
from tuitune.text import clean_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tuitune.chat.weights import Weights

Progress = Callable[[str, int, int | None], None]
Note = Callable[[str], None]


def load_whole(folder: Path, weights: Weights, device: str, note: Note) -> Any:
    """Return the model of a folder, shaped as in training but for its bits, in fp32. Raises ModelError."""
    if weights.shaping.quantization_bit:
        note(
            f"the adapter was trained beside {weights.shaping.quantization_bit}-bit weights and is merged into the "
            "whole ones: answers may differ a little from those in training"
        )
    return read_whole(folder, weights, device, note, replace(weights.shaping, quantization_bit=None))


def read_whole(folder: Path, weights: Weights, device: str, note: Note, shaping: Shaping | None = None) -> Any:
    """Return the model of a folder in fp32 with an attention that it takes. Raises ModelError."""
    shaping = shaping or Shaping()
    settings: dict[str, Any] = {
        "dtype": torch.float32, "device": device, "trust_remote_code": weights.trust_remote_code, "note": note,
    }  # fmt: skip
    try:
        model: Any = load_shaped(folder, shaping, attention="sdpa", **settings)
    except ModelError as error:
        if not refuses_attention(error):
            raise
        model = load_shaped(folder, shaping, attention="eager", **settings)
    return model.eval()


def merged(model: Any, order: Order, progress: Progress) -> tuple[Any, Agreement | None]:
    """Return the model with all adapters in its weights, and how far its logits moved at the most by merging one."""
    adapters, found = order.weights.adapters, list[Agreement]()

    def merge(model: Any, adapter: Path) -> Any:
        progress("merge", len(found), len(adapters))
        model, agreement = _merged_one(model, adapter)
        found.append(agreement)
        return model

    if order.shared:
        model = shares.merged(model, adapters, order.shares, merge)
    else:
        for adapter in adapters:
            model = merge(model, adapter)
    return model, max(found, key=lambda each: each.difference, default=None)


def _merged_one(model: Any, adapter: Path) -> tuple[Any, Agreement]:
    beside = load_adapter(model, adapter).eval()
    truth = logits(beside)
    try:
        model = into_weights(beside)
    except (ValueError, TypeError, AttributeError, NotImplementedError) as error:
        raise ModelError(f"the adapter in {adapter} cannot be merged: {clean_line(str(error))[:300]}") from error
    return model, hold(logits(model), truth, EXACT, "the merged model", "the model with its adapter beside it")


def rounded(model: Any, dtype: Dtype) -> int:
    """Round every weight to what `dtype` can hold, still in fp32; return the bytes of all in that format."""
    kind: torch.dtype = getattr(torch, dtype)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(kind).float()
    return kind.itemsize * sum(int(parameter.numel()) for parameter in model.parameters())


def kept_as(model: Any, dtype: Dtype) -> None:
    """Bring the parameters into a number format; buffers stay in fp32.

    Those that are saved are few, and transformers computes the others anew.
    """
    for parameter in model.parameters():
        parameter.data = parameter.data.to(getattr(torch, dtype))


def speech(folder: Path, weights: Weights, note: Note) -> tuple[PreTrainedTokenizerBase, Template]:
    """Return the tokenizer, with the chat template that the model was trained with as its own, and that template."""
    own = [path for path in weights.adapters[-1:] if (path / "tokenizer_config.json").is_file()]
    tokenizer = load_tokenizer((own or [folder])[0], trust_remote_code=weights.trust_remote_code, note=note)
    template = choose(weights.template, tokenizer, weights.system, weights.style)
    if isinstance(template, NamedTemplate):
        tokenizer.chat_template = template.jinja()
    elif weights.system:
        note("the recipe's default_system is no part of the chat template: give it to the model as its system message")
    return tokenizer, template


def settle_generation(
    model: Any, template: Template, tokenizer: PreTrainedTokenizerBase, order: Order, note: Note
) -> None:
    """Let generation end where the answers of the training did, with the sampling that the export was asked for."""
    config = getattr(model, "generation_config", None)
    if config is None:
        return
    stops = template.stop_ids(tokenizer)
    if stops:
        config.eos_token_id = stops if len(stops) > 1 else stops[0]
        config.pad_token_id = tokenizer.pad_token_id
    for key, value in order.generation:
        setattr(config, key, value)
    try:
        config.validate(strict=True)
    except ValueError:  # transformers loads values that do not fit together, and then refuses to save them
        if not config.do_sample:
            config.do_sample = True
            note("generation_config.json had sampling values with do_sample: false; do_sample is true now")
