"""Models from the hub, through huggingface_hub. Runs in the child process; raises ModelError only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.errors import ModelError
from tuitune.hub import MODEL, explain, literal, space_wanting

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

Progress = Callable[[str, int, int | None], None]

# What a tokenizer, a configuration and their documentation are made of; weights are chosen by `wanted_files`.
_SMALL = (".json", ".model", ".txt", ".tiktoken", ".jinja", ".md")
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")


def download(
    repo: str,
    revision: str | None,
    cache_dir: str | None,
    trust_remote_code: bool,
    *,
    progress: Progress,
    weights: bool = True,
) -> str:
    """Download what transformers needs of the model `repo` into the hub's cache; return the snapshot's folder.

    Without `weights` it is good for the tokenizer only; a later download adds the weights.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE

    progress(f"look up {repo}", 0, None)
    try:
        info = HfApi().model_info(repo, revision=revision, files_metadata=True)
        sizes = _sizes(info)
        names = wanted_files(repo, sizes, trust_remote_code=trust_remote_code)
        names = [name for name in names if weights or not name.endswith(".safetensors")]
        _need_space(Path(cache_dir or HF_HUB_CACHE), sum(sizes[name] for name in names))
        progress("download", 0, sum(sizes[name] for name in names))
        return snapshot_download(
            repo, revision=revision, cache_dir=cache_dir, allow_patterns=[literal(n) for n in names]
        )
    except ModelError:
        raise
    except Exception as error:  # the network has too many ways to fail to name; each becomes words
        raise translate(error, repo, revision) from error


def download_file(repo: str, file: str, folder: str, *, progress: Progress) -> str:
    """Download one file of `repo` into `folder`; return its path."""
    from huggingface_hub import hf_hub_download

    progress("download", 0, None)
    try:
        return hf_hub_download(repo, file, local_dir=folder)
    except Exception as error:  # as above
        raise translate(error, repo, None) from error


def wanted_files(repo: str, sizes: Iterable[str], *, trust_remote_code: bool) -> list[str]:
    """Choose the files to download; raise ModelError where there are no weights that may be loaded.

    Repositories often hold the same weights several times: other formats, other precisions, the author's originals.
    """
    names = sorted(name for name in sizes if "/" not in name or name.startswith("additional_chat_templates/"))
    if "config.json" not in names:
        if "adapter_config.json" in names:
            raise ModelError(
                f"{repo} is an adapter, not a model",
                f"Set adapter_name_or_path: {repo}, and model_name_or_path to the model it was trained on.",
            )
        raise ModelError(f"{repo} has no config.json", _gguf_hint(names))
    weights = [name for name in names if name == "model.safetensors"] or [n for n in names if _SHARD.fullmatch(n)]
    weights = weights or [n for n in names if n.endswith(".safetensors") and not n.startswith("adapter")]
    if not weights:
        raise _no_weights(repo, names)
    code = [name for name in names if trust_remote_code and name.endswith(".py")]
    return weights + [name for name in names if name.endswith(_SMALL)] + code


def _no_weights(repo: str, names: list[str]) -> ModelError:
    pickles = [name for name in names if name.endswith(_PICKLES)]
    if pickles:
        return ModelError(
            f"{repo} has its weights only as pickle files ({pickles[0]}), which can run code when they are loaded",
            "Use a repository or a revision (model_revision) with safetensors, or convert it where you trust it.",
        )
    return ModelError(f"{repo} holds no weights that can be loaded", _gguf_hint(names))


def _gguf_hint(names: list[str]) -> str:
    files = [name for name in names if name.endswith(".gguf")]
    if not files:
        return "Name a repository with config.json and safetensors files."
    return f"It holds GGUF files: download one (such as {files[0]}) and set model_name_or_path to it."


def translate(error: Exception, repo: str, revision: str | None) -> ModelError:
    """Say in words what went wrong with the hub, and what helps."""
    return ModelError(*explain(error, repo, revision, MODEL))


def _sizes(info: ModelInfo) -> dict[str, int]:
    return {file.rfilename: file.size or 0 for file in info.siblings or []}


def _need_space(folder: Path, needed: int) -> None:
    wanting = space_wanting(folder, needed)
    if wanting:
        raise ModelError(*wanting)
