"""The child process of `tuitune.models.child`: one task, progress as JSON lines, then a result or an error."""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, TextIO

from tuitune.errors import TuiTuneError

# Imported when asked for, so that a download does not wait for torch.
# task: (function, the unit of the progress bars that tell how far it is)
TASKS = {
    "convert": ("tuitune.models.gguf:convert", "it"),
    "hub": ("tuitune.models.hub:download", "B"),
    "hub-file": ("tuitune.models.hub:download_file", "B"),
    "modelscope": ("tuitune.models.modelscope:download", "B"),
    "quantise": ("tuitune.export.gptq:quantise", "it"),
}
_SECONDS_BETWEEN_REPORTS = 0.1


class Reporter:
    """Writes progress lines; a bar that moves a thousand times a second does not become a thousand lines."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._stage = ""
        self._sent = 0.0

    def send(self, **message: str | int | None) -> None:
        """Write one message."""
        with self._lock:
            self._out.write(json.dumps(message) + "\n")
            self._out.flush()

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """Report how far `stage` is, at most ten times a second and always at its end."""
        now = time.monotonic()
        if stage == self._stage and now - self._sent < _SECONDS_BETWEEN_REPORTS and done != total:
            return
        self._stage, self._sent = stage, now
        self.send(stage=stage, done=done, total=total)

    def bar(self, done: int, total: int | None) -> None:
        """Report a library's own bar as progress of the present stage."""
        self.progress(self._stage, done, total)


def redirect_bars(reporter: Reporter, unit: str) -> None:
    """Make every tqdm bar that counts in `unit` report, and every other one be silent.

    Call it before the libraries that use tqdm are imported: they take the class from tqdm.auto then.
    """
    bars = importlib.import_module("tqdm.auto")

    class Bar(bars.tqdm):  # type: ignore[misc, name-defined]
        closed = False

        def __init__(self, *args: Any, **options: Any) -> None:
            # Some libraries switch their bars off where there is no terminal; nothing is drawn here anyway.
            super().__init__(*args, **{**options, "disable": False})

        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            # The hub draws two bars of bytes, received and written; one of them is enough.
            if self.unit == unit and not str(self.desc).startswith("Downloading bytes"):
                reporter.bar(int(self.n), int(self.total) if self.total else None)

        def close(self) -> None:
            # Bars of short work are closed before they are ever drawn; closing happens again when they are collected.
            if not self.closed:
                self.display()
            self.closed = self.disable = True

    bars.tqdm = Bar  # type: ignore[attr-defined]


def main(arguments: list[str]) -> int:
    """Run the task that the command line names; return the exit status."""
    reporter = Reporter(_claim_stdout())
    threading.Thread(target=_die_with_parent, daemon=True).start()
    task, values = arguments[0], json.loads(arguments[1])
    target, unit = TASKS[task]
    redirect_bars(reporter, unit)
    module, name = target.split(":")
    try:
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
        reporter.send(result=str(function(**values, progress=reporter.progress)))
    except TuiTuneError as error:
        reporter.send(error=error.message, hint=error.hint)
    except Exception as error:  # the border of a process: whatever it is, the parent must hear of it
        traceback.print_exc()
        reporter.send(error=f"{type(error).__name__}: {error}", hint="")
    return 0


def _claim_stdout() -> TextIO:
    # Libraries print; the protocol keeps the real standard output for itself and sends theirs to standard error.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out


def _die_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stdout.flush()
    # Threads of download libraries may outlive their work; the result is out, so nothing is left to wait for.
    os._exit(status)
