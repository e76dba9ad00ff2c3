"""Models from the hub, through huggingface_hub. Runs in the child process; raises ModelError only."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.errors import ModelError

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

Progress = Callable[[str, int, int | None], None]

# What a tokenizer, a configuration and their documentation are made of; weights are chosen by `wanted_files`.
_SMALL = (".json", ".model", ".txt", ".tiktoken", ".jinja", ".md")
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_RESERVE_BYTES = 256 << 20


def download(
    repo: str, revision: str | None, cache_dir: str | None, trust_remote_code: bool, *, progress: Progress
) -> str:
    """Download what transformers needs of the model `repo` into the hub's cache; return the snapshot's folder."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE

    progress(f"look up {repo}", 0, None)
    try:
        info = HfApi().model_info(repo, revision=revision, files_metadata=True)
        sizes = _sizes(info)
        names = wanted_files(repo, sizes, trust_remote_code=trust_remote_code)
        _need_space(Path(cache_dir or HF_HUB_CACHE), sum(sizes[name] for name in names))
        progress("download", 0, sum(sizes[name] for name in names))
        return snapshot_download(
            repo, revision=revision, cache_dir=cache_dir, allow_patterns=[_literal(n) for n in names]
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
    from huggingface_hub import errors

    # A mirror's address may carry a password.
    where = re.sub(r"//[^/@]*@", "//", os.environ.get("HF_ENDPOINT", "")) or "the hub"
    if isinstance(error, errors.GatedRepoError):
        hint = "Accept its terms on its page, then set HF_TOKEN to a token of that account."
        return ModelError(f"{repo} is gated: its owner wants you to accept terms first", hint)
    if isinstance(error, errors.RevisionNotFoundError):
        return ModelError(f"{repo} has no revision {revision!r}", "Correct or remove model_revision.")
    if isinstance(error, errors.RepositoryNotFoundError):
        hint = (
            "Check the spelling; a private model needs HF_TOKEN. A local folder is named by its path on this machine."
        )
        return ModelError(
            f"there is no model {repo!r} on {where} that you may see, and no folder of that name here", hint
        )
    if isinstance(error, errors.HFValidationError):
        return ModelError(f"{repo!r} cannot be the name of a model on the hub", "It must look like organisation/name.")
    if isinstance(error, errors.OfflineModeIsEnabled) or os.environ.get("HF_HUB_OFFLINE", "0").lower() in (
        "1",
        "true",
        "on",
        "yes",
    ):
        hint = "Unset HF_HUB_OFFLINE, or use a model that is on this machine (tuitune models)."
        return ModelError(f"{repo} is not on this machine, and HF_HUB_OFFLINE forbids fetching it", hint)
    if isinstance(error, OSError) and error.errno == 28:
        return ModelError(f"the disk is full: {repo} could not be stored", "Point HF_HOME at a larger disk.")
    hint = (
        "Check the network, or set HF_ENDPOINT to a mirror; what was already fetched is kept and used by the next try."
    )
    return ModelError(f"cannot fetch {repo} from {where}: {type(error).__name__}: {_short(error)}", hint)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _sizes(info: ModelInfo) -> dict[str, int]:
    return {file.rfilename: file.size or 0 for file in info.siblings or []}


def _literal(name: str) -> str:
    # The library reads patterns; a file's name is not one.
    return re.sub(r"([\[*?])", r"[\1]", name)


def _need_space(folder: Path, needed: int) -> None:
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed + _RESERVE_BYTES:
        raise ModelError(
            f"the download takes {needed / 1e9:.1f} GB, and {folder} has {free / 1e9:.1f} GB free",
            "Free some space, or point HF_HOME (or cache_dir) at a larger disk.",
        )
