"""What the parts of an export are told of it: card, Modelfile, GGUF file. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.chat.weights import Weights, run_of
from tuitune.errors import TuiTuneError
from tuitune.recipe import Recipe, load
from tuitune.run import RunDir

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tuitune.data.templates import Template
    from tuitune.export.agree import Agreement


@dataclass(frozen=True)
class About:
    """One export. recipe, run: of the training that the last adapter or the whole model comes from, where there is one.

    evaluations: results.json files about these very weights, newest first. number: how the weights are kept, such as
    `bfloat16` or `Q8_0`. shares: how much of each adapter went in, () for all. checks: what was compared so far.
    generation: sampling values that were asked for. repo: the name on the hub. out: the final folder.
    """

    weights: Weights
    template: Template
    tokenizer: PreTrainedTokenizerBase
    form: str
    number: str
    out: Path
    recipe: Recipe | None = None
    run: RunDir | None = None
    evaluations: tuple[Path, ...] = ()
    shares: tuple[float, ...] = ()
    checks: tuple[Agreement, ...] = ()
    generation: Mapping[str, Any] = field(default_factory=dict)
    repo: str | None = None


def trained_in(weights: Weights) -> tuple[RunDir | None, Recipe | None]:
    """Return the run that weights come from, and its recipe; None where there is none, or it cannot be read."""
    folder = weights.adapters[-1] if weights.adapters else Path(weights.model)
    run = run_of(folder) if folder.is_dir() else None
    if run is None:
        return None, None
    try:
        return run, load(run.recipe)
    except TuiTuneError:
        return run, None


def evaluated(run: RunDir | None, weights: Weights) -> tuple[Path, ...]:
    """Return the results of the evaluations that were of these weights, newest first."""
    from tuitune.run.evaluations import evaluations_of, read

    found = []
    for folder in evaluations_of(run) if run is not None else []:
        try:
            made = read(folder)
        except TuiTuneError:
            continue
        own = (_same(model.model, model.adapters, weights) for model in made.models if model.role == "tuned")
        if made.status == "done" and any(own):  # what is at work has figures of some models only
            found.append(folder / "results.json")
    return tuple(found)


def _same(model: str, adapters: object, weights: Weights) -> bool:
    # By names: the run may have been moved since, and what lies in it then has other paths.
    names = [Path(path).name for path in adapters] if isinstance(adapters, list | tuple) else []
    return Path(model).name == Path(weights.model).name and names == [path.name for path in weights.adapters]
