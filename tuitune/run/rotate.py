"""Keep the last checkpoints of a run and delete older ones."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tuitune.run import manifest
from tuitune.run.directory import RunDir


def rotate(run_path: Path, keep: int, protect: Iterable[Path] = (), *, deep: bool = False) -> list[Path]:
    """Delete the oldest valid checkpoints until `keep` are left; return the deleted paths.

    The newest valid one and those in `protect` (the best) stay, and count. What is no valid checkpoint is neither
    counted nor touched: it might be a user's, and it must not push out one that can be resumed.
    """
    valid = [path for path in RunDir(run_path).checkpoints if manifest.checkpoint_verdict(path, deep).valid]
    protected = {Path(path).absolute() for path in protect} | set(valid[-1:])
    surplus = max(0, len(valid) - keep)
    doomed = [path for path in valid if path not in protected][:surplus]
    for path in doomed:
        manifest.discard(path)
    return doomed
