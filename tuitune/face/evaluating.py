"""From the words of `tuitune evaluate` to a request: whose weights, whose rows, which recipe, what to go on with."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.chat import weights
from tuitune.chat.weights import Weights
from tuitune.engine.asked import settled
from tuitune.errors import RecipeError, RunError, UsageError
from tuitune.face.asking import fix_places
from tuitune.face.meant import base_of, inside_run, of_name, of_recipe
from tuitune.models.shaping import Shaping
from tuitune.recipe import FIELDS, Document, Problem, Recipe
from tuitune.run import RunDir, index
from tuitune.run.directory import slug
from tuitune.run.evaluations import FOLDER, evaluations_in, read, root_of
from tuitune.run.packing import record, restore

if TYPE_CHECKING:
    from tuitune.evaluate.request import Named, Request

_RECIPES = (".yaml", ".yml", ".json")
_OF_WEIGHTS = ("template", "device", "threads", "trust_remote_code", "split_special_tokens")
_ITSELF = ("do_predict", "do_eval")  # of LLaMA-Factory's recipes: what this command is
_OF_TRAINING = (
    "lora", "oft", "freeze", "adapter", "loss", "optimizer", "galore", "apollo", "badam", "muon", "schedule",
    "precision", "logging", "trackers", "saving", "evaluation",
)  # fmt: skip
Note = Callable[[str], None]


@dataclass(frozen=True)
class Words:
    """What was asked for, as plain values, so that it can be asked for again."""

    what: str
    settings: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    base: bool = True
    data: str | None = None
    rows: int | None = None
    metrics: tuple[str, ...] = ()
    sample: bool = False
    answers: bool = True
    name: str = ""
    model: str | None = None


@dataclass(frozen=True)
class Subject:
    """What `what` means: weights, the recipe with the settings in it, and the run that they are of, if one."""

    weights: Weights
    recipe: Recipe
    run: RunDir | None = None
    notes: Sequence[str] = field(default_factory=tuple)


def request_of(words: Words, note: Note, *, resume: bool = False) -> Request:
    """Return the request. Raises UsageError, RecipeError, ModelError or RunError in words.

    resume: go on with the newest evaluation of this subject that was interrupted, as it was asked for then.
    """
    from tuitune.evaluate.request import Request

    words, subject, folder = _resumed(words) if resume else (_absolute(words), None, None)
    subject = subject or subject_of(words.what, words.settings, model=words.model)
    for text in subject.notes:
        note(text)
    recipe = subject.recipe
    models = _models(words, subject, note)
    return Request(
        words.what, recipe, models, _root(subject), run=subject.run, data=words.data, rows=words.rows,
        held_out=words.data is not None or not recipe.task, metrics=tuple(map(Path, words.metrics)),
        sample=words.sample, answers=words.answers, name=words.name or (recipe.task or "" if not words.data else ""),
        asked=record(words), resume=folder,
    )  # fmt: skip


def _root(subject: Subject) -> Path:
    given, output = subject.recipe.save_dir, subject.recipe.output_dir
    if given is None and subject.run is None and output is not None:
        given = f"{output}/{FOLDER}"
    return root_of(subject.run, None if given is None else Path(given).expanduser().absolute())


def _resumed(words: Words) -> tuple[Words, Subject | None, Path]:
    root = _root(subject_of(words.what, words.settings, model=words.model))
    for path in evaluations_in(root):
        try:
            found = read(path)
        except RunError:
            continue
        same = found.subject == words.what or _meant(found.subject) == _meant(words.what)
        if found.status == "interrupted" and same:
            return _words(found.asked), None, path
    raise UsageError(f"there is no interrupted evaluation of {words.what} in {root}", "begin one, without --resume")


def _meant(what: str) -> str:
    """Return a subject by its path where it has one: a run may be called by its name, or by a path from elsewhere."""
    path = Path(what).expanduser()
    run, folder = (None, None) if path.exists() else _run_of(what, path)
    place = folder or (run.path if run is not None else path)
    return str(place.resolve()) if place.exists() else what


def _words(values: Mapping[str, object]) -> Words:
    try:
        return restore(Words, values)
    except ValueError as error:
        raise RunError(f"the evaluation does not say what it was asked for: {error}", "begin a new one") from error


def _absolute(words: Words) -> Words:
    """Make relative paths that are there absolute: the run may have been started elsewhere, a resume too."""
    data = words.data
    if data is not None and ("/" in data or Path(data).suffix):
        data = str(Path(data).expanduser().absolute())
    return replace(words, data=data, metrics=tuple(str(Path(path).expanduser().absolute()) for path in words.metrics))


# Who


def subject_of(what: str, settings: Sequence[str] = (), *, model: str | None = None) -> Subject:
    """Return what one word means, with settings on top of its recipe. Raises UsageError, RecipeError or RunError."""
    path = Path(what).expanduser()
    if path.suffix.lower() in _RECIPES and path.is_file():
        recipe = _with(Document.read(path), settings)
        return Subject(_of_recipe(recipe), recipe)
    found = of_name(what, model=model)
    run, folder = _run_of(what, path)
    if run is None:
        recipe = _with(Document.parse(""), [f"model_name_or_path={found.model}", *settings])
        return Subject(_as_asked(found, recipe), recipe)
    recipe, notes = settled(_with(Document.read(run.recipe), settings), run)
    own = weights.of_run(run, recipe, folder)
    return Subject(own if model is None else replace(own, model=model), recipe, run, notes)


def _with(document: Document, settings: Sequence[str]) -> Recipe:
    """Return the recipe with the settings in it. Raises RecipeError, also for settings that change nothing here."""
    for key in _ITSELF:
        document.remove(key)
    for setting in settings:
        document.override(setting)
    fix_places(document, settings)
    own = {setting.partition("=")[0].strip() for setting in settings}
    idle = [
        Problem(key, document.values().get(key), "has no effect on an evaluation: only training reads it")
        for key in sorted(own & FIELDS.keys()) if FIELDS[key].group in _OF_TRAINING
    ]  # fmt: skip
    idle += [replace(each, level="error") for each in document.problems("evaluate")
             if each.key in own and "has no effect here" in each.reason]  # fmt: skip
    if idle:
        raise RecipeError(idle, "the command line")
    try:
        return document.recipe("evaluate")
    except RecipeError as error:
        wrong = {problem.key for problem in error.problems if problem.level == "error"}
        if wrong <= own:
            raise RecipeError(error.problems, "the command line") from error
        raise


def _run_of(what: str, path: Path) -> tuple[RunDir | None, Path | None]:
    """Return the run that is meant, and which of its folders if one is named."""
    if path.is_dir():
        return (RunDir(path), None) if RunDir(path).is_run() else (weights.run_of(path.absolute()), path.absolute())
    if (inside := inside_run(what)) is not None:
        return inside
    try:
        return index.find(what), None
    except RunError:
        return None, None


def _of_recipe(recipe: Recipe) -> Weights:
    """Return the weights that a recipe names for use: its model with its adapters."""
    adapters = tuple(weights.adapter_folder(recipe.locate(name)) for name in recipe.adapter_name_or_path)
    found = _as_asked(of_recipe(recipe), recipe)
    if not adapters:
        return found
    title = f"{found.model} with {', '.join(path.name for path in adapters)}"
    return replace(found, adapters=adapters, title=title, shaping=Shaping.beside(adapters[-1]) or found.shaping)


def _as_asked(found: Weights, recipe: Recipe) -> Weights:
    """Return the weights with what the recipe asks of how they are used."""
    update = {key: getattr(recipe, key) for key in _OF_WEIGHTS if key in recipe.asked}
    if "default_system" in recipe.asked:
        update["system"] = recipe.default_system
    if "infer_dtype" in recipe.asked:
        update["dtype"] = recipe.infer_dtype
    if Shaping.of(recipe):
        update["shaping"] = Shaping.of(recipe)
    return replace(found, **update)


def _models(words: Words, subject: Subject, note: Note) -> list[Named]:
    from tuitune.evaluate.request import Named

    own, recipe, run = subject.weights, subject.recipe, subject.run
    trained = run is not None or bool(own.adapters)
    alone = "tuned" if trained else "model"
    found = [Named(_own_key(words.what) if words.others else alone, "tuned", own)]
    if words.base and trained:
        base = _base(subject)
        if recipe.stage == "rm":
            note("the base is not measured: without the value head of the training it scores nothing")
        elif base is not None:
            found.append(Named("base", "base", base))
    for other in words.others:
        key = _key(other, {each.key for each in found})
        found.append(Named(key, "other", _as_asked(of_name(other), recipe) if run is None else of_name(other)))
    twice = [each for number, each in enumerate(found) if _place(each) in map(_place, found[:number])]
    if twice:
        raise UsageError(f"{twice[0].weights.title} would be measured twice", "name each model once")
    return found


def _own_key(what: str) -> str:
    """Return the subject's short name beside others: its own, for one of them may be called `tuned`."""
    path = Path(what)
    return _key(str(path.with_suffix("")) if path.suffix.lower() in _RECIPES else what, {"base"})


def _key(word: str, taken: Set[str]) -> str:
    """Return a short name for another model: that of its run or folder."""
    path = Path(word)
    stem = slug(path.parent.name if path.name == "final" else path.name)[:20].strip("-.") or "other"
    numbered = (stem if number == 1 else f"{stem}-{number}" for number in itertools.count(1))
    return next(key for key in numbered if key not in taken)


def _place(named: Named) -> tuple[str, tuple[Path, ...], str | None]:
    return named.weights.model, named.weights.adapters, named.weights.template


def _base(subject: Subject) -> Weights | None:
    own, run = subject.weights, subject.run
    if not own.adapters:
        before = of_recipe(subject.recipe)
        return replace(before, title=f"{before.model}, before training") if run is not None else None
    if run is None:  # several adapters of a recipe belong together
        return replace(own, adapters=(), title=f"{own.model}, before training")
    return base_of(own)
