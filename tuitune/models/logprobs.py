"""Log probabilities of given tokens with their gradient, without a table of logits.

The gradient of a token's log probability with respect to the hidden state before it is known in the forward pass, up
to a factor that only the loss knows: it is kept as one vector per token, and the backward pass multiplies. So the head
is computed once, and nothing of size (tokens, vocabulary) is kept, whatever a stage makes of the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from tuitune.models.head_loss import slices

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class TokenScores:
    """Of N tokens: log probability (with gradient), whether each was the likeliest, and the entropy before it.

    entropy is empty, (0,), where it was not asked for: it costs a look at the whole vocabulary.
    """

    values: Tensor
    correct: Tensor
    entropy: Tensor


class _TokenScores(torch.autograd.Function):
    """values, correct, entropy = f(hidden (N, H), weight (V, H), bias (V) or None, targets (N), ...)."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        dtype: torch.dtype,
        temperature: float,
        with_entropy: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        exact = torch.promote_types(hidden.dtype, torch.float32)
        kept = torch.empty_like(hidden, dtype=exact) if ctx.needs_input_grad[0] else None
        values = hidden.new_empty(len(hidden), dtype=exact)
        entropy = hidden.new_empty(len(hidden) if with_entropy else 0, dtype=exact)
        correct = torch.empty(len(hidden), dtype=torch.bool, device=hidden.device)
        w = weight.to(dtype)
        for start, end in slices(hidden, weight.shape[0], exact):
            t = targets[start:end]
            logits = _logits(hidden[start:end], w, bias, exact, temperature)
            correct[start:end] = logits.argmax(-1) == t
            lse = logits.logsumexp(-1)
            values[start:end] = logits.gather(1, t[:, None])[:, 0] - lse
            if kept is None and not with_entropy:
                continue
            p = (logits - lse[:, None] if with_entropy else logits.sub_(lse[:, None])).exp_()
            if with_entropy:
                entropy[start:end] = lse - logits.mul_(p).sum(-1)
            if kept is not None:
                low = exact if dtype == torch.float16 else dtype
                kept[start:end] = (_minus(p, t).to(low) @ weight.to(low)).to(exact) / temperature
        ctx.save_for_backward(kept, hidden, weight, bias, targets)
        ctx.dtype, ctx.temperature = dtype, temperature
        ctx.mark_non_differentiable(correct, entropy)
        return values, correct, entropy

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        kept, hidden, weight, bias, targets = ctx.saved_tensors
        g = grads[0]
        d_hidden = None if kept is None else (kept * g[:, None]).to(hidden.dtype)
        d_weight = d_bias = None
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            d_weight, d_bias = _of_weights(g, hidden, weight, bias, targets, ctx.dtype, ctx.temperature)
        return d_hidden, d_weight, d_bias, None, None, None, None


def _logits(h: Tensor, w: Tensor, bias: Tensor | None, exact: torch.dtype, temperature: float) -> Tensor:
    logits = (h.to(w.dtype) @ w.T).to(exact)
    logits = logits if bias is None else logits + bias
    return logits if temperature == 1.0 else logits / temperature


def _minus(p: Tensor, targets: Tensor) -> Tensor:
    """Return the gradient of each token's log probability with respect to its logits: target - p, in place of p."""
    p.neg_()
    p[torch.arange(len(targets), device=p.device), targets] += 1
    return p


def _of_weights(
    g: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, dtype: torch.dtype, t: float
) -> tuple[Tensor, Tensor | None]:
    """Return the gradients of the head itself; probabilities are made again, slice by slice."""
    exact = torch.promote_types(hidden.dtype, torch.float32)
    d_weight = torch.zeros_like(weight, dtype=exact)
    d_bias = None if bias is None else torch.zeros_like(bias, dtype=exact)
    w, low = weight.to(dtype), exact if dtype == torch.float16 else dtype
    for start, end in slices(hidden, weight.shape[0], exact):
        grad = _minus(_logits(hidden[start:end], w, bias, exact, t).softmax(-1), targets[start:end])
        grad *= g[start:end, None] / t
        h = hidden[start:end].to(low)
        d_weight.addmm_(grad.T, h) if low == exact else d_weight.add_(grad.T.to(low) @ h)
        if d_bias is not None:
            d_bias += grad.sum(0)
    return d_weight.to(weight.dtype), None if d_bias is None or bias is None else d_bias.to(bias.dtype)


def token_scores(
    hidden: Tensor,
    head: nn.Linear,
    targets: Tensor,
    dtype: torch.dtype | None = None,
    temperature: float = 1.0,
    *,
    entropy: bool = True,
) -> TokenScores:
    """Return those of targets (N,) under `head(hidden) / temperature`, hidden (N, H); dtype: of the products."""
    apply: Any = _TokenScores.apply
    weight: Tensor = head.weight
    bias: Tensor | None = head.bias
    if not torch.is_grad_enabled():
        hidden, weight, bias = hidden.detach(), weight.detach(), None if bias is None else bias.detach()
    return TokenScores(*apply(hidden, weight, bias, targets, dtype or weight.dtype, temperature, entropy))


def plain_scores(logits: Tensor, targets: Tensor, temperature: float = 1.0, *, entropy: bool = True) -> TokenScores:
    """The same from ready logits (N, V), by autograd."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature
    lse = logits.logsumexp(-1)
    values = logits.gather(1, targets[:, None])[:, 0] - lse
    with torch.no_grad():
        spread = lse - (logits.softmax(-1) * logits).sum(-1) if entropy else lse.new_empty(0)
        correct = logits.argmax(-1) == targets
    return TokenScores(values, correct, spread.detach())
