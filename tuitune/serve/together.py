"""Whether a model's answers may be written side by side: tried once, on a few tokens, when it is loaded."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tuitune.methods.prompts import lays_before
from tuitune.serve.columns import Columns
from tuitune.serve.reading import Forward, Reading
from tuitune.text import clean_line

_LENGTHS = (3, 7)  # tokens of the two prompts
_MORE = 2  # tokens behind them
_FAR = {torch.float64: 1e-3, torch.float32: 1e-3}  # of the logits' spread; half precision rounds more
_FAR_HALF = 0.05


def why_alone(model: Any, forward: Forward) -> str:
    """Return why this model's answers cannot be written together, "" where they can.

    Two sequences of different length are continued side by side and must get the logits that each gets alone, read as
    a whole and without a cache.
    """
    if lays_before(model):
        return "its adapter stands before every text"
    try:
        found, right = _side_by_side(model, forward), _alone(model, forward.device)
    except Exception as error:  # whatever an architecture makes of a cache that is not its own
        return f"it keeps no keys and values of the usual kind ({clean_line(str(error))[:120]})"
    distance = float((found - right).square().mean().sqrt() / right.std().clamp_min(1e-12))
    far = _FAR.get(next(model.parameters()).dtype, _FAR_HALF)
    return "" if distance <= far else f"side by side they would come out otherwise (by {distance:.2g})"


def bytes_per_token(model: Any, forward: Forward) -> int:
    """Return what the keys and values of one token take."""
    reading = Reading([0])
    reading.read(forward, model, 1)
    return reading.columns.bytes_per_token()


def _texts(model: Any) -> list[list[int]]:
    size = int(model.config.get_text_config().vocab_size)
    return [[(31 * place + 7 * length) % size for place in range(length + _MORE)] for length in _LENGTHS]


def _side_by_side(model: Any, forward: Forward) -> Tensor:
    texts, columns = _texts(model), Columns()
    readings = [Reading(text[:-_MORE]) for text in texts]
    for reading in readings:
        reading.read(forward, model, len(reading))
    columns.keep([], [reading.columns for reading in readings])
    for at in range(-_MORE, 0):
        ids = torch.tensor([[text[at]] for text in texts], device=forward.device)
        logits = forward(model, ids, columns)
    return logits.float()


def _alone(model: Any, device: torch.device) -> Tensor:
    rows = [
        model(input_ids=torch.tensor([text], device=device), use_cache=False).logits[:, -1] for text in _texts(model)
    ]
    return torch.cat(rows).float()
