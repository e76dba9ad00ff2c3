"""The way without padding: all rows behind one another in one flat row, common beginnings computed once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from tuitune.models import probe
from tuitune.models.flat import FlatBuilder, common_beginning, needed
from tuitune.models.neftune import Noise, flat_lengths
from tuitune.models.path import Ids
from tuitune.models.way import Laid, Way

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from tuitune.data.rows import Row
    from tuitune.models.flat import FlatBatch
    from tuitune.models.head import Head

_WORTH_SHARING = 0.05  # of the tokens; below it the mask of a branch costs more than the trunk saves


class FlatPath(Way):
    """All rows behind one another in one flat row; common beginnings once if `share`.

    group: tokens of a group of shifted sparse attention while training, 0 for full attention. noise: NEFTune's. Both
    forbid `share`. `read` and `score` raise ValueError where nothing is labelled.
    """

    name = "flat"

    def __init__(
        self,
        head: Head,
        device: torch.device,
        *,
        share: bool,
        kernel: bool = True,
        group: int = 0,
        noise: Noise | None = None,
    ) -> None:
        super().__init__(head, device, noise)
        self._share, self._kernel, self._group = share, kernel, group

    def size(self, rows: Ids, labels: Ids) -> int:
        """Return the tokens of the flat row."""
        return self.combined([n for mask in labels if (n := needed(mask))], self.shared(rows, labels))

    def shared(self, rows: Ids, labels: Ids) -> int:
        """Return the length of the common beginning, 0 where sharing it is not worth the while."""
        return self._trunk(rows, [needed(mask) for mask in labels])

    def combined(self, sizes: Sequence[int], shared: int) -> int:
        """Return the sum, the common beginning counted once."""
        return sum(sizes) - (len(sizes) - 1) * shared

    def sizes(self, group: Sequence[Row]) -> list[int]:
        """Return the tokens of the group, its common beginning counted once."""
        lengths = [needed(row["labels"]) for row in group]
        trunk = self._trunk([row["input_ids"] for row in group], lengths)
        return [self.combined([n for n in lengths if n], trunk)] if trunk else lengths

    def on(self, head: Head) -> FlatPath:
        """Return this way for a model with another head; it draws no noise."""
        return FlatPath(head, self._device, share=self._share, kernel=self._kernel, group=self._group)

    def _trunk(self, rows: Ids, lengths: Sequence[int]) -> int:
        bodies = [row[:n] for row, n in zip(rows, lengths, strict=True) if n]  # where nothing is read nothing is laid
        if not self._share or len(bodies) < 2:
            return 0
        trunk = common_beginning(bodies)
        return trunk if (len(bodies) - 1) * trunk > _WORTH_SHARING * sum(lengths) else 0

    def _laid(self, groups: Sequence[tuple[Ids, Ids]]) -> Laid:
        builder = FlatBuilder()
        for rows, labels in groups:
            builder.add(rows, labels, share=bool(self.shared(rows, labels)))
        batch = builder.build(self._device, kernel=self._kernel)
        return Laid(
            flat_inputs(batch), lambda said: _labelled_rows(said[0], batch), batch.targets, batch.owner,
            batch.sequences, batch.tokens,
        )  # fmt: skip

    def _call(self) -> AbstractContextManager[object]:
        return probe.flat_call()

    def _training(self, model: nn.Module, laid: Laid, rows: Ids, labels: Ids) -> AbstractContextManager[object]:
        laid.inputs["layout"].group = self._group if model.training else 0
        return super()._training(model, laid, rows, labels)

    def _spread(self, rows: Ids, labels: Ids) -> Tensor:
        return flat_lengths([len(row) for row in rows], [needed(mask) for mask in labels], self._device)


def _labelled_rows(hidden: Tensor, batch: FlatBatch) -> Tensor:
    if len(hidden) != len(batch.keep):  # a forward without `logits_to_keep`
        hidden = hidden.index_select(0, batch.keep)
    return hidden if batch.aligned else hidden.index_select(0, batch.source)


def flat_inputs(batch: FlatBatch) -> dict[str, Any]:
    """Keyword arguments of a model's forward for a flat batch; call it inside `probe.flat_call`."""
    return {
        "input_ids": batch.input_ids,
        "position_ids": batch.position_ids,
        "use_cache": False,
        "logits_to_keep": batch.keep,
        "layout": batch.layout,
    }
