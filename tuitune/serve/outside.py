"""vLLM and SGLang: the command lines of their own servers, made from the recipe's fields.

Their server listens on loopback, behind a key of its own that only this process knows; clients never reach it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.errors import UsageError
from tuitune.fit.files import read_object
from tuitune.fit.machine import gpus

if TYPE_CHECKING:
    from tuitune.chat.weights import Weights
    from tuitune.recipe import Recipe

HOST = "127.0.0.1"
_BASE = "base"  # the model below the adapters, where nobody asks for it
_PIP = {"vllm": "pip install vllm", "sglang": "pip install 'sglang[all]'"}
_EXPORT = "merge it first (tuitune export), or set infer_backend: huggingface"
# What an adapter's folder may not hold, and why.
_OTHER_FILES = {
    "tuitune_start.safetensors": "it begins with a part of the model's weights",
    "value_head.safetensors": "it is a reward model",
    "tuitune_base.json": "its model was changed before the training",
}
Named = tuple[str, "Weights"]


@dataclass(frozen=True)
class Command:
    """How a server is started. files: to be written before, privately; called: their name of each of our models."""

    argv: Sequence[str]
    environ: Mapping[str, str]
    called: Mapping[str, str]
    context: int
    files: Mapping[Path, str] = field(default_factory=dict)


def refuse_absent(backend: str) -> None:
    """Raise UsageError where the engine is not installed."""
    if find_spec(backend) is None:
        raise UsageError(
            f"infer_backend: {backend} is asked for, and {backend} is not installed here",
            f"{_PIP[backend]}, or leave infer_backend out",
        )


def refuse_misfits(models: Sequence[Named], backend: str) -> None:
    """Raise UsageError where these models cannot be served by one such server: one model, and plain LoRA on it."""
    first = models[0][1]
    for name, weights in models:
        if (weights.model, weights.revision) != (first.model, first.revision):
            raise UsageError(
                f"{backend} serves one model with its adapters, and {name} is on another one than {models[0][0]}",
                "serve it by a server of its own",
            )
        if len(weights.adapters) > 1:
            raise UsageError(f"{name} has several adapters, of which {backend} would take one", _EXPORT)
        if weights.shaping:
            raise UsageError(f"{name} needs its model quantised or changed as it was trained", _EXPORT)
        for adapter in weights.adapters:
            if (why := _misfit(adapter)) is not None:
                raise UsageError(f"{name} cannot be served by {backend}: {why}", _EXPORT)


def _misfit(adapter: Path) -> str | None:
    config = read_object(adapter / "adapter_config.json")
    if config.get("peft_type") != "LORA" or config.get("use_dora"):
        kind = "DoRA" if config.get("use_dora") else str(config.get("peft_type"))[:40]
        return f"its adapter is {kind}, not plain LoRA"
    if config.get("modules_to_save"):
        return "whole modules were trained beside its adapter"
    return next((why for name, why in _OTHER_FILES.items() if (adapter / name).is_file()), None)


def vllm_command(models: Sequence[Named], folder: Path, recipe: Recipe, *, port: int, key: str) -> Command:
    """Return how vLLM's server is started on the model in `folder`."""
    adapters, called = _named(models)
    argv = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder),
        "--served-model-name", called[_BASE], "--host", HOST, "--port", str(port), "--dtype", recipe.infer_dtype,
        "--max-model-len", str(recipe.vllm_maxlen), "--gpu-memory-utilization", str(recipe.vllm_gpu_util),
        "--tensor-parallel-size", str(_cards()), "--uvicorn-log-level", "warning",
    ]  # fmt: skip
    argv += ["--trust-remote-code"] if models[0][1].trust_remote_code else []
    argv += ["--enforce-eager"] if recipe.vllm_enforce_eager else []
    if adapters:
        argv += ["--enable-lora", "--max-lora-rank", str(recipe.vllm_max_lora_rank), "--max-loras", str(len(adapters))]
        argv += ["--lora-modules", *(f"{name}={path}" for name, path in adapters.items())]
    argv += _more(recipe.vllm_config)
    environ = {"VLLM_API_KEY": key, "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    names = {name: name if weights.adapters else called[_BASE] for name, weights in models}
    return Command(argv, _environ(environ), names, recipe.vllm_maxlen)


def sglang_command(
    models: Sequence[Named], folder: Path, recipe: Recipe, *, port: int, key: str, private: Path
) -> Command:
    """Return how SGLang's server is started; its key goes into a private file, as it has no variable for it."""
    adapters, called = _named(models)
    base = called[_BASE]
    cards = _cards() if recipe.sglang_tp_size == -1 else recipe.sglang_tp_size
    config = private / f"sglang-{port}.yaml"
    argv = [
        sys.executable, "-m", "sglang.launch_server", "--config", str(config), "--model-path", str(folder),
        "--served-model-name", base, "--host", HOST, "--port", str(port), "--dtype", recipe.infer_dtype,
        "--context-length", str(recipe.sglang_maxlen), "--mem-fraction-static", str(recipe.sglang_mem_fraction),
        "--tp-size", str(cards), "--log-level", "warning",
    ]  # fmt: skip
    argv += ["--trust-remote-code"] if models[0][1].trust_remote_code else []
    if adapters:
        argv += ["--enable-lora", "--lora-backend", recipe.sglang_lora_backend]
        argv += ["--lora-paths", *(f"{name}={path}" for name, path in adapters.items())]
    argv += _more(recipe.sglang_config)
    names = {name: f"{base}:{name}" if weights.adapters else base for name, weights in models}
    return Command(argv, _environ({}), names, recipe.sglang_maxlen, {config: f"api-key: {json.dumps(key)}\n"})


def _named(models: Sequence[Named]) -> tuple[dict[str, Path], dict[str, str]]:
    """Return the adapters by name, and what the model below them is called: a name that no adapter has."""
    adapters = {name: weights.adapters[-1] for name, weights in models if weights.adapters}
    plain = [name for name, weights in models if not weights.adapters]
    base = plain[0] if plain else _BASE
    while base in adapters:
        base += "_"
    return adapters, {_BASE: base}


def _more(settings: Mapping[str, object]) -> list[str]:
    """Return further settings as options of a command line."""
    found: list[str] = []
    for key, value in settings.items():
        option = f"--{key.replace('_', '-')}"
        if value is True:
            found.append(option)
        elif value is False:
            found.append(f"--no-{option[2:]}")
        elif value is not None:
            found += [option, value if isinstance(value, str) else json.dumps(value)]
    return found


def _cards() -> int:
    given = os.environ.get("TUITUNE_GIVEN_DEVICES", "")
    return len([each for each in given.split(",") if each.strip()]) or max(1, len(gpus().devices))


def _environ(more: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of their process: all GPUs that this one was given, and none of our secrets."""
    kept = {key: value for key, value in os.environ.items() if key not in ("TUITUNE_API_KEY", "API_KEY")}
    given = kept.pop("TUITUNE_GIVEN_DEVICES", None)
    if given:
        kept["CUDA_VISIBLE_DEVICES"] = given
    elif given == "":
        kept.pop("CUDA_VISIBLE_DEVICES", None)
    return {**kept, **more}
