"""What the keys of the data screen do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tuitune.tui.asking import Picker, PickItem
from tuitune.tui.panes.data_list import RowList
from tuitune.tui.panes.data_packs import BatchesPane
from tuitune.tui.panes.data_rows import RowsPane
from tuitune.tui.panes.data_tokens import TokensPane

if TYPE_CHECKING:
    from tuitune.data.look_side import Side
    from tuitune.tui.screens.data import DataScreen


class DataActions:
    """The actions; a part of the screen."""

    @property
    def _screen(self) -> DataScreen:
        return self  # type: ignore[return-value]

    def action_next(self, by: int) -> None:
        """Go to another example of the list."""
        self._screen.query_one(RowsPane).list.action_move(by)

    def action_problem(self) -> None:
        """Go to the next example of the list that something is to be said about."""
        rows, side = self._screen.query_one(RowsPane).list, self._screen.side
        found = next((n for n in self._after(rows, side)), None) if side is not None else None
        if found is None:
            self._screen.app.say("no example of the list has a problem")
        else:
            rows.go_to(found)

    def _after(self, rows: RowList, side: Side | None) -> Iterator[int]:
        """Yield where in the list examples with problems stand, those behind the cursor first."""
        import numpy as np

        if side is None or rows.places is None or not len(rows):
            return
        wrong = np.zeros(len(side), bool)
        for which in ("cut", "twice", "unended"):
            wrong[side.places(which)] = True
        found = np.flatnonzero(wrong[rows.places])
        yield from map(int, found[found > rows.at])
        yield from map(int, found[found < rows.at])

    def action_search(self) -> None:
        """Go to the line to search with."""
        if self._screen.tab != "rows":
            self._screen.tab = "rows"
            self._screen.place_panes()
        self._screen.call_after_refresh(self._screen.query_one(RowsPane).line.focus)

    def action_filter(self) -> None:
        """Choose which rows are listed."""
        pane = self._screen.query_one(RowsPane)
        items = [PickItem(key, name, f"{count:,}") for key, name, count in pane.counts()]
        if not items:
            self._screen.app.say("nothing is prepared yet")
            return
        self._screen.app.push_screen(Picker("Which rows?", items, chosen=pane.filtered), self._filtered)

    def _filtered(self, which: str | None) -> None:
        if which is not None:
            self._screen.query_one(RowsPane).filter(which)

    def action_prose(self) -> None:
        """Show text, or tokens."""
        tokens = self._screen.query_one(TokensPane)
        tokens.set_look(prose=not tokens.prose)

    def action_ids(self) -> None:
        """Show the ids of tokens, or not."""
        tokens = self._screen.query_one(TokensPane)
        tokens.set_look(ids=not tokens.ids or tokens.prose, prose=False)

    def action_batches(self) -> None:
        """Show packs or steps in place of tokens, or tokens again."""
        self._screen.batches = not self._screen.batches
        self._screen.tab = "tokens"
        self._screen.place_panes()
        if self._screen.batches:
            self._screen.query_one(BatchesPane).show(self._screen.side, self._screen.query_one(RowsPane).list.place)
        self._screen.call_after_refresh(lambda: self._screen.pane("tokens").focus_first())

    def action_split(self) -> None:
        """Change between training and evaluation."""
        found = self._screen.app.datalook.look
        if found is None or found.evaluation is None:
            self._screen.app.say("no rows are held back for evaluation: set val_size or eval_dataset")
            return
        self._screen.held = not self._screen.held
        self._screen.take()

    def action_again(self) -> None:
        """Prepare the data of the recipe as it is now."""
        recipe = self._screen.app.draft.recipe()
        if recipe is None:
            self._screen.app.say("the recipe has problems; f8 shows them", "warning")
            return
        self._screen.app.datalook.start(recipe)
        self._screen.poll()

    def action_cancel(self) -> None:
        """Stop preparing."""
        if self._screen.app.datalook.busy:
            self._screen.app.datalook.cancel()
            self._screen.poll()
        else:
            self._screen.app.say("nothing is being prepared")

    def action_fault(self) -> None:
        """Go back to what is wrong with the recipe."""
        self._screen.app.pop_screen()
        self._screen.app.call_after_refresh(self._screen.app.action_recipe_problem)

    def action_back(self) -> None:
        """End the zoom or the batches, else leave."""
        if self._screen.zoomed and not self._screen.narrow:
            self._screen.action_zoom()
        elif self._screen.batches:
            self.action_batches()
        else:
            self._screen.app.pop_screen()
