"""The engine's side of trackers: it starts their processes, passes on what they tell, and never waits for one."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping

import orjson

from tuitune.engine.session import Session
from tuitune.engine.trackers.names import how_to_install, installed, wanted
from tuitune.recipe import Recipe
from tuitune.run.events import Event, Noted, Warned
from tuitune.run.files import PRIVATE_FILE
from tuitune.text import clean_line

PATIENCE = 120.0  # seconds of silence until a tracker counts as hanging; wandb alone waits 90 for its server
_GRACE = 15.0  # seconds that the end of a run waits for what is still being sent
_JOURNAL = "the run goes on, and its journal has every figure"


class Reporting:
    """The trackers of one attempt. Close it after the run's end stands in the journal."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._followers: list[Follower] = []
        self.grace = _GRACE

    def begin(self, recipe: Recipe) -> None:
        """Start the trackers that the recipe asks for; the attempt stands in the journal by now."""
        for name in wanted(recipe):
            if not installed(name):
                self._session.warn(f"{name} is not installed, so nothing is reported to it", how_to_install(name))
                continue
            try:
                self._followers.append(Follower(self._session, name))
            except OSError as error:
                self._session.warn(f"{name} cannot be started: {error.strerror}", _JOURNAL)

    def close(self) -> None:
        """Wait a little for what is still being sent; what takes longer is sent by its own process, without us."""
        for follower in self._followers:
            follower.let_go()
        until = time.monotonic() + self.grace
        for follower in self._followers:
            follower.leave(until)


class Follower:
    """One tracker's process, and a thread that listens to it."""

    def __init__(self, session: Session, name: str) -> None:
        self._session, self.name = session, name
        self._hangs = self._failed = False
        self._process = _start(session, name)
        self._thread = threading.Thread(target=self._listen, name=f"tracker-{name}", daemon=True)
        self._thread.start()

    def let_go(self) -> None:
        """Tell the process that the engine has nothing more to say: it sends what the journal holds, and ends."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def leave(self, until: float) -> None:
        """Wait for the end of the process until the monotonic time `until`, and not at all where it hangs."""
        while self._thread.is_alive() and not self._hangs and time.monotonic() < until:
            self._thread.join(0.1)
        if self._thread.is_alive() and not self._hangs:
            self._emit(Noted(f"{self.name} is still sending; its process goes on by itself"))

    def _listen(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        held, heard = b"", time.monotonic()
        while True:
            if not select.select([pipe], [], [], 1.0)[0]:
                self._mind(time.monotonic() - heard)
                continue
            piece = os.read(pipe.fileno(), 1 << 16)
            if not piece:
                break
            heard = time.monotonic()
            *lines, held = (held + piece).split(b"\n")
            for line in lines:
                self._take(orjson.loads(line))
        pipe.close()
        code = self._process.wait()
        if code and not self._failed:
            self._warn(f"{self.name} has ended unexpectedly (exit code {code})")

    def _mind(self, silence: float) -> None:
        if silence > PATIENCE and not self._hangs:
            self._hangs = True
            self._warn(f"{self.name} has not answered for {silence:.0f} seconds")

    def _take(self, told: Mapping[str, str]) -> None:
        if self._hangs:
            self._hangs = False
            self._emit(Noted(f"{self.name} answers again"))
        match told:
            case {"kind": "ready", "where": where}:
                self._emit(Noted(f"{self.name} follows this run: {clean_line(where)}"))
            case {"kind": "trouble", "text": text}:
                self._warn(f"{self.name}: {text}")
            case {"kind": "failed", "text": text}:
                self._failed = True
                self._warn(f"nothing more is reported to {self.name}: {text}")

    def _warn(self, text: str) -> None:
        self._emit(Warned(clean_line(text), f"{_JOURNAL}; more is in console.log"))

    def _emit(self, event: Event) -> None:
        with contextlib.suppress(ValueError):  # the journal may be closed by now
            self._session.emit(event)


def _start(session: Session, name: str) -> subprocess.Popen[bytes]:
    """Start the process in a session of its own: neither the terminal's keys nor its end reach it."""
    log = os.open(session.run.console, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
    # -P: a folder ./wandb of an earlier run must not be taken for the library.
    words = [sys.executable, "-P", "-m", "tuitune.engine.trackers", str(session.run.path), name, str(session.attempt)]
    try:
        return subprocess.Popen(
            [*words, str(os.getpid())], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            start_new_session=True, bufsize=0,
        )  # fmt: skip
    finally:
        os.close(log)
