"""Everything there is to say about one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tuitune.errors import RunError
from tuitune.face import figures, words
from tuitune.face.runs import best_evaluation, key_figure, last_evaluation
from tuitune.run import RunDir, evaluations, manifest
from tuitune.run.evaluations import Evaluation, Metric
from tuitune.run.imported import Imported, has_weights
from tuitune.run.shelf import Entry, Shelf
from tuitune.run.trash import size_of

_HEADLINES = 3  # figures of an evaluation that stand in a line


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint: its step, its bytes, and why it cannot be used, if it cannot."""

    name: str
    step: int
    size: int
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """An evaluation in a line."""

    id: str
    path: str
    name: str
    when: float
    headline: str


@dataclass(frozen=True, slots=True)
class About:
    """A run, what lies in it, and the bytes that it takes."""

    entry: Entry
    checkpoints: tuple[Checkpoint, ...]
    evaluations: tuple[Evaluated, ...]
    size: int
    source: Imported | None = None

    def lines(self) -> list[tuple[str, str]]:
        """Return titles and sentences; the sentences hold foreign text."""
        return [(title, text) for title, text in self._lines() if text]

    def _lines(self) -> Sequence[tuple[str, str]]:
        entry, facts = self.entry, self.entry.facts
        source = f"{self.source.trainer}, {self.source.source}" if self.source is not None else ""
        kind = "/".join(part for part in (facts.stage, facts.method) if part)
        return [
            ("run", entry.run.name),
            ("state", state_words(entry)),
            ("note", " ".join(entry.remarks.note.split())),
            ("tags", " ".join(entry.remarks.tags)),
            ("model", facts.model),
            ("method", kind),
            ("data", entry.data),
            ("steps", f"{entry.step:,} of {entry.total_steps:,}" if entry.total_steps else f"{entry.step:,}"),
            *trained(entry),
            ("started", time.strftime("%Y-%m-%d %H:%M", time.localtime(facts.first)) if facts.first else ""),
            ("lasted", lasted(entry, words.duration)),
            *(("checkpoint", _said(each)) for each in self.checkpoints),
            *(("evaluation", f"{each.name}: {each.headline}") for each in self.evaluations),
            ("imported", source),
            *(("", note) for note in (self.source.notes if self.source is not None else ())),
            ("size", words.size(self.size)),
            ("where", entry.path),
        ]


def about(run: RunDir, shelf: Shelf | None = None) -> About:
    """Return everything about a run; reads its whole journal and measures its files."""
    entry = (shelf or Shelf()).entry(run)
    source = Imported.of(run)
    return About(entry, tuple(checkpoints(run, entry.step)), tuple(evaluated(run)), size_of(run.path), source)


def state_words(entry: Entry) -> str:
    """Return how a run stands, and why it failed."""
    said = (
        f"{entry.status}: {entry.facts.message}" if entry.status == "failed" and entry.facts.message else entry.status
    )
    return f"{said}, imported from {entry.imported}" if entry.imported else said


def trained(entry: Entry) -> list[tuple[str, str]]:
    """Return titles and values of the figures of a run."""
    facts = entry.facts
    name, value = key_figure(entry)
    last, best = last_evaluation(entry), best_evaluation(entry)
    found = [(figures.word(name), words.number(value) if value is not None else "")]
    if last is not None:
        tops = f", best {words.number(best[0])} at step {best[1]:,}" if best is not None else ""
        found.append(("evaluation", f"{words.number(last)}{tops}"))
    found += [(figures.word(key), words.number(facts.metrics[key], ".3g"))
              for key in figures.telling(facts.stage, facts.metrics) if key != name]  # fmt: skip
    if facts.tokens:
        found.append(("tokens", f"{facts.tokens:,}"))
    if facts.speed:
        found.append(("speed", f"{facts.speed:,.0f} tok/s"))
    if facts.memory:
        found.append(("memory", words.size(facts.memory)))
    return found


def lasted(entry: Entry, form: Callable[[float], str]) -> str:
    """Return how long the attempts of a run took, and how much of that was training; nothing until all is read."""
    facts = entry.facts
    if not facts.first or entry.lasted is None:
        return ""
    parts = [form(entry.lasted) + (f" in {facts.attempts} attempts" if facts.attempts > 1 else "")]
    parts += [f"{form(facts.seconds)} of it training"] if facts.seconds else []
    return ", ".join(parts)


def checkpoints(run: RunDir, last: int) -> list[Checkpoint]:
    """Return a run's checkpoints and its result, looked at by names and sizes; of an imported one where they lie.

    last: the step that an imported run came to, which its result does not tell.
    """
    if (source := Imported.of(run)) is not None:
        return _left_there(source, last)
    found = [(int(path.name.rpartition("-")[2]), path) for path in run.checkpoints]
    rows = []
    for step, path in found:
        verdict = manifest.checkpoint_verdict(path, deep=False)
        rows.append(Checkpoint(path.name, step, size_of(path), "" if verdict.valid else verdict.reason))
    if run.final.is_dir():
        verdict = manifest.verify(run.final, deep=False)
        step = manifest.read(run.final).step if verdict.valid else 0
        rows.append(Checkpoint(run.final.name, step, size_of(run.final), "" if verdict.valid else verdict.reason))
    return rows


def _left_there(source: Imported, last: int) -> list[Checkpoint]:
    """Return the checkpoints and the result of another trainer."""
    found = [(int(path.name.rpartition("-")[2]), path) for path in source.checkpoints]
    rows = [
        Checkpoint(path.name, step, size_of(path), "" if has_weights(path) else "no safetensors weights")
        for step, path in found
    ]
    if source.final is not None:
        size = sum(path.stat().st_size for path in source.final.iterdir() if path.is_file())
        rows.append(Checkpoint("final", last, size))
    return rows


def _said(each: Checkpoint) -> str:
    trouble = f", cannot be used: {each.trouble}" if each.trouble else ""
    return f"{each.name}, {words.size(each.size)}{trouble}"


def evaluated(run: RunDir) -> list[Evaluated]:
    """Return a run's evaluations, the newest first; one that cannot be read is said to be so."""
    found = []
    for path in evaluations.evaluations_of(run):
        try:
            each = evaluations.read(path)
        except RunError as error:
            found.append(Evaluated(path.name, str(path), path.name, 0.0, error.message))
        else:
            found.append(Evaluated(each.id, str(path), each.name, each.created, headline(each)))
    return found


def headline(found: Evaluation) -> str:
    """Return the first figures of an evaluation: of its subject, and of what it is compared with."""
    said = [text for metric in found.metrics if (text := _figure(found, metric))][:_HEADLINES]
    learnt = bool(said) and found.data is not None and found.data.kind == "trained_on"
    if found.status != "done" or not said:
        said.append(found.status)
    return ", ".join(said) + ("; on rows that it was trained on" if learnt else "")


def _figure(found: Evaluation, metric: Metric) -> str:
    own = next((model.key for model in found.models if model.role != "base" and model.key in metric.values), None)
    if own is None:
        return ""
    value = f"{words.number(metric.values[own].value, '.4g')}{f' {metric.unit}' if metric.unit else ''}"
    base = next((model.key for model in found.models if model.role == "base" and model.key in metric.values), None)
    than = f" (base {words.number(metric.values[base].value, '.4g')})" if base is not None else ""
    return f"{metric.title} {value}{than}"
