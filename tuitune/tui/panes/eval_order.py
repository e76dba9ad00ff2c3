"""In which order rows are browsed, and which of them: the worst first by a score, by words, by task and subject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuitune.run.evaluation import DATA, Item, Model, title_of
from tuitune.run.evaluations import scores_of, worst_first
from tuitune.text import clean_line
from tuitune.tui.asking import PickItem

_MOST_SUBJECTS = 80
AS_READ = "in the order of the data"


@dataclass(frozen=True, slots=True)
class Order:
    """The worst first by a score of a model, or by how much worse it is than another one; no score: as read."""

    score: str = ""
    model: str = ""
    against: str = ""

    @property
    def key(self) -> str:
        """What tells it from others."""
        return "\t".join((self.score, self.model, self.against))

    @property
    def words(self) -> str:
        """The order in words."""
        if not self.score:
            return AS_READ
        return f"{title_of(self.score)} of {self.model}" + (f" against {self.against}" if self.against else "")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows: of one task, of one subject of it, and those whose answer did not end by itself."""

    task: str = ""
    group: str = ""
    unended: bool = False

    @property
    def words(self) -> str:
        """The rows in words; nothing for all."""
        if self.unended:
            return "cut answers"
        return clean_line(self.group or ("" if not self.task else "rows of data" if self.task == DATA else self.task))

    def lets(self, item: Item) -> bool:
        """Tell whether a row is one of them."""
        if (self.task and item.task != self.task) or (self.group and item.group != self.group):
            return False
        return not self.unended or any(reply.ended is False for reply in item.answers.values())


def orders(items: Sequence[Item], models: Sequence[Model]) -> list[Order]:
    """Return the orders that mean something for these rows: the subject's first."""
    found: list[Order] = []
    for score in scores_of(items):
        keys = [model.key for model in models if any(_has(item, model.key, score) for item in items)]
        found += [Order(score, key) for key in keys[:1]]
        found += [Order(score, keys[0], other) for other in keys[1:]]
        found += [Order(score, key) for key in keys[1:]]
    return [*found, Order()]


def usual(found: Sequence[Order]) -> Order:
    """Return the order that rows are shown in first: by loss, which every row has, else by what there is."""
    return next((order for order in found if order.score == "loss"), found[0] if found else Order())


def arranged(items: Sequence[Item], order: Order, which: Filter, words: str) -> list[Item]:
    """Return the rows that are let through and hold all words, in order."""
    wanted = words.casefold().split()
    some = [item for item in items if which.lets(item) and (not wanted or _holds(item, wanted))]
    if not order.score:
        return some
    return worst_first(some, order.model, order.score, against=order.against or None)


def order_items(found: Sequence[Order]) -> list[PickItem]:
    """Return the orders to choose from."""
    named = [(each, each.words if each.score else AS_READ) for each in found]
    return [PickItem(each.key, clean_line(words), "worst first" if each.score else "") for each, words in named]


def filters(items: Sequence[Item]) -> list[tuple[Filter, str, int]]:
    """Return the filters that let some rows through and not all: each with its name and how many."""
    counts: dict[Filter, int] = {}
    for item in items:
        for each in (Filter(item.task), *([Filter(item.task, item.group)] if item.group else [])):
            counts[each] = counts.get(each, 0) + 1
    unended = Filter(unended=True)
    counts[unended] = sum(1 for item in items if unended.lets(item))
    some = [(each, count) for each, count in counts.items() if 0 < count < len(items)][:_MOST_SUBJECTS]
    return [(Filter(), "all", len(items)), *((each, each.words, count) for each, count in some)]


def _has(item: Item, model: str, score: str) -> bool:
    reply = item.answers.get(model)
    return reply is not None and score in reply.scores


def _holds(item: Item, wanted: Sequence[str]) -> bool:
    texts = (item.id, item.group, item.prompt, item.reference, *(each.text or "" for each in item.answers.values()))
    text = "\n".join(texts).casefold()
    return all(word in text for word in wanted)
