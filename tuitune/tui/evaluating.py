"""An evaluation as the screen shows it: read from its folder, by subject too, and as far as a job has come with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tuitune.data.options import KINDS
from tuitune.errors import RunError, TuiTuneError
from tuitune.recipe import Document
from tuitune.run import evaluations
from tuitune.run.directory import CHECKPOINT
from tuitune.run.evaluation import DATA, Difference, Estimate, Evaluation, Item, Metric, Model
from tuitune.run.job import Job
from tuitune.run.reached import Reached, reached_in
from tuitune.tui.subjects import run_of

_SEED = 0
_CORRECT = ("right", "correct", "accuracy", "acc", "exact_match")  # scores of a question, the first one there is
_ANSWERED = ("answer", "prompt")  # kinds of rows that are put to the models
_KEPT = 60  # evaluations of a run that can be looked at again


@dataclass(frozen=True)
class Found:
    """An evaluation with its rows. subjects: for each benchmark that has several its figures by subject.

    reached: how far it is where it is at work.
    """

    evaluation: Evaluation
    items: Sequence[Item] = ()
    subjects: Mapping[str, Sequence[Metric]] = field(default_factory=dict)
    reached: Reached | None = None

    def main(self, group: str) -> list[Metric]:
        """Return the figures of a group that are not those of single subjects."""
        single = {metric.key for metric in self.subjects.get(group, ())}
        return [each for each in self.evaluation.metrics if each.group == group and each.key not in single]

    @property
    def subject(self) -> Model | None:
        """The model that it is about."""
        models = self.evaluation.models
        return models[0] if models else None

    @property
    def checkpoint(self) -> str:
        """The checkpoint that it is about, "" where it is a result or a model."""
        return _checkpoint(self.evaluation)

    def missing(self, item: Item) -> str:
        """Return what is to be said of a model without an answer to a row."""
        found = self.evaluation
        asked = found.asked.get("answers", True) and (found.data is None or KINDS.get(found.data.stage) in _ANSWERED)
        if item.task != DATA or not asked or found.status == "done":
            return "no answer was asked for"
        return "not answered yet" if found.status == "running" else "not answered: it was interrupted; r goes on"


def _checkpoint(found: Evaluation) -> str:
    model = found.models[0] if found.models else None
    name = "" if model is None else Path(model.adapters[-1] if model.adapters else model.model).name
    return name if CHECKPOINT.fullmatch(name) else ""


def load(folder: Path) -> Found:
    """Read an evaluation. For a thread: thousands of rows take a while. Raises RunError."""
    found, items = evaluations.read(folder), evaluations.predictions(folder)
    return Found(found, items, by_subject(items, found), reached_in(folder) if found.status == "running" else None)


def history(subject: str) -> list[Path]:
    """Return the folders of what was evaluated of a subject before, the newest first; of a checkpoint its own."""
    run = run_of(subject)
    if run is not None:
        folders, name = evaluations.evaluations_of(run), Path(subject).name
        return [
            path
            for path in folders
            if not CHECKPOINT.fullmatch(name) or _is(path, lambda found: _checkpoint(found) == name)
        ][:_KEPT]
    folders = evaluations.evaluations_in(evaluations.root_of(None))
    return [path for path in folders if _is(path, lambda found: found.subject == subject)][:_KEPT]


def begun_elsewhere(subject: str, seen: set[Path]) -> list[Path]:
    """Return the evaluations of a subject that are at work and were not `seen`; they are from now on."""
    run, name = run_of(subject), Path(subject).name
    fresh = [path for path in evaluations.evaluations_in(evaluations.root_of(run)) if path not in seen]
    seen.update(fresh)

    def ours(found: Evaluation) -> bool:
        own = found.subject == subject if run is None else not CHECKPOINT.fullmatch(name) or _checkpoint(found) == name
        return own and found.status == "running"

    return [path for path in fresh if _is(path, ours)]


def interrupted(folders: Iterable[Path]) -> list[Path]:
    """Return those evaluations that can be gone on with. Looks at the disk."""
    return [path for path in folders if _is(path, lambda found: found.status == "interrupted")]


def _is(path: Path, so: Callable[[Evaluation], bool]) -> bool:
    try:
        return so(evaluations.read(path))
    except RunError:
        return False


def recipe_values(subject: str) -> dict[str, object]:
    """Return the raw values of the recipe that a subject was trained by; nothing for one without a run."""
    run = run_of(subject)
    try:
        return Document.read(run.recipe).values() if run is not None else {}
    except TuiTuneError:
        return {}


def meant(word: str) -> str:
    """Return a subject as the screen has it: a run that is called by its name by its path. Looks at the disk."""
    run = None if Path(word).is_absolute() else run_of(word)
    return word if run is None else str(run.path)


def at_work_on() -> str | None:
    """Return whom the app's newest job that still goes on evaluates. Looks at the disk."""
    for job in Job.all("evaluate"):
        if job.status == "running":  # else its lines, which may be many, need not be read
            job.read()
            if job.status == "running" and len(job.argv) > 1:
                return meant(job.argv[1])
    return None


