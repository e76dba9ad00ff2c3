"""Which weights a conversation needs: a model, adapters on it, and how it was spoken to when it was trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from tuitune.chat.base import Options
from tuitune.errors import ModelError, RunError, UsageError
from tuitune.models.shaping import Shaping
from tuitune.recipe import Recipe
from tuitune.recipe.fields.online import ONLINE
from tuitune.run import RunDir, manifest
from tuitune.run.imported import Imported, holder
from tuitune.run.index import place_of

if TYPE_CHECKING:
    from tuitune.data.templates import Style

_FROM_RECIPE = (
    "max_new_tokens",
    "temperature",
    "top_p",
    "top_k",
    "do_sample",
    "repetition_penalty",
    "skip_special_tokens",
)


@dataclass(frozen=True)
class Weights:
    """A model by name or folder; of `adapters` all but the last are merged into it, the last can be switched off.

    dtype: a number format by torch's name, or "auto": what the device computes best in.
    """

    model: str
    adapters: tuple[Path, ...] = ()
    title: str = ""
    template: str | None = None
    system: str | None = None
    style: Style | None = None
    revision: str | None = None
    cache_dir: str | None = None
    device: str = "auto"
    threads: int | None = None
    trust_remote_code: bool = False
    split_special_tokens: bool = False
    options: Options = field(default_factory=dict)
    shaping: Shaping = field(default_factory=Shaping)
    dtype: str = "auto"


def of_model(model: str, adapter: Path | None = None) -> Weights:
    """Return the weights of a model, with an adapter if one is named."""
    if adapter is None:
        return Weights(model, title=model)
    return Weights(model, (adapter,), title=f"{model} with {adapter.name}", shaping=Shaping.beside(adapter))


def of_run(run: RunDir, recipe: Recipe, folder: Path | None = None) -> Weights:
    """Return the weights in a `folder` of a run, or its newest: the result or a whole checkpoint. Raises RunError."""
    from tuitune.data.templates.base import Style

    folder = folder or newest(run)
    whole = recipe.whole
    earlier = [] if whole else [adapter_folder(recipe.locate(name)) for name in recipe.adapter_name_or_path]
    # What was trained further lies in the new adapter; what was merged before must be merged again.
    merged = earlier if recipe.create_new_adapter else earlier[:-1]
    # Of a stage that learns from its own answers this is their length, and no wish for how long others may be.
    own = [name for name in _FROM_RECIPE if name != "max_new_tokens" or recipe.stage not in ONLINE]
    return Weights(
        model=str(folder) if whole else recipe.model_name_or_path,
        adapters=() if whole else (*merged, folder),
        title=f"{run.name}, {folder.name}",
        template=recipe.template,
        system=recipe.default_system,
        style=Style.of(recipe),
        revision=None if whole else recipe.model_revision,
        cache_dir=recipe.cache_dir,
        device=recipe.device,
        threads=recipe.threads,
        trust_remote_code=recipe.trust_remote_code,
        split_special_tokens=recipe.split_special_tokens,
        options={name: getattr(recipe, name) for name in own},
        shaping=Shaping() if whole else Shaping.of(recipe),
    )


def of_infer(recipe: Recipe) -> Weights:
    """Return the weights that a recipe for inference names, such as LLaMA-Factory's: a model with its adapters.

    Raises UsageError where another engine is to answer, ModelError where an adapter is none.
    """
    from tuitune.data.templates.base import Style

    if recipe.infer_backend != "huggingface":
        raise UsageError(
            f"infer_backend: {recipe.infer_backend} answers as a server, not in this conversation",
            "start it with `tuitune serve` and talk to it with `tuitune chat --server URL`, or leave infer_backend out",
        )
    adapters = tuple(adapter_folder(place_of(name, recipe.locate(name))) for name in recipe.adapter_name_or_path)
    shaping = Shaping.of(recipe)
    here = recipe.locate(recipe.model_name_or_path)
    return Weights(
        model=str(here.absolute()) if (here / "config.json").is_file() else recipe.model_name_or_path,
        adapters=adapters,
        title=" with ".join([recipe.model_name_or_path, *recipe.adapter_name_or_path[-1:]]),
        template=recipe.template,
        system=recipe.default_system,
        style=Style.of(recipe),
        revision=recipe.model_revision,
        cache_dir=recipe.cache_dir,
        device=recipe.device,
        threads=recipe.threads,
        trust_remote_code=recipe.trust_remote_code,
        split_special_tokens=recipe.split_special_tokens,
        options={name: getattr(recipe, name) for name in _FROM_RECIPE},
        shaping=shaping if shaping or not adapters else Shaping.beside(adapters[-1]),
        dtype=recipe.infer_dtype,
    )


def newest(run: RunDir) -> Path:
    """Return `final/` or the newest whole checkpoint, whichever is further; of an imported run where its weights lie.

    Raises RunError if there are none.
    """
    if (imported := Imported.of(run)) is not None:
        return imported.folder(run)
    found: list[tuple[int, Path]] = []
    checkpoint, _ = manifest.newest_valid(run.path, deep=False)
    # The result comes last and wins where both are of one step.
    for path in (checkpoint, run.final):
        if path is not None and manifest.verify(path, deep=False).valid:
            found.append((manifest.read(path).step, path))
    if not found:
        raise RunError(
            f"{run.name} has no weights yet: neither a result nor a whole checkpoint",
            f"train it: tuitune resume {run.name}",
        )
    return max(found, key=lambda pair: (pair[0], pair[1] == run.final))[1]


def adapter_folder(path: Path) -> Path:
    """Return the folder of an adapter: `path`, or its `final/` where it is a run. Raises ModelError."""
    path = path.expanduser()
    for folder in (path / "final", path):
        if (folder / "adapter_config.json").is_file():
            return folder.absolute()
    raise ModelError(
        f"{path} is no adapter: it has no adapter_config.json",
        "name a folder that peft saved, a checkpoint, or a run; a whole model is named with --model",
    )


def base_of(adapter: Path) -> str:
    """Return the model that an adapter says it belongs to. Raises ModelError when it does not say."""
    try:
        name = orjson.loads((adapter / "adapter_config.json").read_bytes()).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{adapter / 'adapter_config.json'} cannot be read: {error}") from error
    if not isinstance(name, str) or not name:
        raise ModelError(f"{adapter} does not say which model it belongs to", "name it with --model")
    return name


def run_of(adapter: Path) -> RunDir | None:
    """Return the run that an adapter lies in, or that was imported with it; None for one of no run."""
    run = RunDir(adapter.absolute().parent)
    return run if run.is_run() else holder(adapter)
