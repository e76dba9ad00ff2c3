"""Two ways through a model, one result: flat (no padding) where the model allows it, padded rows otherwise.

Which one a model can take is tried on the model itself and not read from a list of names: two short sequences side by
side must give the logits that each gives alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from tuitune.models.attention import flat_forward
from tuitune.models.flat import IGNORED, FlatBuilder, Layout, Span, common_beginning, labelled, needed
from tuitune.models.head import HeadTap, Scored, head_loss, plain_loss

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from tuitune.models.flat import FlatBatch

Ids = Sequence[Sequence[int]]
_WORTH_SHARING = 0.05  # of the tokens; below it the mask of a branch costs more than the trunk saves


@dataclass(frozen=True)
class Score:
    """Summed loss over the labelled tokens, the work it took, and how many targets were the likeliest token."""

    loss: Tensor
    tokens: int
    labelled: int
    correct: Tensor


class Path(Protocol):
    """A way to compute the loss of several rows in one forward."""

    name: str

    def size(self, rows: Ids, labels: Ids) -> int:
        """Return the number of tokens that these rows make the model compute."""
        ...

    def score(self, model: nn.Module, rows: Ids, labels: Ids) -> Score:
        """Return the summed loss of the labelled tokens."""
        ...


class Head:
    """The end of the forward: sliced head and loss where the model's head is one product, else its own logits."""

    def __init__(self, tap: HeadTap | None, dtype: torch.dtype | None) -> None:
        self._tap, self._dtype = tap, dtype

    @property
    def sliced(self) -> bool:
        return self._tap is not None

    def rows(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        """Run the model; return hidden states (tapped) or logits, (batch, kept, width)."""
        if self._tap is None:
            return model(**inputs).logits  # type: ignore[no-any-return]
        with self._tap.opened():
            return model(**inputs).logits  # type: ignore[no-any-return]

    def loss(self, rows: Tensor, targets: Tensor) -> Scored:
        """Summed cross entropy of rows (N, width) against targets (N,)."""
        if self._tap is None:
            return plain_loss(rows, targets)
        return head_loss(rows, self._tap.head, targets, self._dtype)


class FlatPath:
    """All rows behind one another in one flat row; common beginnings once if `share`."""

    name = "flat"

    def __init__(self, head: Head, device: torch.device, *, share: bool, kernel: bool = True) -> None:
        self._head, self._device, self._share, self._kernel = head, device, share, kernel

    def size(self, rows: Ids, labels: Ids) -> int:
        """Return the tokens of the flat row."""
        lengths = [needed(mask) for mask in labels]
        return sum(lengths) - (len(rows) - 1) * self._trunk(rows, lengths)

    def _trunk(self, rows: Ids, lengths: Sequence[int]) -> int:
        if not self._share or len(rows) < 2:
            return 0
        trunk = common_beginning([row[:n] for row, n in zip(rows, lengths, strict=True)])
        return trunk if (len(rows) - 1) * trunk > _WORTH_SHARING * sum(lengths) else 0

    def score(self, model: nn.Module, rows: Ids, labels: Ids) -> Score:
        """Return the summed loss; raises ValueError if nothing is labelled."""
        builder = FlatBuilder()
        if self._trunk(rows, [needed(mask) for mask in labels]):
            builder.add(rows, labels)
        else:
            for row, mask in zip(rows, labels, strict=True):
                builder.add([row], [mask])
        batch = builder.build(self._device, kernel=self._kernel)
        with flat_call():
            hidden = self._head.rows(model, flat_inputs(batch))[0]
        if len(hidden) != len(batch.keep):  # a forward without `logits_to_keep`
            hidden = hidden.index_select(0, batch.keep)
        # Without branches every kept position predicts one token and the index is the identity: no copy.
        hidden = hidden if len(batch.keep) == len(batch.source) else hidden.index_select(0, batch.source)
        scored = self._head.loss(hidden, batch.targets)
        return Score(scored.loss, batch.tokens, len(batch.targets), scored.correct)


def flat_inputs(batch: FlatBatch) -> dict[str, Any]:
    """Keyword arguments of a model's forward for a flat batch; call it through `flat_call`."""
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

    def __init__(self, head: Head, device: torch.device, pad: int) -> None:
        self._head, self._device, self._pad = head, device, pad

    def size(self, rows: Ids, labels: Ids) -> int:
        """Return the tokens of the rectangle."""
        return len(rows) * max(max(1, needed(mask)) for mask in labels)

    def score(self, model: nn.Module, rows: Ids, labels: Ids) -> Score:
        """Return the summed loss."""
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
        hidden = self._head.rows(model, inputs)
        kept = (targets != IGNORED).to(self._device)
        scored = self._head.loss(hidden[kept], targets.to(self._device)[kept])
        return Score(scored.loss, ids.numel(), sum(map(labelled, labels)), scored.correct)


def choose(
    model: PreTrainedModel,
    *,
    longest: int,
    pad: int,
    dropout: bool,
    autocast: torch.dtype | None,
    kernel: bool = True,
) -> tuple[Path, str]:
    """Return the path for `model` and, if it is the padded one, the reason in words.

    longest: tokens of the longest row. dropout: shared beginnings would share their noise, so they are not shared.
    kernel: whether CUDA's variable-length attention may be used.
    """
    device = next(model.parameters()).device
    head = Head(HeadTap.on(model), autocast)
    reason = _why_not_flat(model, longest)
    if reason:
        return PaddedPath(head, device, pad), reason
    return FlatPath(head, device, share=not dropout, kernel=kernel), ""


def _why_not_flat(model: PreTrainedModel, longest: int) -> str:
    config = model.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if kinds - {"full_attention", "sliding_attention"}:
        return f"layers of the kind {', '.join(sorted(kinds - {'full_attention'}))} look at neighbouring rows"
    uses_window = "sliding_attention" in kinds or (window and getattr(config, "use_sliding_window", True))
    if uses_window and window and longest > window:
        return f"rows of up to {longest} tokens are longer than the attention window of {window}"
    return "" if flat_equals_single(model) else "its layers do not keep sequences in one row apart"


@torch.no_grad()
def flat_equals_single(model: Any) -> bool:
    """Whether sequences in one flat row (one with a shared beginning) give the logits that each gives alone."""
    device = next(model.parameters()).device
    vocabulary = model.config.get_text_config().vocab_size
    rows = [[(7 * i + 3) % vocabulary for i in range(9)], [(5 * i + 1) % vocabulary for i in range(6)]]
    rows.append(rows[0][:4] + rows[1][:3])
    layout = Layout([Span(0, 9), Span(9, 15), Span(15, 18, (0, 4))], device)
    flat = torch.tensor([rows[0] + rows[1] + rows[2][4:]], device=device)
    positions = torch.tensor([[*range(9), *range(6), *range(4, 7)]], device=device)
    training = model.training
    model.eval()
    try:
        with flat_call():
            mine = model(input_ids=flat, position_ids=positions, use_cache=False, layout=layout).logits[0]
        alone = [model(input_ids=torch.tensor([row], device=device), use_cache=False).logits[0] for row in rows]
    except (TypeError, ValueError, RuntimeError):
        return False  # a forward that does not take the layout
    finally:
        model.train(training)
    truth = torch.cat([alone[0], alone[1], alone[2][4:]]).float()
    scale = truth.abs().max().clamp(min=1e-6)
    tolerance = 1e-4 if mine.dtype in (torch.float32, torch.float64) else 5e-2
    return bool((mine.float() - truth).abs().max() / scale < tolerance)


class flat_call:
    """While open, no attention mask is made: the layout says who sees whom."""

    def __enter__(self) -> None:
        self._token = flat_forward.set(True)

    def __exit__(self, *exc: object) -> None:
        flat_forward.reset(self._token)
