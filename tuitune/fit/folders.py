"""What a folder holds: a model that can be loaded, or the reason why not."""

from __future__ import annotations

from pathlib import Path

from tuitune.fit.files import read_object, regular_size
from tuitune.fit.safetensors import INDEX, SINGLE, weight_files

_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")


def is_adapter(folder: Path) -> bool:
    """Tell whether a folder holds an adapter and no model."""
    return regular_size(folder / "adapter_config.json") is not None and regular_size(folder / "config.json") is None


def is_model(folder: Path) -> bool:
    """Tell whether a folder holds a model with all its weights."""
    try:
        return bool(read_object(folder / "config.json")) and weight_files(folder) is not None
    except OSError:
        return False


def folder_problem(folder: Path) -> tuple[str, str] | None:
    """Return what keeps a folder from being a model, and what to do about it; None when nothing does."""
    try:
        return _problem(folder)
    except OSError as error:  # no permission, or a loop of links
        return f"{folder} cannot be read: {error.strerror or error}", "Check who may read it."


def _problem(folder: Path) -> tuple[str, str] | None:
    if not folder.is_dir():
        return f"{folder} is not a folder", "Name a folder with config.json and safetensors files, or a .gguf file."
    if is_adapter(folder):
        base = read_object(folder / "adapter_config.json").get("base_model_name_or_path")
        named = f" ({base})" if isinstance(base, str) and base else ""
        hint = f"Set adapter_name_or_path: {folder}, and model_name_or_path to the model it was trained on{named}."
        return f"{folder} is an adapter, not a model", hint
    if not read_object(folder / "config.json"):
        state = (
            "has no config.json" if not (folder / "config.json").exists() else "has a config.json that cannot be read"
        )
        return f"{folder} {state}", _other_weights(folder)
    if weight_files(folder) is None:
        return _weights_problem(folder)
    return None


def _weights_problem(folder: Path) -> tuple[str, str]:
    if any((folder / name).exists() for name in _PICKLES):
        return (
            f"{folder} has its weights only as pickle files, which can run code when they are loaded",
            "Load it once where you trust it and save it again with save_pretrained, which writes safetensors.",
        )
    if regular_size(folder / INDEX) is not None:
        return f"{folder} lacks weight files that {INDEX} names", "The download was not finished: fetch it again."
    return f"{folder} has a config.json but no {SINGLE}", _other_weights(folder)


def _other_weights(folder: Path) -> str:
    found = sorted(folder.glob("*.gguf"))
    if found:
        return f"It holds GGUF files: set model_name_or_path to one of them, such as {found[0]}."
    checkpoints = sorted((p for p in folder.glob("checkpoint-*") if p.is_dir()), key=lambda p: (len(p.name), p.name))
    adapter = next((p for p in (folder / "final", folder, *checkpoints[-1:]) if is_adapter(p)), None)
    if adapter is not None:
        return (
            f"It holds an adapter and no model: name it as adapter_name_or_path, or make a model of it with "
            f"tuitune export {adapter} OUT."
        )
    if checkpoints:
        return f"It looks like a run: name one of its folders, such as {checkpoints[-1]}."
    return "A model's folder holds config.json and model.safetensors (or numbered files with their index)."
