"""From the words of `tuitune serve` to what shall be served: models by name, and the settings of the engine."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tuitune.chat import weights
from tuitune.chat.weights import Weights
from tuitune.errors import RunError, UsageError
from tuitune.face.meant import of_name, of_recipe
from tuitune.models.shaping import Shaping
from tuitune.recipe import FIELDS, Document, Recipe
from tuitune.recipe.fields.generation import GenerationOptions
from tuitune.run import RunDir, index

_RECIPES = (".yaml", ".yml", ".json")
_NAMED = re.compile(r"(?P<name>[A-Za-z0-9][\w./:@-]{0,99})=(?P<what>.+)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9][\w./:@+-]{0,99}")
# By the recipe's keys: what may be said otherwise than the weights say themselves.
_SPOKEN = {
    "template": "template", "default_system": "system", "model_revision": "revision", "cache_dir": "cache_dir",
    "trust_remote_code": "trust_remote_code", "split_special_tokens": "split_special_tokens", "device": "device",
    "threads": "threads", "infer_dtype": "dtype",
}  # fmt: skip
_STYLE = ("tool_format", "enable_thinking", "preserve_thinking")


@dataclass(frozen=True)
class Wanted:
    """Models by the names under which clients ask for them, and the recipe with the engine's settings."""

    models: tuple[tuple[str, Weights], ...]
    recipe: Recipe


def wanted_of(words: Sequence[str], names: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> Wanted:
    """Return what the words of the command mean.

    words: a recipe's file, or WHAT and NAME=WHAT, each a run, folder, adapter or model; and KEY=VALUE of the recipe.
    names: for the models without one, in order. Raises UsageError, RecipeError, ModelError or RunError.
    """
    environ = os.environ if environ is None else environ
    settings = [word for word in words if _is_setting(word)]
    whats = [word for word in words if word not in settings]
    if not whats:
        raise UsageError("there is nothing to serve", "name runs or models: tuitune serve RUN [NAME=OTHER]...")
    names = list(names) or [name for name in (environ.get("API_MODEL_NAME", "").strip(),) if name and len(whats) == 1]
    if _is_recipe(whats[0]):
        return _from_recipe(whats, names, settings)
    return _from_words(whats, names, settings)


def is_name(text: str) -> bool:
    """Tell whether clients can ask for a model by this name."""
    return _NAME.fullmatch(text) is not None


def _is_setting(word: str) -> bool:
    return word.partition("=")[0] in FIELDS and "=" in word


def _is_recipe(word: str) -> bool:
    return Path(word).suffix.lower() in _RECIPES and Path(word).expanduser().is_file()


def _from_recipe(whats: Sequence[str], names: Sequence[str], settings: Sequence[str]) -> Wanted:
    if len(whats) > 1:
        raise UsageError(
            f"{whats[0]} is a recipe, which names its model itself", "serve runs and models by their names"
        )
    recipe = _read(Document.read(Path(whats[0]).expanduser()), settings)
    found = _spoken(_in_use(recipe), recipe)
    return Wanted(_checked([(names[0] if names else _called(found), found)], names), recipe)


def _from_words(whats: Sequence[str], names: Sequence[str], settings: Sequence[str]) -> Wanted:
    left = list(names)
    models: list[tuple[str, Weights]] = []
    for what in whats:
        given = _NAMED.fullmatch(what)
        word = given["what"] if given and not Path(what).exists() else what
        found = of_name(word)
        name = given["name"] if word != what and given else left.pop(0) if left else _of_word(word, found)
        models.append((name, found))
    if left:
        raise UsageError(f"--name {left[0]} belongs to no model", "one --name for each model without NAME= before it")
    document = Document.parse("")
    document.set("model_name_or_path", models[0][1].model)
    recipe = _read(document, settings)
    said = frozenset(setting.partition("=")[0] for setting in settings)
    return Wanted(_checked([(name, _spoken(found, recipe, said)) for name, found in models]), recipe)


def _checked(models: Sequence[tuple[str, Weights]], names: Sequence[str] = ()) -> tuple[tuple[str, Weights], ...]:
    if len(names) > len(models):
        raise UsageError(f"--name {names[len(models)]} belongs to no model", "one --name for each model")
    seen: set[str] = set()
    for name, _ in models:
        if not is_name(name):
            raise UsageError(f"{name!r:.100} is no name for a model", "letters, digits and . _ - / : @ +, at most 100")
        if name in seen:
            raise UsageError(f"two models are called {name}", f"give one another name: NAME={name}")
        seen.add(name)
    return tuple(models)


def _of_word(word: str, found: Weights) -> str:
    path = Path(word).expanduser()
    if path.is_dir() and RunDir(path).is_run():
        return _plain(path.absolute().name)
    try:
        return _plain(index.find(word).name)
    except (RunError, OSError, ValueError):
        return _plain(path.absolute().name) if path.exists() else _plain(word)


def _called(found: Weights) -> str:
    return _plain(Path(found.model).name if Path(found.model).exists() else found.model)


def _plain(name: str) -> str:
    """Return a name without what could not be one."""
    return re.sub(r"[^\w./:@+-]+", "-", name).strip("-./:@+")[:100] or "model"


def _read(document: Document, settings: Sequence[str]) -> Recipe:
    return document.overridden(settings, "serve", unnamed="the command line")


def _in_use(recipe: Recipe) -> Weights:
    """Return the weights that a recipe names for use: its model with its adapters."""
    found = of_recipe(recipe)
    place = Path(found.model)
    if not recipe.adapter_name_or_path:
        in_run = place.is_dir() and weights.run_of(place) is not None
        return of_name(found.model) if in_run else found
    folders = tuple(weights.adapter_folder(recipe.locate(name)) for name in recipe.adapter_name_or_path)
    title = f"{found.model} with {', '.join(path.name for path in folders)}"
    return replace(found, adapters=folders, title=title, shaping=Shaping.beside(folders[-1]))


def _spoken(found: Weights, recipe: Recipe, said: frozenset[str] | None = None) -> Weights:
    """Return the weights with what was said of how they answer; said: only these keys, else all that were asked."""
    from tuitune.data.templates.base import Style

    said = recipe.asked if said is None else said
    changes: dict[str, object] = {ours: getattr(recipe, key) for key, ours in _SPOKEN.items() if key in said}
    if style := {key: getattr(recipe, key) for key in _STYLE if key in said}:
        changes["style"] = replace(found.style or Style(), **style)
    options = {key: getattr(recipe, key) for key in GenerationOptions.model_fields if key in said}
    if options:
        changes["options"] = {**found.options, **options}
    return replace(found, **changes)  # type: ignore[arg-type]
