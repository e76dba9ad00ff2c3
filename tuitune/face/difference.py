"""What differs between runs: what was asked of them, and what was in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tuitune.errors import TuiTuneError
from tuitune.recipe import Document, resolved
from tuitune.recipe.yamltext import dump
from tuitune.run import RunDir

_PLAN = "# plan"
# Where a run lies says nothing about what it does.
_PLACES = ("output_dir", "overwrite_output_dir", "resume_from_checkpoint", "run_name")


@dataclass(frozen=True, slots=True)
class Differing:
    """A key whose values differ: one for each run as YAML, "" where it does not apply; which of them were asked for.

    plan: the run chose it by itself (the device, the cut into micro-batches), no recipe says it.
    """

    key: str
    values: tuple[str, ...]
    asked: tuple[bool, ...]
    plan: bool = False


@dataclass(frozen=True, slots=True)
class Differences:
    """The keys that differ, those asked for first; how many are the same in all; what could not be read."""

    keys: tuple[Differing, ...]
    same: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for a run: the values asked for, all values in force, and its plan, each as YAML."""

    asked: Mapping[str, str]
    force: Mapping[str, str]
    plan: Mapping[str, str]
    note: str = ""


def differences(runs: Sequence[RunDir]) -> Differences:
    """Compare the recipes of two or more runs; one that cannot be read is said in a note."""
    return compared([terms(run) for run in runs])


def compared(found: Sequence[Terms]) -> Differences:
    """Return what differs between the terms of runs."""
    asked = _differing([each.force for each in found], [each.asked for each in found])
    keys = [key for key in asked if any(key.asked)] + [key for key in asked if not any(key.asked)]
    plans = _differing([each.plan for each in found], [{}] * len(found), plan=True) if all(
        each.plan for each in found
    ) else []  # fmt: skip
    # What is not known of one of them, or holds for the others only, is not the same.
    every = set[str].intersection(*(set(each.force) for each in found))
    notes = tuple(each.note for each in found if each.note)
    return Differences((*keys, *plans), len(every - {each.key for each in asked} - set(_PLACES)), notes)


def _differing(
    values: Sequence[Mapping[str, str]], asked: Sequence[Mapping[str, str]], *, plan: bool = False
) -> list[Differing]:
    keys = dict.fromkeys(key for each in values for key in each)
    rows = [(key, tuple(each.get(key, "") for each in values), tuple(key in each for each in asked)) for key in keys]
    # A default that one of them lacks is a key of a newer version, or of a condition that holds for the other only.
    return [
        Differing(key, row, given, plan)
        for key, row, given in rows
        if len(set(map(_meant, row))) > 1 and key not in _PLACES and (any(given) or all(row))
    ]


def terms(run: RunDir) -> Terms:
    """Return what holds for a run; of a recipe that cannot be read as one, the values as they stand."""
    note = ""
    try:
        document = Document.read(run.recipe)
    except (TuiTuneError, OSError) as error:
        return Terms({}, {}, {}, f"the recipe of {run.name} cannot be read: {error}")
    asked = {key: _plain(dump(value)) for key, value in document.values().items()}
    force, plan = _kept(run)
    if not force:
        try:
            force = _lines(resolved(document.recipe("evaluate")))
        except TuiTuneError:
            note = f"{run.name}: its recipe is no complete one here, so only what was asked is compared"
    spelt = {key: force.get(key, value) for key, value in asked.items()}
    return Terms(asked, {**spelt, **force}, plan, note)


def _kept(run: RunDir) -> tuple[dict[str, str], dict[str, str]]:
    """Return what the run wrote down when it trained: the values in force, and its plan."""
    try:
        text = run.resolved.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}, {}
    values, _, plan = text.partition(f"\n{_PLAN}\n")
    return _lines(values), _lines("\n".join(line.removeprefix("#").strip() for line in plan.splitlines()))


def _lines(text: str) -> dict[str, str]:
    # `resolved` writes each value on a line of its own; a YAML reader would take a hundred times as long.
    pairs = (line.partition(": ") for line in text.splitlines() if line and not line.startswith("#"))
    return {key: _plain(value) for key, colon, value in pairs if colon}


def _plain(value: str) -> str:
    """Return a value without quotes: beside each other, texts need none."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def _meant(value: str) -> object:
    """Return a value so that 3 and 3.0 are the same."""
    try:
        return float(value)
    except ValueError:
        return value
