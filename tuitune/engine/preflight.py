"""What a recipe names and is not there: model, data, template, adapters, layers, rewards. Imports no torch."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path

from tuitune.data.sources import must_exist
from tuitune.data.templates import KNOWN_ELSEWHERE, NAMES
from tuitune.data.templates.table import TEMPLATES
from tuitune.data.templates.tools import tool_format
from tuitune.engine.trackers.names import how_to_install, installed, wanted
from tuitune.errors import DataError, ModelError, UsageError
from tuitune.fit.misfits import misfits
from tuitune.fit.models import resolve
from tuitune.fit.sizes import shape_of
from tuitune.methods.adapters import adapter_folder
from tuitune.recipe import Problem, Recipe
from tuitune.recipe.fields.online import ONLINE
from tuitune.recipe.rewards import weights_of
from tuitune.stages.online.rewards.own import names_in


def preflight(recipe: Recipe) -> list[Problem]:
    """Return a problem for everything that the run would not find; some are warnings only."""
    near = [recipe.source.parent] if recipe.source else []
    problems: list[Problem] = []
    try:
        source = resolve(
            recipe.model_name_or_path, search=near, revision=recipe.model_revision, cache_dir=recipe.cache_dir
        )
        problems += misfits(recipe, shape_of(source))
    except ModelError as error:
        problems.append(Problem("model_name_or_path", recipe.model_name_or_path, error.message, error.hint))
    for key in ("dataset", "eval_dataset"):
        for name in getattr(recipe, key):
            problems += _tried(key, name, lambda name: must_exist(name, recipe))
    for key in ("adapter_name_or_path", "ref_model_adapters"):
        for name in getattr(recipe, key):
            problems += _tried(key, name, lambda name: adapter_folder(recipe, name))
    if recipe.ref_model is not None:
        problems += _tried(
            "ref_model", recipe.ref_model, lambda name: resolve(name, search=near, cache_dir=recipe.cache_dir)
        )
    if recipe.reward_model is not None and recipe.stage in ONLINE and recipe.reward_model_type == "lora":
        problems += _tried("reward_model", recipe.reward_model, lambda name: adapter_folder(recipe, name))
    return problems + _template(recipe.template) + _style(recipe) + _rewards(recipe, near) + _trackers(recipe)


def _tried(key: str, value: str, look: Callable[[str], object]) -> list[Problem]:
    try:
        look(value)
    except (DataError, ModelError) as error:
        return [Problem(key, value, error.message, error.hint)]
    return []


def _trackers(recipe: Recipe) -> list[Problem]:
    """Return a problem for every tracker whose package is not there."""
    absent = [name for name in wanted(recipe) if not installed(name)]
    keys = {name: "report_to" if name in recipe.report_to else "use_swanlab" for name in absent}
    problems = [Problem(keys[name], name, f"{name} is not installed", how_to_install(name)) for name in absent]
    if "swanlab" in wanted(recipe) and recipe.swanlab_mode == "local" and not absent and not installed("swanboard"):
        words = "`swanlab watch`, which shows what is kept here, needs a package more"
        hint = "pip install 'swanlab[dashboard]'"
        problems.append(Problem("swanlab_mode", "local", words, hint, level="warning"))
    return problems


def _rewards(recipe: Recipe, near: Sequence[Path]) -> list[Problem]:
    """Return what is wrong with the user's file of rewards, as far as that can be seen without running it."""
    if not recipe.reward_file or recipe.stage not in ONLINE:
        return []
    path = Path(recipe.reward_file).expanduser()
    path = next((place for folder in near if (place := folder / path).is_file() and not path.is_file()), path)
    try:
        count = len(names_in(path)) + len(recipe.reward_functions) + bool(recipe.reward_model)
    except UsageError as error:
        return [Problem("reward_file", recipe.reward_file, error.message, error.hint)]
    weights = weights_of(recipe.reward_weights)
    if weights and len(weights) != count:
        words = f"has {len(weights)} weights for {count} rewards, those of reward_file among them"
        return [Problem("reward_weights", recipe.reward_weights, words, "write one for each", level="warning")]
    return []


def _template(name: str | None) -> list[Problem]:
    if name is None or name in NAMES:
        return []
    if name in KNOWN_ELSEWHERE:
        hint = "leave template out: the tokenizer's own chat template is used then"
        return [Problem("template", name, f"{name} is one of LLaMA-Factory's that is not built in", hint)]
    close = difflib.get_close_matches(name, NAMES, n=1)
    hint = f"did you mean {close[0]}?" if close else "it is one of LLaMA-Factory's names, or unset: the tokenizer's own"
    return [Problem("template", name, f"there is no template {name}", hint)]


def _style(recipe: Recipe) -> list[Problem]:
    """Return what the template cannot do that is asked of it."""
    problems: list[Problem] = []
    if recipe.tool_format is not None:
        problems += _tried("tool_format", recipe.tool_format, tool_format)
    template = TEMPLATES.get(recipe.template or "")
    if recipe.train_on_prompt and template is not None and template.late:
        words = (
            f"template {template.name} ends answers late (efficient_eos of LLaMA-Factory), so prompts cannot be learnt"
        )
        problems.append(Problem("train_on_prompt", True, words, "remove it, or use another template"))
    return problems
