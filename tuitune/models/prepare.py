"""Make a model source ready: a local folder that transformers can load, downloaded or converted when it has to be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.errors import ModelError
from tuitune.models.child import Check, Progress, run_task
from tuitune.models.converted import convert_file
from tuitune.models.embedded import prepare_embedded

if TYPE_CHECKING:
    from tuitune.fit.models import ModelSource


def prepare(
    source: ModelSource,
    *,
    progress: Progress = lambda stage, done, total: None,
    check: Check = lambda: None,
    trust_remote_code: bool = False,
    cache_dir: str | Path | None = None,
    weights: bool = True,
) -> Path:
    """Return a local folder with the model of `source`; raise ModelError with what to do when it cannot be had.

    Without `weights` those of a model on the hub stay there: the folder is good for the tokenizer only.
    """
    try:
        if source.kind == "embedded":
            return prepare_embedded(progress=progress, check=check)
        if source.kind == "gguf" and source.path is not None:
            return convert_file(source.path, progress=progress, check=check)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        raise ModelError(
            f"cannot make {source.name} ready: {error.strerror or error}{where}",
            "Check who may read the file, and that TUITUNE_CACHE names a folder you may write to.",
        ) from error
    if source.kind in ("local", "cached") and source.path is not None:
        return source.path
    if source.kind not in ("hub", "modelscope"):
        raise ModelError(f"the model {source.name} has no place on this machine")
    arguments: dict[str, str | bool | None] = {
        "repo": source.name,
        "revision": source.revision,
        "cache_dir": str(cache_dir) if cache_dir is not None else None,
        "trust_remote_code": trust_remote_code,
    }
    if source.kind == "hub":
        arguments["weights"] = weights
    return Path(run_task(source.kind, arguments, progress=progress, check=check))
