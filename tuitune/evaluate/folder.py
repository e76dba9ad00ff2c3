"""The folder of one evaluation: made, continued, and written so that an interruption loses nothing."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import orjson
import psutil

from tuitune.errors import UsageError
from tuitune.evaluate.keeping import Unwritten, keeping
from tuitune.evaluate.report import markdown
from tuitune.evaluate.request import Request
from tuitune.evaluate.scores import Series
from tuitune.run.directory import slug
from tuitune.run.evaluation import Data, Evaluation, Metric
from tuitune.run.evaluations import PREDICTIONS, REPORT, RESULTS, read, write
from tuitune.run.files import PRIVATE_FILE, private_dir, write_all, write_atomic
from tuitune.run.packing import pack, plain, record
from tuitune.run.reached import reached_in

_SERIES = "benchmarks.jsonl"


class Folder:
    """An evaluation on its way; `now` is what is known of it. rows: what the rows are called that it measures."""

    def __init__(self, request: Request, settings: Mapping[str, object], rows: str = "") -> None:
        models = tuple(named.model for named in request.models)
        self._begun = time.monotonic()
        if request.resume is not None:
            self.now = self._continued(request, settings)
            reached = reached_in(request.resume)  # left by one that was killed
            self._before = max(self.now.seconds, reached.seconds if reached is not None else 0.0)
            return
        name = slug(request.name or (Path(request.data).stem if request.data else rows)) or "evaluation"
        with keeping(request.root):
            path = _made(request.root, f"{time.strftime('%Y%m%d-%H%M%S')}-{name}")
        self._before = 0.0
        self.now = Evaluation(path, request.subject, name, time.time(), "running", models, settings=dict(settings),
                              asked=request.asked)  # fmt: skip
        try:
            self.write()
        except Unwritten:
            self.discard()
            raise

    def _continued(self, request: Request, settings: Mapping[str, object]) -> Evaluation:
        assert request.resume is not None
        found = read(request.resume)
        if found.status == "running":
            raise UsageError(f"{found.path} is still being written by another process", "wait for it, or cancel it")
        now = orjson.loads(pack(settings))
        differing = [key for key in now if found.settings.get(key) != now[key]]
        if differing:
            raise UsageError(
                f"{found.path} cannot be continued: {', '.join(differing)} {'is' if len(differing) == 1 else 'are'} "
                "not what it began with",
                "evaluate anew, without --resume",
            )
        return replace(found, status="running")

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.now.path

    def seconds(self) -> float:
        """Return how long it has worked, in all attempts."""
        return round(self._before + time.monotonic() - self._begun, 3)

    def know(
        self,
        *,
        data: Data | None = None,
        metrics: tuple[Metric, ...] | None = None,
        notes: tuple[str, ...] | None = None,
        tasks: tuple[str, ...] | None = None,
    ) -> None:
        """Take in what has been found out and write it."""
        now = self.now
        self.now = replace(
            now, data=data or now.data, metrics=now.metrics if metrics is None else metrics,
            notes=tuple(dict.fromkeys((*now.notes, *(notes or ())))), tasks=now.tasks if tasks is None else tasks,
        )  # fmt: skip
        self.write()

    def write(self) -> None:
        """Write results.json."""
        self.now = replace(self.now, seconds=self.seconds())
        with keeping(self.path):
            write(self.now, pid=os.getpid(), born=psutil.Process().create_time())

    def finish(self, sentences: tuple[str, ...]) -> Evaluation:
        """Write the results as done, and the report."""
        self.now = replace(self.now, status="done", sentences=sentences)
        self.write()
        with keeping(self.path):
            write_atomic(self.path / REPORT, markdown(self.now).encode("utf-8", "backslashreplace"))
        return self.now

    def discard(self) -> None:
        """Remove what was made, where nothing came of it."""
        for name in (RESULTS, PREDICTIONS):
            (self.path / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def interrupt(self) -> None:
        """Write that it did not come to its end."""
        self.now = replace(self.now, status="interrupted")
        self.write()

    # What benchmarks have found, so that a resume need not ask again

    def keep(self, task: str, model: str, series: list[Series]) -> None:
        """Remember the figures of a benchmark that is done with a model."""
        line = {"task": task, "model": model, "series": [record(each) for each in series]}
        with keeping(self.path):
            fd = os.open(self.path / _SERIES, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
            try:
                write_all(fd, b"\n" + pack(plain(line)) + b"\n")
            finally:
                os.close(fd)

    def kept(self, task: str, model: str) -> list[Series] | None:
        """Return what `keep` remembered, None where there is nothing."""
        try:
            lines = (self.path / _SERIES).read_bytes().splitlines()
        except FileNotFoundError:
            return None
        for line in reversed(lines):
            try:
                values = orjson.loads(line)
                if (values["task"], values["model"]) == (task, model):
                    return [_series(each) for each in values["series"]]
            except (ValueError, KeyError, TypeError):
                continue
        return None


def _series(values: Mapping[str, Any]) -> Series:
    known = {each.name: values[each.name] for each in fields(Series) if each.name in values}
    weights = known.get("weights")
    known |= {"values": [float(each) for each in known["values"]],  # "NaN" too
              "weights": None if weights is None else [float(each) for each in weights]}  # fmt: skip
    return Series(**known)


def _made(root: Path, name: str) -> Path:
    """Make a folder of this name, or with a number behind it where there is one."""
    private_dir(root)
    number = 1
    while True:
        path = root / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            number += 1
        else:
            return path
