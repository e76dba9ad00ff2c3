"""The way through a model that has learnt vectors before every text: padded rows, counted with their vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from peft import PrefixTuningConfig

from tuitune.models import probe
from tuitune.models.head import HeadTap
from tuitune.models.neftune import Noise
from tuitune.models.paths import Head, PaddedPath

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from tuitune.data.rows import Row
    from tuitune.models.paths import Ids
    from tuitune.models.paths import Path as ModelPath


class _TextOnly(Head):
    """Gives the rows of the text without those of the vectors before it."""

    def rows(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        """Run the model; return (batch, tokens of the text, width)."""
        return super().rows(model, inputs)[:, -inputs["input_ids"].shape[1] :]

    def rows_and_hidden(self, model: nn.Module, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return both without those of the vectors."""
        rows, hidden = super().rows_and_hidden(model, inputs)
        return rows, rows if self.sliced else hidden[:, -inputs["input_ids"].shape[1] :]


class _AfterVectors(PaddedPath):
    """Padded rows with `before` vectors in front of each, which are computed as tokens are."""

    def __init__(self, head: Head, device: torch.device, pad: int, noise: Noise | None, *, before: int) -> None:
        super().__init__(head, device, pad, noise)
        self._before = before

    def size(self, rows: Ids, labels: Ids) -> int:
        """Return the tokens of the rectangle, the vectors among them."""
        return super().size(rows, labels) + len(labels) * self._before

    def sizes(self, group: Sequence[Row]) -> list[int]:
        """Return the width of each sequence, the vectors among it."""
        return [width + self._before for width in super().sizes(group)]


def padded(model: Any, pad: int, neftune: float = 0.0) -> ModelPath:
    """Return padded rows through the forward of peft's model, which lays its vectors before each of them."""
    base = model.get_base_model()
    probe.settle_padded(base, probe.rows_alone(base))
    device = next(base.parameters()).device
    dtype = torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None
    config = model.active_peft_config
    before = 0 if isinstance(config, PrefixTuningConfig) else config.num_virtual_tokens
    head = _TextOnly(HeadTap.on(base), dtype)
    return _AfterVectors(head, device, pad, Noise.on(base, neftune), before=before)
