"""Two ways through a model, one result: flat (no padding) where the model allows it, padded rows otherwise.

Which one a model can take is tried on the model itself and not read from a list of names: two short sequences side by
side must give the logits that each gives alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from tuitune.errors import ModelError
from tuitune.models import probe
from tuitune.models.depths import is_routed
from tuitune.models.flat import IGNORED, FlatBuilder, common_beginning, labelled, needed
from tuitune.models.head import Head as Head
from tuitune.models.head import HeadTap
from tuitune.models.losses import PLAIN, Objective
from tuitune.models.neftune import Noise, flat_lengths
from tuitune.models.taught import TaughtPath

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from tuitune.data.rows import Row
    from tuitune.models.flat import FlatBatch
    from tuitune.models.logprobs import TokenScores
    from tuitune.models.reference import Reference

Ids = Sequence[Sequence[int]]
_WORTH_SHARING = 0.05  # of the tokens; below it the mask of a branch costs more than the trunk saves


@dataclass(frozen=True)
class Score:
    """Summed loss over the labelled tokens, the work it took, and how many targets were the likeliest token."""

    loss: Tensor
    tokens: int
    labelled: int
    correct: Tensor


@dataclass(frozen=True)
class Reading:
    """What a model says of N labelled tokens, sequence by sequence in the order given.

    rows (N, width): hidden states before the head, or logits; hidden (N, H): always the hidden states; both of the
    position before each token. targets (N,): the tokens. owner (N,): their sequence, counted from 0 over all groups.
    sequences: how many there are. tokens: that went through the model.
    """

    rows: Tensor
    hidden: Tensor
    targets: Tensor
    owner: Tensor
    sequences: int
    tokens: int
    head: Head

    def scores(self, temperature: float = 1.0, *, entropy: bool = True) -> TokenScores:
        """Return the log probability of each token (N,), with its gradient; entropy: whether that is wanted too."""
        return self.head.scores(self.rows, self.targets, temperature, entropy=entropy)

    def sums(self, values: Tensor) -> Tensor:
        """Return the sum of values (N,) over each sequence (sequences,), in float64: adding one by one rounds."""
        total = torch.zeros(self.sequences, dtype=torch.float64, device=values.device)
        return total.index_add(0, self.owner, values.double())

    @property
    def lengths(self) -> Tensor:
        """Labelled tokens of each sequence, (sequences,)."""
        return torch.bincount(self.owner, minlength=self.sequences)


class Path(Protocol):
    """A way to compute the loss of several rows in one forward; `head` is the end of it."""

    name: str
    head: Head

    def sizes(self, group: Sequence[Row]) -> list[int]:
        """Return the sizes that the sequences of a group have alone, for `combined`."""
        ...

    def read(self, model: nn.Module, groups: Sequence[Sequence[Row]]) -> Reading:
        """Run the model over groups of sequences; the common beginning of a group is computed once where possible."""
        ...

    def on(self, head: Head) -> Path:
        """Return this way for a model with another head (a frozen copy of the trained one)."""
        ...

    def size(self, rows: Ids, labels: Ids) -> int:
        """Return the number of tokens that these rows make the model compute."""
        ...

    def shared(self, rows: Ids, labels: Ids) -> int:
        """Return how many tokens at the beginning of all rows are computed once."""
        ...

    def combined(self, sizes: Sequence[int], shared: int) -> int:
        """Return the size of several rows from the sizes that each has alone; costs no look at a token."""
        ...

    def score(
        self,
        model: nn.Module,
        rows: Ids,
        labels: Ids,
        objective: Objective = PLAIN,
        reference: Reference | None = None,
    ) -> Score:
        """Return the summed loss of the labelled tokens; reference: for an anchored objective."""
        ...


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


class PaddedPath:
    """Rows side by side, padded on the right to the longest: for models whose layers look at neighbours."""

    name = "padded"

    def __init__(self, head: Head, device: torch.device, pad: int, noise: Noise | None = None) -> None:
        self.head, self._device, self._pad, self._noise = head, device, pad, noise

    def size(self, rows: Ids, labels: Ids) -> int:
        """Return the tokens of the rectangle."""
        return self.combined([max(1, needed(mask)) for mask in labels], 0)

    def shared(self, rows: Ids, labels: Ids) -> int:
        """Return 0: rows side by side share nothing."""
        return 0

    def combined(self, sizes: Sequence[int], shared: int) -> int:
        """Return the area of the rectangle."""
        return len(sizes) * max(sizes)

    def sizes(self, group: Sequence[Row]) -> list[int]:
        """Return the width of each sequence."""
        return [max(1, needed(row["labels"])) for row in group]

    def read(self, model: nn.Module, groups: Sequence[Sequence[Row]]) -> Reading:
        """Run the model over all sequences side by side."""
        rows = [row for group in groups for row in group]
        inputs, targets = self._rectangle([row["input_ids"] for row in rows], [row["labels"] for row in rows])
        with self._noisy(model, [row["input_ids"] for row in rows]):
            out, hidden = self.head.rows_and_hidden(model, inputs)
        kept = targets != IGNORED
        owner = kept.nonzero()[:, 0]
        picked = out[kept]
        states = picked if hidden is out else hidden[kept]
        return Reading(picked, states, targets[kept], owner, len(rows), targets.numel(), self.head)

    def on(self, head: Head) -> PaddedPath:
        """Return this way for a model with another head; it draws no noise."""
        return PaddedPath(head, self._device, self._pad)

    def _rectangle(self, rows: Ids, labels: Ids) -> tuple[dict[str, Any], Tensor]:
        """Return the keyword arguments of the model's forward, and the target of each position, both (rows, width)."""
        width = max(max(1, needed(mask)) for mask in labels)
        ids = torch.full((len(rows), width), self._pad)
        mask = torch.zeros(len(rows), width, dtype=torch.long)
        targets = torch.full((len(rows), width), IGNORED)
        for i, (row, label) in enumerate(zip(rows, labels, strict=True)):
            n = max(1, needed(label))
            ids[i, :n], mask[i, :n] = torch.tensor(row[:n]), 1
            following = torch.tensor(label[1 : n + 1])
            targets[i, : len(following)] = following
        inputs = {"input_ids": ids.to(self._device), "attention_mask": mask.to(self._device), "use_cache": False}
        return inputs, targets.to(self._device)

    def score(
        self,
        model: nn.Module,
        rows: Ids,
        labels: Ids,
        objective: Objective = PLAIN,
        reference: Reference | None = None,
    ) -> Score:
        """Return the summed loss."""
        inputs, targets = self._rectangle(rows, labels)
        kept = targets != IGNORED
        anchor = self.head.anchor(reference, model, inputs, lambda x: x[kept])
        with self._noisy(model, rows):
            hidden = self.head.rows(model, inputs)
        scored = self.head.loss(hidden[kept], targets[kept], objective, anchor)
        return Score(scored.loss, targets.numel(), sum(map(labelled, labels)), scored.correct)

    def _noisy(self, model: nn.Module, rows: Ids) -> AbstractContextManager[None]:
        if self._noise is None or not model.training:
            return nullcontext()
        return self._noise.over(torch.tensor([[len(row)] for row in rows], device=self._device))


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
