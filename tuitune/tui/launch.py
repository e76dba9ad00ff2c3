"""From a command line to the app on the terminal, and from the app's end to whatever goes on without it.

Imports nothing heavy before the guardian stands: what it imports, its parent process would hold for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.tui.env import prepare_environment, refuse_without_screen
from tuitune.tui.guardian import Ward, stand_guard
from tuitune.tui.leave import Leave, Request, Start

if TYPE_CHECKING:
    from textual.app import App
    from textual.driver import Driver

    from tuitune.face.host import ThreadHost
    from tuitune.run import RunDir
    from tuitune.run.streams import Streams
    from tuitune.tui.hangup import Relay

    LogTo = Callable[[RunDir | None], None]

_LOG, _LOG_BYTES = "app.log", 1_000_000
_PATIENCE = 2.0  # seconds for threads of the app, such as a download, to see that it has ended


@dataclass(frozen=True)
class Made:
    """An app, whether it takes the mouse, and whether a run in it is to stop when its terminal is lost."""

    app: App[Leave]
    mouse: bool = True
    stop_if_lost: bool = False


Make = Callable[[Start, "LogTo"], Made]


def launch(request: Request, make: Make | None = None) -> int:
    """Open the app on the terminal and return its exit code, in a child process. Raises UsageError without a screen.

    make: builds another app than TuiTune's.
    """
    refuse_without_screen(os.environ)
    prepare_environment(os.environ)
    ward = stand_guard()
    code = _run(request, ward, make)
    _leave_nobody_behind(code)
    return code


def _run(request: Request, ward: Ward, make: Make | None) -> int:
    from tuitune.engine.setup import keep_freed_memory
    from tuitune.face.host import ThreadHost
    from tuitune.run.streams import guard
    from tuitune.tui import opening
    from tuitune.tui.hangup import Relay

    # Before any thread: each would get an arena of its own, and the engine's one from which large blocks are unmapped
    # at every step (a training in the app took 1.4 times as long).
    keep_freed_memory()
    start = opening.resolve(request)
    log = _log()
    with guard(log) as streams, Relay() as relay:
        _catch_all()
        made = (make or opening.make)(start, _log_to(streams, ward, log))
        leave, fault = _show(made, ward, relay)
        engine = ThreadHost.active()
        if engine is not None and leave.kind != "restart":
            if leave.kind == "lost" and made.stop_if_lost:
                _ask_to_stop(engine)
            return _go_on(engine, _last_words(leave, fault, engine), streams, ward, relay)
        if leave.kind == "lost":
            streams.let_go()
    if leave.kind == "restart":
        _start_anew(leave, start, ward)
    if fault is not None:
        raise fault
    for line in leave.words:
        _say(line)
    return leave.code


def _log() -> Path:
    from tuitune.run import places

    log = places.home() / _LOG
    with contextlib.suppress(OSError):
        if log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_name(f"{_LOG}.1"))
    return log


def _catch_all() -> None:
    """Let libraries' loggers, warnings and the last words of a crash in C go to the log as well."""
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    logging.captureWarnings(True)
    faulthandler.enable(file=2)  # not a stream: whichever log the descriptor leads to by then


def _log_to(streams: Streams, ward: Ward, log: Path) -> LogTo:
    def lead(run: RunDir | None) -> None:
        from tuitune.face import words

        streams.log_to(log if run is None else run.console)
        if run is None:
            ward.tell()
        else:
            ward.tell(f"{run.name} was training", f"go on with it: tuitune resume {words.called(run)}")

    return lead


def _show(made: Made, ward: Ward, relay: Relay) -> tuple[Leave, BaseException | None]:
    """Run the app; return how it was left, and what broke it if something did."""
    app = made.app
    app.driver_class = _driver(ward)
    # Textual would hand what is printed to widgets, and drop it where none asks for it.
    app._capture_stdout, app._capture_stderr = sys.stdout, sys.stderr  # type: ignore[assignment]
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    ward.screen(taken=True)
    try:
        # On a loop of our own: asyncio.run waits for every thread, and a run must be able to go on without them.
        leave = app.run(mouse=made.mouse, loop=loop)
    finally:
        relay.detach()
        ward.screen(taken=False)
        _close(loop)
    # A panic sets no code; whoever leaves without a word does.
    return leave or Leave("quit", code=1 if app.return_code is None else app.return_code), app._exception


def _driver(ward: Ward) -> type[Driver]:
    from tuitune.tui.env import in_browser

    if in_browser():
        from tuitune.tui.browser import BrowserDriver

        return BrowserDriver
    from tuitune.tui.driver import terminal_driver

    return terminal_driver(ward.fd)


def _close(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))
    asyncio.set_event_loop(None)
    loop.close()


def _ask_to_stop(engine: ThreadHost) -> None:
    from tuitune.run.inbox import Stop

    engine.ask(Stop())


def _last_words(leave: Leave, fault: BaseException | None, engine: ThreadHost) -> tuple[str, ...]:
    from tuitune.face import words

    run = engine.run
    broken: tuple[str, ...] = ()
    if fault is not None:
        traceback.print_exception(fault)  # into the run's log
        broken = (f"the screen failed: {type(fault).__name__}: {fault}", f"the whole story is in {run.console}")
    if broken or (not leave.words and leave.kind != "lost"):
        back = f"come back: tuitune attach {words.called(run)}"
        return (*broken, f"{run.name} trains on, process {os.getpid()}", back)
    return leave.words


def _go_on(engine: ThreadHost, lines: Sequence[str], streams: Streams, ward: Ward, relay: Relay) -> int:
    """Give the terminal back and see the engine through without it."""
    from tuitune.face.headless import see_through, without_terminal

    arrived = without_terminal()
    arrived.extend(number for number in relay.arrived if number != signal.SIGHUP)
    # In a session of its own no terminal reaches it. Only the leader of a group may not, and a forked child is none.
    with contextlib.suppress(PermissionError):
        os.setsid()
    if ward.fd is None:
        for line in lines:
            _say(line, streams.out.fileno())
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    streams.let_go()
    ward.leave(*lines)
    return see_through(engine, arrived)


def _say(line: str, fd: int = 1) -> None:
    from tuitune.text import clean_line

    with contextlib.suppress(OSError):
        os.write(fd, f"{clean_line(line)}\n".encode("utf-8", "replace"))


def _start_anew(leave: Leave, start: Start, ward: Ward) -> None:
    """Put a fresh process of the same kind in this one's place, under the same guardian."""
    what = ["attach", str(leave.run.path)] if leave.run is not None else []
    mouse = [] if start.mouse else ["--no-mouse"]
    command = [sys.executable, "-m", "tuitune", *what, *mouse]
    os.execve(command[0], command, {**os.environ, **ward.hand_over()})


def _leave_nobody_behind(code: int) -> None:
    """End at once if a thread that nobody waits for any more would keep the interpreter, and the prompt, waiting."""
    end = time.monotonic() + _PATIENCE
    others = [each for each in threading.enumerate() if not each.daemon and each is not threading.current_thread()]
    for thread in others:
        thread.join(max(0.0, end - time.monotonic()))
    if any(thread.is_alive() for thread in others):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code)
