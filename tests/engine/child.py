"""An engine in a process of its own, that can be killed, or kills itself in the middle of a save."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tuitune.run.directory import RunDir


def train(path: str, die_in_save: int | None) -> None:
    """Train in `path`; with `die_in_save` end by SIGKILL inside the n-th checkpoint of this attempt."""
    from tuitune.engine import checkpoint
    from tuitune.engine.run import run

    if die_in_save is not None:
        real, left = checkpoint.manifest.seal, [die_in_save]

        def seal(folder: Path, *args: object, **kwargs: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                # As if the power failed while the files were written: one is short, one was never begun.
                victim = next(folder.glob("optimizer.pt"))
                victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
                (folder / "scheduler.pt").unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            return real(folder, *args, **kwargs)

        checkpoint.manifest.seal = seal  # type: ignore[assignment]
    os._exit(run(RunDir(Path(path))).exit_code)