# By subject


def by_subject(items: Sequence[Item], found: Evaluation) -> dict[str, list[Metric]]:
    """Return for each benchmark with several subjects their figures: the evaluation's own, else the share of right."""
    tasks: dict[str, dict[str, list[Item]]] = {}
    for item in items:
        if item.task != DATA and item.group:
            tasks.setdefault(item.task, {}).setdefault(item.group, []).append(item)
    told: dict[str, list[Metric]] = {}
    for task, groups in tasks.items():
        known = (
            (found.metric(name, task) or _share(task, name, groups[name], found.models)) for name in sorted(groups)
        )
        metrics = [metric for metric in known if metric is not None]
        if len(metrics) > 1:
            told[task] = metrics
    return told


def _share(task: str, subject: str, items: Sequence[Item], models: Sequence[Model]) -> Metric | None:
    from tuitune.evaluate.statistics import Sample, difference, estimate, mean

    score = next((each for each in _CORRECT if any(_has(item, each) for item in items)), None)
    if score is None:
        return None
    samples: dict[str, Sample] = {}
    for model in models:
        pairs = [(item.id, reply.scores[score]) for item in items
                 if (reply := item.answers.get(model.key)) is not None and score in reply.scores]  # fmt: skip
        if pairs:
            ids, right = zip(*pairs, strict=True)
            samples[model.key] = mean(ids, right, scale=100.0, share=True)
    values: dict[str, Estimate] = {key: estimate(sample, _SEED) for key, sample in samples.items()}
    against = next((model.key for model in models if model.role == "base" and model.key in samples), None)
    differences: dict[str, Difference] = {}
    if against is not None:
        for key in samples:
            if key != against:
                differences[key] = difference(samples[key], samples[against], against, "more", _SEED)
    how = f"right answers of {len(items):,} questions; the interval is Wilson's"
    return Metric(task, subject, subject.replace("_", " "), "%", "more", how, values, differences) if values else None


def _has(item: Item, score: str) -> bool:
    return any(score in reply.scores for reply in item.answers.values())


# While it is at work


def begun_in(lines: Iterable[Mapping[str, Any]]) -> Path | None:
    """Return the folder that a job of `tuitune evaluate` works in, once it has said so."""
    found = next((line.get("path") for line in lines if line.get("kind") == "begun"), None)
    return Path(found) if isinstance(found, str) else None


def with_lines(found: Evaluation, lines: Iterable[Mapping[str, Any]]) -> Evaluation:
    """Return an evaluation with the figures that its job has told and that are not in its file yet."""
    metrics = {(each.group, each.key): each for each in found.metrics}
    for line in lines:
        if line.get("kind") != "metric":
            continue
        try:
            group, key, model = str(line["group"]), str(line["key"]), str(line["model"])
            estimate = Estimate(float(line["value"]), _number(line["low"]), _number(line["high"]), int(line["n"]))
        except (KeyError, TypeError, ValueError):
            continue
        title, unit = str(line.get("title") or key), str(line.get("unit") or "")
        known = metrics.get((group, key)) or Metric(group, key, title, unit, "", "", {})
        if model not in known.values:
            metrics[group, key] = replace(known, values={**known.values, model: estimate})
    return replace(found, metrics=tuple(metrics.values()))


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float | str) else None
