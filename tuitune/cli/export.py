"""`tuitune export`: a run's result, or an adapter, as an ordinary model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.cli.telling import telling
from tuitune.face import words
from tuitune.face.host import prepare_for
from tuitune.face.meant import of_name
from tuitune.run import places
from tuitune.run.packing import record

if TYPE_CHECKING:
    from tuitune.export.merge import Dtype


def export(name: str, out: Path, *, model: str | None, dtype: Dtype, as_json: bool) -> int:
    """Merge and write; say where it is and how exact it is."""
    with telling(places.home() / "export.log", as_json=as_json) as tell:
        chosen = of_name(name, model=model)
        prepare_for("cpu")
        from tuitune.export.merge import export as work

        done = work(chosen, out.expanduser().absolute(), dtype=dtype, progress=tell.progress, note=tell.note)
        how = f", logits within {done.difference:.1g} of those with the adapter" if chosen.adapters else ""
        tell.result(record(done), f"{done.path}: {words.size(done.size)} in {done.dtype}{how}")
    return 0
