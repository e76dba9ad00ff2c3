"""Which weights are meant: by a recipe, by names, and whether some hold others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tuitune.chat import weights
from tuitune.chat.weights import Weights
from tuitune.engine.asked import MODELS, asked, is_place
from tuitune.recipe import Recipe
from tuitune.run import RunDir


def of_recipe(recipe: Recipe) -> Weights:
    """Return the model of a recipe as it is before training."""
    from tuitune.data.templates.base import Style

    name = recipe.model_name_or_path
    beside = recipe.locate(name) if is_place(MODELS[0], name) else Path(name)
    is_model = (beside / "config.json").is_file() or (beside.suffix.lower() == ".gguf" and beside.is_file())
    return Weights(
        model=str(beside) if is_model else name,
        title=name,
        template=recipe.template,
        system=recipe.default_system,
        style=Style.of(recipe),
        revision=recipe.model_revision,
        cache_dir=recipe.cache_dir,
        device=recipe.device,
        threads=recipe.threads,
        trust_remote_code=recipe.trust_remote_code,
        split_special_tokens=recipe.split_special_tokens,
        options={"skip_special_tokens": recipe.skip_special_tokens},
    )


def of_names(model: str | None, adapter: Path | None) -> Weights:
    """Return a model, with an adapter if one is named; what a run has trained is asked as it was trained."""
    if adapter is None:
        return weights.of_model(model or "")
    folder = weights.adapter_folder(adapter)
    trained = weights.run_of(folder)
    if trained is not None:
        recipe, _ = asked(trained)
        if model in (None, recipe.model_name_or_path):
            return weights.of_run(trained, recipe, folder)
    return weights.of_model(model or weights.base_of(folder), folder)


def has_base(run: RunDir, wanted: Weights) -> bool:
    """Tell whether a run in training can answer as the base: then no second copy is loaded."""
    recipe, _ = asked(run)
    trained = of_recipe(recipe)
    same = (trained.model, trained.revision) == (wanted.model, wanted.revision)
    return same and not recipe.whole and not recipe.adapter_name_or_path


def holds(loaded: Weights, wanted: Weights) -> bool:
    """Tell whether `loaded` is `wanted` once its adapter is switched off; what was merged cannot be."""
    plain = replace(loaded, adapters=(), title="", options={})
    return len(loaded.adapters) <= 1 and plain == replace(wanted, title="", options={})
