"""A small app under the real launch: it trains with a played engine and ends in every way an app can end.

Run as `python -m tests.tui.stubapp`. Keys: t trains, f lets the training finish, d detaches, q quits with code 7,
k kills the process, e leaves without a word, x is a fault, l asks for a restart, n prints by every way there is,
b keeps a thread busy.
"""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from tuitune.errors import TuiTuneError
from tuitune.tui.launch import Made, launch
from tuitune.tui.leave import Leave, Request, Start

EARLY = logging.getLogger("early")


def write_in_every_way() -> None:
    """Write as libraries do."""
    print("by print")
    print("by print to stderr", file=sys.stderr)
    EARLY.error("by an early handler")
    logging.getLogger("late").warning("by the root logger")
    warnings.warn("by a warning", stacklevel=1)
    os.write(1, b"by descriptor 1\n")
    os.write(2, b"by descriptor 2\n")
    libc = ctypes.CDLL(None)
    libc.puts(b"by puts")
    libc.fflush(None)
    subprocess.run(["sh", "-c", "echo by a child; echo by a child to stderr >&2"], check=True)
    worker = multiprocessing.get_context("fork").Process(target=_worker)
    worker.start()
    worker.join()


def _worker() -> None:
    print("by a worker", flush=True)
    os.write(2, b"by a worker to descriptor 2\n")


def main() -> int:
    EARLY.addHandler(logging.StreamHandler())
    EARLY.propagate = False
    try:
        return launch(Request(recipe=sys.argv[1], mouse=True), make=make)
    except (TuiTuneError, ZeroDivisionError) as error:
        print(f"error: {error}")
        return 9


def make(start: Start, log_to: Callable[[object], None]) -> Made:
    from textual.app import App, ComposeResult
    from textual.widgets import Static

    import tuitune.engine.run
    from tuitune.engine.run import Outcome
    from tuitune.engine.session import Session
    from tuitune.face.host import ThreadHost
    from tuitune.run import RunDir, events
    from tuitune.run.inbox import Stop
    from tuitune.tui.hangup import install_signals

    home = Path(os.environ["TUITUNE_HOME"])
    working = threading.Event()

    def play(run: RunDir, *, detached: bool, on_session: Callable[[Session], None]) -> Outcome:
        with Session(run, attempt=1) as session:
            on_session(session)
            session.emit(events.RunStarted(1, 0, 10, run.name, "tiny", "sft", "lora"))
            session.status("running")
            working.set()
            while not (home / "finish").exists():
                for command in session.commands():
                    session.done(command)
                    if isinstance(command, Stop):
                        (home / "finish").touch()
                    (home / f"heard-{type(command).__name__}").touch()
                time.sleep(0.02)
            session.emit(events.RunFinished(1, 1.0, "finished"))
            session.status("finished")
        write_in_every_way()
        return Outcome("finished", 0)

    tuitune.engine.run.run = play  # type: ignore[assignment]

    class Stub(App[Leave]):
        host: ThreadHost | None = None

        def compose(self) -> ComposeResult:
            yield Static("the stub is here", id="line")

        def on_mount(self) -> None:
            install_signals(self, lambda: self.go("lost"), lambda: self.go("quit"))

        def say(self, text: str) -> None:
            self.query_one("#line", Static).update(text)

        def go(self, kind: str) -> None:
            run = self.host.run if self.host else None
            words = ("the stub has left", "\x1b]0;evil\x07come back") if kind == "detach" else ()
            self.exit(Leave(kind, run=run, host=self.host, code=7, words=words))  # type: ignore[arg-type]

        def key_t(self) -> None:
            run = RunDir.create(home / "runs" / "one", "dataset: identity\n")
            log_to(run)
            self.host = ThreadHost(run).start()
            # What reads the words reads the sign of life next: it must be there, however slow the thread was.
            while not working.wait(0.1):
                pass
            self.say("it trains")

        def key_n(self) -> None:
            thread = threading.Thread(target=write_in_every_way)
            thread.start()
            thread.join()
            self.say("all is written")

        def key_f(self) -> None:
            (home / "finish").touch()
            while self.host is not None and not self.host.wait(0.1):
                pass
            log_to(None)
            self.say("it has finished")

        def key_d(self) -> None:
            self.go("detach")

        def key_q(self) -> None:
            self.go("quit")

        def key_l(self) -> None:
            self.go("restart")

        def key_k(self) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        def key_e(self) -> None:
            os._exit(5)

        def key_x(self) -> None:
            raise ZeroDivisionError("a fault of the screen")

        def key_b(self) -> None:
            # A download that nobody can interrupt.
            threading.Thread(target=time.sleep, args=(600,)).start()
            self.say("a thread is busy")

    return Made(Stub(), stop_if_lost=os.environ.get("STUB_STOPS") == "1")


if __name__ == "__main__":
    sys.exit(main())
