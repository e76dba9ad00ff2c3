"""From another trainer's log to the events of a journal."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from tuitune.face.importing.files import Output, Values, numbers
from tuitune.run import events

_ELAPSED = re.compile(r"(?:(\d+) days?, )?(\d+):(\d\d):(\d\d)")
_NOT_FIGURES = {"step", "epoch", "loss", "grad_norm", "learning_rate", "num_input_tokens_seen", "total_flos"}
_NOT_ENDS = ("_runtime", "_samples_per_second", "_steps_per_second", "_samples")
_GIB = 1 << 30


@dataclass(frozen=True)
class Row:
    """One line of a log, whoever wrote it; `elapsed` is seconds since its attempt began, None where nobody says."""

    step: int
    epoch: float = 0.0
    loss: float | None = None
    eval_loss: float | None = None
    learning_rate: float = 0.0
    grad_norm: float | None = None
    tokens: float | None = None  # seen so far
    speed: float = 0.0  # tokens per second
    elapsed: float | None = None
    memory: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Story:
    """The events but the first and the last, which need more than a log; times count from 0 at the start."""

    events: tuple[events.Event, ...]
    steps: int
    total: int | None
    seconds: float
    notes: tuple[str, ...]


def told(output: Output) -> Story:
    """Return what the logs of an output folder tell."""
    state = output.state()
    history = [row for each in _list(state.get("log_history")) if (row := _of_trainer(each)) is not None]
    log = [row for each in output.rows() if (row := _of_factory(each)) is not None]
    rows = _at_the_end(_enriched(log, history) if log else history, output)
    notes: list[str] = []
    attempts = _attempts(rows)
    if rows and all(row.elapsed is None for row in rows):
        attempts, note = _timed(attempts, output)
        notes.append(note)
    found = list(_events(attempts))
    last = max((row.step for row in rows), default=0)
    total = _whole(state.get("max_steps")) or max(
        (_whole(each.get("total_steps")) for each in output.rows()), default=0
    )
    return Story(tuple(found), last, total or None, found[-1].t if found else 0.0, tuple(notes))


def _of_factory(values: Values) -> Row | None:
    """Read a line of trainer_log.jsonl; None for one that tells how far a prediction is, and such."""
    found = _numbers(values)
    step = found.get("current_steps")
    if step is None or not ("loss" in found or "eval_loss" in found):
        return None
    own = {"reward": found["reward"]} if "reward" in found else {}
    own |= {"rewards/accuracies": found["accuracy"]} if "accuracy" in found else {}
    memory = {
        name: round(found[f"vram_{name}"] * _GIB) for name in ("allocated", "reserved") if f"vram_{name}" in found
    }
    return Row(
        int(step), found.get("epoch", 0.0), found.get("loss"), found.get("eval_loss"), found.get("lr", 0.0),
        tokens=found.get("total_tokens"), speed=found.get("throughput", 0.0), memory=memory, metrics=own,
        elapsed=_elapsed(values.get("elapsed_time")),
    )  # fmt: skip


def _of_trainer(values: Values) -> Row | None:
    """Read an entry of the Trainer's log_history; None for the summary at its end."""
    found = _numbers(values)
    step = found.get("step")
    if step is None or not ("loss" in found or "eval_loss" in found):
        return None
    own = {key: value for key, value in found.items() if _is_figure(key)}
    return Row(
        int(step), found.get("epoch", 0.0), found.get("loss"), found.get("eval_loss"),
        found.get("learning_rate", 0.0), found.get("grad_norm"), found.get("num_input_tokens_seen"), metrics=own,
    )  # fmt: skip


def _is_figure(key: str) -> bool:
    return key not in _NOT_FIGURES and key != "eval_loss" and not key.endswith(_NOT_ENDS)


def _enriched(log: Sequence[Row], history: Sequence[Row]) -> list[Row]:
    """Return the lines of LLaMA-Factory's log with what only the Trainer's tells: of the same step, and evaluations."""
    known = {(row.step, row.loss is None): row for row in history}
    found = [_joined(row, known.get((row.step, row.loss is None))) for row in log]
    there = {row.step for row in log if row.eval_loss is not None}
    for row in history:
        if row.eval_loss is not None and row.step not in there:
            _insert(found, row)
    return found


