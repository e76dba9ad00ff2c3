"""A server of others in a process of its own, which ends with this one."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tuitune.errors import ModelError
from tuitune.run.files import PRIVATE_FILE, write_atomic
from tuitune.serve.outside import HOST, Command
from tuitune.text import clean_line

_PATIENCE = 10.0  # seconds for it to end by itself
_POLL = 0.5
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def free_port() -> int:
    """Return a port that is free on loopback now."""
    with socket.create_server((HOST, 0)) as sock:
        return int(sock.getsockname()[1])


class Outside:
    """The process; what it prints goes into `log`."""

    def __init__(self, command: Command, log: Path) -> None:
        self._log, self._files = log, list(command.files)
        for path, text in command.files.items():
            write_atomic(path, text.encode())
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
        try:
            self._process = subprocess.Popen(
                list(command.argv), env=dict(command.environ), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True, close_fds=True, preexec_fn=_die_with_us,
            )  # fmt: skip
        except OSError as error:
            raise ModelError(f"{command.argv[2]} cannot be started: {error.strerror}") from error
        finally:
            os.close(out)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def wait(self, url: str, progress: Callable[[str, int, int | None], None], seconds: float) -> None:
        """Wait until it answers under `url`/health. Raises ModelError when it ends before, or never does."""
        begun = time.monotonic()
        while not _answers(f"{url}/health"):
            waited = time.monotonic() - begun
            progress("start the engine", int(waited), None)
            if not self.alive:
                raise ModelError(f"the engine ended with exit status {self._process.returncode}", self.last_words())
            if waited > seconds:
                raise ModelError(f"the engine did not answer within {seconds:g} s", f"see {self._log}")
            time.sleep(_POLL)

    def last_words(self) -> str:
        """Return the end of what it printed, cleaned."""
        with contextlib.suppress(OSError):
            lines = [clean_line(line) for line in self._log.read_text("utf-8", "replace").splitlines()[-400:]]
            told = [line for line in lines if line][-6:]
            if told:
                return " | ".join(told)[-1500:]
        return f"it printed nothing; see {self._log}"

    def end(self) -> None:
        """End it and what it has started."""
        for sign, seconds in ((signal.SIGTERM, _PATIENCE), (signal.SIGKILL, _PATIENCE)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
                break
        for path in self._files:
            path.unlink(missing_ok=True)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError as error:
        return error.code in (401, 403)  # it is there, and asks for its key
    except (OSError, ValueError):
        return False


def _die_with_us() -> None:
    """Between fork and exec: have the kernel end the process when this one is gone, however that came."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGTERM)
