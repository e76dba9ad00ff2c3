"""The commands at work for the app, in processes of their own: found, read again and again, never lost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tuitune.errors import TuiTuneError
from tuitune.run.job import Job, Status

_KEPT = 30  # ended jobs that are listed
_SCAN_EVERY = 2.0  # seconds between two looks for jobs that others began


@dataclass(slots=True)
class Pace:
    """How fast a stage of a job is: where it was when it was first seen, and where it is now."""

    stage: str
    since: float
    first: int
    done: int = 0
    total: int | None = None

    def left(self, now: float) -> float | None:
        """Return the seconds until the end of the stage; None while nobody knows."""
        if self.total is None or self.done <= self.first or now <= self.since:
            return None
        return (self.total - self.done) * (now - self.since) / (self.done - self.first)


class Jobs:
    """The jobs of some kinds, newest first, those of earlier sessions too. `look` reads the disk: for a thread.

    past: whether those are read that had ended when they were first seen.
    """

    def __init__(self, kinds: Sequence[str], *, past: bool = True) -> None:
        self.kinds, self._past = tuple(kinds), past
        self.jobs: list[Job] = []
        self.ended: dict[str, float] = {}  # when a job ended, in seconds since 1970
        self.paces: dict[str, Pace] = {}
        self._seen: dict[str, Status] = {}
        self._known: dict[str, Job] = {}
        self._opened: dict[str, Job] = {}  # of all kinds
        self._added: list[Job] = []
        self._dropped: set[str] = set()
        self._scanned = -_SCAN_EVERY

    @property
    def running(self) -> list[Job]:
        """Those at work."""
        return [job for job in self.jobs if self._seen.get(job.id) == "running"]

    def status(self, job: Job) -> Status:
        """Return how a job was doing at the last look."""
        return self._seen.get(job.id, "running")

    def add(self, job: Job) -> None:
        """Take in a job that was just begun, before the next look finds it."""
        self._added.append(job)
        self.jobs = [job, *self.jobs]

    def drop(self, job: Job) -> None:
        """Leave a job out that is forgotten."""
        self._dropped.add(job.id)
        self.jobs = [each for each in self.jobs if each is not job]

    def look(self) -> tuple[list[Job], list[Job]]:
        """Read what jobs have told. Return those whose status is another one, and those that told something.

        A job that had ended when it was first seen is no news.
        """
        while self._added:
            job = self._added.pop()
            self._known.setdefault(job.id, job)
        if time.monotonic() - self._scanned >= _SCAN_EVERY:
            self._scan()
        changed, told = [], []
        for job in list(self._known.values()):
            before = self._seen.get(job.id)
            if before not in (None, "running"):
                continue
            if before is None and not self._past and job.status != "running":
                self._seen[job.id] = job.status
                continue
            if job.read():
                told.append(job)
            self._time(job)
            if job.status == "lost":  # it may have told how it ended between the two looks
                job.read()
            self._seen[job.id] = status = job.status
            if status != before and (before is not None or status == "running"):
                changed.append(job)
            if status != "running":
                self.ended[job.id] = _ended(job)
        self._sort()
        return changed, told

    def _scan(self) -> None:
        """Find jobs that another app began, and miss those that are gone."""
        self._scanned = time.monotonic()
        self._opened = {job.id: job for job in Job.all(known=self._opened)}
        found = {name: job for name, job in self._opened.items() if job.kind in self.kinds}
        for name in [name for name in self._known if name not in found]:
            del self._known[name]
        for name, job in found.items():
            self._known.setdefault(name, job)

    def _sort(self) -> None:
        kept = [job for name, job in self._known.items() if name not in self._dropped]
        newest = sorted(kept, key=lambda job: job.id, reverse=True)
        alive = [job for job in newest if self.status(job) == "running"]
        self.jobs = [*alive, *[job for job in newest if job not in alive][:_KEPT]]

    def _time(self, job: Job) -> None:
        if job.progress is None:
            return
        stage, done, total = job.progress
        pace = self.paces.get(job.id)
        if pace is None or pace.stage != stage or done < pace.done:
            pace = self.paces[job.id] = Pace(stage, time.time(), done)
        pace.done, pace.total = done, total


def at_work() -> list[Job]:
    """Return the jobs of every kind that go on when the app ends; an unreadable home has none."""
    with contextlib.suppress(TuiTuneError, OSError):
        return [job for job in Job.all() if job.status == "running"]
    return []


def _ended(job: Job) -> float:
    try:
        return max(job.started, (job.path / "lines.jsonl").stat().st_mtime)
    except OSError:
        return job.started
