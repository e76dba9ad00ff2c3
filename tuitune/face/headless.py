"""An engine that goes on without a terminal, and the signals that still reach it."""

from __future__ import annotations

import signal
from collections import deque

from tuitune.face.host import ThreadHost
from tuitune.run.inbox import Save, Stop


def without_terminal() -> deque[int]:
    """Ignore hangups and return where the other signals arrive, for `see_through`."""
    arrived: deque[int] = deque()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: arrived.append(number))
    return arrived


def see_through(engine: ThreadHost, arrived: deque[int]) -> int:
    """Wait for the end of the engine; return the exit code.

    SIGTERM asks for a checkpoint and the training goes on, as the sender may kill it next; SIGINT asks for the end.
    """
    while not engine.wait(0.2):
        while arrived:
            engine.ask(Save() if arrived.popleft() == signal.SIGTERM else Stop())
    return engine.outcome.exit_code
