"""Models from ModelScope, where its library is installed. Runs in the child process."""

from __future__ import annotations

from collections.abc import Callable

from tuitune.errors import ModelError


def download(
    repo: str,
    revision: str | None,
    cache_dir: str | None,
    trust_remote_code: bool,
    *,
    progress: Callable[[str, int, int | None], None],
) -> str:
    """Download the model `repo` from ModelScope; return its folder."""
    try:
        import modelscope
    except ImportError as error:
        raise ModelError(
            f"{repo} is on ModelScope, whose library is not installed",
            "pip install modelscope; or unset USE_MODELSCOPE_HUB to use the hub.",
        ) from error
    progress("download", 0, None)
    # Pickled weights are never loaded, so they are not fetched; code only where the recipe trusts it.
    ignored = ["*.bin", "*.pt", "*.pth", "*.ckpt", "*.gguf", "*.onnx", *([] if trust_remote_code else ["*.py"])]
    try:
        return str(
            modelscope.snapshot_download(repo, revision=revision, cache_dir=cache_dir, ignore_file_pattern=ignored)
        )
    except Exception as error:  # a foreign library's network errors; each becomes words
        words = " ".join(str(error).split())[:300]
        raise ModelError(
            f"cannot fetch {repo} from ModelScope: {type(error).__name__}: {words}",
            "Check the name (organisation/name), the network, and MODELSCOPE_API_TOKEN for a private model.",
        ) from error
