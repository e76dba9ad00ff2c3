"""`tuitune export`: a run's result, or an adapter, as an ordinary model."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.chat import weights
from tuitune.chat.weights import Weights
from tuitune.cli.bars import bars
from tuitune.cli.console import json_line, say, screen
from tuitune.engine.asked import asked
from tuitune.face import words
from tuitune.face.find import find
from tuitune.face.host import prepare_for
from tuitune.run import RunDir, places
from tuitune.run.packing import record
from tuitune.run.streams import guard
from tuitune.text import clean_line

if TYPE_CHECKING:
    from tuitune.export.merge import Dtype


def export(name: str, out: Path, *, model: str | None, dtype: Dtype, as_json: bool) -> int:
    """Merge and write; say where it is and how exact it is."""
    chosen = _chosen(name)
    if model is not None:
        chosen = replace(chosen, model=model)
    prepare_for("cpu")
    from tuitune.export.merge import export as work

    notes: list[str] = []
    with guard(places.home() / "export.log") as real, bars(real.err) as progress:
        done = work(chosen, out.expanduser().absolute(), dtype=dtype, progress=progress, note=notes.append)
    for note in dict.fromkeys(notes):
        say(screen(sys.stderr), f"warning: {clean_line(note)}", "yellow")
    if as_json:
        json_line(record(done))
        return 0
    how = f", logits within {done.difference:.1g} of those with the adapter" if chosen.adapters else ""
    say(screen(), f"{clean_line(str(done.path))}: {words.size(done.size)} in {done.dtype}{how}")
    return 0


def _chosen(name: str) -> Weights:
    """Return what a run, a folder of a run, or an adapter holds. Raises UsageError, ModelError or RunError."""
    path = Path(name).expanduser()
    if path.is_dir() and not RunDir(path).is_run():
        trained = weights.run_of(path)
        if trained is not None:
            return weights.of_run(trained, asked(trained)[0], path.absolute())
        folder = weights.adapter_folder(path)
        return weights.of_model(weights.base_of(folder), folder)
    run = find(name)
    return weights.of_run(run, asked(run)[0])
