"""From the words of `tuitune export` to what shall be written: a run, an adapter, a model or a recipe, and settings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tuitune.chat import weights
from tuitune.chat.weights import Weights
from tuitune.engine.asked import asked
from tuitune.errors import RunError, UsageError
from tuitune.export.order import Order
from tuitune.face.meant import of_name, of_names, of_recipe
from tuitune.methods.adapters import adapter_folder
from tuitune.recipe import Document, Recipe
from tuitune.run import index

_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
_RECIPES = (".yaml", ".yml", ".json")
# What the run says of its data and its chats counts for texts to calibrate on.
_OF_RUN = ("dataset_dir", "name", "author", "media_dir")
# By the recipe's keys: what may be said otherwise than the run did.
_SPOKEN = {"template": "template", "default_system": "system", "model_revision": "revision", "cache_dir": "cache_dir",
           "trust_remote_code": "trust_remote_code"}  # fmt: skip


def is_recipe(what: str) -> bool:
    """Tell whether the first word is a recipe file."""
    return Path(what).suffix.lower() in _RECIPES and Path(what).expanduser().is_file()


def split(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return OUT, if it is among the words, and the settings. Raises UsageError for two of the former."""
    settings = [word for word in words if _SETTING.fullmatch(word)]
    others = [word for word in words if not _SETTING.fullmatch(word)]
    if len(others) > 1:
        raise UsageError(f"{others[1]!r:.100} is neither OUT, which is {others[0]!r:.100}, nor key=value",
                         "name further adapters with --with")  # fmt: skip
    return (others[0] if others else None), settings


def order_of(
    what: str, out: str | None, settings: Sequence[str] = (), *, model: str | None = None, more: Sequence[str] = ()
) -> Order:
    """Return the order for a run, checkpoint, adapter, model or recipe.

    model: the model of an adapter where it is not the one that it names; more: further adapters to merge, by run or
    folder. Raises UsageError, RecipeError, ModelError or RunError.
    """
    if is_recipe(what):
        if more or model is not None:
            raise UsageError("--with and --model go with a name", "a recipe has adapter_name_or_path and "
                             "model_name_or_path")  # fmt: skip
        recipe = _read(Document.read(Path(what).expanduser()), settings)
        found, chained = _of_recipe(recipe)
    else:
        found, chained, recipe = _of_name(what, settings, model, more)
    place = out or recipe.export_dir
    if place is None:
        raise UsageError("no folder is named to write to", "tuitune export WHAT OUT; in a recipe it is export_dir")
    order = Order.of(found, Path(place).expanduser().absolute(), recipe)
    return replace(order, chained=chained, subject=_subject(what))


def _of_name(
    what: str, settings: Sequence[str], model: str | None, more: Sequence[str]
) -> tuple[Weights, bool, Recipe]:
    found = of_name(what, model=model)
    chained = len(found.adapters) > 1
    if more:
        found, also = _with(found, [_adapter(name) for name in more])
        chained = chained or also
    recipe = _read(_document(found), settings)
    if recipe.adapter_name_or_path != tuple(map(str, found.adapters)):
        found, chained = _with(replace(found, adapters=()), _folders(recipe))
    return _spoken(found, recipe, settings), chained, recipe


def _subject(what: str) -> str:
    path = Path(what).expanduser()
    return str(path.absolute()) if path.exists() else what


def _document(found: Weights) -> Document:
    """Return a recipe in which the weights stand, and what their run says of its data."""
    document = Document.parse("", None)
    document.set("model_name_or_path", found.model)
    if found.adapters:
        document.set("adapter_name_or_path", [str(path) for path in found.adapters])
    place = found.adapters[-1] if found.adapters else Path(found.model)
    run = weights.run_of(place) if place.is_dir() else None
    if run is not None:
        recipe, _ = asked(run)
        for key in _OF_RUN:
            if key in recipe.asked:
                document.set(key, getattr(recipe, key))
    return document


def _read(document: Document, settings: Sequence[str]) -> Recipe:
    return document.overridden(settings, "export", unnamed="the command line")


def _of_recipe(recipe: Recipe) -> tuple[Weights, bool]:
    plain = of_recipe(recipe)
    folders = _folders(recipe)
    if not folders:
        return _spoken(of_name(recipe.model_name_or_path), recipe) if _in_run(plain.model) else plain, False
    return _with(plain, folders)


def _in_run(model: str) -> bool:
    path = Path(model)
    return path.is_dir() and weights.run_of(path) is not None


def _folders(recipe: Recipe) -> list[Path]:
    return [adapter_folder(recipe, name).absolute() for name in recipe.adapter_name_or_path]


def _with(found: Weights, folders: Sequence[Path]) -> tuple[Weights, bool]:
    """Return the weights with further adapters, each after those that it was trained on; and whether any was."""
    adapters, chained, shaping, title = list(found.adapters), False, found.shaping, found.title
    for folder in folders:
        own = of_names(found.model, folder)
        chained = chained or len(own.adapters) > 1
        adapters += [path for path in own.adapters if path not in adapters]
        shaping = shaping or own.shaping
        title = (
            own.title if not found.adapters and len(folders) == 1 else f"{found.model} with {len(adapters)} adapters"
        )
        found = found if found.template is not None else replace(found, template=own.template, system=own.system,
                                                                 style=own.style)  # fmt: skip
    return replace(found, adapters=tuple(adapters), shaping=shaping, title=title), chained


def _adapter(name: str) -> Path:
    """Return the folder of an adapter that is named by its folder or its run. Raises UsageError, ModelError."""
    path = Path(name).expanduser()
    if path.is_dir():
        return weights.adapter_folder(path)
    try:
        run = index.find(name)
    except RunError as error:
        raise UsageError(error.message, error.hint) from error
    return weights.adapter_folder(weights.newest(run))


def _spoken(found: Weights, recipe: Recipe, settings: Sequence[str] | None = None) -> Weights:
    """Return the weights with what was said of how they speak; settings: only what these words say counts."""
    said = recipe.asked if settings is None else {setting.partition("=")[0] for setting in settings}
    return replace(found, **{ours: getattr(recipe, key) for key, ours in _SPOKEN.items() if key in said})
