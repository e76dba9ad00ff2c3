"""Which weights are meant: by a recipe, by names, and whether some hold others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tuitune.chat import weights
from tuitune.chat.weights import Weights
from tuitune.engine.asked import MODELS, asked, is_place
from tuitune.errors import RunError, UsageError
from tuitune.fit import embedded
from tuitune.recipe import Recipe
from tuitune.run import RunDir, imported, index
from tuitune.run.directory import CHECKPOINT
from tuitune.run.imported import Imported


def of_name(name: str, *, model: str | None = None) -> Weights:
    """Return what one word means: a run, a folder of a run, an adapter, or a model's name, folder or GGUF file.

    A run gives its newest weights. model: the model of an adapter, where it is not the one that it names. Raises
    UsageError, ModelError or RunError.
    """
    path = Path(name).expanduser()
    if path.is_dir() and not RunDir(path).is_run():
        return _on(model, _of_folder(path.absolute()))
    inside = inside_run(name)
    if inside is not None:
        run, folder = inside
        return _on(model, weights.of_run(run, asked(run)[0], folder))
    try:
        run = index.find(name)
    except RunError as error:
        if _may_be_model(name, path) and model is None:
            return weights.of_model(name)
        raise UsageError(error.message, error.hint) from error
    weights.newest(run)  # where there are none this is said, and not what an imported recipe lacks
    return _on(model, weights.of_run(run, asked(run)[0]))


def inside_run(name: str) -> tuple[RunDir, Path] | None:
    """Return the run and the folder that RUN/final or RUN/checkpoint-N means, as lists show them; None for other words.

    Raises UsageError where the run is there and the folder is not.
    """
    called, _, folder = name.partition("/")
    if not (folder == "final" or CHECKPOINT.fullmatch(folder)):
        return None
    run = next((each for each in index.all_runs() if each.name == called), None)
    if run is None:
        return None
    found = imported.inside(run, folder)
    if found is None:
        there = ", ".join(f"{called}/{each}" for each in _names_in(run))
        raise UsageError(f"{called} has no {folder}", f"it has {there}" if there else "it has no weights yet")
    return run, found


def _names_in(run: RunDir) -> list[str]:
    source = Imported.of(run)
    paths = [*(run.checkpoints if source is None else source.checkpoints), run.final]
    return [path.name for path in paths if imported.inside(run, path.name) is not None]


def _on(model: str | None, found: Weights) -> Weights:
    return found if model is None else replace(found, model=model)


def _of_folder(path: Path) -> Weights:
    trained = weights.run_of(path)
    if trained is not None:
        return weights.of_run(trained, asked(trained)[0], path)
    if (path / "adapter_config.json").is_file() or (path / "final" / "adapter_config.json").is_file():
        return of_names(None, path)
    return weights.of_model(str(path))


def _may_be_model(name: str, path: Path) -> bool:
    is_file = path.suffix.lower() == ".gguf" and path.is_file()
    hub = name.count("/") == 1 and not name.startswith((".", "/", "~"))
    return name == embedded.NAME or is_file or hub


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


def base_of(wanted: Weights) -> Weights:
    """Return the model that `wanted` was trained from: without its last adapter. Raises UsageError if it has none."""
    trained = None if wanted.adapters else weights.run_of(Path(wanted.model))
    if trained is not None:  # its run knows what a whole model was trained from
        before = of_recipe(asked(trained)[0])
        return replace(before, title=f"{before.title}, before training")
    if not wanted.adapters:
        raise UsageError(f"{wanted.title} is a whole model: what it was trained from is not in it", "name the base too")
    return replace(wanted, adapters=wanted.adapters[:-1], title=f"{wanted.model}, before training")


def of_names(model: str | None, adapter: Path | None) -> Weights:
    """Return a model, with an adapter if one is named; what a run has trained is asked as it was trained."""
    if adapter is None:
        return weights.of_model(model or embedded.NAME)
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
