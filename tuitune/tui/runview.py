"""A run as the app sees it: its journal read as it grows, folded into curves, lines and the present."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import Literal

from tuitune.errors import TuiTuneError
from tuitune.face import figures
from tuitune.face.curve import SMOOTHING
from tuitune.face.picture import Picture
from tuitune.recipe import Recipe, load
from tuitune.run import JournalReader, RunDir, State, events, liveness
from tuitune.run.state import Liveness
from tuitune.tui.curves import Curves, EvalPoint
from tuitune.tui.loglines import BEST, LogLine, Teller
from tuitune.tui.samples import Samples

__all__ = ["Curves", "EvalPoint", "LogLine", "Phase", "RunView", "Status"]

Status = Literal["created", "preparing", "training", "paused", "stopping", "finished", "stopped", "failed", "crashed"]
_MOST_LINES = 2_000
_LOOK_EVERY = 1.0  # seconds between two looks at the process


@dataclass
class Phase:
    """A stretch of work before the first step; `ended` is None for the present one."""

    name: str
    detail: str
    started: float
    ended: float | None = None
    done: int = 0
    total: int | None = None


class RunView:
    """Follows a run on disk. `poll` brings everything up to date; whoever draws looks at `revision` first.

    The first `poll` reads the whole journal and belongs into a thread for a long run; a second one meanwhile reads
    nothing. No method may be called while another thread polls.
    """

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.state: State | None = None
        self.status: Status = "created"
        self.live = False
        self.revision = 0
        self.recipe: Recipe | None = None  # what the run trains, which the user may meanwhile edit for another one
        self._reader = JournalReader(run.events)
        self._restarts = 0
        self._busy = threading.Lock()
        self._looked: tuple[float, object, Liveness] | None = None
        self._forget(SMOOTHING)

    def _forget(self, smoothing: float) -> None:
        self.picture = Picture(self.run.name)
        self.curves = Curves()
        self.curves.smoothing = smoothing
        self.lines: deque[LogLine] = deque(maxlen=_MOST_LINES)
        self.phases: list[Phase] = []
        self.begin: int | None = None  # the step that the first attempt started from
        self.samples = Samples()
        self._teller = Teller()
        # On the clock of the training, loading and pauses take no time: `_base` seconds at the unix time `_origin`.
        self._base, self._origin, self._paused_at = 0.0, 0.0, math.nan

    def poll(self) -> list[events.Event]:
        """Read what is new and return it."""
        if not self._busy.acquire(blocking=False):
            return []
        try:
            found = self._reader.read()
            if self._reader.restarts != self._restarts:
                # Another file lies there: nothing of the former one counts.
                self._restarts = self._reader.restarts
                self._forget(self.curves.smoothing)
                self.revision += 1
            for event in found:
                self._take(event)
            if self.recipe is None or any(isinstance(event, events.RunStarted) for event in found):
                self.recipe = self._read_recipe()
            self._look(changed=bool(found))
            return found
        finally:
            self._busy.release()

    def _read_recipe(self) -> Recipe | None:
        try:
            return load(self.run.recipe)
        except (TuiTuneError, OSError):
            return None

    def _take(self, event: events.Event) -> None:
        if isinstance(event, events.RunStarted):
            self.curves.take_back(event.step)
            self.curves.main = figures.main(event.stage)
            self.samples.take_back(event.step)
            self.phases = []
            self.begin = event.step if self.begin is None else self.begin
        best = self._best() if isinstance(event, events.EvalLogged) else None
        found = self._teller.lines(event, best)
        if any(line.note == BEST for line in found):
            self.lines = deque((_no_more_best(line) for line in self.lines), maxlen=_MOST_LINES)
        self.lines.extendleft(found)
        self._clock(event)
        self.picture.take(event)
        match event:
            case events.StepLogged():
                self.curves.add(event, self._seconds(event.t))
            case events.EvalLogged():
                self.curves.add_eval(event, self._seconds(event.t))
            case events.Sampled():
                self.samples.add(event)
            case events.PhaseStarted(phase=phase, detail=detail):
                self._end_phase(event.t)
                self.phases.append(Phase(phase, detail, event.t))
            case events.Progress(phase=phase, done=done, total=total):
                if self.phases and self.phases[-1].name == phase:
                    self.phases[-1].done, self.phases[-1].total = done, total
            case events.RunFinished() | events.RunFailed():
                self._end_phase(event.t)

    def _best(self) -> float | None:
        main = figures.main(self.picture.stage)
        known = [value for point in self.curves.evals if math.isfinite(value := point.of(main))]
        return (min if main == figures.LOSS else max)(known, default=None)

    def _end_phase(self, now: float) -> None:
        if self.phases and self.phases[-1].ended is None:
            self.phases[-1].ended = now

    def _clock(self, event: events.Event) -> None:
        match event:
            case events.RunStarted():
                self._base = self.curves.seconds[-1] if len(self.curves) else 0.0
                self._origin, self._paused_at = event.t, math.nan
            case events.PhaseStarted(phase="train"):
                self._origin = event.t
            case events.Paused():
                self._paused_at = event.t
            case events.Resumed() if not math.isnan(self._paused_at):
                self._origin += event.t - self._paused_at
                self._paused_at = math.nan

    def _seconds(self, now: float) -> float:
        last = self.curves.seconds[-1] if len(self.curves) else 0.0
        # A clock that was set back must not turn the curve back.
        return max(last, self._base + now - self._origin)

    def _look(self, changed: bool) -> None:
        state, before = State.read(self.run.state), self._signs()
        self.state = state
        self.picture.look(state)
        alive = self._liveness(state)
        self.live = alive == "live"
        self.status = self._judge(state, alive)
        after = self._signs()
        if before != after and self.status == "crashed":
            self._tell_crash(state)
        if changed or before != after:
            self.revision += 1

    def _signs(self) -> tuple[object, ...]:
        return self.status, self.live, self.picture.step, self.picture.total

    def _liveness(self, state: State | None) -> Liveness:
        # Looking up a process costs more than all the rest when nothing is new.
        sign = None if state is None else (state.pid, state.attempt, state.status)
        now = time.monotonic()
        if self._looked is None or self._looked[1] != sign or now - self._looked[0] >= _LOOK_EVERY:
            self._looked = now, sign, liveness(state)
        return self._looked[2]

    def _judge(self, state: State | None, alive: Liveness) -> Status:
        if state is None:
            return self._judge_alone()
        if alive == "crashed":
            return "crashed"
        match state.status:
            case "finished" | "stopped" | "failed" | "stopping":
                return state.status
            case "paused":
                return "paused"
        if self.picture.paused:
            return "paused"
        return "training" if self.picture.training_since is not None and self.picture.end is None else "preparing"

    def _judge_alone(self) -> Status:
        # A run copied without its state still has its journal.
        match self.picture.end:
            case events.RunFinished(reason=reason):
                return "finished" if reason == "finished" else "stopped"
            case events.RunFailed():
                return "failed"
        return "crashed" if self.picture.attempt else "created"

    def _tell_crash(self, state: State | None) -> None:
        if self.lines and self.lines[0].text == "crashed":
            return
        whose = f"process {state.pid}" if state is not None else "its process"
        t = state.heartbeat if state is not None and state.heartbeat else time.time()
        more = f"{whose} ended without a word at step {self.picture.step:,}; console.log may say why (t)"
        self.lines.appendleft(LogLine(t, "crashed", f"at step {self.picture.step:,}", "error", more))

    @property
    def progress(self) -> float | None:
        """The share of the steps that is done, None while nobody knows how many there are."""
        total = self.picture.total
        return min(1.0, self.picture.step / total) if total else None

    @property
    def eta(self) -> float | None:
        """The seconds that are left at the present speed, None when nobody can know or nothing runs."""
        return self.picture.left() if self.status in ("training", "paused", "stopping") else None

    @property
    def epoch(self) -> float | None:
        """How often the data has been seen."""
        return self.curves.epoch[-1] if len(self.curves) else None

    @property
    def epochs(self) -> float | None:
        """How often the data will have been seen after the last step, as far as the steps so far tell."""
        if not len(self.curves) or not self.picture.total or not self.curves.step[-1]:
            return None
        return self.curves.epoch[-1] / self.curves.step[-1] * self.picture.total


def _no_more_best(line: LogLine) -> LogLine:
    return replace(line, note="") if line.note == BEST else line
