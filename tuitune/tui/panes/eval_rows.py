"""The Rows pane of the Evaluate screen: predictions, the worst first, searched and filtered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from textual.containers import Horizontal
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input

from tuitune.run.evaluation import Item, Metric
from tuitune.run.evaluations import scores_of
from tuitune.text import clean_line
from tuitune.tui.asking import Picker, PickItem
from tuitune.tui.evaluating import Found
from tuitune.tui.kit.pane import Pane
from tuitune.tui.kit.rows import R, Row
from tuitune.tui.panes.data_rows import RowSearch
from tuitune.tui.panes.eval_list import PredictionList
from tuitune.tui.panes.eval_order import Filter, Order, arranged, filters, order_items, orders, usual
from tuitune.tui.panes.model_search import Glass

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

_PAUSE = 0.2  # seconds without a key, after which a search begins


class PredictionsPane(Pane):
    """Lists the rows of an evaluation as ordered, filtered and searched."""

    label = "Rows"
    digit = "4"
    HELP = """
# Rows

What every model made of every row, the worst first: that is where to look for what the training has not taught.

- **o** the order: by a score of a model, or by how much worse one is than another
- **/** searches prompts, references and answers; all words must be found
- **f** only a benchmark, a subject, or answers that were cut
- **enter** goes to the answers; **n** and **p** go to the next row and the one before from anywhere
"""
    if TYPE_CHECKING:
        app: TuiTune

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.list, self.line = PredictionList(), RowSearch(placeholder="words in prompts and answers")
        self.order, self.which = Order(), Filter()
        self._found: Found | None = None
        self._chosen = False  # whether the user has chosen the order
        self._timer: Timer | None = None

    @property
    def meta(self) -> Row:
        """What is listed, in which order, and how much."""
        if self._found is None or not self._found.items:
            return []
        which = R("accent", f"{self.which.words}  ") if self.which.words else []
        order = R("quiet", f"{clean_line(self.order.words)}  ") if self.content_size.width >= 44 else []
        return [*which, *order, *R("ink", f"{len(self.list.items):,}")]

    def compose_body(self) -> Iterable[Widget]:
        """Yield the search and the list."""
        with Horizontal(classes="search"):
            yield Glass()
            yield self.line
        yield self.list

    def focus_first(self) -> None:
        """Give the keys to the list."""
        self.list.focus()

    @property
    def item(self) -> Item | None:
        """The row under the cursor."""
        return self.list.item

    def show(self, found: Found | None) -> None:
        """List the rows of an evaluation; the order stays where it means something there."""
        old, self._found = self._found, found
        other = old is None or found is None or old.evaluation.path != found.evaluation.path
        offered = self._orders()
        if self.order not in offered or not self._chosen:
            self.order = usual(offered)
        if other:
            self.which = Filter()
        self.relist(keep=not other)

    def _orders(self) -> list[Order]:
        return [] if self._found is None else orders(self._found.items, self._found.evaluation.models)

    def relist(self, *, keep: bool) -> None:
        """List the rows anew."""
        found = self._found
        if found is None:
            self.list.show((), Order(), (), "nothing is evaluated yet")
        else:
            items = arranged(found.items, self.order, self.which, self.line.value)
            first = [self.order.model, *([self.order.against] if self.order.against else [])]
            models = [*first, *(each.key for each in found.evaluation.models if each.key not in first)]
            self.list.show(items, self.order, models[:2], self._empty(found), keep=keep)
        self.retitle()

    def _empty(self, found: Found) -> str:
        if not found.items:
            at_work = found.evaluation.status == "running"
            return "no row has an answer yet" if at_work else "this evaluation has no rows"
        return "no row is so" if not self.line.value.strip() else f"no row holds {clean_line(self.line.value)!r}"

    def by_metric(self, metric: Metric) -> bool:
        """Order by the score behind a figure, its task or subject only; return whether rows have such a score."""
        found = self._found
        if found is None or not found.items:
            return False
        rows = [item for item in found.items if item.task == metric.group]
        if not rows:
            return False
        groups = {item.group for item in rows}
        self.which = Filter(metric.group, metric.key if metric.key in groups else "")
        if self.which.words and not any(item.task != metric.group for item in found.items) and not self.which.group:
            self.which = Filter()
        names = scores_of(rows)
        score = metric.key if metric.key in names else names[0] if metric.key in groups or len(names) == 1 else ""
        if not score:
            score = "loss" if metric.key == "perplexity" and "loss" in names else ""
        if score:
            self.order = next((each for each in self._orders() if each.score == score), self.order)
            self._chosen = True
        self.relist(keep=False)
        return bool(score)

    # -- what keys do ------------------------------------------------------------------------------------------

    def choose_order(self) -> None:
        """Let the user choose the order."""
        offered = self._orders()
        if not offered:
            self.app.say("there are no rows yet")
            return

        def chosen(key: str | None) -> None:
            order = next((each for each in offered if each.key == key), None)
            if order is not None:
                self.order, self._chosen = order, True
                self.relist(keep=False)

        self.app.push_screen(Picker("The worst first, by what?", order_items(offered), chosen=self.order.key), chosen)

    def choose_filter(self) -> None:
        """Let the user choose which rows are listed."""
        offered = filters(self._found.items) if self._found is not None else []
        if not offered:
            self.app.say("there are no rows yet")
            return
        items = [PickItem(str(n), name, f"{count:,}") for n, (_, name, count) in enumerate(offered)]
        now = next((str(n) for n, (each, _, _) in enumerate(offered) if each == self.which), "0")

        def chosen(key: str | None) -> None:
            if key is not None:
                self.which = offered[int(key)][0]
                self.relist(keep=True)

        self.app.push_screen(Picker("Which rows?", items, chosen=now), chosen)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search when the typing pauses."""
        event.stop()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(_PAUSE, lambda: self.relist(keep=True))

    def on_find_line_left(self, message: RowSearch.Left) -> None:
        """Give the keys to the list."""
        message.stop()
        self.list.focus()
