"""Figures of the steps since the last log line: tokens, speed, memory; and a look at whether they are numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import psutil
import torch

from tuitune.run import events

if TYPE_CHECKING:
    from transformers import TrainerState

    from tuitune.engine.step import StepResult


class Meter:
    """Adds up steps; `logged` makes an event of them and starts anew."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._steps = self._tokens = self._labelled = self._parts = 0
        self._seconds = 0.0
        self._figures: dict[str, tuple[float, float]] = {}

    def to_dict(self) -> dict[str, Any]:
        """Return the running sums for a checkpoint."""
        return {
            "steps": self._steps,
            "tokens": self._tokens,
            "labelled": self._labelled,
            "parts": self._parts,
            "seconds": self._seconds,
            "figures": self._figures,
        }

    def restore(self, sums: Mapping[str, Any]) -> None:
        """Go on from the sums of a checkpoint."""
        self._steps, self._tokens = int(sums["steps"]), int(sums["tokens"])
        self._labelled, self._parts = int(sums["labelled"]), int(sums["parts"])
        self._seconds = float(sums["seconds"])
        self._figures = {name: (float(v), float(n)) for name, (v, n) in sums.get("figures", {}).items()}

    def add(self, result: StepResult, seconds: float) -> None:
        """Count one optimizer step that took `seconds`, replies and pauses not counted."""
        self._steps += 1
        self._tokens += result.tokens
        self._labelled += result.labelled
        self._parts += result.parts
        self._seconds += seconds
        for name, (value, count) in result.figures.items():
            before = self._figures.get(name, (0.0, 0.0))
            self._figures[name] = (before[0] + float(value), before[1] + count)

    def logged(self, state: TrainerState, logs: dict[str, float], device: torch.device) -> events.StepLogged:
        """Return the event of the steps since the last call."""
        seconds, steps = max(self._seconds, 1e-9), max(1, self._steps)
        event = events.StepLogged(
            step=state.global_step,
            epoch=float(state.epoch or 0.0),
            loss=logs["loss"],
            learning_rate=logs["learning_rate"],
            grad_norm=logs.get("grad_norm"),
            tokens=self._tokens,
            labelled_tokens=self._labelled,
            tokens_per_second=self._tokens / seconds,
            labelled_tokens_per_second=self._labelled / seconds,
            step_seconds=self._seconds / steps,
            memory=memory(device),
            parts=round(self._parts / steps),
            metrics={name: value / max(count, 1e-9) for name, (value, count) in self._figures.items()},
        )
        self._clear()
        return event


class Watch:
    """Warns of figures that are not finite numbers: once, until they are again."""

    def __init__(self, warn: Callable[[str, str], None]) -> None:
        self._warn, self._warned = warn, False

    def look(self, step: int, logs: Mapping[str, float]) -> None:
        """Look at what is logged of a step."""
        bad = [name for name in ("loss", "grad_norm") if name in logs and not math.isfinite(logs[name])]
        if bad and not self._warned:
            self._warn(
                f"{' and '.join(bad)} is not a finite number since step {step}",
                "stop, and resume from the checkpoint before it with a lower learning_rate, or look at the data there",
            )
        self._warned = bool(bad)


def memory(device: torch.device) -> dict[str, int]:
    """Return bytes in use by this process on `device` (and its peak there), or in main memory on a CPU."""
    if device.type == "cuda":
        return {
            "allocated": torch.cuda.memory_allocated(device),
            "reserved": torch.cuda.memory_reserved(device),
            "peak": torch.cuda.max_memory_allocated(device),
        }
    return {"resident": psutil.Process().memory_info().rss}
