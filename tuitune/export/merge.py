"""Adapters merged into their model and written as one: in fp32 on unquantised weights, checked before it is done."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from tuitune.data.templates import Template, choose
from tuitune.data.templates.named import NamedTemplate
from tuitune.errors import ModelError
from tuitune.export.folder import made_whole, refuse_existing
from tuitune.fit.models import resolve
from tuitune.methods.adapters import load_adapter, merge, refuse_unmergeable
from tuitune.methods.merging import into_weights
from tuitune.models import valued
from tuitune.models.depths import is_routed_folder
from tuitune.models.load import load_tokenizer, refuses_attention
from tuitune.models.prepare import prepare
from tuitune.models.quantise import stored_method
from tuitune.models.shaping import Shaping, load_shaped
from tuitune.stages.scorer import head_folder

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

    from tuitune.chat.weights import Weights

Dtype = Literal["float32", "bfloat16", "float16"]
Progress = Callable[[str, int, int | None], None]
Note = Callable[[str], None]
_TOKENS = 48
# Of the largest logit. The same sums in another order differ in the sixth digit, a wrong merge in the first.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class Exported:
    """What was written; `difference` is how far merged logits were from those of the model with its adapter."""

    path: Path
    size: int
    dtype: Dtype
    difference: float


def export(
    weights: Weights,
    out: Path,
    *,
    dtype: Dtype = "bfloat16",
    progress: Progress = lambda stage, done, total: None,
    note: Note = lambda text: None,
) -> Exported:
    """Write the model of `weights` with all its adapters merged to the new folder `out`.

    Raises ModelError where the adapter cannot be merged, the merged model answers otherwise, or there is no room;
    UsageError where `out` exists.
    """
    refuse_existing(out)
    for adapter in weights.adapters:
        refuse_unmergeable(adapter)
    source = resolve(weights.model, revision=weights.revision, cache_dir=weights.cache_dir)
    folder = prepare(
        source, progress=progress, trust_remote_code=weights.trust_remote_code, cache_dir=weights.cache_dir
    )
    progress("load", 0, None)
    model = _load(folder, weights, note)
    progress("merge", 0, None)
    model, difference = _merged(model, weights.adapters)
    tokenizer, template = _speech(folder, weights, note)
    _end_answers(model, template, tokenizer)
    size = _rounded(model, dtype)
    truth = logits(model)
    with made_whole(out, size) as temporary:
        progress("write", 0, None)
        _kept_as(model, dtype)
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        if (judge := head_folder(folder, weights.adapters) / valued.FILE).is_file():  # it stays a reward model
            shutil.copyfile(judge, temporary / valued.FILE)
        del model  # two copies need not fit
        progress("check", 0, None)
        read = _load(temporary, replace(weights, shaping=Shaping()), note)
        _agree(logits(read), truth, "the files read again")
    if is_routed_folder(out):
        note("a model with Mixture-of-Depths is loaded by TuiTune only: other programs do not know its routers")
    return Exported(out, size, dtype, difference)


def _rounded(model: Any, dtype: Dtype) -> int:
    """Round every weight to what `dtype` can hold, still in fp32; return the bytes of all in that format."""
    kind: torch.dtype = getattr(torch, dtype)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(kind).float()
    return kind.itemsize * sum(int(parameter.numel()) for parameter in model.parameters())


def _kept_as(model: Any, dtype: Dtype) -> None:
    # Buffers stay in fp32: those that are saved are few, and transformers computes the others anew.
    for parameter in model.parameters():
        parameter.data = parameter.data.to(getattr(torch, dtype))


def _load(folder: Path, weights: Weights, note: Note) -> Any:
    stored = stored_method(folder)
    if stored:
        raise ModelError(
            f"the weights of {folder.name} are quantised ({stored}): what is merged into them would be rounded away",
            "name the model as it was before with --model",
        )
    if weights.shaping.quantization_bit:
        note(
            f"the adapter was trained beside {weights.shaping.quantization_bit}-bit weights and is merged into the "
            "whole ones: answers may differ a little from those in training"
        )
    shaping = replace(weights.shaping, quantization_bit=None)
    settings: dict[str, Any] = {
        "dtype": torch.float32, "device": "cpu", "trust_remote_code": weights.trust_remote_code, "note": note,
    }  # fmt: skip
    try:
        model: Any = load_shaped(folder, shaping, attention="sdpa", **settings)
    except ModelError as error:
        if not refuses_attention(error):
            raise
        model = load_shaped(folder, shaping, attention="eager", **settings)
    return model.eval()


def _merged(model: Any, adapters: tuple[Path, ...]) -> tuple[Any, float]:
    """Return the model with all adapters in its weights, and how far its logits moved by merging the last one."""
    for adapter in adapters[:-1]:
        model = merge(model, adapter)
    if not adapters:
        return model, 0.0
    beside = load_adapter(model, adapters[-1]).eval()
    truth = logits(beside)
    try:
        model = into_weights(beside)
    except (ValueError, TypeError, AttributeError, NotImplementedError) as error:
        raise ModelError(f"the adapter in {adapters[-1]} cannot be merged: {error}") from error
    return model, _agree(logits(model), truth, "the merged model")


@torch.no_grad()
def logits(model: Any) -> Tensor:
    """Return the logits of some random tokens, the same ones for every call; (1, tokens, vocabulary) in fp32."""
    size = model.get_input_embeddings().weight.shape[0]
    ids = torch.randint(size, (1, _TOKENS), generator=torch.Generator().manual_seed(0))
    made: Tensor = model(input_ids=ids, use_cache=False).logits
    return made.float()


def _agree(found: Tensor, truth: Tensor, what: str) -> float:
    difference = float((found - truth).abs().max())
    bound = _ROUNDING * max(1.0, float(truth.abs().max()))
    if not difference <= bound:
        raise ModelError(
            f"{what} does not answer as it should: its logits are off by {difference:.3g}",
            "nothing was written; this is a fault of TuiTune or of the adapter's files",
        )
    return difference


def _speech(folder: Path, weights: Weights, note: Note) -> tuple[PreTrainedTokenizerBase, Template]:
    """Return the tokenizer, with the chat template that the model was trained with as its own, and that template."""
    own = [path for path in weights.adapters[-1:] if (path / "tokenizer_config.json").is_file()]
    tokenizer = load_tokenizer((own or [folder])[0], trust_remote_code=weights.trust_remote_code, note=note)
    template = choose(weights.template, tokenizer, weights.system, weights.style)
    if isinstance(template, NamedTemplate):
        tokenizer.chat_template = template.jinja()
    elif weights.system:
        note("the recipe's default_system is no part of the chat template: give it to the model as its system message")
    return tokenizer, template


def _end_answers(model: Any, template: Template, tokenizer: PreTrainedTokenizerBase) -> None:
    """Let generation end where the answers of the training did."""
    config = getattr(model, "generation_config", None)
    stops = template.stop_ids(tokenizer)
    if config is not None and stops:
        config.eos_token_id = stops if len(stops) > 1 else stops[0]
        config.pad_token_id = tokenizer.pad_token_id
