"""The signals that reach a run in the foreground, and the process that a detached run is."""

from __future__ import annotations

import contextlib
import signal
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

from tuitune.errors import TuiTuneError, UsageError
from tuitune.face.headless import see_through, without_terminal
from tuitune.face.host import ThreadHost, prepare_for
from tuitune.run import RunDir
from tuitune.run.inbox import Command, Stop, StopNow

if TYPE_CHECKING:
    from tuitune.recipe import Recipe


class Signals:
    """The signals of a run in the foreground: the first asks for a checkpoint and the end, a second ctrl+c for the end.

    At a third ctrl+c `leave` is set: whoever presses it that often does not want to wait. Commands are made beforehand,
    because making one takes a lock that the interrupted code may hold.
    """

    def __init__(self, ask: Callable[[Command], None], *, hangup: bool = True) -> None:
        self._ask = ask
        self._signals = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hangup else [])]
        self._wishes: dict[str, Command] = {"stop": Stop(), "now": StopNow()}
        self._interrupts = 0
        self._before: dict[int, object] = {}
        self.notices: deque[str] = deque()
        self.leave = False

    def __enter__(self) -> Signals:
        for number in self._signals:
            # Under nohup a hangup is ignored, and stays so.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._arrived)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        self._interrupts += number == signal.SIGINT
        if self._interrupts >= 3:
            self.leave = True
        elif self._interrupts == 2 and number == signal.SIGINT:
            self._wish("now", "stopping now, without a checkpoint")
        else:
            self.stop()

    def stop(self) -> None:
        """Ask for a checkpoint and the end, once."""
        self._wish("stop", "stopping: saving the last whole step (ctrl+c again ends without)")

    def _wish(self, name: str, notice: str) -> None:
        command = self._wishes.pop(name, None)
        if command is not None:
            self.notices.append(notice)
            self._ask(command)


def host(path: str) -> int:
    """Train in the run directory `path` without a terminal: what a detached run is.

    A lost terminal is ignored; SIGTERM asks for a checkpoint and the training goes on, as the sender may kill it next.
    """
    from tuitune.engine.asked import asked

    run = RunDir(Path(path))
    if not run.is_run():
        raise UsageError(f"there is no run at {run.path}")
    recipe: Recipe | None = None
    with contextlib.suppress(TuiTuneError):  # the engine meets it again, and puts it on record
        recipe, _ = asked(run)
    if recipe is None:
        prepare_for()
    else:
        prepare_for(recipe.device, recipe.threads)
    arrived = without_terminal()
    return see_through(ThreadHost(run, detached=True).start(), arrived)
