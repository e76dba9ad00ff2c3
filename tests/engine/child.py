"""An engine in a process of its own, that kills itself some time after a step, or in the middle of a save."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tuitune.engine.session import Session
from tuitune.run.directory import RunDir

_LATEST = 3  # steps: a machine that stalls must not let the run end before it is killed


@dataclass(frozen=True)
class AfterStep:
    """Die so many seconds after `step` was done, wherever the engine is then; it begins with as many steps `done`."""

    step: int
    done: int
    seconds: float


def train(path: str, die: AfterStep | int | None) -> None:
    """Train in `path`; end by SIGKILL after a step, or inside the n-th checkpoint of this attempt."""
    from tuitune.engine.run import run

    watch: Callable[[Session], None] = lambda session: None  # noqa: E731
    if isinstance(die, AfterStep):
        watch = _dying(die)
    elif die is not None:
        _die_in_save(die)
    os._exit(run(RunDir(Path(path)), on_session=watch).exit_code)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _dying(die: AfterStep) -> Callable[[Session], None]:
    timer = threading.Timer(die.seconds, _kill)

    def watch(session: Session) -> None:
        told = session.stepped

        def stepped(done: int, total: int | None) -> None:
            told(done, total)
            if total is not None and done == die.step:
                timer.start()
            if done >= die.step + _LATEST:
                _kill()

        session.stepped = stepped  # type: ignore[method-assign]
        if die.step <= die.done:
            timer.start()

    return watch


def _die_in_save(number: int) -> None:
    from tuitune.engine import checkpoint

    real, left = checkpoint.manifest.seal, [number]

    def seal(folder: Path, *args: object, **kwargs: object) -> object:
        left[0] -= 1
        if left[0] == 0:
            # As if the power failed while the files were written: one is short, one was never begun.
            victim = next(folder.glob("optimizer.pt"))
            victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
            (folder / "scheduler.pt").unlink()
            _kill()
        return real(folder, *args, **kwargs)

    checkpoint.manifest.seal = seal  # type: ignore[assignment]
