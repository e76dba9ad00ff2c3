"""`tuitune expand`: insert blocks into a model that LLaMA Pro then trains."""

from __future__ import annotations

import sys
from pathlib import Path

from tuitune.cli.bars import bars
from tuitune.cli.console import json_line, say, screen
from tuitune.face import words
from tuitune.face.host import prepare_for
from tuitune.run import places
from tuitune.run.packing import record
from tuitune.run.streams import guard
from tuitune.text import clean_line


def expand(name: str, out: Path, blocks: int, *, as_json: bool) -> int:
    """Expand and write; say where it is and how it is trained."""
    prepare_for("cpu")
    from tuitune.export.expand import expand_model

    notes: list[str] = []
    with guard(places.home() / "expand.log") as real, bars(real.err) as progress:
        done = expand_model(name, out.expanduser().absolute(), blocks, progress=progress, note=notes.append)
    for note in dict.fromkeys(notes):
        say(screen(sys.stderr), f"warning: {clean_line(note)}", "yellow")
    if as_json:
        json_line(record(done))
        return 0
    where = clean_line(str(done.path))
    say(screen(), f"{where}: {words.size(done.size)}, {done.layers} layers, {len(done.inserted)} of them new")
    say(screen(), "it answers as before; finetuning_type: freeze with use_llama_pro: true trains the new blocks")
    return 0
