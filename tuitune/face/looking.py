"""Prepare the data of a recipe to be looked at, just as a training would, but without a weight of the model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.face.host import prepare_for
from tuitune.fit.models import resolve
from tuitune.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedTokenizerBase

    from tuitune.data.look import Look, Setting
    from tuitune.data.templates import Template

    Progress = Callable[[str, int, int | None], None]
    Check = Callable[[], None]

SAMPLED = 1_000  # rows of each data set that are looked at where the training streams them


def look(recipe: Recipe, *, progress: Progress = lambda stage, done, total: None, check: Check = lambda: None) -> Look:
    """Return the data of `recipe`, prepared. Raises DataError, ModelError, and whatever `check` raises to cancel.

    Imports torch, so it is nothing for a thread that draws.
    """
    prepare_for(recipe.device, recipe.threads)
    from tuitune.data import build
    from tuitune.data.look import Look, Pieces

    notes: list[str] = []
    tokenizer = _tokenizer(recipe, progress, check, notes.append)
    prepared = build(_for_looking(recipe), tokenizer, progress=progress, check=check)
    for note in notes:
        prepared.report.add_note(note)
    progress("count", 0, None)
    return Look(prepared, Pieces(tokenizer), _setting(recipe, prepared.template, tokenizer), check)


def _tokenizer(
    recipe: Recipe, progress: Progress, check: Check, note: Callable[[str], None]
) -> PreTrainedTokenizerBase:
    from tuitune.models.load import load_tokenizer
    from tuitune.models.prepare import prepare

    near = [recipe.source.parent] if recipe.source else []
    source = resolve(recipe.model_name_or_path, search=near, revision=recipe.model_revision, cache_dir=recipe.cache_dir)
    progress("tokenizer", 0, None)
    folder = prepare(
        source, progress=progress, check=check, trust_remote_code=recipe.trust_remote_code, cache_dir=recipe.cache_dir,
        weights=False,
    )  # fmt: skip
    return load_tokenizer(
        folder, trust_remote_code=recipe.trust_remote_code, split_special_tokens=recipe.split_special_tokens, note=note
    )


def _for_looking(recipe: Recipe) -> Recipe:
    """Return the recipe with a sample of the rows where they would be streamed, and without leave to write anywhere.

    A tokenized_path is read, but whether it is written is up to the training: later it would refuse other settings.
    """
    update: dict[str, object] = {"overwrite_cache": False}
    if recipe.streaming:
        update |= {"streaming": False, "max_samples": min(recipe.max_samples or SAMPLED, SAMPLED)}
    if recipe.tokenized_path and (recipe.overwrite_cache or not _holds(recipe.locate(recipe.tokenized_path))):
        update["tokenized_path"] = None
    return recipe.model_copy(update=update)


def _holds(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except OSError:
        return False


def _setting(recipe: Recipe, template: Template, tokenizer: PreTrainedTokenizerBase) -> Setting:
    from tuitune.data.look import Setting
    from tuitune.data.options import KINDS, packs

    stop = [tokenizer.eos_token_id] if recipe.stage == "pt" else template.stop_ids(tokenizer)
    return Setting(
        KINDS[recipe.stage], recipe.cutoff_len, tuple(each for each in stop if each is not None),
        recipe.per_device_train_batch_size, recipe.rows_per_step, recipe.num_train_epochs, recipe.max_steps,
        packs(recipe), recipe.seed, SAMPLED if recipe.streaming else None,
    )  # fmt: skip
