"""Runs as a list shows them: which are wanted, in what order, and the figure of each that counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tuitune.face import figures
from tuitune.run.shelf import Entry

STATES = ("live", "finished", "stopped", "failed", "crashed", "created", "imported")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs are listed: those that have every tag, one of the stages, one of the states, and all words."""

    tags: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    search: str = ""

    def __bool__(self) -> bool:
        return bool(self.tags or self.stages or self.states or self.search.split())

    def fits(self, entry: Entry) -> bool:
        """Tell whether a run is one of these."""
        tags = {tag.casefold() for tag in entry.remarks.tags}
        if any(tag.casefold() not in tags for tag in self.tags):
            return False
        if self.stages and entry.facts.stage not in self.stages:
            return False
        if self.states and not any(is_so(entry, state) for state in self.states):
            return False
        text = said_of(entry)
        return all(word in text for word in self.search.casefold().split())


def is_so(entry: Entry, state: str) -> bool:
    """Tell whether a run is in one of `STATES`, or has that very status."""
    if state == "live":
        return entry.live
    return bool(entry.imported) if state == "imported" else entry.status == state


def said_of(entry: Entry) -> str:
    """Return everything that a search looks at, in small letters; tags begin with #."""
    facts, remarks = entry.facts, entry.remarks
    parts = (
        entry.run.name, facts.model, facts.stage, facts.method, entry.data, entry.status, entry.imported, remarks.note,
        *(f"#{tag}" for tag in remarks.tags),
    )  # fmt: skip
    return "\n".join(parts).casefold()


# -- the figure that counts --------------------------------------------------------------------------------------


def key_figure(entry: Entry) -> tuple[str, float | None]:
    """Return the name and the last value of what tells most of a run: its loss, or the reward."""
    name = figures.main(entry.facts.stage)
    return (name, entry.facts.metrics[name]) if name in entry.facts.metrics else (figures.LOSS, entry.facts.loss)


def last_evaluation(entry: Entry) -> float | None:
    """Return that figure in the last evaluation."""
    name = figures.main(entry.facts.stage)
    if name != figures.LOSS and (found := entry.facts.eval_metrics.get(figures.EVAL + name)) is not None:
        return found
    return entry.facts.eval_loss


def best_evaluation(entry: Entry) -> tuple[float, int] | None:
    """Return that figure in the best evaluation, and its step; None without one, or for a skimmed journal."""
    name = figures.main(entry.facts.stage)
    found = entry.facts.best.get(name)
    if found is not None and name != figures.LOSS:
        return found[2], int(found[3])
    found = entry.facts.best.get(figures.LOSS)
    return (found[0], int(found[1])) if found is not None else None


# -- their order -------------------------------------------------------------------------------------------------

Key = Callable[[Entry], float | str | None]


@dataclass(frozen=True, slots=True)
class Order:
    """An order of runs: what it goes by, and whether the greatest stand first."""

    title: str
    key: Key
    falling: bool = False


def _worth(found: float | None, entry: Entry) -> float | None:
    """Return a figure so that less is better, for rewards as for losses."""
    if found is None or not math.isfinite(found):
        return None
    return found if figures.main(entry.facts.stage) == figures.LOSS else -found


def _best(entry: Entry) -> float | None:
    found = best_evaluation(entry)
    return _worth(found[0] if found is not None else last_evaluation(entry), entry)


ORDERS: Mapping[str, Order] = {
    "newest": Order("newest", lambda entry: entry.active, falling=True),
    "name": Order("name", lambda entry: entry.run.name.casefold()),
    "loss": Order("loss", lambda entry: _worth(key_figure(entry)[1], entry)),
    "eval": Order("best evaluation", _best),
    "steps": Order("steps", lambda entry: float(entry.step), falling=True),
    "tokens": Order("tokens", lambda entry: entry.facts.tokens, falling=True),
    "time": Order("duration", lambda entry: entry.lasted, falling=True),
    "speed": Order("speed", lambda entry: entry.facts.speed, falling=True),
    "method": Order("method", lambda entry: f"{entry.facts.stage}/{entry.facts.method}"),
    "model": Order("model", lambda entry: entry.facts.model.casefold()),
    "data": Order("data", lambda entry: entry.data.casefold()),
    "state": Order("state", lambda entry: "" if entry.live else entry.status),
}


def arranged(
    entries: Iterable[Entry], wanted: Wanted = Wanted(), order: str = "newest", *, turned: bool = False
) -> list[Entry]:
    """Return the wanted runs in an order of `ORDERS`, or turned round; what has no such figure stands last."""
    by = ORDERS[order]
    found = [entry for entry in entries if wanted.fits(entry)]
    known = [(value, entry) for entry in found if (value := by.key(entry)) not in (None, "")]
    rest = [entry for entry in found if by.key(entry) in (None, "")]
    known.sort(key=lambda pair: pair[0], reverse=by.falling != turned)
    return [entry for _, entry in known] + rest
