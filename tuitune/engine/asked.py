"""The recipe of a run with its relative paths settled: they mean what they meant where the run was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tuitune.fit import embedded
from tuitune.recipe import Recipe, load
from tuitune.recipe.option import Purpose
from tuitune.run.directory import RunDir
from tuitune.run.imported import Imported
from tuitune.run.origin import Origin

FOLDERS = ("dataset_dir", "tokenized_path", "media_dir", "cache_dir", "resume_from_checkpoint", "reward_model")
FILES = ("dataset", "eval_dataset")
SCRIPT = "reward_file"
ADAPTERS = ("adapter_name_or_path", "ref_model_adapters", "reward_model_adapters")
MODELS = ("model_name_or_path", "ref_model")


def asked(run: RunDir) -> tuple[Recipe, list[str]]:
    """Return the recipe of `run`, and a sentence for every path that is not taken from the current directory.

    Raises RecipeError.
    """
    # Of a run that another trainer made, more may be unknown than training allows.
    purpose: Purpose = "train" if Imported.of(run) is None else "evaluate"
    return settled(load(run.recipe, purpose=purpose), run)


def settled(recipe: Recipe, run: RunDir) -> tuple[Recipe, list[str]]:
    """Return a recipe that was read from `run`, perhaps with values of its own, in the same way."""
    origin = Origin.of(run)
    if origin is None:
        return recipe, []
    found = dict(_settled(recipe, origin))
    notes = [
        f"{key}: {_words(value)} is used; relative paths count from where the run was started, then from the "
        "recipe's folder"
        for key, value in found.items()
    ]
    return recipe.model_copy(update=found) if found else recipe, notes


def _settled(recipe: Recipe, origin: Origin) -> Iterator[tuple[str, str | tuple[str, ...]]]:
    for key in (*FOLDERS, SCRIPT, *MODELS):
        value = getattr(recipe, key)
        found = _found(key, value, origin) if isinstance(value, str) else None
        if found is not None:
            yield key, str(found)
    for key in (*FILES, *ADAPTERS):
        names: tuple[str, ...] = getattr(recipe, key)
        moved = tuple(str(_found(key, name, origin) or name) for name in names)
        if moved != names:
            yield key, moved


def _found(key: str, value: str, origin: Origin) -> Path | None:
    """Return where a relative path lies, or None when it is taken as it is."""
    if not is_place(key, value) or value.startswith("~") or Path(value).is_absolute():
        return None
    for folder in origin.folders:
        path = folder / value
        if _is_meant(key, path):
            return None if folder == Path.cwd() else path
    return None


def is_place(key: str, value: str) -> bool:
    """Tell whether the value of a key may be a path at all, rather than a name in a catalog or of a built-in model."""
    if key in FILES:
        return "/" in value or bool(Path(value).suffix)
    return value != embedded.NAME if key in MODELS else key in (*FOLDERS, SCRIPT, *ADAPTERS)


def _is_meant(key: str, path: Path) -> bool:
    # A name on a hub looks like a path, so a folder must hold a model to be one.
    if key in MODELS:
        return (path / "config.json").is_file() or (path.suffix.lower() == ".gguf" and path.is_file())
    if key in FILES:
        return path.exists()  # a folder of files is data, too
    return path.is_file() if key == SCRIPT else path.is_dir()


def _words(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else ", ".join(value)
