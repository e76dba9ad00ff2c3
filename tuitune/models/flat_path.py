"""The way without padding: all rows behind one another in one flat row, common beginnings computed once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from tuitune.models import probe
from tuitune.models.flat import FlatBuilder, common_beginning, needed
from tuitune.models.losses import PLAIN, Objective
from tuitune.models.neftune import Noise, flat_lengths
from tuitune.models.path import Ids, Reading, Score

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from tuitune.data.rows import Row
    from tuitune.models.flat import FlatBatch
    from tuitune.models.head import Head
    from tuitune.models.reference import Reference

_WORTH_SHARING = 0.05  # of the tokens; below it the mask of a branch costs more than the trunk saves


class FlatPath:
    """All rows behind one another in one flat row; common beginnings once if `share`.

    group: tokens of a group of shifted sparse attention while training, 0 for full attention. noise: NEFTune's. Both
    forbid `share`.
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
        self.head, self._device, self._share, self._kernel = head, device, share, kernel
        self._group, self._noise = group, noise

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

    def read(self, model: nn.Module, groups: Sequence[Sequence[Row]]) -> Reading:
        """Run the model over groups of sequences; raises ValueError if nothing is labelled."""
        builder = FlatBuilder()
        for group in groups:
            ids, labels = [row["input_ids"] for row in group], [row["labels"] for row in group]
            builder.add(ids, labels, share=bool(self.shared(ids, labels)))
        batch = builder.build(self._device, kernel=self._kernel)
        rows = [row for group in groups for row in group]
        with probe.flat_call():
            batch.layout.group = self._group if model.training else 0
            with self._noisy(model, [row["input_ids"] for row in rows], [needed(row["labels"]) for row in rows]):
                out, hidden = self.head.rows_and_hidden(model, flat_inputs(batch))
        picked = _labelled_rows(out[0], batch)
        states = picked if hidden is out else _labelled_rows(hidden[0], batch)
        return Reading(picked, states, batch.targets, batch.owner, batch.sequences, batch.tokens, self.head)

    def on(self, head: Head) -> FlatPath:
        """Return this way for a model with another head; it draws no noise."""
        return FlatPath(head, self._device, share=self._share, kernel=self._kernel, group=self._group)

    def _trunk(self, rows: Ids, lengths: Sequence[int]) -> int:
        bodies = [row[:n] for row, n in zip(rows, lengths, strict=True) if n]  # where nothing is read nothing is laid
        if not self._share or len(bodies) < 2:
            return 0
        trunk = common_beginning(bodies)
        return trunk if (len(bodies) - 1) * trunk > _WORTH_SHARING * sum(lengths) else 0

    def score(
        self,
        model: nn.Module,
        rows: Ids,
        labels: Ids,
        objective: Objective = PLAIN,
        reference: Reference | None = None,
    ) -> Score:
        """Return the summed loss; raises ValueError if nothing is labelled."""
        builder = FlatBuilder()
        computed = [needed(mask) for mask in labels]
        if self._trunk(rows, computed):
            builder.add(rows, labels)
        else:
            for row, mask in zip(rows, labels, strict=True):
                builder.add([row], [mask])
        batch = builder.build(self._device, kernel=self._kernel)
        inputs = flat_inputs(batch)
        with probe.flat_call():
            anchor = self.head.anchor(reference, model, inputs, lambda x: _labelled_rows(x[0], batch))
            batch.layout.group = self._group if model.training else 0
            with self._noisy(model, rows, computed):
                hidden = self.head.rows(model, inputs)[0]
        scored = self.head.loss(_labelled_rows(hidden, batch), batch.targets, objective, anchor)
        return Score(scored.loss, batch.tokens, len(batch.targets), scored.correct)

    def _noisy(self, model: nn.Module, rows: Ids, computed: Sequence[int]) -> AbstractContextManager[None]:
        if self._noise is None or not model.training:
            return nullcontext()
        return self._noise.over(flat_lengths([len(row) for row in rows], computed, self._device))


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
