"""The peak of a schedule, while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def peak(optimizer: torch.optim.Optimizer, scheduler: Any) -> float:
    """Return what the schedule scales (the first group's), or the present rate where it follows the evaluation."""
    bases = getattr(scheduler, "base_lrs", None)
    return float(bases[0] if bases else optimizer.param_groups[0]["lr"])


def refresh(optimizer: torch.optim.Optimizer, scheduler: Any) -> None:
    """Set the rates that this schedule has at its present step: a restored one may have been another schedule's.

    The same product as the schedule's own, so that an unchanged schedule keeps its rates in every bit.
    """
    shapes = getattr(scheduler, "lr_lambdas", None)
    if shapes is None:
        return
    now = [base * shape(scheduler.last_epoch) for base, shape in zip(scheduler.base_lrs, shapes, strict=True)]
    scheduler._last_lr = now
    for group, rate in zip(optimizer.param_groups, now, strict=True):
        group["lr"] = rate


def set_peak(optimizer: torch.optim.Optimizer, scheduler: Any, value: float) -> None:
    """Make `value` the peak from now on; groups keep their ratio. The scheduler's and optimizer's states carry it."""
    bases = getattr(scheduler, "base_lrs", None)
    if bases is None:  # a schedule that follows the evaluation goes on from here
        present = peak(optimizer, scheduler)
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] * value / present if present else value
        return
    # A peak of 0 has no shape to keep: every group gets the value when the schedule moves on.
    before = peak(optimizer, scheduler)
    factor = value / before if before else 1.0
    scheduler.base_lrs = [rate * factor if before else value for rate in bases]
    scheduler._last_lr = [rate * factor for rate in scheduler.get_last_lr()]
    for group, rate in zip(optimizer.param_groups, scheduler.base_lrs, strict=True):
        group["lr"] *= factor
        group["initial_lr"] = rate
