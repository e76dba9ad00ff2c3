"""What a journal comes to: the figures of a run that a list shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from tuitune.run.directory import RunDir
from tuitune.run.events import EvalLogged, RunFailed, RunFinished
from tuitune.run.ledger import Ledger
from tuitune.run.state import State

_MOST_FIGURES = 24  # of an evaluation, for which the best is remembered
Ending = Literal["", "finished", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class Facts:
    """Times are unix seconds, `seconds` are of training alone; `whole` tells whether the whole journal was read.

    metrics: of the last logged step. best: for the loss and each figure of the evaluations the lowest value, its step,
    the highest value, its step. lasted: the seconds of all `attempts`, each from its start to `until`, its last sign of
    life in the journal; None where attempts lie between the ends of a skimmed journal.
    """

    model: str = ""
    stage: str = ""
    method: str = ""
    attempt: int = 0
    step: int = 0
    total_steps: int | None = None
    loss: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    tokens: int | None = None
    speed: float | None = None
    memory: int | None = None
    first: float | None = None
    last: float = 0.0
    seconds: float | None = None
    attempts: int = 0
    lasted: float | None = 0.0
    until: float = 0.0
    evals: int = 0
    eval_step: int | None = None
    eval_loss: float | None = None
    eval_metrics: dict[str, float] = field(default_factory=dict)
    best: dict[str, tuple[float, ...]] = field(default_factory=dict)
    ending: Ending = ""
    message: str = ""
    whole: bool = False


def whole(ledger: Ledger) -> Facts:
    """Return what a journal that was read whole comes to."""
    columns = ledger.columns
    return replace(
        _facts(ledger),
        tokens=int(columns.tokens[-1]) if len(columns) else 0,
        seconds=columns.seconds[-1] if len(columns) else 0.0,
        evals=len(ledger.evals),
        best=_best([each.event for each in ledger.evals]),
        whole=True,
    )


def skimmed(run: RunDir, state: State | None) -> Facts:
    """Return what both ends of a journal tell: neither how many tokens there were nor which evaluation was the best."""
    ledger = Ledger(run.events)
    ledger.skim()
    only = state is not None and state.attempt == ledger.attempts.count == 1
    return _facts(ledger) if only else replace(_facts(ledger), attempts=0, lasted=None)


def _facts(ledger: Ledger) -> Facts:
    start, step, end = ledger.start, ledger.last, ledger.end
    tested = ledger.evals[-1].event if ledger.evals else None
    return Facts(
        model=start.model if start else "",
        stage=start.stage if start else "",
        method=start.method if start else "",
        attempt=start.attempt if start else 0,
        step=step.step if step else start.step if start else 0,
        total_steps=start.total_steps if start else None,
        loss=step.loss if step else None,
        metrics=dict(step.metrics) if step else {},
        speed=step.tokens_per_second if step else None,
        memory=max(step.memory.values(), default=None) if step else None,
        first=ledger.first.t if ledger.first else None,
        last=max(ledger.seen, ledger.attempts.until),
        attempts=ledger.attempts.count,
        lasted=ledger.attempts.seconds,
        until=ledger.attempts.until,
        eval_step=tested.step if tested else None,
        eval_loss=tested.loss if tested else None,
        eval_metrics=dict(tested.metrics) if tested else {},
        ending=_ending(end),
        message=end.message if isinstance(end, RunFailed) else "",
    )


def _ending(end: RunFinished | RunFailed | None) -> Ending:
    if isinstance(end, RunFailed):
        return "failed"
    return "" if end is None else "finished" if end.reason == "finished" else "stopped"


def _best(evals: Sequence[EvalLogged]) -> dict[str, tuple[float, ...]]:
    found: dict[str, tuple[float, ...]] = {}
    for event in evals:
        for name, value in _named(event):
            if not math.isfinite(value) or (name not in found and len(found) >= _MOST_FIGURES):
                continue
            low, low_step, high, high_step = found.get(name, (math.inf, 0, -math.inf, 0))
            if value < low:
                low, low_step = value, event.step
            if value > high:
                high, high_step = value, event.step
            found[name] = (low, low_step, high, high_step)
    return found


def _named(event: EvalLogged) -> list[tuple[str, float]]:
    return [("loss", event.loss), *((name.removeprefix("eval_"), value) for name, value in event.metrics.items())]
