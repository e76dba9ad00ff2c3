"""A regular expression of the user's, tried in a process of its own with a limit of the processor's time.

Python's `re` cannot be stopped from inside: a pattern such as `(a+)+b` may need longer than the universe lasts for some
answer. The process gets the answers and prints a line for each; on the one that it hangs on it is ended, and the rest
is tried in a new process. Its own seconds of work count: a busy machine makes no answer slow.
"""

from __future__ import annotations

import json
import math
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tuitune.errors import TrainingError, UsageError
from tuitune.text import clean_line

if TYPE_CHECKING:
    from tuitune.stages.online.answer import Answer

_SECONDS = 5.0  # of work, for one answer
_PATIENCE = 600.0  # seconds on the clock, for a process that gets no time to work at all
_PROGRAM = """
import json, re, signal, sys
pattern, seconds, texts = json.load(sys.stdin)
pattern = re.compile(pattern)
signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
for text in texts:
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    print(int(pattern.search(text) is not None), flush=True)
"""


class Pattern:
    """1 for answers in which the pattern is found (`re.search`), 0 for others, NaN where it took too long."""

    def __init__(self, pattern: str, warn: Callable[..., None], *, seconds: float = _SECONDS) -> None:
        check(pattern)
        self._pattern, self._warn, self._seconds = pattern, warn, seconds
        self._slow = False

    def __call__(self, answers: Sequence[Answer]) -> list[float]:
        """Judge all."""
        texts, found = [answer.text for answer in answers], list[float]()
        while len(found) < len(texts):
            done, finished = self._try(texts[len(found) :])
            found += done
            if not finished and len(found) < len(texts):
                found.append(math.nan)
                self._say_slow()
        return found

    def _try(self, texts: Sequence[str]) -> tuple[list[float], bool]:
        given = json.dumps([self._pattern, self._seconds, texts]).encode()
        try:
            ended = subprocess.run(
                [sys.executable, "-I", "-S", "-c", _PROGRAM], input=given, capture_output=True,
                timeout=_PATIENCE + self._seconds * len(texts), check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as stopped:
            return _numbers(stopped.stdout or b""), False
        except OSError as error:
            raise TrainingError(f"the pattern reward cannot start its process: {error}") from error
        if ended.returncode == -signal.SIGVTALRM:
            return _numbers(ended.stdout), False
        if ended.returncode:
            why = clean_line(ended.stderr.decode(errors="replace"))[-300:]
            raise TrainingError(f"the process of the pattern reward broke off: {why or ended.returncode}")
        return _numbers(ended.stdout), True

    def _say_slow(self) -> None:
        if not self._slow:
            self._slow = True
            self._warn(
                f"reward_pattern took more than {self._seconds:g} seconds for an answer; such answers get no reward",
                "nested repetitions such as (a+)+ are slow where they do not match; write them without",
            )


def check(pattern: str) -> None:
    """Raise UsageError unless `pattern` is a regular expression."""
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"reward_pattern is no regular expression: {error}") from error


def _numbers(lines: bytes) -> list[float]:
    return [float(line) for line in lines.split()]
