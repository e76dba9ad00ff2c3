"""A decoder layer of Mixture-of-Depths (Raposo et al., arXiv 2404.02258): it computes only what its router picks.

While training, a routed layer takes the share `capacity` of each sequence with the highest router weights (expert
choice); all other tokens pass it by. What it adds to a token is scaled by the router, so that the router learns.
Sequences never compete with each other, however they are laid out.

Such a choice looks ahead, so it cannot be made while a text is written. For evaluation and chat a token is taken if its
own router weight is above a threshold: the running mean of what parted picked tokens from the others in training. The
auxiliary loss of section 3.5 trains router weights to be classifiers around it. Threshold and not zero as in the paper:
how far it is to zero depends on the learning rate, and a short training would not get there.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

from tuitune.errors import ModelError
from tuitune.models.flat import Layout, Span

if TYPE_CHECKING:
    from torch import Tensor

_REMEMBERED = 128  # sequences


class Gate(nn.Module):
    """The router: one product per token. Raw hidden states differ by orders of magnitude, so they are normed first."""

    threshold: Tensor
    sequences: Tensor

    def __init__(self, width: int, **where: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1, width, **where))
        self.seen: list[Tensor] = []  # what parted the picked tokens from the others, by sequence
        device = where.get("device")
        self.register_buffer("threshold", torch.zeros((), dtype=torch.float32, device=device))
        self.register_buffer("sequences", torch.zeros((), dtype=torch.int64, device=device))

    def forward(self, hidden: Tensor) -> Tensor:
        """Return router weights (..., ) in fp32 for hidden states (..., width)."""
        with torch.autocast(hidden.device.type, enabled=False):
            normed = F.rms_norm(hidden.float(), hidden.shape[-1:])
            return F.linear(normed, self.weight.float()).squeeze(-1)

    @torch.no_grad()
    def learn_threshold(self) -> None:
        """Take the sequences seen since the last call into the running mean; due once a step is whole."""
        if self.seen:
            new, count = torch.stack(self.seen), len(self.seen)
            self.seen.clear()
            self.sequences += count
            self.threshold += (new.mean() - self.threshold) * (
                count / self.sequences.clamp(count, max(count, _REMEMBERED))
            )


class RoutedLayer(nn.Module):
    """Mixed into a decoder layer's class: routes, and calls the layer itself on what was picked."""

    router: Gate
    capacity: float
    place: int
    settings: Any  # the model's configuration, which says what attention is in use
    lessons: list[Tensor]  # the router's loss of each sequence (N,), kept while training

    def __call__(self, hidden_states: Tensor, *args: Any, **more: Any) -> Tensor:
        """Return the hidden states (B, T, width) after this layer."""
        more |= dict(zip(list(inspect.signature(self.forward).parameters)[1:], args, strict=False))
        if more.get("layout") is not None:
            return self._flat(hidden_states, more)
        if more.get("past_key_values") is not None and not self.training:
            return self._cached(hidden_states, more)
        return self._side_by_side(hidden_states, more)

    # Three arrangements of sequences

    def _flat(self, hidden: Tensor, more: dict[str, Any]) -> Tensor:
        """All sequences in one row (1, T, width): a layout says where each is."""
        layout: Layout = more["layout"]
        if layout.group:
            raise ModelError("shifted groups need every token in every layer", "remove shift_attn")
        weights = self.router(hidden[0])
        owned = [slice(span.start, span.end) for span in layout.spans]
        picked = torch.cat([self._pick(weights[own]) for own in owned])
        self._learn(hidden[0], picked, owned)
        kept = picked.nonzero()[:, 0]
        if not len(kept):
            return hidden
        more = {**more, "layout": _thinned(layout, picked)}
        out = self._compute(hidden[:, kept], weights[None, kept], kept, None, more)
        return hidden.index_copy(1, kept, out)

    def _side_by_side(self, hidden: Tensor, more: dict[str, Any]) -> Tensor:
        """Rows of a rectangle (B, T, width): what any of them picks is computed, and each sees its own picks only."""
        mask: Tensor | None = more.get("attention_mask")
        rows, length = hidden.shape[:2]
        causal = torch.ones(length, length, dtype=torch.bool, device=hidden.device).tril()
        seen = (causal[None, None] if mask is None else _as_bool(mask)).expand(rows, 1, -1, -1)
        real = seen[:, 0, -1]  # the last position sees every token that is no padding
        weights = self.router(hidden)
        picked = torch.zeros_like(real)
        for i in range(rows):
            picked[i, real[i]] = self._pick(weights[i, real[i]])
            self._learn(hidden[i, real[i]], picked[i, real[i]], [slice(None)])
        kept = picked.any(0).nonzero()[:, 0]
        if not len(kept):
            return hidden
        mine = picked[:, kept]
        own = torch.eye(len(kept), dtype=torch.bool, device=hidden.device)  # nobody may see nothing: that is NaN
        allowed = (seen[:, :, kept][..., kept] & mine[:, None, None]) | own
        more = {**more, "past_key_values": None, "use_cache": False}
        before = hidden[:, kept]
        out = self._compute(before, weights[:, kept], kept, self._as_mask(allowed, hidden.dtype), more)
        return hidden.index_copy(1, kept, torch.where(mine[..., None], out, before))

    def _cached(self, hidden: Tensor, more: dict[str, Any]) -> Tensor:
        """One text that goes on: this layer's cache holds the tokens that it computed, and no others."""
        mask: Tensor | None = more.get("attention_mask")
        if len(hidden) > 1 or (mask is not None and not bool(_as_bool(mask)[..., -1, :].all())):
            raise ModelError(
                "a model with Mixture-of-Depths answers one text at a time",
                "its layers' caches differ in length from text to text: call it without a cache, or for each alone",
            )
        weights = self.router(hidden)
        kept = self._pick(weights[0]).nonzero()[:, 0]
        if not len(kept):
            return hidden
        past = more["past_key_values"].get_seq_length(self.place)
        allowed = torch.ones(len(kept), past + len(kept), dtype=torch.bool, device=hidden.device).tril(past)
        out = self._compute(
            hidden[:, kept], weights[:, kept], kept, self._as_mask(allowed[None, None], hidden.dtype), more
        )
        return hidden.index_copy(1, kept, out)

    # What they share

    def _pick(self, weights: Tensor) -> Tensor:
        """Return which tokens of one sequence (T,) are computed: the top share in training, else each for itself."""
        if self.capacity >= 1:
            return torch.ones_like(weights, dtype=torch.bool)
        if not self.training:
            return weights > self.router.threshold
        count = min(len(weights), max(1, round(self.capacity * len(weights))))
        best = weights.detach().topk(min(count + 1, len(weights)))
        # A frozen router keeps its threshold too: beside an adapter nothing would save a new one.
        if torch.is_grad_enabled() and self.router.weight.requires_grad:
            self.router.seen.append(best.values[-2:].mean())
        picked = torch.zeros_like(weights, dtype=torch.bool)
        return picked.index_fill_(0, best.indices[:count], True)

    def _learn(self, hidden: Tensor, picked: Tensor, sequences: list[slice]) -> None:
        # From detached states: this loss shall move the router and nothing else.
        if not self.training or not torch.is_grad_enabled() or self.capacity >= 1:
            return
        guess = self.router(hidden.detach()) - self.router.threshold
        each = F.binary_cross_entropy_with_logits(guess, picked.float(), reduction="none")
        self.lessons.append(torch.stack([each[own].mean() for own in sequences]))

    def _compute(
        self, hidden: Tensor, weights: Tensor, kept: Tensor, mask: Tensor | None, more: dict[str, Any]
    ) -> Tensor:
        """Return the picked tokens (B, K, width) after the layer, what it adds scaled by 2 sigmoid(weight)."""
        cos, sin = (table[:, kept] for table in more["position_embeddings"])
        gathered = {**more, "attention_mask": mask, "position_embeddings": (cos, sin)}
        if more.get("position_ids") is not None:
            gathered["position_ids"] = more["position_ids"][:, kept]
        if more.get("cache_position") is not None:
            gathered["cache_position"] = more["cache_position"][kept]
        after = super().__call__(hidden, **gathered)
        # A weight of zero leaves the layer as it was; lerp is exact there.
        scale = (2 * torch.sigmoid(weights))[..., None].to(after.dtype)
        return torch.lerp(hidden.to(after.dtype), after, scale).to(hidden.dtype)

    def _as_mask(self, allowed: Tensor, dtype: torch.dtype) -> Tensor:
        if self.settings._attn_implementation != "eager":
            return allowed
        return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill_(
            ~allowed, torch.finfo(dtype).min
        )


def _as_bool(mask: Tensor) -> Tensor:
    return mask if mask.dtype == torch.bool else mask == 0


def _thinned(layout: Layout, picked: Tensor) -> Layout:
    """Return the layout of the picked tokens alone; picked: (T,)."""
    before = [0, *picked.cumsum(0).tolist()]
    spans = [
        Span(before[span.start], before[span.end], (before[span.trunk[0]], before[span.trunk[1]]))
        for span in layout.spans
    ]
    return Layout([span for span in spans if span.length], layout.device, layout.kernel)
