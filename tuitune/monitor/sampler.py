"""The thread that looks at the machine, so that the screen never has to ask a driver."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from dataclasses import replace

from tuitune.monitor.cards import Cards
from tuitune.monitor.host import Host
from tuitune.monitor.processes import family
from tuitune.monitor.sample import Sample
from tuitune.text import clean_line

_EMPTY = Sample()


class Sampler:
    """Looks once a second at what is cheap and every five seconds at the rest; not at all while paused.

    NVIDIA's driver takes one lock for every question: faster polling slows down what it is watching.
    """

    def __init__(self, nvml: bool = True, *, period: float = 1.0, slow: float = 5.0, retry: float = 30.0) -> None:
        self._nvml, self._period, self._slow, self._retry = nvml, period, slow, retry
        self._sample = _EMPTY
        self._pids: frozenset[int] = frozenset({os.getpid()})
        self._hurry = True
        self._stopped = False
        self._paused = False
        self._turn = threading.Condition()
        self._thread: threading.Thread | None = None

    def start(self) -> Sampler:
        """Begin to look."""
        if self._thread is None:
            self._stopped = False
            self._thread = threading.Thread(target=self._work, name="monitor", daemon=True)
            self._thread.start()
        return self

    def stop(self, timeout: float = 2.0) -> None:
        """Stop looking; a driver that does not answer is not waited for longer than `timeout` seconds."""
        self._tell(stopped=True)
        if self._thread is not None:
            self._thread.join(timeout)
            self._thread = None

    def latest(self) -> Sample:
        """Return the last look at once; its `t` is 0 before the first."""
        return self._sample

    def watch(self, pids: Iterable[int]) -> None:
        """Take these processes, and all that they start, for this run's; until told, it is this very process."""
        wanted = frozenset(pids)
        if wanted != self._pids:
            self._pids = wanted
            self._tell(hurry=True)

    def pause(self) -> None:
        """Stop asking until `resume`: nobody looks."""
        self._tell(paused=True)

    def resume(self) -> None:
        """Look again, at once."""
        if self._paused:
            # What is shown until the next look is old because nobody looked, not because the driver is silent.
            self._sample = replace(self._sample, t=time.monotonic()) if self._sample.t else self._sample
            self._tell(paused=False, hurry=True)

    @property
    def paused(self) -> bool:
        """Whether nobody looks."""
        return self._paused

    def _tell(self, *, stopped: bool | None = None, paused: bool | None = None, hurry: bool = False) -> None:
        with self._turn:
            self._stopped = self._stopped if stopped is None else stopped
            self._paused = self._paused if paused is None else paused
            self._hurry = self._hurry or hurry
            self._turn.notify_all()

    def _work(self) -> None:
        look = _Look(self._nvml, self._retry)
        dear: float | None = None
        try:
            while self._wait(look):
                t = time.monotonic()
                more = dear is None or self._hurry or t - dear >= self._slow
                if more:
                    dear, self._hurry = t, False
                self._sample = look.take(t, self._pids, more=more)
        finally:
            look.close()

    def _wait(self, look: _Look) -> bool:
        """Wait for the next turn; False when there is none."""
        with self._turn:
            if self._sample is not _EMPTY and not self._hurry:
                self._turn.wait_for(lambda: self._stopped or self._paused or self._hurry, self._period)
            if self._paused and not self._stopped:
                since = time.monotonic()
                self._turn.wait_for(lambda: self._stopped or not self._paused)
                look.miss(int((time.monotonic() - since) / self._period))
            return not self._stopped


class _Look:
    """Everything that one look needs, used by the thread alone."""

    def __init__(self, nvml: bool, retry: float) -> None:
        self._cards = Cards(retry) if nvml else None
        self._host = Host()
        self._family: frozenset[int] = frozenset()
        self._of: frozenset[int] | None = None

    def take(self, t: float, pids: frozenset[int], *, more: bool) -> Sample:
        """Look once. What goes wrong is said in the sample: a monitor must not end the program that it watches."""
        try:
            if more or pids != self._of:
                self._family, self._of = family(pids), pids
            host = self._host.read(self._family, more=more)
            if self._cards is None:
                return Sample(host=host, t=t)
            devices = self._cards.read(t, self._family, more=more)
            return Sample(devices, host, self._cards.driver, self._cards.problem, t)
        except Exception as error:
            return Sample(problem=f"the machine cannot be looked at: {clean_line(str(error))}", t=t)

    def miss(self, turns: int) -> None:
        """Leave gaps for the looks that were not taken."""
        self._host.miss(turns)
        if self._cards is not None:
            self._cards.miss(turns)

    def close(self) -> None:
        """Let the driver go."""
        if self._cards is not None:
            self._cards.close()
