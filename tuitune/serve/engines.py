"""Which engine answers: transformers in this process, or vLLM and SGLang in one of their own."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.chat.loading import Note, Progress, folder_of
from tuitune.chat.weights import Weights
from tuitune.serve.limits import Limits
from tuitune.serve.order import Engine, Served

if TYPE_CHECKING:
    from tuitune.recipe import Recipe
    from tuitune.serve.outside import Command

_PATIENCE = 1800.0  # seconds for a large model to be loaded and compiled
Named = tuple[str, Weights]


def engine_of(models: Sequence[Named], recipe: Recipe, limits: Limits, *, progress: Progress, note: Note) -> Engine:
    """Return the engine that a recipe asks for, with these models. Raises ModelError, DataError or UsageError."""
    if recipe.infer_backend == "huggingface":
        from tuitune.serve.engine import LocalEngine

        return LocalEngine.load(models, limits, progress=progress, note=note)
    return _outside(models, recipe, limits, progress, note)


def check(models: Sequence[Named], recipe: Recipe) -> None:
    """Raise UsageError for what an engine cannot do, before anything is loaded."""
    if recipe.infer_backend != "huggingface":
        from tuitune.serve.outside import refuse_absent, refuse_misfits

        refuse_absent(recipe.infer_backend)
        refuse_misfits(models, recipe.infer_backend)


def _outside(models: Sequence[Named], recipe: Recipe, limits: Limits, progress: Progress, note: Note) -> Engine:
    from tuitune.serve.live import folder as private
    from tuitune.serve.outside import HOST
    from tuitune.serve.process import Outside, free_port
    from tuitune.serve.remote import RemoteEngine

    check(models, recipe)
    folder, port, key = folder_of(models[0][1], progress), free_port(), secrets.token_urlsafe(32)
    command = _command(models, folder, recipe, port, key)
    served = {name: _served(name, weights, folder, command.context, note) for name, weights in models}
    outside = Outside(command, private() / f"{recipe.infer_backend}-{port}.log")
    url = f"http://{HOST}:{port}"
    try:
        outside.wait(url, progress, _PATIENCE)
    except BaseException:
        outside.end()
        raise
    return RemoteEngine(served, command.called, url, key, limits, outside.end)


def _command(models: Sequence[Named], folder: Path, recipe: Recipe, port: int, key: str) -> Command:
    from tuitune.serve.live import folder as private
    from tuitune.serve.outside import sglang_command, vllm_command

    if recipe.infer_backend == "vllm":
        return vllm_command(models, folder, recipe, port=port, key=key)
    return sglang_command(models, folder, recipe, port=port, key=key, private=private())


def _served(name: str, weights: Weights, folder: Path, context: int, note: Note) -> Served:
    """Return a model of another server: its tokenizer and template are needed here."""
    from tuitune.data.templates import choose
    from tuitune.models.load import load_tokenizer

    own = [path for path in weights.adapters[-1:] if (path / "tokenizer_config.json").is_file()]
    tokenizer = load_tokenizer((own or [folder])[0], trust_remote_code=weights.trust_remote_code, note=note)
    template = choose(weights.template, tokenizer, weights.system, weights.style)
    if template.warning:
        note(template.warning)
    return Served(
        name, tokenizer, template, context, dict(weights.options), int(time.time()), weights.model, weights.title
    )
