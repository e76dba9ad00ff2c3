"""Every run in a line, quickly: what was read of a journal is remembered until the journal changes."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import orjson

from tuitune.errors import RunError
from tuitune.run import index, manifest, places
from tuitune.run.attempts import beyond
from tuitune.run.directory import RunDir
from tuitune.run.facts import Facts, skimmed, whole
from tuitune.run.files import write_atomic
from tuitune.run.imported import Imported
from tuitune.run.ledger import Ledger
from tuitune.run.overview import RunSummary, status_of, step_of
from tuitune.run.packing import pack, record, restore
from tuitune.run.remarks import NAME as REMARKS
from tuitune.run.remarks import Remarks
from tuitune.run.state import State, Status, liveness

EntryStatus = Status | Literal["created", "crashed"]
LIVE = ("starting", "running", "paused", "stopping")
_FILE, _FORMAT = "runs.json", 2
_AT_ONCE = 128 << 10  # bytes of a journal that is read whole while somebody waits
_DATA = re.compile(r"""^[{ \t]*["']?dataset["']?[ \t]*:[ \t]*(.*)$((?:\n[ \t]*-[ \t].*)*)""", re.MULTILINE)
_MOST_RECIPE = 1 << 20
Sign = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A run as a list shows it; `data` names its data sets, `active` is when it last gave a sign of life (unix).

    lasted: the seconds of all its attempts, without what lies between them; None until a long journal is read whole.
    """

    run: RunDir
    status: EntryStatus
    facts: Facts
    step: int = 0
    total_steps: int | None = None
    data: str = ""
    remarks: Remarks = field(default_factory=Remarks)
    imported: str = ""  # the trainer that made it, if not this one
    active: float = 0.0
    lasted: float | None = None

    @property
    def live(self) -> bool:
        """Whether it trains now."""
        return self.status in LIVE

    @property
    def path(self) -> str:
        """Where it lies."""
        return str(self.run.path)

    def summary(self) -> RunSummary:
        """Return it with its checkpoint, which is looked at by names and sizes."""
        facts, checkpoint = self.facts, manifest.newest_valid(self.run.path, deep=False)[0]
        return RunSummary(
            self.run.name, self.run.path, facts.model, facts.stage, facts.method, self.status, self.step,
            self.total_steps, facts.loss, facts.metrics, facts.first, self.lasted,
            facts.attempts if facts.lasted is not None else None, self.active, checkpoint,
        )  # fmt: skip


@dataclass
class _Known:
    """What is remembered of a run, and the state of the files that it holds for."""

    events: Sign = ()
    facts: Facts = field(default_factory=Facts)
    recipe: Sign = ()
    data: str = ""
    imported: str = ""
    remarked: Sign = ()
    remarks: Remarks = field(default_factory=Remarks)


class Shelf:
    """The runs of the user. Not for several threads at once.

    A journal that is long and unknown is only skimmed by `entries`, for which somebody waits; `deepen` then reads one
    of those whole at each call. What was found is kept in a file of the cache.
    """

    def __init__(self) -> None:
        self._known = _kept()
        self._ledgers: dict[str, Ledger] = {}
        self._changed = False

    def entries(self) -> list[Entry]:
        """Return every run, the one last active first."""
        found = [entry for run in index.all_runs() if (entry := self._entry(run)) is not None]
        for gone in self._known.keys() - {entry.path for entry in found}:
            del self._known[gone]
            self._ledgers.pop(gone, None)
            self._changed = True
        self._keep()
        return found

    def entry(self, run: RunDir) -> Entry:
        """Return one run, read whole."""
        known = self._look(run, State.read(run.state))
        if not known.facts.whole:
            self._read_whole(run, known)
        return _made(run, known, State.read(run.state))

    def deepen(self) -> bool:
        """Read the journal of one run that was only skimmed; return whether there was one."""
        path = next((path for path, known in self._known.items() if not known.facts.whole), None)
        if path is None:
            self._keep()
            return False
        self._read_whole(RunDir(Path(path)), self._known[path])
        return True

    def _entry(self, run: RunDir) -> Entry | None:
        try:
            state = State.read(run.state)
            return _made(run, self._look(run, state), state)
        except OSError:
            return None  # it went while it was looked at, or is not ours to read

    def _look(self, run: RunDir, state: State | None) -> _Known:
        known = self._known.setdefault(str(run.path), _Known())
        if (sign := _sign(run.events)) != known.events:
            known.events, self._changed = sign, True
            skim = bool(sign) and sign[0] > _AT_ONCE and not known.facts.whole
            known.facts = skimmed(run, state) if skim else self._read(run, state)
        if (sign := _sign(run.recipe)) != known.recipe:
            known.recipe, known.data, self._changed = sign, data_of(run), True
            known.imported = found.trainer if (found := Imported.of(run)) is not None else ""
        if (sign := _sign(run.path / REMARKS)) != known.remarked:
            known.remarked, known.remarks, self._changed = sign, Remarks.of(run), True
        return known

    def _read_whole(self, run: RunDir, known: _Known) -> None:
        known.events = _sign(run.events)
        known.facts = self._read(run, State.read(run.state))
        self._changed = True

    def _read(self, run: RunDir, state: State | None) -> Facts:
        path = str(run.path)
        ledger = self._ledgers.pop(path, None) or Ledger(run.events)
        ledger.read()
        if state is not None and liveness(state) == "live":
            self._ledgers[path] = ledger  # it grows: the next time only what is new is read
        return whole(ledger)

    def _keep(self) -> None:
        if not self._changed:
            return
        self._changed = False
        runs = {path: _recorded(known) for path, known in self._known.items()}
        with contextlib.suppress(OSError, RunError):  # only the next time takes longer
            write_atomic(places.cache() / _FILE, pack({"format": _FORMAT, "runs": runs}))


def _made(run: RunDir, known: _Known, state: State | None) -> Entry:
    facts = known.facts
    told_by_journal: EntryStatus = facts.ending or ("crashed" if facts.attempt else "created")
    return Entry(
        run, status_of(state, told_by_journal), facts,
        step_of(state, facts.attempt, facts.step),
        state.total_steps if state is not None and state.total_steps else facts.total_steps,
        known.data, known.remarks, known.imported,
        max(facts.last, state.heartbeat if state is not None else 0.0), _lasted(facts, state),
    )  # fmt: skip


def _lasted(facts: Facts, state: State | None) -> float | None:
    if facts.lasted is None:
        return None
    return facts.lasted + beyond(state, facts.attempt, facts.until, ended=bool(facts.ending))


def data_of(run: RunDir) -> str:
    """Return the names of a run's data sets as its recipe gives them, without reading that as a recipe: foreign text.

    A list of 500 runs has no time for a YAML reader.
    """
    try:
        with run.recipe.open("rb") as stream:
            text = stream.read(_MOST_RECIPE).decode("utf-8", "replace")
    except OSError:
        return ""
    match = _DATA.search(text)
    if match is None:
        return ""
    value, items = match[1].partition(" #")[0], [line.strip()[2:] for line in match[2].splitlines() if line.strip()]
    names = items if items else value.strip(" [],}").split(",")
    return ",".join(name for each in names if (name := each.partition(" #")[0].strip(" '\"")))


def _sign(path: Path) -> Sign:
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_size, status.st_mtime_ns, status.st_ino


def _recorded(known: _Known) -> dict[str, object]:
    return {**record(known), "facts": record(known.facts), "remarks": record(known.remarks)}


def _kept() -> dict[str, _Known]:
    try:
        kept = orjson.loads((places.cache() / _FILE).read_bytes())
        runs = kept["runs"] if kept["format"] == _FORMAT else {}
        return {str(path): _known(values) for path, values in runs.items()}
    except (OSError, RunError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _known(values: dict[str, dict[str, object]]) -> _Known:
    plain = {name: value for name, value in values.items() if name not in ("facts", "remarks")}
    known = restore(_Known, plain)
    known.facts, known.remarks = restore(Facts, values["facts"]), restore(Remarks, values["remarks"])
    return known
