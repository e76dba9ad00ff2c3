"""Which interrupted evaluation `tuitune evaluate --resume` goes on with, and what was asked for when it began."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tuitune.errors import RunError, UsageError
from tuitune.face.subject import Words, absolute, root_of, run_of, subject_of
from tuitune.run.directory import slug
from tuitune.run.evaluation import Evaluation
from tuitune.run.evaluations import evaluations_in, read
from tuitune.run.packing import restore

_OPTIONS = {
    "others": "--with", "base": "--no-base", "data": "--data", "rows": "--rows", "metrics": "--metric",
    "sample": "--sample", "answers": "--no-answers", "model": "--model",
}  # fmt: skip
_NAMED = 3  # evaluations that a sentence names


def resumed(words: Words, note: Callable[[str], None]) -> tuple[Words, Path]:
    """Return what was asked for when it began, with the settings of now on top, and its folder.

    Raises UsageError where there is none, or where something else is asked for now.
    """
    found = _chosen(words, note)
    began = _began(found.asked)
    other = [option for name, option in _OPTIONS.items()
             if getattr(absolute(words), name) not in (getattr(Words(""), name), getattr(began, name))]  # fmt: skip
    if other:
        verb = "is" if len(other) == 1 else "are"
        raise UsageError(
            f"{found.id} cannot be continued: {', '.join(other)} {verb} not what it began with",
            "leave that out, or evaluate anew, without --resume",
        )
    fresh = tuple(each for each in words.settings if each not in began.settings)
    return replace(began, settings=(*began.settings, *fresh)), found.path


def _chosen(words: Words, note: Callable[[str], None]) -> Evaluation:
    root = root_of(subject_of(words.what, words.settings, model=words.model))
    own = _of_subject(words.what, root)
    there = [each for each in own if each.status == "interrupted"]
    called = [each for each in own if words.name and (words.name == each.id or slug(words.name) == each.name)]
    found = [each for each in there if each in called or not words.name]
    if not found:
        raise _none(words, root, called, there)
    if len(found) > 1:
        note(f"also interrupted: {_listed(found[1:])}; --name NAME goes on with one of these")
    return found[0]


def _none(words: Words, root: Path, called: Sequence[Evaluation], there: Sequence[Evaluation]) -> UsageError:
    others = f"name one that was interrupted: {_listed(there)}" if there else "begin one, without --resume"
    if called and called[0].status == "running":
        return UsageError(f"{called[0].id} is still being written by another process", "wait for it, or cancel it")
    if called:
        return UsageError(f"{called[0].id} is done: there is nothing to go on with", others)
    named = f" called {words.name}" if words.name else ""
    return UsageError(f"there is no interrupted evaluation of {words.what}{named} in {root}", others)


def _of_subject(what: str, root: Path) -> list[Evaluation]:
    """Return the evaluations of a subject, the newest first; those that cannot be read are passed over."""
    found, meant = [], _meant(what)
    for path in evaluations_in(root):
        try:
            each = read(path)
        except RunError:
            continue
        if each.subject == what or _meant(each.subject) == meant:
            found.append(each)
    return found


def _listed(found: Sequence[Evaluation]) -> str:
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ", ".join(each.id for each in found[:_NAMED]) + more


def _meant(what: str) -> str:
    """Return a subject by its path where it has one: a run may be called by its name, or by a path from elsewhere."""
    path = Path(what).expanduser()
    run, folder = (None, None) if path.exists() else run_of(what, path)
    place = folder or (run.path if run is not None else path)
    return str(place.resolve()) if place.exists() else what


def _began(values: Mapping[str, object]) -> Words:
    try:
        return restore(Words, values)
    except ValueError as error:
        raise RunError(f"the evaluation does not say what it was asked for: {error}", "begin a new one") from error
