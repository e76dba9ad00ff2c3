"""Evaluations as files: `<run>/evaluations/<time>-<name>/` with results.json, results.md and predictions.jsonl.

`tuitune.evaluate` writes them; the screens, the model card and the list of runs read them here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from tuitune.errors import RunError
from tuitune.run import places
from tuitune.run.directory import RunDir
from tuitune.run.evaluation import DATA as DATA
from tuitune.run.evaluation import Data as Data
from tuitune.run.evaluation import Difference as Difference
from tuitune.run.evaluation import Estimate as Estimate
from tuitune.run.evaluation import Evaluation as Evaluation
from tuitune.run.evaluation import Item as Item
from tuitune.run.evaluation import Metric as Metric
from tuitune.run.evaluation import Model as Model
from tuitune.run.evaluation import Reply as Reply
from tuitune.run.evaluation import Status as Status
from tuitune.run.evaluation import title_of as title_of
from tuitune.run.files import write_atomic
from tuitune.run.packing import pack, plain, record, restore
from tuitune.run.process import lives

FOLDER = "evaluations"
RESULTS, REPORT, PREDICTIONS = "results.json", "results.md", "predictions.jsonl"
_FORMAT = 1


# Where they are


def root_of(run: RunDir | None, save_dir: Path | None = None) -> Path:
    """Return the folder that evaluations are kept in: what is asked, else the run's, else the user's."""
    if save_dir is not None:
        return save_dir
    return (places.home() if run is None else run.path) / FOLDER


def evaluations_in(root: Path) -> list[Path]:
    """Return the folders of evaluations below `root`, the newest first."""
    try:
        found = [path for path in root.iterdir() if (path / RESULTS).is_file()]
    except OSError:
        return []
    return sorted(found, key=lambda path: path.name, reverse=True)


def evaluations_of(run: RunDir) -> list[Path]:
    """Return the folders of a run's evaluations, the newest first, interrupted ones too."""
    return evaluations_in(root_of(run))


def latest(run: RunDir) -> Evaluation | None:
    """Return the newest evaluation of a run that is done; damaged ones are passed over."""
    for path in evaluations_of(run):
        try:
            found = read(path)
        except RunError:
            continue
        if found.status == "done":
            return found
    return None


# Reading and writing


def read(folder: Path) -> Evaluation:
    """Return what a folder holds. Raises RunError when it holds no results that can be read."""
    try:
        values = orjson.loads((folder / RESULTS).read_bytes())
        found = restore(_Stored, values)
        settings, asked = dict(values["settings"]), dict(values["asked"])
    except OSError as error:
        raise RunError(f"{folder / RESULTS} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{folder / RESULTS} holds no results of an evaluation: {error}") from error
    status: Status = "done" if found.status == "done" else "interrupted"
    if found.status == "running" and lives(found.pid, found.born):
        status = "running"
    return Evaluation(
        folder, found.subject, found.name, found.created, status,
        tuple(restore(Model, each) for each in values["models"]),
        None if values["data"] is None else restore(Data, values["data"]),
        found.tasks, tuple(map(_metric, values["metrics"])), found.notes, found.sentences, found.seconds,
        settings, asked,
    )  # fmt: skip


@dataclass(frozen=True)
class _Stored:
    """The plain fields of results.json."""

    subject: str
    name: str
    created: float
    status: str
    tasks: tuple[str, ...]
    notes: tuple[str, ...]
    sentences: tuple[str, ...]
    seconds: float
    pid: int = 0
    born: float = 0.0


def _metric(values: Mapping[str, Any]) -> Metric:
    found = {name: values[name] for name in ("group", "key", "title", "unit", "better", "how")}
    estimates = {key: restore(Estimate, each) for key, each in values["values"].items()}
    differences = {key: restore(Difference, each) for key, each in values["differences"].items()}
    return Metric(**found, values=estimates, differences=differences)


def as_records(metrics: Iterable[Metric]) -> list[dict[str, object]]:
    """Return figures as results.json holds them."""
    return [
        record(each) | {
            "values": {key: record(value) for key, value in each.values.items()},
            "differences": {key: record(value) for key, value in each.differences.items()},
        }
        for each in metrics
    ]  # fmt: skip


def write(found: Evaluation, *, pid: int, born: float) -> None:
    """Write results.json, in one step; pid and born say which process is at it."""
    values = {
        "format": _FORMAT, "id": found.id, "subject": found.subject, "name": found.name, "created": found.created,
        "when": datetime.fromtimestamp(found.created).astimezone().isoformat(timespec="seconds"),
        "status": found.status, "seconds": found.seconds, "pid": pid, "born": born,
        "models": [record(each) for each in found.models], "data": found.data and record(found.data),
        "tasks": found.tasks, "sentences": found.sentences, "metrics": as_records(found.metrics),
        "notes": found.notes, "settings": found.settings, "asked": found.asked,
    }  # fmt: skip
    text = orjson.dumps(plain(values), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    write_atomic(found.path / RESULTS, text)


def line_of(item: Item) -> bytes:
    """Return one line of predictions.jsonl."""
    answers = {model: {k: v for k, v in record(reply).items() if v is not None and v != {}}
               for model, reply in item.answers.items()}  # fmt: skip
    return pack(record(item) | {"answers": answers}) + b"\n"


def predictions(folder: Path) -> list[Item]:
    """Return the rows with every model's answers, in the order in which they were first written.

    Lines that are torn or strange are left out; lines of one row are joined.
    """
    try:
        data = (folder / PREDICTIONS).read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{folder / PREDICTIONS} cannot be read: {error.strerror}") from error
    found: dict[tuple[str, str], Item] = {}
    for line in data.splitlines():
        try:
            values = orjson.loads(line)
            answers = {key: restore(Reply, each) for key, each in values["answers"].items()}
            item = restore(_Line, values)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        made = Item(item.task, item.id, item.group, item.prompt, item.reference, answers)
        key = item.task, item.id
        found[key] = found[key].joined(made) if key in found else made
    return list(found.values())


@dataclass(frozen=True)
class _Line:
    task: str
    id: str
    group: str = ""
    prompt: str = ""
    reference: str = ""


# Browsing

_LESS = ("loss",)  # scores of which less is better
_COUNTS = ("labelled", "tokens_chosen", "tokens_rejected")  # what scores are weighted with: none themselves


def scores_of(items: Sequence[Item]) -> list[str]:
    """Return the names of the scores that rows can be ordered by."""
    names = dict.fromkeys(name for item in items for reply in item.answers.values() for name in reply.scores)
    return [name for name in names if name not in _COUNTS]


def worst_first(items: Sequence[Item], model: str, score: str, *, against: str | None = None) -> list[Item]:
    """Return the rows of which `model` has this score, the worst first; against: where it is worse than that model."""
    sign = 1.0 if score in _LESS else -1.0

    def badness(item: Item) -> float | None:
        own = _score(item, model, score)
        other = _score(item, against, score) if against is not None else 0.0
        return None if own is None or other is None else sign * (own - other)

    rated = [(bad, item) for item in items if (bad := badness(item)) is not None]
    return [item for _, item in sorted(rated, key=lambda pair: -pair[0])]


def _score(item: Item, model: str, score: str) -> float | None:
    reply = item.answers.get(model)
    value = None if reply is None else reply.scores.get(score)
    return None if value is None or math.isnan(value) else value
