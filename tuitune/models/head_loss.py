"""Cross entropy without a table of logits: the LM head and the loss in slices, gradients made in the forward pass.

The head's product, its loss and the gradient of both are computed for a few rows at a time, so that nothing of size
(tokens, vocabulary) is kept. The arithmetic is that of `F.cross_entropy(head(hidden), targets, reduction="sum")`; the
idea is in Wijmans et al., "Cut Your Losses" (arXiv 2411.09009), here in plain torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from tuitune.models.losses import PLAIN, Anchor, Objective, divergence

if TYPE_CHECKING:
    from torch import Tensor, nn

_SLICE_BYTES = {"cpu": 24 << 20, "cuda": 512 << 20}  # a CPU slice should stay in the last cache


@dataclass(frozen=True)
class Scored:
    """Summed loss (with its gradient), and how many of the targets were the likeliest token."""

    loss: Tensor
    correct: Tensor


class _HeadLoss(torch.autograd.Function):
    """loss, correct = f(hidden (N, H), weight (V, H), bias (V) or None, targets (N))."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        dtype: torch.dtype,
        objective: Objective,
        anchor: Anchor | None,
    ) -> tuple[Tensor, Tensor]:
        wants = ctx.needs_input_grad
        exact = torch.promote_types(hidden.dtype, torch.float32)
        w = weight.to(dtype)
        d_hidden = torch.empty_like(hidden, dtype=exact) if wants[0] else None
        d_weight = torch.zeros_like(weight, dtype=exact) if wants[1] else None
        d_bias = torch.zeros_like(bias, dtype=exact) if bias is not None and wants[2] else None
        loss = hidden.new_zeros((), dtype=torch.float64)
        correct = torch.zeros((), dtype=torch.long, device=hidden.device)
        for start, end in slices(hidden, weight.shape[0], exact):
            h, t = hidden[start:end].to(dtype), targets[start:end]
            logits = h @ w.T
            logits = logits.to(exact) if bias is None else logits.to(exact) + bias
            correct += (logits.argmax(-1) == t).sum()
            top = logits.gather(1, t[:, None])[:, 0]
            lse = logits.logsumexp(-1)
            nll = lse - top
            weights = objective.weights(logits, nll)
            loss += (nll if weights is None else weights * nll).sum(dtype=torch.float64)
            if anchor is None and not any(wants[:3]):
                continue
            log_p, reference = logits.sub_(lse[:, None]), None
            if anchor is not None:
                reference = anchor.log_probabilities(start, end, dtype, exact)
                loss += objective.alpha * divergence(reference, log_p).sum(dtype=torch.float64)
            if not any(wants[:3]):
                continue
            grad = _to_logits(log_p, t, weights, objective.alpha, reference)
            # fp16 would lose small gradients before the scaler has seen them, so its products are made in fp32.
            low = exact if dtype == torch.float16 else dtype
            if d_hidden is not None:
                d_hidden[start:end] = grad.to(low) @ weight.to(low)
            if d_weight is not None:
                d_weight.addmm_(grad.T.to(low), h.to(low)) if low == exact else d_weight.add_(grad.T.to(low) @ h)
            if d_bias is not None:
                d_bias += grad.sum(0)
        ctx.save_for_backward(d_hidden, d_weight, d_bias)
        ctx.kinds = (hidden.dtype, weight.dtype, None if bias is None else bias.dtype)
        ctx.mark_non_differentiable(correct)
        return loss.to(exact), correct

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        scale = grads[0]
        out = [
            None if saved is None else (saved * scale.to(saved.dtype)).to(kind)
            for saved, kind in zip(ctx.saved_tensors, ctx.kinds, strict=True)
        ]
        return (*out, None, None, None, None)


def _to_logits(
    log_p: Tensor, targets: Tensor, weights: Tensor | None, alpha: float, reference: Tensor | None
) -> Tensor:
    """Return weights * (p - target) + alpha * (p - reference), made in place of `log_p` and `reference`."""
    grad = log_p.exp_()
    if weights is not None:
        grad *= (weights if reference is None else weights + alpha)[:, None]
    if reference is not None:
        grad -= reference.exp_().mul_(alpha)
    grad[torch.arange(len(targets), device=targets.device), targets] -= 1 if weights is None else weights
    return grad


def slices(hidden: Tensor, vocabulary: int, dtype: torch.dtype) -> Iterator[tuple[int, int]]:
    """Yield the rows of `hidden` in slices whose logits (n, vocabulary) of `dtype` stay small."""
    budget = _SLICE_BYTES.get(hidden.device.type, 128 << 20)
    rows = max(16, budget // (vocabulary * dtype.itemsize))
    for start in range(0, hidden.shape[0], rows):
        yield start, min(start + rows, hidden.shape[0])


def head_loss(
    hidden: Tensor,
    head: nn.Linear,
    targets: Tensor,
    dtype: torch.dtype | None = None,
    objective: Objective = PLAIN,
    anchor: Anchor | None = None,
) -> Scored:
    """Return the summed loss of `head(hidden)`, hidden (N, H), targets (N,): cross entropy unless said otherwise.

    dtype: of the products (autocast); the weight's if None. anchor: for an anchored objective.
    """
    apply: Any = _HeadLoss.apply
    weight: Tensor = head.weight
    bias: Tensor | None = head.bias
    if not torch.is_grad_enabled():  # the function itself cannot see that: it would make gradients for nothing
        weight, bias = weight.detach(), None if bias is None else bias.detach()
    loss, correct = apply(hidden, weight, bias, targets, dtype or weight.dtype, objective, anchor)
    return Scored(loss, correct)


def plain_loss(logits: Tensor, targets: Tensor, objective: Objective = PLAIN, anchor: Anchor | None = None) -> Scored:
    """The same from ready logits (N, V), for heads that are more than one product."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    loss = objective.plain(logits, targets, anchor).sum(dtype=torch.float64)
    return Scored(loss.to(logits.dtype), (logits.detach().argmax(-1) == targets).sum())
