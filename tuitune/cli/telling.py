"""How a command that takes time tells what it does: bars and sentences, or with --json one object a line.

The objects: {"kind": "progress", "stage", "done", "total"}, with "within" where the piece of work after those done says
how far it is, {"kind": "note", "text"}, then one {"kind": "result", ...} or {"kind": "error", "message", "hint",
"stopped"}. `tuitune.run.job` reads them.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import TextIO

from tuitune.cli.bars import Drawn, Report, bars
from tuitune.cli.console import json_line, say, screen
from tuitune.errors import Stopped, TuiTuneError
from tuitune.run.streams import Streams, guard
from tuitune.run.uses import at_work
from tuitune.text import clean_line

_EVERY = 0.2  # seconds between two lines of progress in one stage


class Teller:
    """What a command tells; `progress` and `note` may be given to whatever does the work."""

    def __init__(self, out: TextIO, err: TextIO, progress: Report, *, as_json: bool) -> None:
        self.out, self.err, self.as_json = out, err, as_json
        self._report, self._said = progress, set[str]()
        self._told = 0.0
        self._at: dict[str, object] = {}  # what was told of progress last

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """Say how far a stage of the work is."""
        if not self.as_json:
            self._report(stage, done, total)
            return
        fresh = stage != self._at.get("stage") or done == total  # then what was said of a piece is over
        self._at = {**({} if fresh else self._at), "stage": stage, "done": done, "total": total}
        self._tell(at_once=fresh)

    def within(self, text: str) -> None:
        """Say how far the piece of work is that `progress` does not count yet, such as a token of answers."""
        if self.as_json and "done" in self._at:
            self._at["within"] = text
            self._tell()
        elif isinstance(self._report, Drawn):
            self._report.within(text)

    def _tell(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if at_once or now - self._told >= _EVERY:
            self._told = now
            self.line("progress", self._at)

    def note(self, text: str) -> None:
        """Say something that the user should know, once."""
        if text in self._said:
            return
        self._said.add(text)
        if self.as_json:
            self.line("note", {"text": text})
        else:
            with self.aside():
                say(screen(self.err), f"warning: {clean_line(text)}", "yellow")

    def line(self, kind: str, values: Mapping[str, object]) -> None:
        """Write one object."""
        json_line({"kind": kind, **values}, self.out)

    def result(self, values: Mapping[str, object], *sentences: str) -> None:
        """Say what has come out: the object, or the sentences, whose foreign parts are cleaned here."""
        if self.as_json:
            self.line("result", values)
            return
        with self.aside():
            for sentence in sentences:
                say(screen(self.out), sentence)

    def aside(self) -> contextlib.AbstractContextManager[None]:
        """Take the bar off the screen while something else is printed there."""
        away: Callable[[], contextlib.AbstractContextManager[None]]
        away = getattr(self._report, "aside", contextlib.nullcontext)
        return away()


@contextlib.contextmanager
def telling(log: Path, *, as_json: bool, cancelled: str = "cancelled") -> Iterator[Teller]:
    """Yield who tells; meanwhile what libraries print goes to the end of `log`. With JSON, errors are objects too.

    Raises Stopped with the words `cancelled` where ctrl+c came and the work itself has no better ones.
    """
    with guard(log) as real, at_work(sys.argv[1:]):
        try:
            with _interrupted_once(cancelled):
                yield from _drawn(real, as_json)
        except Exception as error:
            if as_json:
                json_line(error_object(error), real.out)
                error.told = True  # type: ignore[attr-defined]  # so that the border of the program does not say it again
            raise


@contextlib.contextmanager
def _interrupted_once(words: str) -> Iterator[None]:
    """Let the second ctrl+c pass unheard, for what was begun is being removed then; the third is heard again."""
    count = 0

    def arrived(number: int, frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count != 2:
            raise KeyboardInterrupt

    # Where ctrl+c is ignored, as under nohup, or another than the main thread asks, it stays as it is.
    ours = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    ours = ours and before is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, arrived)
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped(words) from None
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)


def _drawn(real: Streams, as_json: bool) -> Iterator[Teller]:
    if as_json:
        yield Teller(real.out, real.err, lambda stage, done, total: None, as_json=True)
        return
    with bars(real.err) as progress:
        yield Teller(real.out, real.err, progress, as_json=False)


def error_object(error: BaseException) -> dict[str, object]:
    """Return the object that tells of a failure."""
    stopped = isinstance(error, KeyboardInterrupt | Stopped)
    if isinstance(error, TuiTuneError):
        problems = [str(problem) for problem in getattr(error, "problems", ())]
        return {"kind": "error", "message": error.message, "hint": error.hint, "problems": problems, "stopped": stopped}
    message = "cancelled" if stopped else f"a fault in TuiTune: {type(error).__name__}: {error}"
    return {"kind": "error", "message": message, "hint": "", "problems": [], "stopped": stopped}
