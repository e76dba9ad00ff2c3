"""What happened in a run, in lines of few words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from tuitune.face import figures, words
from tuitune.run import events
from tuitune.text import clean, clean_line
from tuitune.tui.kit.units import binary, fixed, lasting, nonfinite, scientific

_DONE = {"prepare": "model prepared", "tokenize": "data tokenised", "load": "model loaded", "save": "saved"}
_SPIKE = 5.0  # times the usual gradient
_KEPT = 0.95
BEST = "best so far"
_QUIET_STEPS = 20  # logged steps between two remarks on the gradient


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line: when, what, a note that may be missed, the colour role of what, and everything there is to say."""

    t: float
    text: str
    note: str = ""
    role: str = "ink"
    full: str = ""

    @property
    def time(self) -> str:
        """The time of day."""
        return f"{datetime.fromtimestamp(self.t):%H:%M}"

    @property
    def detail(self) -> str:
        """The whole text, over several lines where it has them."""
        return self.full or " ".join(part for part in (self.text, self.note) if part)


class Teller:
    """Turns events into lines; it remembers what it needs to tell a best evaluation, a spike, the end of a phase."""

    def __init__(self) -> None:
        self._forget(rising=False)
        self._stage = ""

    def _forget(self, *, rising: bool | None) -> None:
        self._phase: events.PhaseStarted | None = None
        self._done: int | None = None
        self._lr: float | None = None
        self._rising = rising  # None when the warm-up is over, or there was none
        self._grad, self._grads, self._spike_at = 0.0, 0, -_QUIET_STEPS
        self._broken = self._sampled = False
        self._paused_at: float | None = None

    def lines(self, event: events.Event, best: float | None) -> list[LogLine]:
        """Return the lines that an event deserves, oldest first; `best` is the best evaluation before it."""
        match event:
            case events.RunStarted():
                return self._started(event)
            case events.PhaseStarted():
                return self._begin(event)
            case events.Progress(total=int(total)):
                self._done = total
            case events.StepLogged():
                return [line for line in (self._warm(event), self._spike(event), self._breaks(event)) if line]
            case events.Sampled() if not self._sampled:
                self._sampled = True
                return [LogLine(event.t, "answers", "7 shows them")]
            case events.Paused(step=step):
                self._paused_at = event.t
                return [LogLine(event.t, "paused", f"at step {step:,}", "warn")]
            case events.Resumed(step=step):
                since, self._paused_at = self._paused_at, None
                after = f"after {lasting(event.t - since)}" if since is not None else f"at step {step:,}"
                return [LogLine(event.t, "goes on", after)]
            case events.RunFinished() | events.RunFailed():
                ended = self._end_phase(event.t)
                return [*ended, _finished(event) if isinstance(event, events.RunFinished) else _failed(event)]
        line = _evaluated(event, best, self._stage) if isinstance(event, events.EvalLogged) else _line(event)
        return [line] if line else []

    def _started(self, event: events.RunStarted) -> list[LogLine]:
        # An attempt knows nothing of the one before.
        self._forget(rising=False if event.step == 0 else None)
        self._stage = event.stage
        whole = f"attempt {event.attempt}, {clean_line(event.model)}, {event.stage} {event.method}, process {event.pid}"
        if event.step or event.resumed_from:
            where = f"\nfrom {clean(event.resumed_from)}" if event.resumed_from else ""
            at = f"at step {event.step:,}"
            return [LogLine(event.t, "resumed", at, full=f"resumed {at}: {whole}{where}")]
        return [LogLine(event.t, "started", clean_line(event.model), full=f"started: {whole}")]

    def _begin(self, event: events.PhaseStarted) -> list[LogLine]:
        found = self._end_phase(event.t)
        self._phase, self._done = event, None
        if event.phase == "train":
            found.append(LogLine(event.t, "training", clean_line(event.detail)))
        return found

    def _end_phase(self, now: float) -> list[LogLine]:
        phase, self._phase = self._phase, None
        if phase is None or phase.phase == "train":
            return []
        text = _DONE.get(phase.phase, f"{clean_line(phase.phase)} done")
        if phase.phase == "tokenize" and self._done is not None:
            text = f"{self._done:,} rows tokenised"
        detail = f": {clean_line(phase.detail)}" if phase.detail else ""
        took = lasting(now - phase.t)
        return [LogLine(now, text, took, full=f"{text} in {took}{detail}")]

    def _warm(self, event: events.StepLogged) -> LogLine | None:
        before, self._lr = self._lr, event.learning_rate
        if self._rising is None or before is None or not math.isfinite(event.learning_rate):
            return None
        if event.learning_rate > before:
            self._rising = True
            return None
        rose, self._rising = self._rising, None
        return LogLine(event.t, "warm-up over", f"lr {scientific(before)}") if rose else None

    def _spike(self, event: events.StepLogged) -> LogLine | None:
        grad = event.grad_norm
        if grad is None or not math.isfinite(grad):
            return None
        usual, self._grads = self._grad, self._grads + 1
        self._grad = grad if self._grads == 1 else _KEPT * usual + (1 - _KEPT) * min(grad, _SPIKE * usual)
        if self._grads <= _QUIET_STEPS or grad <= _SPIKE * usual or self._grads - self._spike_at < _QUIET_STEPS:
            return None
        self._spike_at = self._grads
        more = f"gradient norm {grad:.4g} at step {event.step:,}, {grad / usual:.0f} times the usual" if usual else ""
        return LogLine(event.t, f"grad {fixed(grad, 2)}", f"at step {event.step:,}", "warn", more)

    def _breaks(self, event: events.StepLogged) -> LogLine | None:
        before, self._broken = self._broken, not math.isfinite(event.loss)
        if not self._broken or before:
            return None
        more = f"the loss is {nonfinite(event.loss)} at step {event.step:,}; the curve has a gap there"
        return LogLine(event.t, f"loss {nonfinite(event.loss)}", f"at step {event.step:,}", "error", more)


