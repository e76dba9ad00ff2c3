"""One optimizer step: cut its rows into the fewest micro-batches that fit, add up their gradients, survive a lack of
memory.

The rows of a step and the loss denominator are those of the plain computation; only the cut differs, so the gradient
does not. An out-of-memory error halves the cut and repeats the step from clean gradients and the same random state
(engine.md, section 6).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from tuitune.engine.rng import RngState
from tuitune.errors import TrainingError

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor, nn

    from tuitune.data import Row
    from tuitune.methods.base import StepAware
    from tuitune.models.paths import Path
    from tuitune.stages.base import Stage

_OOM_PHRASES = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_NOT_SUPPORTED")


@dataclass(frozen=True)
class StepResult:
    """Mean loss of the step (on the device), and what it took."""

    loss: Tensor
    tokens: int
    labelled: int
    parts: int


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

    def run(self, model: nn.Module, rows: Sequence[Row], aware: StepAware | None = None) -> StepResult:
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

    def _attempt(self, model: nn.Module, rows: Sequence[Row], aware: StepAware | None) -> StepResult:
        items = max(1, self._stage.items(rows))
        parts = cut(rows, self._path, self.tokens_per_batch)
        total = torch.zeros((), dtype=torch.float64, device=self._accelerator.device)
        tokens = labelled = 0
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
        return StepResult((total / items).float(), tokens, labelled, len(parts))

    def _clear(self, model: nn.Module) -> None:
        model.zero_grad(set_to_none=True)
        gc.collect()
        if self._accelerator.device.type == "cuda":
            torch.cuda.empty_cache()

    def _smaller(self, rows: Sequence[Row], why: str) -> None:
        longest = max(_size(self._path, [row]) for row in rows)
        whole = _size(self._path, rows)
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
            raise TrainingError(
                f"one row of {longest} tokens does not fit into memory",
                "lower cutoff_len, choose a smaller model, or free memory on the device",
            )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out, in any of torch's ways of saying it."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in _OOM_PHRASES)


def cut(rows: Sequence[Row], path: Path, tokens_per_batch: int) -> list[list[Row]]:
    """Return the rows in few micro-batches of at most `tokens_per_batch` tokens: longest first, into the first that
    has room.

    A longer row stands alone. Rows without a labelled token have no gradient and are left out; if all are, one batch
    remains.
    """
    # Every row is measured once: this runs in every step, and comparing tokens for every try would be felt.
    measured = [(size, row) for row in rows if (size := _size(path, [row]))]
    shared = path.shared([row["input_ids"] for _, row in measured], [row["labels"] for _, row in measured])
    parts: list[tuple[list[int], list[Row]]] = []
    for size, row in sorted(measured, key=lambda each: -each[0]):
        for sizes, part in parts:
            if path.combined([*sizes, size], shared) <= tokens_per_batch:
                sizes.append(size)
                part.append(row)
                break
        else:
            parts.append(([size], [row]))
    return [part for _, part in parts]


def _size(path: Path, rows: Sequence[Row]) -> int:
    return path.size([row["input_ids"] for row in rows], [row["labels"] for row in rows])
