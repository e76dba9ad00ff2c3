"""An output folder of another trainer becomes a run: read only, to be compared, asked and exported."""

from __future__ import annotations

import itertools
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tuitune.errors import RecipeError, RunError, TuiTuneError, UsageError
from tuitune.face.find import plain_name
from tuitune.face.importing import files
from tuitune.face.importing.asked import recipe_text, started_in
from tuitune.face.importing.files import Output
from tuitune.face.importing.story import Story, told
from tuitune.recipe import Document
from tuitune.recipe.problems import named
from tuitune.run import Journal, RunDir, events, index, places
from tuitune.run.files import private_dir, write_atomic
from tuitune.run.imported import Imported
from tuitune.run.origin import Origin
from tuitune.run.trash import size_of

_SAYS_LITTLE = ("output", "outputs", "sft", "dpo", "lora", "full", "results", "saves", "out")
_STILL = 120.0  # seconds since the last line of a log that may still grow


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an output folder: its run, whether that was there before, how many steps, what is to be said."""

    run: RunDir
    source: Path
    steps: int
    new: bool = True
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """An output folder that was not taken in, and why."""

    source: Path
    error: TuiTuneError

    def __str__(self) -> str:
        message = self.error.message
        if isinstance(self.error, RecipeError):
            message += "".join(f": {each}" for each in self.error.problems[:1])
        known = str(self.source) in message or named(self.source) in message
        return f"not imported: {message}" if known else f"not imported: {named(self.source)}: {message}"


def outputs(folder: Path) -> list[Path]:
    """Return the output folders at or below `folder`. Raises UsageError when there is none."""
    folder = folder.expanduser().absolute()
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", "name an output_dir of LLaMA-Factory or of transformers")
    if RunDir(folder).is_run():
        raise UsageError(
            f"{folder} is a run of TuiTune already", "`tuitune runs` lists it once it was trained or named"
        )
    try:
        found = list(files.outputs(folder))
    except OSError as error:
        raise UsageError(f"{folder} cannot be read: {error.strerror}", "look at its permissions") from error
    if not found:
        raise UsageError(
            f"{folder} holds no training log", f"a folder with {files.TRAINER_LOG} or {files.TRAINER_STATE} is meant"
        )
    return found


def take_each(folders: Iterable[Path], *, given: Mapping[str, object] | None = None) -> Iterator[Taken | Refused]:
    """Make a run of each output folder; a broken one keeps none of the others out."""
    for folder in folders:
        try:
            yield take_in(folder, given=given)
        except TuiTuneError as error:
            yield Refused(folder, error)


def take_in(folder: Path, *, name: str | None = None, given: Mapping[str, object] | None = None) -> Taken:
    """Make a run of one output folder, or return the one that was made of it.

    given: values of the recipe that its files do not tell. Raises TuiTuneError, also where the run that was made
    before has another name or other values; then nothing is left behind.
    """
    try:
        return _taken(Output(folder.expanduser().absolute()), name, given or {})
    except OSError as error:
        raise RunError(f"{folder} cannot be read: {error.strerror}", "look at its permissions") from error


def _taken(output: Output, name: str | None, given: Mapping[str, object]) -> Taken:
    log = _log_sign(output)
    before = _made_before(output.path)
    if before is not None:
        run, earlier = before
        _refuse_other(run, output, name, given)
        grown = earlier.log != log
        note = f"its log has grown since: delete {run.name} and import it again" if grown else ""
        return Taken(run, output.path, 0, new=False, notes=(note,) if note else ())
    story = told(output)
    if not story.events:
        raise UsageError(f"{output.path} holds no logged step", "nothing was trained there, or its log was lost")
    text, refused = recipe_text(output, given)
    notes = [*story.notes]
    if refused:
        notes.append(f"not run here, kept as comments of the recipe: {', '.join(refused)}")
    return _written(output, story, text, notes, name, log)


def _made_before(source: Path) -> tuple[RunDir, Imported] | None:
    real = os.path.realpath(source)
    for run in index.all_runs():
        found = Imported.of(run)
        if found is not None and os.path.realpath(found.source) == real:
            return run, found
    return None


def _refuse_other(run: RunDir, output: Output, name: str | None, given: Mapping[str, object]) -> None:
    """Raise UsageError where a second import asks for another name or other values: the run stays as it is."""
    asked = Document.read(run.recipe).values()
    other = [key for key, value in given.items() if asked.get(key) != value]
    if name in (None, run.name) and not other:
        return
    what = " and ".join(
        [f"not called {name}"] * (name not in (None, run.name)) + [f"without this {key}" for key in other]
    )
    raise UsageError(
        f"{output.path} was imported already, as {run.name}, {what}",
        f"to import it anew, first `tuitune runs delete {run.name}`",
    )


def _log_sign(output: Output) -> tuple[int, ...]:
    return tuple(part for path in output.logs for part in (path.stat().st_size, path.stat().st_mtime_ns))


def _written(
    output: Output, story: Story, text: str, notes: list[str], name: str | None, log: tuple[int, ...]
) -> Taken:
    target = places.runs() / (plain_name(name) if name else _free(output.path))
    if os.path.lexists(target):
        raise UsageError(f"there is a run {target.name} already", "choose another name with --run")
    weights = output.weights()
    ended = max(path.stat().st_mtime for path in output.logs)
    if weights is None:
        notes.append("no safetensors weights are there: it can be compared, but neither asked nor exported")
    if time.time() - ended < _STILL:
        notes.append("its log was written moments ago; a training that still goes on is not followed")
    temporary = private_dir(places.home() / f".import-{secrets.token_hex(4)}")
    try:
        run = RunDir.create(temporary, text)
        imported = Imported(
            str(output.path), output.trainer, time.time(), str(weights[0]) if weights else None,
            bool(weights and weights[1]), log, notes,
        )  # fmt: skip
        imported.keep(run)
        _keep_origin(output, run)
        _write_journal(run, target.name, output, story, text, ended, notes)
        temporary.rename(target)
    except OSError as error:
        raise RunError(f"{target} cannot be written: {error.strerror}", "look at the disk") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Taken(RunDir(target), output.path, story.steps, notes=tuple(notes))


def _free(source: Path) -> str:
    """Return a name for the run of an output folder that no run has."""
    stem = _plain(source.name) or "imported"
    if stem.lower() in _SAYS_LITTLE:
        stem = f"{_plain(source.parent.name)}-{stem}".strip("-")
    numbered = (stem if number == 1 else f"{stem}-{number}" for number in itertools.count(1))
    return next(name for name in numbered if not os.path.lexists(places.runs() / name))


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.+-]+", "-", name).strip("-._+")[:80]


def _keep_origin(output: Output, run: RunDir) -> None:
    cwd = started_in(output)
    Origin(str(cwd or output.path), str(output.path)).keep(run)


def _write_journal(
    run: RunDir, name: str, output: Output, story: Story, text: str, ended: float, notes: list[str]
) -> None:
    zero = ended - story.seconds
    results = output.results()
    reason: Literal["finished", "stopped"] = "finished" if _is_finished(output, story, results) else "stopped"
    final = str(weights[0]) if (weights := output.weights()) else None
    first = _first(name, story, text)
    # Checkpoints come from the disk: they go to where their steps are.
    found = sorted((*_opening(story), *story.events, *_saved(output, story)), key=lambda event: event.t)
    with Journal(run.events) as journal:
        for event in found:
            if isinstance(event, events.RunStarted):
                event = replace(first, attempt=event.attempt, step=event.step, t=event.t)
            journal.append(replace(event, t=zero + event.t))
        for note in notes:
            journal.append(events.Noted(note, t=ended))
        journal.append(events.RunFinished(story.steps, story.seconds, reason, final, results, t=ended))
    write_atomic(run.console, f"imported from {output.path}\n".encode())


def _first(name: str, story: Story, text: str) -> events.RunStarted:
    document = Document.parse(text)
    values = document.values()
    try:
        method = document.recipe("evaluate").method_name
    except TuiTuneError:
        method = str(values.get("finetuning_type") or "")
    model, stage = str(values.get("model_name_or_path") or ""), str(values.get("stage") or "sft")
    return events.RunStarted(1, 0, story.total, name, model, stage, method)


def _opening(story: Story) -> Iterator[events.Event]:
    yield events.RunStarted(1, 0, t=0.0)
    yield events.PhaseStarted("train", f"{story.total or story.steps} steps", t=0.0)


def _saved(output: Output, story: Story) -> Iterator[events.Event]:
    """Yield the checkpoints that are there still, at the times of their steps."""
    best = str(output.state().get("best_model_checkpoint") or "").rpartition("/")[2]
    for step, path in output.checkpoints:
        near = [each.t for each in story.events if isinstance(each, events.StepLogged) and each.step <= step]
        yield events.CheckpointSaved(
            step, str(path), size_of(path), best=path.name == best, t=near[-1] if near else story.seconds
        )


def _is_finished(output: Output, story: Story, results: Mapping[str, float]) -> bool:
    # The Trainer writes its results and its state into the folder itself only when it has come to the end.
    whole = story.total is not None and story.steps >= story.total
    return whole or "train_runtime" in results or (output.path / files.TRAINER_STATE).is_file()
