"""Whom `tuitune evaluate` is about: from the words of the command to weights, their recipe and their run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tuitune.chat import weights
from tuitune.chat.weights import Weights
from tuitune.engine.asked import settled
from tuitune.errors import RecipeError, RunError
from tuitune.face.asking import fix_places
from tuitune.face.meant import base_of, inside_run, of_name, of_recipe
from tuitune.models.shaping import Shaping
from tuitune.recipe import FIELDS, Document, Problem, Recipe
from tuitune.run import RunDir, evaluations, index

RECIPES = (".yaml", ".yml", ".json")
_OF_WEIGHTS = ("template", "device", "threads", "trust_remote_code", "split_special_tokens")
_ITSELF = ("do_predict", "do_eval")  # of LLaMA-Factory's recipes: what this command is
_OF_TRAINING = (
    "lora", "oft", "freeze", "adapter", "loss", "optimizer", "galore", "apollo", "badam", "muon", "schedule",
    "precision", "logging", "trackers", "saving", "evaluation",
)  # fmt: skip


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


def absolute(words: Words) -> Words:
    """Make relative paths that are there absolute: the run may have been started elsewhere, a resume too."""
    data = words.data
    if data is not None and ("/" in data or Path(data).suffix):
        data = str(Path(data).expanduser().absolute())
    return replace(words, data=data, metrics=tuple(str(Path(path).expanduser().absolute()) for path in words.metrics))


@dataclass(frozen=True)
class Subject:
    """What `what` means: weights, the recipe with the settings in it, and the run that they are of, if one."""

    weights: Weights
    recipe: Recipe
    run: RunDir | None = None
    notes: Sequence[str] = field(default_factory=tuple)


def root_of(subject: Subject) -> Path:
    """Return the folder that its evaluations are kept in."""
    given, output = subject.recipe.save_dir, subject.recipe.output_dir
    if given is None and subject.run is None and output is not None:
        given = f"{output}/{evaluations.FOLDER}"
    return evaluations.root_of(subject.run, None if given is None else Path(given).expanduser().absolute())


def subject_of(what: str, settings: Sequence[str] = (), *, model: str | None = None) -> Subject:
    """Return what one word means, with settings on top of its recipe. Raises UsageError, RecipeError or RunError."""
    path = Path(what).expanduser()
    if path.suffix.lower() in RECIPES and path.is_file():
        recipe = _with(Document.read(path), settings)
        return Subject(_of_recipe(recipe), recipe)
    found = of_name(what, model=model)
    run, folder = run_of(what, path)
    if run is None:
        recipe = _with(Document.parse(""), [f"model_name_or_path={found.model}", *settings])
        return Subject(as_asked(found, recipe), recipe)
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


def run_of(what: str, path: Path) -> tuple[RunDir | None, Path | None]:
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
    found = as_asked(of_recipe(recipe), recipe)
    if not adapters:
        return found
    title = f"{found.model} with {', '.join(path.name for path in adapters)}"
    return replace(found, adapters=adapters, title=title, shaping=Shaping.beside(adapters[-1]) or found.shaping)


def as_asked(found: Weights, recipe: Recipe) -> Weights:
    """Return the weights with what the recipe asks of how they are used."""
    update = {key: getattr(recipe, key) for key in _OF_WEIGHTS if key in recipe.asked}
    if "default_system" in recipe.asked:
        update["system"] = recipe.default_system
    if "infer_dtype" in recipe.asked:
        update["dtype"] = recipe.infer_dtype
    if Shaping.of(recipe):
        update["shaping"] = Shaping.of(recipe)
    return replace(found, **update)


def base_before(subject: Subject) -> Weights | None:
    """Return what it was before it was trained, None where there was no training."""
    own, run = subject.weights, subject.run
    if not own.adapters:
        before = of_recipe(subject.recipe)
        return replace(before, title=f"{before.model}, before training") if run is not None else None
    if run is None:  # several adapters of a recipe belong together
        return replace(own, adapters=(), title=f"{own.model}, before training")
    return base_of(own)
