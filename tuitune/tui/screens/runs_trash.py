"""What the keys of the Runs screen do with runs that are not wanted any more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.errors import TuiTuneError
from tuitune.face import words
from tuitune.face.users import refuse_used, used_by
from tuitune.run import RunDir, trash
from tuitune.run.shelf import Entry
from tuitune.run.trash import Trashed
from tuitune.text import clean_line
from tuitune.tui.asking import Ask, Choice, PickItem
from tuitune.tui.picking import pick

if TYPE_CHECKING:
    from tuitune.tui.screens.runs import RunsScreen

_NAMED = 4  # runs that a question names
_EMPTY = "empty"


class TrashActions:
    """The actions; a part of the screen."""

    _deleting = False  # a second deletion beside it would take the word of the first from it

    @property
    def _thrown(self) -> RunsScreen:
        return self  # type: ignore[return-value]

    def action_delete(self) -> None:
        """Move the marked runs to the trash, or that under the cursor; several are asked about."""
        entries, app = self._thrown.meant, self._thrown.app
        if self._deleting:
            return
        if not entries:
            # Not later by itself, as other keys do: nobody deletes a run before it is seen.
            app.say("no run is chosen" if self._thrown.runs_pane.known else "the runs are looked for; d again then")
            return
        if shown := next((entry for entry in entries if self._is_shown(entry)), None):
            app.say(f"{shown.run.name} trains in this app; stop it first", "warning")
            return
        hidden = self._hidden(entries)
        if len(entries) == 1 and not hidden:
            self._delete([entries[0].run])
            return
        what = "1 marked run" if len(entries) == 1 else f"{len(entries)} marked runs"
        choices: list[Choice[bool]] = [
            Choice("esc", "Keep them", "", None),
            Choice("d", f"Move {what.replace('marked ', '')} to the trash", "u takes it back", True),
        ]
        names = [entry.run.name for entry in entries[:_NAMED]]
        more = [f"and {len(entries) - _NAMED} more"] if len(entries) > _NAMED else []
        app.push_screen(
            Ask(f"Delete {what}?", [*hidden, *names, *more], choices),
            lambda sure: self._delete([entry.run for entry in entries]) if sure else None,
        )

    def _hidden(self, entries: Sequence[Entry]) -> list[str]:
        """Return words on those that the list does not show now: nobody sees that they are marked."""
        listed = {entry.path for entry in self._thrown.runs_pane.table.entries}
        count = sum(entry.path not in listed for entry in entries)
        who = f"{count} of them" if count < len(entries) else "it" if count == 1 else "all of them"
        return [f"hidden by the search or the filter now: {who}"] if count else []

    def _is_shown(self, entry: Entry) -> bool:
        control = self._thrown.app.control
        return control.working and control.run is not None and control.run.path == entry.run.path

    def _delete(self, runs: Sequence[RunDir]) -> None:
        self._deleting = True

        def work() -> tuple[list[Trashed], list[str], TuiTuneError | None]:
            gone, users = list[Trashed](), list[str]()
            try:
                for run in runs:
                    refuse_used(run)
                    users += used_by(run)
                    gone.append(trash.delete(run))
            except TuiTuneError as error:
                return gone, users, error
            except Exception:
                self._deleting = False
                raise
            return gone, users, None

        self._thrown.app.in_thread("runs-delete", work, self._deleted)

    def _deleted(self, done: tuple[list[Trashed], list[str], TuiTuneError | None]) -> None:
        gone, users, error = done
        screen, self._deleting = self._thrown, False
        if gone:
            screen.undoable.append(gone)
            what = gone[0].name if len(gone) == 1 else f"{len(gone)} runs"
            screen.app.say(f"{what} in the trash; u takes it back")
            for each in gone:
                screen.curves.pop(each.path, None)
            self._forget({each.path for each in gone})
        if others := [name for name in users if name not in {each.name for each in gone}]:
            screen.app.say(f"their weights are used by {', '.join(others)}", "warning")
        if error is not None:
            screen.app.say_error(error)
        screen.look()

    def _forget(self, paths: set[str]) -> None:
        """Take runs out of the list, with their marks, before it is read anew."""
        screen = self._thrown
        if screen.is_attached:
            screen.runs_pane.show([entry for entry in screen.runs_pane.all if entry.path not in paths])

    def action_undo(self) -> None:
        """Bring back what was deleted last."""
        screen = self._thrown
        if not screen.undoable:
            screen.app.say("nothing was deleted here; T shows the trash")
            return
        self._restore(screen.undoable.pop())

    def _restore(self, found: Sequence[Trashed]) -> None:
        screen = self._thrown
        try:
            runs = [trash.restore_run(each) for each in found]
        except TuiTuneError as error:
            screen.app.say_error(error)
        else:
            back = [run.name if str(run.path) == each.path else f"{each.name}, as {run.name}"
                    for run, each in zip(runs, found, strict=True)]  # fmt: skip
            screen.app.say(f"back again: {', '.join(back[:_NAMED])}{', ...' if len(back) > _NAMED else ''}")
            screen.subject = str(runs[0].path)  # the cursor goes to what is back
        screen.look()

    def action_trash(self) -> None:
        """Show the deleted runs."""
        known: dict[str, tuple[Trashed, int]] = {}

        def look() -> list[PickItem]:
            known.update({each.id: (each, each.size) for each in trash.trashed()})
            return _trashed_items(list(known.values()))

        def chosen(key: str) -> None:
            if key == _EMPTY:
                self._ask_purge([each for each, _ in known.values()], sum(size for _, size in known.values()))
            else:
                self._ask_one(*known[key])

        pick(self._thrown.app, "Deleted runs", look, chosen, group="runs-trash", nothing="the trash is empty")

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
        self._thrown.app.push_screen(Ask(f"{found.name}, deleted", [], choices), chosen)

    def _ask_purge(self, found: Sequence[Trashed], size: int) -> None:
        what = found[0].name if len(found) == 1 else f"{len(found)} runs"
        choices: list[Choice[bool]] = [
            Choice("esc", "Keep", "", None),
            Choice("d", "Delete for good", f"{words.size(size)} are freed; nothing brings it back", True),
        ]
        facts = [each.name for each in found[:_NAMED]] if len(found) > 1 else []
        ask = Ask(f"Delete {what} for good?", facts, choices)
        self._thrown.app.push_screen(ask, lambda sure: self._purge(found) if sure else None)

    def _purge(self, found: Sequence[Trashed]) -> None:
        screen = self._thrown
        gone = {each.id for each in found}

        def done(freed: int) -> None:
            screen.undoable = [left for each in screen.undoable if (left := [t for t in each if t.id not in gone])]
            screen.app.say(f"{words.size(freed)} are free again")

        screen.app.in_thread("runs-purge", lambda: sum(trash.purge(each) for each in found), done)


def _trashed_items(found: Sequence[tuple[Trashed, int]]) -> list[PickItem]:
    if not found:
        return []
    items = [PickItem(each.id, clean_line(each.name), words.size(size)) for each, size in found]
    total = words.size(sum(size for _, size in found))
    return [*items, PickItem(_EMPTY, "delete all of it for good …", total, group="Trash")]
