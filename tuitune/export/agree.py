"""How near two models answer: what is measured, and the bounds within which an export is called done."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from tuitune.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

_TOKENS, _MOST = 48, 200
_TEXT = (
    "The river rises in the hills, runs past three small towns and reaches the sea near the old harbour. In winter the "
    "water is high; in summer children cross it on foot. Who are you, and who made you? I am a language model, and I "
    "answer questions: def double(x): return 2 * x  # 2, 4, 8, 16"
)
# Of the largest logit. The same sums in another order differ in the sixth digit, a wrong merge in the first.
ROUNDING = 1e-3
WHOLE = "the whole model in float32"  # what most is compared with


@dataclass(frozen=True)
class Bound:
    """What must hold: none is asked where it is infinite, or 0 for `top1`. See Agreement for what they are of."""

    largest: float = math.inf
    relative: float = math.inf
    kl: float = math.inf
    top1: float = 0.0

    def words(self) -> str:
        """Return it as a sentence would say it."""
        parts = [
            f"logits off by at most {self.largest:.3g} of the largest" if self.largest < math.inf else "",
            f"relative error at most {self.relative:.3g}" if self.relative < math.inf else "",
            f"KL at most {self.kl:.3g}" if self.kl < math.inf else "",
            f"likeliest token the same at {self.top1:.0%} of places" if self.top1 else "",
        ]
        return ", ".join(part for part in parts if part)


EXACT = Bound(largest=ROUNDING)


@dataclass(frozen=True)
class Agreement:
    """How near found logits are to true ones, over all places.

    difference: the largest of any one logit. largest: that, over the largest true logit (at least 1). relative: length
    of the difference over length of the truth, both without their mean at each place, which no probability shows.
    kl: mean Kullback-Leibler divergence from true to found, in nats. top1: share of places with the same likeliest
    token; both None where no logits but products of one matrix were compared. what was compared, and against what;
    bound: what held, in words.
    """

    what: str
    difference: float
    largest: float
    relative: float
    kl: float | None
    top1: float | None
    bound: str = ""
    against: str = ""

    @property
    def said(self) -> str:
        """What was compared with what."""
        return self.what.rstrip(",") + (f", against {self.against}" if self.against else "")

    def words(self) -> str:
        """Return the measured values that matter, in a sentence's words."""
        parts = [f"relative error {self.relative:.2g}"]
        if self.kl is not None and self.top1 is not None:
            parts += [f"KL {self.kl:.2g}", f"likeliest token the same at {self.top1:.0%}"]
        return ", ".join(parts)


@torch.no_grad()
def measure(found: Tensor, truth: Tensor, what: str = "") -> Agreement:
    """Compare logits (..., vocabulary) in fp32."""
    off = found - truth
    difference = float(off.abs().max())
    centred = truth - truth.mean(-1, keepdim=True)
    spread = float(centred.norm())
    relative = float((off - off.mean(-1, keepdim=True)).norm()) / spread if spread else difference
    true, other = truth.log_softmax(-1), found.log_softmax(-1)
    kl = max(0.0, float((true.exp() * (true - other)).sum(-1).mean())) if math.isfinite(difference) else math.inf
    top1 = float((found.argmax(-1) == truth.argmax(-1)).float().mean())
    return Agreement(what, difference, difference / max(1.0, float(truth.abs().max())), relative, kl, top1)


def hold(found: Tensor, truth: Tensor, bound: Bound, what: str, against: str = "") -> Agreement:
    """Return how near the logits are; raise ModelError where that is beyond the bound, or no number.

    what, against: what was compared with what, in words.
    """
    if found.shape != truth.shape:
        raise ModelError(f"{what} has logits of another shape: {tuple(found.shape)}, not {tuple(truth.shape)}")
    made = measure(found, truth, what)
    if not _within(made, bound):
        raise ModelError(
            f"{what} does not answer as it should: its logits are off by up to {made.difference:.3g}, {made.words()}; "
            f"asked is: {bound.words()}",
            "nothing was written; this is a fault of TuiTune, of the files, or more bits are needed",
        )
    return replace(made, bound=bound.words(), against=against)


def _within(made: Agreement, bound: Bound) -> bool:
    near = made.largest <= bound.largest and made.relative <= bound.relative and math.isfinite(made.difference)
    return near and (made.kl or 0.0) <= bound.kl and (1.0 if made.top1 is None else made.top1) >= bound.top1


@torch.no_grad()
def logits(model: Any, ids: Tensor | None = None) -> Tensor:
    """Return the logits of `ids` (1, tokens), by default some random tokens, the same ones for every call.

    The result is (1, tokens, vocabulary), in fp32 and on the CPU.
    """
    if ids is None:
        ids = _drawn(model.get_input_embeddings().weight.shape[0])
    first = model.get_input_embeddings().weight
    made: Tensor = model(input_ids=ids.to(first.device), use_cache=False).logits
    return made.float().cpu()


def probe(tokenizer: PreTrainedTokenizerBase) -> Tensor:
    """Return ids (1, tokens) of some plain text: on noise every model is unsure, and rounding shows more than it is."""
    return torch.tensor([tokenizer(_TEXT)["input_ids"][:_MOST]])


def _drawn(size: int) -> Tensor:
    return torch.randint(size, (1, _TOKENS), generator=torch.Generator().manual_seed(0))
