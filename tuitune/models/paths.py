"""Two ways through a model, one result: flat (no padding) where the model allows it, padded rows otherwise.

Which one a model can take is tried on the model itself and not read from a list of names: two short sequences side by
side must give the logits that each gives alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from tuitune.errors import ModelError
from tuitune.models import probe
from tuitune.models.depths import is_routed
from tuitune.models.flat_path import FlatPath as FlatPath
from tuitune.models.flat_path import flat_inputs as flat_inputs
from tuitune.models.head import Head as Head
from tuitune.models.head import HeadTap
from tuitune.models.neftune import Noise
from tuitune.models.padded_path import PaddedPath as PaddedPath
from tuitune.models.path import Ids as Ids
from tuitune.models.path import Path as Path
from tuitune.models.path import Reading as Reading
from tuitune.models.path import Score as Score
from tuitune.models.taught import TaughtPath

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def choose(
    model: PreTrainedModel,
    *,
    longest: int,
    pad: int,
    dropout: bool,
    autocast: torch.dtype | None,
    kernel: bool = True,
    group: int = 0,
    neftune: float = 0.0,
) -> tuple[Path, str]:
    """Settle the attention of `model`; return its path and, if that is the padded one, the reason in words.

    longest: tokens of the longest row. dropout: whether the method drops anything; like the model's own dropout it
    keeps beginnings from being shared, which would share the noise. kernel: whether CUDA's variable-length attention
    may be used. group: tokens of a group of shifted sparse attention, 0 for none. neftune: strength of the noise on
    embeddings, 0 for none. Raises ModelError when no path gives what rows alone do, or the flat one does not and
    `group` needs it.
    """
    routed = is_routed(model)  # routers choose among the tokens of whole sequences
    share = not (dropout or has_dropout(model) or group or neftune or routed)
    device = next(model.parameters()).device
    truth = probe.rows_alone(model)
    reason = why_padded(model, longest)
    if not reason and not probe.flat_agrees(model, truth):
        reason = "its layers do not keep sequences in one row apart"
    if group:
        _refuse_groups(model, reason)
    if reason:
        probe.settle_padded(model, truth)
    head, noise = Head(HeadTap.on(model), autocast), Noise.on(model, neftune)
    path: Path = PaddedPath(head, device, pad, noise)
    if not reason:
        path = FlatPath(head, device, share=share, kernel=kernel, group=group, noise=noise)
    return (TaughtPath(path) if routed else path), reason


def _refuse_groups(model: PreTrainedModel, reason: str) -> None:
    if not reason and model.config.get_text_config().num_attention_heads < 2:
        reason = "it has one attention head, which cannot be halved"
    if reason:
        raise ModelError(f"shift_attn does not work with this model: {reason}", "remove shift_attn")


def has_dropout(model: PreTrainedModel) -> bool:
    """Whether the model itself drops anything while it trains."""
    config = model.config.get_text_config()
    kept = any(isinstance(m, torch.nn.Dropout) and m.p > 0 for m in model.modules())
    return kept or getattr(config, "attention_dropout", 0.0) > 0


def why_padded(model: PreTrainedModel, longest: int) -> str:
    """Return why rows of up to `longest` tokens cannot lie side by side, as far as the configuration tells; or ""."""
    config = model.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if kinds - {"full_attention", "sliding_attention"}:
        return f"layers of the kind {', '.join(sorted(kinds - {'full_attention'}))} look at neighbouring rows"
    uses_window = "sliding_attention" in kinds or (window and getattr(config, "use_sliding_window", True))
    if uses_window and window and longest > window:
        return f"rows of up to {longest} tokens are longer than the attention window of {window}"
    return ""
