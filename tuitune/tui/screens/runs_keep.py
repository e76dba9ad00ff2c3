"""What the keys of the Runs screen do with runs on the disk: notes, tags, the trash, imports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.errors import TuiTuneError
from tuitune.face import words
from tuitune.face.importing import Taken, outputs, take_in
from tuitune.face.users import refuse_used, used_by
from tuitune.run import RunDir, remarks, trash
from tuitune.run.remarks import Remarks, plain_tag
from tuitune.run.shelf import Entry
from tuitune.run.trash import Trashed
from tuitune.text import clean_line
from tuitune.tui.asking import Ask, Choice, Picker, PickItem, TextAsk

if TYPE_CHECKING:
    from tuitune.tui.screens.runs import RunsScreen

_NAMED = 4  # runs that a question names
_EMPTY = "empty"


class KeepActions:
    """The actions; a part of the screen."""

    @property
    def _kept(self) -> RunsScreen:
        return self  # type: ignore[return-value]

    @property
    def _meant(self) -> list[Entry]:
        """The marked runs, else that under the cursor."""
        screen = self._kept
        return screen.runs_pane.marked or ([screen.entry] if screen.entry is not None else [])

    # -- note and tags -----------------------------------------------------------------------------------------

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
        screen, entries = self._kept, self._meant
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

    # -- the trash ---------------------------------------------------------------------------------------------

    def action_delete(self) -> None:
        """Move the marked runs to the trash, or that under the cursor; several are asked about."""
        entries, app = self._meant, self._kept.app
        if not entries:
            return
        if shown := next((entry for entry in entries if self._is_shown(entry)), None):
            app.say(f"{shown.run.name} trains in this app; stop it first", "warning")
            return
        if len(entries) == 1:
            self._delete([entries[0].run])
            return
        choices: list[Choice[bool]] = [
            Choice("esc", "Keep them", "", None),
            Choice("d", f"Move {len(entries)} runs to the trash", "u takes it back", True),
        ]
        names = [entry.run.name for entry in entries[:_NAMED]]
        more = [f"and {len(entries) - _NAMED} more"] if len(entries) > _NAMED else []
        app.push_screen(
            Ask(f"Delete {len(entries)} marked runs?", [*names, *more], choices),
            lambda sure: self._delete([entry.run for entry in entries]) if sure else None,
        )

    def _is_shown(self, entry: Entry) -> bool:
        control = self._kept.app.control
        return control.working and control.run is not None and control.run.path == entry.run.path

    def _delete(self, runs: Sequence[RunDir]) -> None:
        screen = self._kept

        def work() -> tuple[list[Trashed], list[str], TuiTuneError | None]:
            gone, users = list[Trashed](), list[str]()
            try:
                for run in runs:
                    refuse_used(run)
                    users += used_by(run)
                    gone.append(trash.delete(run))
            except TuiTuneError as error:
                return gone, users, error
            return gone, users, None

        screen.app.in_thread("runs-delete", work, self._deleted)

    def _deleted(self, done: tuple[list[Trashed], list[str], TuiTuneError | None]) -> None:
        gone, users, error = done
        screen = self._kept
        if gone:
            screen.undoable.append(gone)
            what = gone[0].name if len(gone) == 1 else f"{len(gone)} runs"
            screen.app.say(f"{what} in the trash; u takes it back")
            for each in gone:
                screen.curves.pop(each.path, None)
        if others := [name for name in users if name not in {each.name for each in gone}]:
            screen.app.say(f"their weights are used by {', '.join(others)}", "warning")
        if error is not None:
            screen.app.say_error(error)
        screen.look()

    def action_undo(self) -> None:
        """Bring back what was deleted last."""
        screen = self._kept
        if not screen.undoable:
            screen.app.say("nothing was deleted here; T shows the trash")
            return
        self._restore(screen.undoable.pop())

    def _restore(self, found: Sequence[Trashed]) -> None:
        screen = self._kept
        try:
            runs = [trash.restore_run(each) for each in found]
        except TuiTuneError as error:
            screen.app.say_error(error)
        else:
            back = [run.name if str(run.path) == each.path else f"{each.name}, as {run.name}"
                    for run, each in zip(runs, found, strict=True)]  # fmt: skip
            screen.app.say(f"back again: {', '.join(back[:_NAMED])}{', ...' if len(back) > _NAMED else ''}")
        screen.look()

    def action_trash(self) -> None:
        """Show the deleted runs."""
        app = self._kept.app
        app.in_thread("runs-trash", lambda: [(each, each.size) for each in trash.trashed()], self._show_trash)

    def _show_trash(self, found: Sequence[tuple[Trashed, int]]) -> None:
        app = self._kept.app
        if not found:
            app.say("the trash is empty")
            return
        now = [PickItem(each.id, clean_line(each.name), words.size(size)) for each, size in found]
        total = sum(size for _, size in found)
        items = [*now, PickItem(_EMPTY, "delete all of it for good …", words.size(total), group="Trash")]
        known = {each.id: (each, size) for each, size in found}

        def chosen(key: str | None) -> None:
            if key == _EMPTY:
                self._ask_purge([each for each, _ in found], total)
            elif key is not None:
                self._ask_one(*known[key])

        app.push_screen(Picker("Deleted runs", items), chosen)

    def _ask_one(self, found: Trashed, size: int) -> None:
        def chosen(answer: str | None) -> None:
            if answer == "restore":
                self._restore([found])
            elif answer == "purge":
                self._ask_purge([found], size)

        choices: list[Choice[str]] = [
            Choice("r", "Restore it", clean_line(str(Path(found.path).parent)), "restore"),
            Choice("d", "Delete it for good …", words.size(size), "purge"),
            Choice("esc", "Leave it there", "", None),
        ]
        self._kept.app.push_screen(Ask(f"{found.name}, deleted", [], choices), chosen)

    def _ask_purge(self, found: Sequence[Trashed], size: int) -> None:
        what = found[0].name if len(found) == 1 else f"{len(found)} runs"
        choices: list[Choice[bool]] = [
            Choice("esc", "Keep", "", None),
            Choice("d", "Delete for good", f"{words.size(size)} are freed; nothing brings it back", True),
        ]
        facts = [each.name for each in found[:_NAMED]] if len(found) > 1 else []
        ask = Ask(f"Delete {what} for good?", facts, choices)
        self._kept.app.push_screen(ask, lambda sure: self._purge(found) if sure else None)

    def _purge(self, found: Sequence[Trashed]) -> None:
        screen = self._kept
        gone = {each.id for each in found}

        def done(freed: int) -> None:
            screen.undoable = [left for each in screen.undoable if (left := [t for t in each if t.id not in gone])]
            screen.app.say(f"{words.size(freed)} are free again")

        screen.app.in_thread("runs-purge", lambda: sum(trash.purge(each) for each in found), done)

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
        screen._subject = str(found[-1].run.path)
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
