"""A run that goes on with another recipe: what may change, and what is put on record about it."""

from __future__ import annotations

from collections.abc import Callable

from tuitune.engine.changes import refuse_impossible, remembered
from tuitune.face.asking import changed_keys
from tuitune.recipe import Document
from tuitune.run import Journal, RunDir, events, summary


def change_recipe(run: RunDir, document: Document, *, tell: Callable[[str], None]) -> list[str]:
    """Put `document` in the place of a run's recipe; return the keys that have another value now.

    The former recipe is kept beside it, and the journal says that the run is not bit-equal to one without a change.
    Raises RecipeError for a change that the run's checkpoints do not allow.
    """
    before = Document.read(run.recipe)
    changed = changed_keys(before, document)
    if not changed:
        return []
    if summary(run).checkpoint is not None:
        refuse_impossible(remembered(before.recipe()), document.recipe())
    with run.lock():
        kept = run.replace_recipe(document.text())
        note = f"not bit-equal to a run without a change: {', '.join(changed)}"
        with Journal(run.events) as journal:
            journal.append(events.Warned(note, f"the former recipe is {kept.name}" if kept else ""))
    tell(f"warning: {note}")
    if kept is not None:
        tell(f"the former recipe was kept as {kept}")
    return changed
