"""A model's forward over columns: prompts piece by piece, then one token of every row at once."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tuitune.serve.columns import Columns


class Forward:
    """How a model is called; the model itself is given each time, in evaluation mode and without gradients."""

    def __init__(self, model: Any) -> None:
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        known = inspect.signature(base.forward).parameters
        open_ended = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in known.values())
        self._places = "position_ids" in known or open_ended
        self._last_only = "logits_to_keep" in known
        self.device: torch.device = next(model.parameters()).device

    def __call__(self, model: Any, ids: Tensor, columns: Columns, *, every: bool = False) -> Tensor:
        """Put ids (rows, new) behind the columns; return logits (rows, V), or (rows, new, V) with `every`."""
        rows, new = ids.shape
        if not columns.lengths:
            columns.lengths = [0] * rows
        more: dict[str, Any] = {}
        if self._places:
            starts = torch.tensor(columns.lengths, device=self.device)
            more["position_ids"] = starts[:, None] + torch.arange(new, device=self.device)[None, :]
        if self._last_only and not every:
            more["logits_to_keep"] = 1
        mask = columns.mask(self.device, new)
        out = model(input_ids=ids, attention_mask=mask, past_key_values=columns, use_cache=True, **more)
        columns.grown(new)
        logits: Tensor = out.logits
        return logits if every else logits[:, -1]


class Reading:
    """A prompt on its way into columns of its own; `logits` (1, V) of its last token are there when it is `done`.

    told: for each token of the prompt its logarithm (None for the first) and the likeliest there, where `count`, the
    number of these, is given.
    """

    def __init__(self, prompt: Sequence[int], *, count: int | None = None) -> None:
        self.columns = Columns()
        self.logits: Tensor | None = None
        self.told: list[tuple[float | None, tuple[tuple[int, float], ...]]] = [(None, ())]
        self._prompt, self._count, self._at = list(prompt), count, 0

    def __len__(self) -> int:
        return len(self._prompt)

    @property
    def done(self) -> bool:
        """Whether all of it has been read."""
        return self._at == len(self._prompt)

    def read(self, forward: Forward, model: Any, most: int) -> int:
        """Read at most so many tokens more; return how many they were."""
        part = self._prompt[self._at : self._at + most]
        ids = torch.tensor([part], device=forward.device)
        if self._count is None:
            self.logits = forward(model, ids, self.columns)
        else:
            every = forward(model, ids, self.columns, every=True)
            self._tell(every[0])
            self.logits = every[:, -1]
        self._at += len(part)
        return len(part)

    def _tell(self, logits: Tensor) -> None:
        """Keep what the model gives to the tokens that follow; logits (tokens, V)."""
        following = self._prompt[self._at + 1 : self._at + 1 + len(logits)]
        known = logits[: len(following)].float().log_softmax(-1)
        chosen = known.gather(1, torch.tensor(following, device=known.device, dtype=torch.long)[:, None])[:, 0]
        values, ids = known.topk(min(self._count or 0, known.shape[-1]))
        for value, top, likely in zip(chosen.tolist(), ids.tolist(), values.tolist(), strict=True):
            self.told.append((value, tuple(zip(top, likely, strict=True))))

    def copied(self) -> Reading:
        """Return the same once more, for another answer to the same prompt."""
        other = Reading(self._prompt, count=self._count)
        other.columns, other.logits = self.columns.copied(), self.logits
        other.told, other._at = self.told, self._at
        return other
