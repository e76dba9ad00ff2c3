"""Which trackers a recipe asks for, and which are not installed. Imports none of them."""

from __future__ import annotations

from importlib import metadata

from tuitune.recipe import Recipe
from tuitune.recipe.fields.trackers import ALL, TRACKERS


def wanted(recipe: Recipe) -> tuple[str, ...]:
    """Return the trackers that a recipe asks for; `all` means those that are installed here."""
    asked = tuple(name for name in TRACKERS if installed(name)) if recipe.report_to == (ALL,) else recipe.report_to
    return tuple(dict.fromkeys((*asked, *(("swanlab",) if recipe.use_swanlab else ()))))


def installed(name: str) -> bool:
    """Tell whether a tracker's package is there. A folder of its name, such as ./wandb, is none."""
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def how_to_install(name: str) -> str:
    """Return what to do where a tracker is not installed."""
    return f"pip install {name}, or all of them: pip install 'tuitune[trackers]'; or remove it from report_to"
