"""From the words of `tuitune evaluate` to a request: whose weights, whose rows, which recipe, what to go on with."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Set
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.errors import UsageError
from tuitune.face.going_on import resumed
from tuitune.face.meant import of_name
from tuitune.face.subject import RECIPES, Subject, Words, absolute, as_asked, base_before, root_of, subject_of
from tuitune.run.directory import slug
from tuitune.run.packing import record

if TYPE_CHECKING:
    from tuitune.evaluate.request import Named, Request

Note = Callable[[str], None]


def request_of(words: Words, note: Note, *, resume: bool = False) -> Request:
    """Return the request. Raises UsageError, RecipeError, ModelError or RunError in words.

    resume: go on with an evaluation of this subject that was interrupted, as it was asked for then; `words.name` says
    which, else the newest.
    """
    from tuitune.evaluate.request import Request

    words, folder = resumed(words, note) if resume else (absolute(words), None)
    subject = subject_of(words.what, words.settings, model=words.model)
    for text in subject.notes:
        note(text)
    recipe = subject.recipe
    models = _models(words, subject, note)
    return Request(
        words.what, recipe, models, root_of(subject), run=subject.run, data=words.data, rows=words.rows,
        held_out=words.data is not None or not recipe.task, metrics=tuple(map(Path, words.metrics)),
        sample=words.sample, answers=words.answers, name=words.name or (recipe.task or "" if not words.data else ""),
        asked=record(words), resume=folder,
    )  # fmt: skip


def _models(words: Words, subject: Subject, note: Note) -> list[Named]:
    from tuitune.evaluate.request import Named

    own, recipe, run = subject.weights, subject.recipe, subject.run
    trained = run is not None or bool(own.adapters)
    alone = "tuned" if trained else "model"
    found = [Named(_own_key(words.what) if words.others else alone, "tuned", own)]
    if words.base and trained:
        base = base_before(subject)
        if recipe.stage == "rm":
            note("the base is not measured: without the value head of the training it scores nothing")
        elif base is not None:
            found.append(Named("base", "base", base))
    for other in words.others:
        key = _key(other, {each.key for each in found})
        found.append(Named(key, "other", as_asked(of_name(other), recipe) if run is None else of_name(other)))
    twice = [each for number, each in enumerate(found) if _place(each) in map(_place, found[:number])]
    if twice:
        raise UsageError(f"{twice[0].weights.title} would be measured twice", "name each model once")
    return found


def _own_key(what: str) -> str:
    """Return the subject's short name beside others: its own, for one of them may be called `tuned`."""
    path = Path(what)
    return _key(str(path.with_suffix("")) if path.suffix.lower() in RECIPES else what, {"base"})


def _key(word: str, taken: Set[str]) -> str:
    """Return a short name for another model: that of its run or folder."""
    path = Path(word)
    stem = slug(path.parent.name if path.name == "final" else path.name)[:20].strip("-.") or "other"
    numbered = (stem if number == 1 else f"{stem}-{number}" for number in itertools.count(1))
    return next(key for key in numbered if key not in taken)


def _place(named: Named) -> tuple[str, tuple[Path, ...], str | None]:
    return named.weights.model, named.weights.adapters, named.weights.template
