"""What a model card says of the training: drawn from the recipe and the journal, without anything private."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from tuitune.engine.plot import figures_of
from tuitune.errors import TuiTuneError
from tuitune.fit import embedded
from tuitune.fit.models import resolve
from tuitune.fit.scan import licence_of
from tuitune.recipe.field import FIELDS, Field
from tuitune.run import RunDir
from tuitune.run.events import StepLogged
from tuitune.run.journal import JournalReader, Point, supersede
from tuitune.run.listing import read as read_manifest
from tuitune.text import clean_line

if TYPE_CHECKING:
    from tuitune.export.about import About
    from tuitune.recipe import Recipe

_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_FIGURES = frozenset({"flag", "number", "whole", "share", "choice"})
# Of what is text, these name parts of a model or a way of writing; all others may name places and people.
_NAMES = frozenset({
    "template", "tool_format", "lora_target", "oft_target", "galore_target", "apollo_target",
    "freeze_trainable_modules", "additional_target", "interleave_probs", "reward_weights",
})  # fmt: skip
_GROUPS = frozenset({"logging", "saving", "run", "trackers", "evaluation", "generation"})
# Another word for what is told already, and what says how a model is loaded, not how it learns.
_UNTOLD = frozenset({"warmup_ratio", "trust_remote_code"})
_KEPT_LOSSES = 9


@dataclass(frozen=True)
class Facts:
    """base_id: the base's name on the hub, "" where it has none; method: "" for a model that was not trained here.

    settings: keys and values other than the defaults; losses and eval_losses: (step, value), the first and the last
    among them; longest: tokens of a training row.
    """

    base: str
    base_id: str
    licence: str = "unknown"
    stage: str = ""
    method: str = ""
    data: tuple[str, ...] = ()
    data_ids: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    losses: tuple[tuple[int, float], ...] = ()
    eval_losses: tuple[tuple[int, float], ...] = ()
    steps: int = 0
    tokens: int = 0
    longest: int | None = None
    versions: tuple[tuple[str, str], ...] = ()


def of(about: About) -> Facts:
    """Return the facts of an export."""
    recipe, run = about.recipe, about.run
    base, base_id = _base(recipe.model_name_or_path if recipe is not None else about.weights.model)
    licence = _licence(recipe.model_name_or_path if recipe is not None else about.weights.model)
    if recipe is None:
        return Facts(base, base_id, licence)
    found = figures_of(run).get("loss") if run is not None else None
    steps = _steps(run)
    return Facts(
        base=base,
        base_id=base_id,
        licence=licence,
        stage=recipe.stage,
        method=recipe.method_name,
        data=tuple(data_name(name) for name in recipe.dataset),
        data_ids=tuple(name for name in recipe.dataset if _is_id(name, recipe)),
        settings=tuple(_settings(recipe)),
        losses=_points(found.training) if found else (),
        eval_losses=_points(found.evaluations) if found else (),
        steps=steps[-1].step if steps else 0,
        tokens=sum(event.tokens for event in steps) if recipe.logging_steps == 1 else 0,
        longest=recipe.cutoff_len,
        versions=_versions(about.weights.adapters[-1] if about.weights.adapters else Path(about.weights.model)),
    )


def line(text: str) -> str:
    """Return foreign text on one line, for the head of the card."""
    return clean_line(text)[:200]


def data_name(name: str) -> str:
    """Return what a data set is called, without where it lies."""
    return line(PurePath(name).name if _is_place(name) else name)


def _licence(model: str) -> str:
    """Return the licence that a model says it has, as hubs write it."""
    if model == embedded.NAME:
        return embedded.LICENCE
    with contextlib.suppress(TuiTuneError):
        place = resolve(model).path
        return line((licence_of(place) if place is not None else None) or "unknown")
    return "unknown"


def _base(model: str) -> tuple[str, str]:
    """Return what the base is called, and its name on the hub."""
    if model == embedded.NAME:
        return "SmolLM2-135M-Instruct", embedded.HUB_REPO
    if not _is_place(model) and _ID.fullmatch(model):
        return model, model
    return line(PurePath(model).name) or "a local model", ""


def _is_place(name: str) -> bool:
    return name.startswith(("/", ".", "~")) or "\\" in name or name.count("/") > 1 or Path(name).exists()


def _is_id(name: str, recipe: Recipe) -> bool:
    return not _is_place(name) and not recipe.locate(name).exists() and bool(_ID.fullmatch(name))


def _settings(recipe: Recipe) -> list[tuple[str, str]]:
    values: dict[str, object] = {name: getattr(recipe, name) for name in FIELDS}
    return [
        (field.name, _written(values[field.name]))
        for field in FIELDS.values()
        if _is_told(field, values) and values[field.name] != field.default
    ]


def _is_told(field: Field, values: dict[str, object]) -> bool:
    told = field.kind in _FIGURES or field.name in _NAMES or (field.kind == "settings" and _figures(values[field.name]))
    counts = field.purpose == "train" and (field.group not in _GROUPS or field.name == "seed")
    return told and counts and field.name not in _UNTOLD and not field.inert and field.applies(values)


def _figures(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(each, int | float) for each in value.values())


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_written(each)}" for key, each in value.items())
    return str(value)


def _steps(run: RunDir | None) -> list[StepLogged]:
    if run is None:
        return []
    try:
        events = supersede(JournalReader(run.events).read())
    except (OSError, TuiTuneError):
        return []
    return [event for event in events if isinstance(event, StepLogged)]


def _points(points: Sequence[Point]) -> tuple[tuple[int, float], ...]:
    finite = [point for point in points if math.isfinite(point[1])]
    kept: Any = finite if len(finite) <= _KEPT_LOSSES else _spread(finite)
    return tuple((int(step), float(value)) for step, value in kept)


def _spread(points: Sequence[Point]) -> list[Point]:
    """Return some of many points, the first and the last among them, at equal distances."""
    last = len(points) - 1
    return [points[round(place * last / (_KEPT_LOSSES - 1))] for place in range(_KEPT_LOSSES)]


def _versions(folder: Path) -> tuple[tuple[str, str], ...]:
    try:
        return tuple(sorted(read_manifest(folder).versions.items()))
    except (OSError, TuiTuneError):
        return ()
