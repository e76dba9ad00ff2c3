"""The end of a forward: hidden states instead of logits where the model's head is one product, and the loss of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tuitune.models.head_loss import Scored, head_loss, plain_loss
from tuitune.models.losses import PLAIN, Anchor, Objective

if TYPE_CHECKING:
    from torch import Tensor

    from tuitune.models.logprobs import TokenScores
    from tuitune.models.reference import Reference


class HeadTap:
    """Lets a model's forward stop before its LM head: while open, `output.logits` are the hidden states.

    The wrapped forward stays the one that every wrapper (adapters, autocast, data parallel) calls.
    """

    def __init__(self, head: nn.Linear) -> None:
        self.head = head
        self._open = False
        self._plain = head.forward
        head.forward = self._forward  # type: ignore[method-assign, assignment]

    def _forward(self, hidden: Tensor) -> Tensor:
        return hidden if self._open else self._plain(hidden)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Give hidden states instead of logits inside."""
        self._open = True
        try:
            yield
        finally:
            self._open = False

    def remove(self) -> None:
        """Give the head its own forward back."""
        del self.head.forward

    @classmethod
    def on(cls, model: Any) -> HeadTap | None:
        """Tap `model` if its logits are exactly `head(hidden)`, which is tried; else (soft-capping, ...) None."""
        head = model.get_output_embeddings()
        if type(head) is not nn.Linear:
            return None
        tap = cls(head)
        if _is_whole_head(model, tap):
            return tap
        tap.remove()
        return None


def _is_whole_head(model: Any, tap: HeadTap) -> bool:
    ids = torch.arange(1, 5, device=tap.head.weight.device)[None]
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            logits = model(input_ids=ids, use_cache=False).logits
            with tap.opened():
                hidden = model(input_ids=ids, use_cache=False).logits
            if hidden.shape[-1] != tap.head.in_features:
                return False
            return torch.equal(tap._plain(hidden).to(logits.dtype), logits)
    finally:
        model.train(training)


class Head:
    """The end of the forward: sliced head and loss where the model's head is one product, else its own logits."""

    def __init__(self, tap: HeadTap | None, dtype: torch.dtype | None) -> None:
        self._tap, self._dtype = tap, dtype

    @property
    def sliced(self) -> bool:
        return self._tap is not None

    @property
    def linear(self) -> nn.Linear | None:
        """The layer whose inputs `rows` returns, None where it returns logits."""
        return None if self._tap is None else self._tap.head

    def rows(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        """Run the model; return hidden states (tapped) or logits, (batch, kept, width)."""
        if self._tap is None:
            return model(**inputs).logits  # type: ignore[no-any-return]
        with self._tap.opened():
            return model(**inputs).logits  # type: ignore[no-any-return]

    def rows_and_hidden(self, model: nn.Module, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return `rows`, and the hidden states (batch, kept, H) that went into the head."""
        if self._tap is not None:
            rows = self.rows(model, inputs)
            return rows, rows
        caught: list[Tensor] = []
        hook = _output_layer(model).register_forward_pre_hook(lambda _, args: caught.append(args[0]))
        try:
            return self.rows(model, inputs), caught[-1]
        finally:
            hook.remove()

    def scores(self, rows: Tensor, targets: Tensor, temperature: float = 1.0, *, entropy: bool = True) -> TokenScores:
        """Return the log probabilities of targets (N,) given rows (N, width)."""
        from tuitune.models.logprobs import plain_scores, token_scores

        if self._tap is None:
            return plain_scores(rows, targets, temperature, entropy=entropy)
        return token_scores(rows, self._tap.head, targets, self._dtype, temperature, entropy=entropy)

    def loss(self, rows: Tensor, targets: Tensor, objective: Objective = PLAIN, anchor: Anchor | None = None) -> Scored:
        """Summed loss of rows (N, width) against targets (N,)."""
        if self._tap is None:
            return plain_loss(rows, targets, objective, anchor)
        return head_loss(rows, self._tap.head, targets, self._dtype, objective, anchor)

    def anchor(
        self,
        reference: Reference | None,
        model: nn.Module,
        inputs: dict[str, Any],
        pick: Callable[[Tensor], Tensor],
    ) -> Anchor | None:
        """Return what the reference says where `pick` takes rows (N, width) out of (batch, kept, width)."""
        if reference is None:
            return None
        rows, linear = reference.rows(model, self, inputs)
        return Anchor(pick(rows), linear)


def _output_layer(model: Any) -> nn.Module:
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    layer: nn.Module = base.get_output_embeddings()
    return layer