def _line(event: events.Event) -> LogLine | None:
    match event:
        case events.CheckpointSaved(step=step, bytes=count):
            note = binary(count) + (" best" if event.best else "")
            more = f"checkpoint-{step} saved in {lasting(event.seconds)}, {binary(count)}\n{clean(event.path)}"
            return LogLine(event.t, f"checkpoint-{step}", note, full=more)
        case events.ReplyFinished():
            return _answered(event)
        case events.Noted(text=text):
            return LogLine(event.t, clean_line(text), full=clean(text))
        case events.Warned(message=message, hint=hint):
            more = clean(message) + (f"\n{clean(hint)}" if hint else "")
            return LogLine(event.t, clean_line(message), role="warn", full=more)
        case events.CommandDone():
            return _commanded(event)
    return None


def _evaluated(event: events.EvalLogged, best: float | None, stage: str) -> LogLine:
    main = figures.main(stage)
    known = {name.removeprefix(figures.EVAL): value for name, value in event.metrics.items()}
    main = main if main in known else figures.LOSS
    value = known.get(main, event.loss)
    better = best is not None and (value < best if main == figures.LOSS else value > best)
    name = "" if main == figures.LOSS else f"{figures.word(main)} "
    more = [f" {figures.word(each)} {fixed(known[each], 2)}" for each in figures.telling(stage, known)]
    text = f"eval {name}{fixed(value)}{'' if name or not more else more[0]}"
    every = "".join(f"\n{clean_line(name)} {words.number(value)}" for name, value in event.metrics.items())
    full = f"evaluation at step {event.step:,}: loss {words.number(event.loss)}, {lasting(event.seconds)}{every}"
    return LogLine(event.t, text, BEST if better else "", "eval" if math.isfinite(value) else "error", full)


def _answered(event: events.ReplyFinished) -> LogLine:
    if event.reason == "error":
        more = f"no answer: {clean(event.error)}"
        return LogLine(event.t, f"no answer @{event.step}", clean_line(event.error), "warn", more)
    how = {"length": ", cut at the longest length", "stopped": ", stopped"}.get(event.reason, "")
    took = lasting(event.seconds)
    more = f"answered with the weights of step {event.step:,}: {event.tokens:,} tokens in {took}{how}"
    return LogLine(event.t, f"answered @{event.step}", took, full=more)


def _commanded(event: events.CommandDone) -> LogLine | None:
    message, what = clean_line(event.message), clean_line(event.command).replace("_", " ")
    if event.outcome in ("refused", "failed"):
        text = f"{what} {event.outcome}"
        return LogLine(event.t, text, message, "warn", f"{text}: {clean(event.message)}")
    if event.command == "set_learning_rate" and message:
        return LogLine(event.t, message)
    return None


def _finished(event: events.RunFinished) -> LogLine:
    took = lasting(event.seconds)
    if event.reason == "finished":
        where = f"\nthe result is in {clean(event.final)}" if event.final else ""
        return LogLine(event.t, "finished", f"in {took}", "ok", f"finished: {event.step:,} steps in {took}{where}")
    at = f"at step {event.step:,}"
    return LogLine(event.t, "stopped", at, "warn", f"stopped {at} after {took}")


def _failed(event: events.RunFailed) -> LogLine:
    more = clean(event.message) + (f"\n{clean(event.hint)}" if event.hint else "")
    return LogLine(event.t, "failed", clean_line(event.message), "error", f"failed: {more}")
