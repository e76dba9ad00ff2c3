"""`tuitune plan`: what a recipe would train and how much memory it would take, told without loading a weight."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.cli import report, tables
from tuitune.cli.bars import bars
from tuitune.cli.console import json_line, say, screen
from tuitune.errors import ModelError
from tuitune.face import words
from tuitune.face.asking import read_ready
from tuitune.face.host import prepare_for
from tuitune.fit.count import ranges
from tuitune.fit.models import resolve
from tuitune.fit.parts import ROLE_NAMES
from tuitune.run import places
from tuitune.run.streams import guard

if TYPE_CHECKING:
    from rich.console import Console

    from tuitune.cli.bars import Report
    from tuitune.engine.tensors import Outlook, Tensor
    from tuitune.fit.estimate import Estimate
    from tuitune.recipe import Recipe

# The number of a layer, by the names that models give the list of them.
_NUMBER = re.compile(r"(?:(?<=layers\.)|(?<=\bh\.)|(?<=blocks\.))\d+(?=\.)")

_AROUND, _ADAPTER = "base_model.model.", ".default"  # what peft puts into every name


def plan(recipe: str, settings: Sequence[str], *, everything: bool, as_json: bool) -> int:
    """Print what learns, tensor by tensor or those of one shape in all layers together, and the predicted memory."""
    document, warnings = read_ready(recipe, settings)
    asked = document.recipe()
    prepare_for(asked.device)
    from tuitune.engine.tensors import outlook

    with guard(places.home() / "plan.log") as real, bars(real.err) as progress:
        found = outlook(asked, _folder(asked, progress))
    if as_json:
        _print_json(found)
        return 0
    report.problems(warnings)
    _show(screen(), asked, found, everything)
    return 0


def _folder(recipe: Recipe, progress: Report) -> Path:
    """Return the model's folder; a model in one file is made one. Raises ModelError for one that is not here."""
    from tuitune.models.prepare import prepare

    near = [recipe.source.parent] if recipe.source else []
    source = resolve(recipe.model_name_or_path, search=near, revision=recipe.model_revision, cache_dir=recipe.cache_dir)
    if source.kind in ("hub", "modelscope"):
        raise ModelError(f"the model {source.name} is not here yet", f"tuitune models get {source.name}")
    return prepare(source, progress=progress)


def _show(console: Console, recipe: Recipe, found: Outlook, everything: bool) -> None:
    say(console, f"{recipe.method_name} trains {found.count.words()}", "bold")
    rows = [_row(t.name, t, "", 1) for t in found.tensors] if everything else _grouped(found.tensors)
    columns = [
        tables.Column("tensor"), tables.Column("shape", importance=4), tables.Column("type", importance=2),
        tables.Column("layers", importance=3), tables.Column("parameters", right=True, importance=1),
    ]  # fmt: skip
    tables.show(console, columns, rows)
    say(console, f"rows: {found.path}")
    say(console, f"optimizer: {found.optimizer}")
    for line in _memory(found.fit, found.plan.device):
        say(console, line)


def _grouped(tensors: Sequence[Tensor]) -> list[list[str]]:
    """Return a row for each kind of tensor, with `*` for the number of its layer."""
    groups: dict[tuple[str, tuple[int, ...], str], list[tuple[Tensor, int | None]]] = {}
    for tensor in tensors:
        number = _NUMBER.search(tensor.name)
        name = _NUMBER.sub("*", tensor.name, count=1).removeprefix(_AROUND).replace(_ADAPTER, "")
        groups.setdefault((name, tensor.shape, tensor.dtype), []).append((tensor, int(number[0]) if number else None))
    rows = []
    for (name, _, _), members in groups.items():
        numbers = [number for _, number in members if number is not None]
        rows.append(_row(name, members[0][0], ranges(numbers), len(members)))
    return rows


def _row(name: str, tensor: Tensor, layers: str, count: int) -> list[str]:
    shape = " x ".join(map(str, tensor.shape)) or "1"
    return [name, shape, tensor.dtype, layers, f"{count * tensor.elements:,}"]


def _memory(fit: Estimate, device: str) -> list[str]:
    if fit.parts is None or fit.total is None:
        return [f"memory: {'; '.join(fit.notes) or 'not known'}"]
    free = f", {words.size(fit.free)} are free on {device}" if fit.free is not None else ""
    verdict = {"yes": ": it fits", "tight": ": it is tight", "no": ": it does not fit", "unknown": ""}[fit.fits]
    parts = ", ".join(f"{ROLE_NAMES[role]} {words.size(size)}" for role, size in fit.parts.items() if size)
    return [f"memory: about {words.size(fit.total)} at the peak{free}{verdict}", f"of that: {parts}", *fit.notes]


def _print_json(found: Outlook) -> None:
    for tensor in found.tensors:
        json_line({
            "kind": "tensor", "name": tensor.name, "shape": list(tensor.shape), "dtype": tensor.dtype,
            "parameters": tensor.elements,
        })  # fmt: skip
    fit, count = found.fit, found.count
    json_line({
        "kind": "plan", "trained": count.trained, "total": count.total, "share": count.share, "path": found.path,
        "optimizer": found.optimizer, "device": found.plan.device, "memory": fit.parts, "peak": fit.total,
        "free": fit.free, "fits": fit.fits, "tokens_at_once": fit.tokens or None, "recompute": fit.recompute,
        "notes": list(fit.notes),
    })  # fmt: skip
