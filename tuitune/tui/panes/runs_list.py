"""The pane of all runs: a live search, a filter and an order over the list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Input

from tuitune.face.runs import ORDERS, Wanted, arranged
from tuitune.run.shelf import Entry
from tuitune.text import clean_line
from tuitune.tui.kit.pane import Pane
from tuitune.tui.kit.rows import R, Row
from tuitune.tui.panes.find_line import FindLine
from tuitune.tui.panes.model_search import Glass
from tuitune.tui.panes.runs_table import RunTable


class RunSearch(FindLine):
    """Words that a run's name, model, data, method, state, tags or note must hold."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,enter", "list", "To the list", show=False, id="runs.tolist", tooltip="go to the runs found"),
        Binding("escape", "clear", "End the search", show=False, id="runs.clear", tooltip="all runs again"),
    ]


class RunsPane(Pane):
    """Lists the runs that are wanted."""

    label = "Runs"
    digit = "1"
    HELP = """
# Runs

Every run: its method, data, steps, loss (or reward, marked with its first letter), best evaluation, how long it took,
how it stands, its tags and note.

- **enter** opens a run on the Workbench; **space** marks it: curves of marked runs are drawn over each other, and what
  differs between their recipes is listed; **a** marks all that are listed, or none
- **/** searches while you type (`#tag` for tags), **f** filters, **s** sorts, **o** turns the order round; a click on a
  title sorts too
- **n** a new run from its recipe, **r** resume, **X** stop
- **c** chat, **v** evaluate, **e** export, **S** serve, **b** compare in two columns: the two marked runs, else the run
  and its base
- **w** writes a note, **t** tags, **d** moves runs to the trash, **u** takes that back, **T** shows the trash
- **i** imports what LLaMA-Factory or transformers trained
"""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.table, self.line = RunTable(), RunSearch(placeholder="search, #tag")
        self.wanted = Wanted()
        self.order, self.turned = "newest", False
        self._all: Sequence[Entry] = ()
        self.known = False

    @property
    def meta(self) -> Row:
        """How many are listed, which, and in what order."""
        table = self.table
        row = R("accent", f"{len(table.marks)} marked  ") if table.marks else []
        only = [*self.wanted.states, *self.wanted.stages, *(f"#{clean_line(tag)}" for tag in self.wanted.tags)]
        row += R("accent", f"only {' '.join(only)}  ") if only else []
        count = len(table.entries)
        row += R("ink", f"{count:,}", "quiet", f" of {len(self._all):,}  " if count != len(self._all) else "  ")
        return row + R("quiet", f"{'-' if self.turned else ''}{ORDERS[self.order].title}")

    def compose_body(self) -> Iterable[Widget]:
        """Yield the search and the list."""
        with Horizontal(classes="search"):
            yield Glass()
            yield self.line
        yield self.table

    def focus_first(self) -> None:
        """Give the keys to the list."""
        self.table.focus()

    @property
    def all(self) -> Sequence[Entry]:
        """Every run there is."""
        return self._all

    def show(self, entries: Sequence[Entry]) -> None:
        """Take the runs as they are now."""
        self._all, self.known = entries, True
        there = {entry.path for entry in entries}
        if gone := [path for path in self.table.marks if path not in there]:
            self.table.marks = [path for path in self.table.marks if path not in gone]
            self.table.post_message(RunTable.Marked())
        self.relist()

    def relist(self) -> None:
        """List what is wanted now."""
        wanted = replace(self.wanted, search=self.line.value)
        table = self.table
        table.order, table.turned = self.order, self.turned
        none = "no run fits; escape in the search and f show them all"
        empty = none if self._all else "there are no runs yet; ctrl+r starts the first" if self.known else table.empty
        table.show(arranged(self._all, wanted, self.order, turned=self.turned), empty)
        self.retitle()

    def sort(self, order: str) -> None:
        """Sort by another figure, or by the same one the other way round."""
        if order == "tags":
            return  # there is no order of notes
        self.turned = not self.turned if order == self.order else False
        self.order = order
        self.relist()
        self.table.action_move(-len(self.table))  # what was asked for stands first

    def want(self, wanted: Wanted) -> None:
        """List only some."""
        self.wanted = wanted
        self.relist()

    @property
    def marked(self) -> list[Entry]:
        """The marked runs, in the order in which they were marked."""
        known = {entry.path: entry for entry in self._all}
        return [known[path] for path in self.table.marks if path in known]

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search while one types."""
        event.stop()
        self.relist()

    def on_find_line_left(self, message: FindLine.Left) -> None:
        """Give the keys to the list."""
        message.stop()
        self.table.focus()

    def on_run_table_sorted(self, message: RunTable.Sorted) -> None:
        """Sort by the title that was clicked."""
        message.stop()
        self.sort(message.order)
