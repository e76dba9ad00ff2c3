from __future__ import annotations

import subprocess
import sys

FORBIDDEN = {"torch", "transformers", "textual", "rich", "pydantic", "numpy", "ruamel", "typer"}


def test_a_run_is_read_without_anything_heavy() -> None:
    program = (
        "import sys, tuitune.run, tuitune.run.streams, tuitune.run.process, tuitune.run.rotate; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not FORBIDDEN & {name.partition(".")[0] for name in done.stdout.split()}
