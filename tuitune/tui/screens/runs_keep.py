"""What the keys of the Runs screen say of runs, and how runs of other trainers come into it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.errors import TuiTuneError
from tuitune.face.importing import Taken, outputs, take_in
from tuitune.run import remarks
from tuitune.run.remarks import Remarks, plain_tag
from tuitune.run.shelf import Entry
from tuitune.tui.asking import TextAsk

if TYPE_CHECKING:
    from tuitune.tui.screens.runs import RunsScreen

_NAMED = 4  # runs that a message names


class KeepActions:
    """The actions; a part of the screen."""

    @property
    def _kept(self) -> RunsScreen:
        return self  # type: ignore[return-value]

    def action_note(self) -> None:
        """Write a note on the run under the cursor."""
        screen, entry = self._kept, self._kept.entry
        if entry is None:
            return

        def given(text: str | None) -> None:
            if text is not None:
                self._edit([entry], lambda before: before.noted(text))

        ask = TextAsk(
            f"Note on {entry.run.name}", value=entry.remarks.note, placeholder="empty takes it away",
            validate=lambda text: _problem(lambda: Remarks().noted(text)),
        )  # fmt: skip
        screen.app.push_screen(ask, given)

    def action_tags(self) -> None:
        """Change the tags of the marked runs, or of that under the cursor."""
        screen, entries = self._kept, self._kept.meant
        if not entries:
            return
        common = [tag for tag in entries[0].remarks.tags if all(tag in each.remarks.tags for each in entries)]

        def given(text: str | None) -> None:
            if text is None:
                return
            new = [plain_tag(word) for word in text.replace(",", " ").split()]
            gone = {tag.casefold() for tag in common} - {tag.casefold() for tag in new}
            self._edit(entries, lambda before: _without(before, gone).tagged(new))

        whose = entries[0].run.name if len(entries) == 1 else f"{len(entries)} marked runs, those that all have"
        ask = TextAsk(
            f"Tags of {whose}", value=" ".join(common), placeholder="words, with blanks between them",
            validate=lambda text: _problem(lambda: Remarks().tagged(text.replace(",", " ").split())),
        )  # fmt: skip
        screen.app.push_screen(ask, given)

    def _edit(self, entries: Sequence[Entry], change: remarks.Change) -> None:
        try:
            for entry in entries:
                remarks.edit(entry.run, change)
        except TuiTuneError as error:
            self._kept.app.say_error(error)
        self._kept.look()

    # -- imports -----------------------------------------------------------------------------------------------

    def action_import(self) -> None:
        """Ask for a folder of another trainer, and take in what was trained there."""
        app = self._kept.app

        def given(text: str | None) -> None:
            if text:
                app.in_thread("runs-import", lambda: [take_in(each) for each in outputs(Path(text))], self._imported)

        facts = ["LLaMA-Factory's output_dir (or all of `saves`), or that of transformers' Trainer.",
                 "Its log becomes a run here; the folder itself is left as it is."]  # fmt: skip
        ask = TextAsk("Import from which folder?", placeholder="saves/Qwen2.5-7B/lora", facts=facts, validate=_folder)
        app.push_screen(ask, given)

    def _imported(self, found: Sequence[Taken]) -> None:
        screen = self._kept
        new = [each for each in found if each.new]
        old = len(found) - len(new)
        said = [f"imported: {', '.join(each.run.name for each in new[:_NAMED])}"] if new else []
        said += [f"{old} imported before: {found[0].run.name}" if old == 1 else f"{old} imported before"] if old else []
        notes = [note for each in found[:_NAMED] for note in each.notes]
        screen.app.say("\n".join([*said, *notes]), "warning" if notes else "information")
        screen.subject = str(found[-1].run.path)
        screen.look()


def _without(before: Remarks, gone: set[str]) -> Remarks:
    return before.untagged([tag for tag in before.tags if tag.casefold() in gone])


def _problem(work: Callable[[], object]) -> str | None:
    try:
        work()
    except TuiTuneError as error:
        return f"{error.message}; {error.hint}"
    return None


def _folder(text: str) -> str | None:
    return None if Path(text).expanduser().is_dir() else "there is no such folder"
