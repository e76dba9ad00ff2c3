"""What the keys of the Runs screen say of runs, and how runs of other trainers come into it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.errors import TuiTuneError
from tuitune.face.importing import Refused, Taken, outputs, take_each
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
        self._kept._with(self._ask_note)

    def _ask_note(self, entry: Entry) -> None:
        screen = self._kept

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
        self._kept._with(lambda _: self._ask_tags(self._kept.meant))

    def _ask_tags(self, entries: Sequence[Entry]) -> None:
        screen = self._kept
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
                app.in_thread("runs-import", lambda: list(take_each(outputs(Path(text)))), self._imported)

        facts = ["LLaMA-Factory's output_dir (or all of `saves`), or that of transformers' Trainer.",
                 "Its log becomes a run here; the folder itself is left as it is."]  # fmt: skip
        ask = TextAsk(
            "Import from which folder?", placeholder="such as saves/Qwen2.5-7B/lora", facts=facts, validate=_folder
        )
        app.push_screen(ask, given)

    def _imported(self, found: Sequence[Taken | Refused]) -> None:
        screen = self._kept
        refused = [each for each in found if isinstance(each, Refused)]
        taken = [each for each in found if isinstance(each, Taken)]
        if len(found) == len(refused) == 1:
            screen.app.say_error(refused[0].error)
            return
        new, old = [each for each in taken if each.new], [each for each in taken if not each.new]
        said = [f"imported: {_names(new)}"] if new else []
        said += [f"imported before: {_names(old)}"] if old else []
        said += [str(each) for each in refused[:_NAMED]]
        said += [f"not imported: {len(refused) - _NAMED} more"] if len(refused) > _NAMED else []
        notes = _noted(taken)
        screen.app.say("\n".join([*said, *notes]), "warning" if refused or notes else "information")
        if taken:
            screen.subject = str(taken[-1].run.path)
        screen.look()


def _names(taken: Sequence[Taken]) -> str:
    more = f" and {len(taken) - _NAMED} more" if len(taken) > _NAMED else ""
    return ", ".join(each.run.name for each in taken[:_NAMED]) + more


def _noted(taken: Sequence[Taken]) -> list[str]:
    """Return what is to be said of runs, once for all of which it is true."""
    notes = dict.fromkeys(note for each in taken for note in each.notes)
    return [f"{_names([each for each in taken if note in each.notes])}: {note}" for note in notes]


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