def _insert(rows: list[Row], row: Row) -> None:
    """Put an evaluation behind the last line that is not later; the Trainer's log is that of the last attempt."""
    place = next((n for n in range(len(rows), 0, -1) if rows[n - 1].step <= row.step), 0)
    rows.insert(place, replace(row, elapsed=rows[max(0, place - 1)].elapsed))


def _at_the_end(rows: list[Row], output: Output) -> list[Row]:
    """Return the rows with the evaluation after the training, which may stand in all_results.json only."""
    results = output.results()
    loss, trained = results.get("eval_loss"), [row for row in rows if row.loss is not None]
    # Where others were logged, this one may be of the best checkpoint, not of the last step.
    if loss is None or not trained or any(row.eval_loss is not None for row in rows):
        return rows
    own = {key: value for key, value in results.items() if key.startswith("eval_") and _is_figure(key)}
    last = trained[-1]
    return [*rows, Row(last.step, last.epoch, eval_loss=loss, metrics=own, elapsed=rows[-1].elapsed)]


def _joined(row: Row, more: Row | None) -> Row:
    if more is None:
        return row
    tokens = row.tokens if row.tokens is not None else more.tokens
    return replace(row, grad_norm=more.grad_norm, metrics={**row.metrics, **more.metrics}, tokens=tokens)


def _attempts(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows by attempt: where steps or the clock go back, another one began."""
    found: list[list[Row]] = []
    for row in rows:
        before = found[-1][-1] if found else None
        back = before is None or row.step < before.step
        if before is not None and row.elapsed is not None and before.elapsed is not None:
            back = back or row.elapsed < before.elapsed
        if back:
            found.append([])
        found[-1].append(row)
    return found


def _timed(attempts: list[list[Row]], output: Output) -> tuple[list[list[Row]], str]:
    """Give each row a time where the log has none: a run of known length is taken to have gone evenly."""
    last = max(row.step for rows in attempts for row in rows)
    runtime = output.results().get("train_runtime")
    if runtime is None:
        history = _list(output.state().get("log_history"))
        runtime = next(
            (found["train_runtime"] for each in history if "train_runtime" in (found := _numbers(each))), None
        )
    if runtime is None or not last:
        return attempts, "its log has no times, and its length is not known: the curve over time says nothing"
    pace = runtime / last
    timed = [[replace(row, elapsed=row.step * pace) for row in rows] for rows in attempts]
    return timed, f"its log has no times: its {runtime:.0f} seconds are spread evenly over the steps"


def _events(attempts: Sequence[Sequence[Row]]) -> Iterator[events.Event]:
    base, done = 0.0, 0
    for number, rows in enumerate(attempts, 1):
        if number > 1:
            # Which checkpoint it went on from is not in the log; what it did again does not count twice.
            start = min(done, rows[0].step - 1)
            yield events.RunStarted(number, start, t=base)
            yield events.PhaseStarted("train", t=base)
        yield from _attempt(rows, base)
        base += max((row.elapsed or 0.0 for row in rows), default=0.0)
        done = rows[-1].step


def _attempt(rows: Sequence[Row], base: float) -> Iterator[events.Event]:
    before: Row | None = None
    for row in rows:
        t = base + (row.elapsed or 0.0)
        if row.eval_loss is not None:
            yield events.EvalLogged(row.step, row.epoch, row.eval_loss, row.metrics, t=t)
        if row.loss is not None:
            yield _step(row, before, t)
            before = row


def _step(row: Row, before: Row | None, t: float) -> events.StepLogged:
    tokens = max(0.0, (row.tokens or 0.0) - ((before.tokens or 0.0) if before is not None else 0.0))
    steps = max(1, row.step - (before.step if before is not None else 0))
    seconds = (row.elapsed or 0.0) - ((before.elapsed or 0.0) if before is not None else 0.0)
    # LLaMA-Factory's throughput is the mean since the start; its clock has whole seconds.
    speed = tokens / seconds if tokens and seconds >= 1 else row.speed
    return events.StepLogged(
        row.step, row.epoch, row.loss if row.loss is not None else math.nan, row.learning_rate, row.grad_norm,
        int(tokens), tokens_per_second=speed, step_seconds=max(0.0, seconds) / steps, memory=row.memory,
        metrics=row.metrics, t=t,
    )  # fmt: skip


def _elapsed(text: object) -> float | None:
    match = _ELAPSED.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def _numbers(values: object) -> dict[str, float]:
    return numbers(values) if isinstance(values, dict) else {}


def _list(value: object) -> list[Values]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
