"""One optimizer step: cut its rows into the fewest micro-batches that fit, add up their gradients, survive a lack of
memory.

The rows of a step and the loss denominator are those of the plain computation; only the cut differs, so the gradient
does not. An out-of-memory error halves the cut and repeats the step from clean gradients and the same random state
(engine.md, section 6).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import torch

from tuitune.engine.rng import RngState
from tuitune.errors import TrainingError
from tuitune.models.oom import is_out_of_memory as is_out_of_memory
from tuitune.stages.cut import cut as cut
from tuitune.stages.cut import sizes_of

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor, nn

    from tuitune.data import Example
    from tuitune.methods.base import StepAware
    from tuitune.models.paths import Path
    from tuitune.stages.base import Figure, Stage

T = TypeVar("T")
_FEW = 16  # tokens
_HINT = "lower cutoff_len, choose a smaller model, or free memory on the device"


@dataclass(frozen=True)
class StepResult:
    """Mean loss of the step (on the device), what it took, and the sums and counts of the stage's own figures."""

    loss: Tensor
    tokens: int
    labelled: int
    parts: int
    figures: Mapping[str, Figure] = field(default_factory=dict)


class Stepper:
    """Computes the gradient of whole optimizer steps.

    tokens_per_batch: most tokens in one micro-batch; it shrinks when memory runs out and stays so.
    before_part: called before every micro-batch; it may raise to give the step up.
    recompute: turns gradient checkpointing on, as the last resort; None if it already is or must not be.
    penalty: a term of the method's own, added once to the loss of a step whatever its cut; not part of the loss that is
    reported. warn: tells the user.
    """

    def __init__(
        self,
        stage: Stage,
        path: Path,
        accelerator: Accelerator,
        *,
        tokens_per_batch: int,
        before_part: Callable[[], None],
        warn: Callable[[str], None],
        recompute: Callable[[], None] | None,
        penalty: Callable[[nn.Module], Tensor | None] = lambda model: None,
    ) -> None:
        self._stage, self._path, self._accelerator = stage, path, accelerator
        self._before_part, self._warn, self._recompute = before_part, warn, recompute
        self._penalty = penalty
        self.tokens_per_batch = tokens_per_batch
        self.recomputing = False

    def run(self, model: nn.Module, rows: Sequence[Example], aware: StepAware | None = None) -> StepResult:
        """Leave the gradient of the mean loss over `rows` in the parameters; TrainingError if a row does not fit.

        aware: an optimizer that wants to know of each backward pass.
        """
        rng = RngState.capture(self._accelerator.device)
        while True:
            try:
                return self._attempt(model, rows, aware)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                why = f"{type(error).__name__}: {error}"
            # Only here, outside the except block, is the traceback gone and with it every activation that it held.
            self._clear(model)
            if aware is not None:
                aware.discard()
            rng.restore()
            self._smaller(rows, why)

    def surviving(self, model: nn.Module, work: Callable[[], T]) -> T:
        """Return what `work` does without gradients; when memory runs out it is done again, with half of the tokens at
        once. Raises TrainingError when even a few tokens do not fit.
        """
        rng = RngState.capture(self._accelerator.device)
        while True:
            try:
                return work()
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                why = f"{type(error).__name__}: {error}"
            self._clear(model)
            rng.restore()
            if self.tokens_per_batch < _FEW:
                raise TrainingError(f"there is no memory left ({why})", _HINT)
            self.tokens_per_batch //= 2
            self._warn(f"out of memory: from now on at most {self.tokens_per_batch} tokens at once ({why})")

    def _attempt(self, model: nn.Module, rows: Sequence[Example], aware: StepAware | None) -> StepResult:
        items = max(1, self._stage.items(rows))
        parts = cut(rows, self._stage, self._path, self.tokens_per_batch)
        total = torch.zeros((), dtype=torch.float64, device=self._accelerator.device)
        tokens = labelled = 0
        figures: dict[str, Figure] = {}
        for i, part in enumerate(parts):
            self._before_part()
            last = i == len(parts) - 1
            with nullcontext() if last else self._accelerator.no_sync(model):
                done = self._stage.part_loss(model, part, self._path)
                if aware is not None:
                    aware.begin_part(last=last)
                extra = self._penalty(model) if last else None
                self._accelerator.backward(done.loss / items if extra is None else done.loss / items + extra)
            total += done.loss.detach()
            tokens, labelled = tokens + done.tokens, labelled + done.labelled
            figures = added(figures, done.figures)
        return StepResult((total / items).float(), tokens, labelled, len(parts), figures)

    def _clear(self, model: nn.Module) -> None:
        model.zero_grad(set_to_none=True)
        gc.collect()
        if self._accelerator.device.type == "cuda":
            torch.cuda.empty_cache()

    def _smaller(self, rows: Sequence[Example], why: str) -> None:
        pieces = [piece for example in rows for piece in self._stage.pieces(example, self._path, 1)]
        longest = max(self._path.combined(sizes_of(piece, self._stage, self._path), 0) for piece in pieces)
        sizes = [sizes_of(example, self._stage, self._path) for example in rows]
        whole = self._path.combined([size for own in sizes for size in own], 0)
        if self.tokens_per_batch > longest:
            self.tokens_per_batch = max(longest, min(self.tokens_per_batch, whole) // 2)
            self._warn(
                f"out of memory: from now on at most {self.tokens_per_batch} tokens at once, same gradient ({why})"
            )
        elif self._recompute is not None and not self.recomputing:
            self._recompute()
            self.recomputing = True
            self._warn(f"out of memory: activations are recomputed from now on, same gradient ({why})")
        else:
            raise TrainingError(f"one row of {longest} tokens does not fit into memory", _HINT)


def added(figures: Mapping[str, Figure], more: Mapping[str, Figure]) -> dict[str, Figure]:
    """Return sums and counts of both."""
    total = dict(figures)
    for name, (value, count) in more.items():
        before = total.get(name)
        total[name] = (value, count) if before is None else (before[0] + value, before[1] + count)
    return total
