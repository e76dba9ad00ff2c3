"""Which rows an evaluation measures: what the run held back, a data set that is named, or what it learnt from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from tuitune.data import Examples, build
from tuitune.data.options import KINDS
from tuitune.data.sources import must_exist
from tuitune.errors import DataError
from tuitune.run.evaluation import Data

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tuitune.data import Example
    from tuitune.data.templates import Template
    from tuitune.evaluate.request import Request
    from tuitune.evaluate.scores import Around
    from tuitune.recipe import Recipe

Kind = Literal["held_out", "trained_on", "given"]
_ENOUGH = 200  # rows that were learnt from: they tell little, so a sample does
_BUILT_IN = " (built in)"
_ALONE: dict[str, object] = {
    "val_size": 0.0, "eval_dataset": (), "streaming": False, "mix_strategy": "concat", "interleave_probs": None,
    "tokenized_path": None,
}  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """The recipe that reads the rows, whether they are its evaluation set, and what they are."""

    recipe: Recipe
    name: str
    kind: Kind
    split: bool
    why: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Held:
    """The rows as one tokenizer reads them: examples, their ids, and how many there were to choose from."""

    examples: Examples
    ids: tuple[str, ...]
    of: int

    def only(self, ids: tuple[str, ...]) -> Held:
        """Return those rows that are among `ids`, in that order."""
        places = {name: place for place, name in enumerate(self.ids)}
        kept = tuple(name for name in ids if name in places)
        return Held(self.examples.select([places[name] for name in kept]), kept, self.of)


def choose(request: Request) -> Choice:
    """Return which rows are to be measured. Raises DataError in words where there are none."""
    recipe = request.recipe
    if request.data is not None:
        return _named(request, (request.data,), "given")
    if recipe.eval_dataset:
        return _named(request, recipe.eval_dataset, "given" if request.run is None else "held_out")
    if recipe.val_size:
        return Choice(recipe, ", ".join(recipe.dataset), "held_out", True)
    return _learnt(request)


def _named(request: Request, names: Sequence[str], kind: Kind) -> Choice:
    recipe = _only(request.recipe, tuple(names))
    for name in names:
        must_exist(name, recipe)
    shown = ", ".join(Path(name).name for name in names)
    learnt = [name for name in names if name in request.recipe.dataset] if request.run is not None else []
    if not learnt:
        return Choice(recipe, shown, kind, False)
    why = f"the run has learnt from {', '.join(learnt)}: good figures on its rows say little"
    return Choice(recipe, shown, "trained_on", False, why, "name other rows with --data")


def _learnt(request: Request) -> Choice:
    recipe = request.recipe
    if not recipe.dataset:
        raise DataError(f"{request.subject} names no data to measure on", "name some: --data NAME or --data FILE")
    names = ", ".join(recipe.dataset)
    if request.run is None:
        return Choice(_only(recipe, recipe.dataset), names, "given", False)
    return Choice(
        _only(recipe, recipe.dataset), names, "trained_on", False,
        "the run held no rows back, so these are rows that it has learnt from: good figures on them say little",
        "train with val_size: 0.1, or name other rows with --data",
    )  # fmt: skip


def _only(recipe: Recipe, names: tuple[str, ...]) -> Recipe:
    update = _ALONE | {"dataset": tuple(names)}
    if KINDS[recipe.stage] != "text":
        update |= {"packing": False, "neat_packing": False}
    return recipe.model_copy(update=update)


def name_of(choice: Choice) -> str:
    """Return what results on these rows are called: never held out where the run has learnt from them."""
    match choice.kind:
        case "held_out":
            return "held-out"
        case "trained_on":
            return "trained-on"
    return Path(choice.name.partition(", ")[0]).stem


def read(choice: Choice, tokenizer: PreTrainedTokenizerBase, template: Template, around: Around) -> Held:
    """Return all rows of the choice. Raises DataError."""
    prepared = build(
        choice.recipe, tokenizer, template=template, progress=around.progress, check=around.check, warn=around.note
    )
    for note in prepared.report.notes:
        around.note(note)
    if prepared.report.bad_count:
        around.note(f"{prepared.report.bad_count} rows cannot be used: {prepared.report.first_reasons(3)}")
    found = prepared.evaluation if choice.split else prepared.train
    assert isinstance(found, Examples)
    return Held(found, _ids(found), len(found))


def tokens_of(held: Held, tokenizer: PreTrainedTokenizerBase) -> dict[str, bytes]:
    """Return a hash of each row by its id: of the words that it is made of and of those that are learnt from.

    Rows are the same to two models where these are equal, whatever their tokenizers and templates are called.
    """
    words = {number: word for word, number in tokenizer.get_vocab().items()}
    return {name: _hash(example, words) for name, example in zip(held.ids, held.examples, strict=True)}


def _hash(example: Example, words: Mapping[int, str]) -> bytes:
    said = [
        [[(number, words.get(number)) for number in row[column]] for column in ("input_ids", "labels")]
        for row in example.sequences
    ]
    return hashlib.blake2b(repr(said).encode("utf-8", "backslashreplace"), digest_size=16).digest()


def sampled(held: Held, choice: Choice, rows: int | None, seed: int) -> Held:
    """Return at most `rows` of them, drawn with the seed, in order; of rows that were learnt from 200 unless asked."""
    most = _ENOUGH if rows is None and choice.kind == "trained_on" else rows
    if most is None or most >= len(held.ids):
        return held
    places = np.sort(np.random.default_rng(seed).choice(len(held.ids), size=most, replace=False))
    return Held(held.examples.select(places), tuple(held.ids[place] for place in places), held.of)


def _ids(examples: Examples) -> tuple[str, ...]:
    """Return a name for each example: file and row, or where nobody knows them its place."""
    origins = examples.origins
    if origins is None:
        return tuple(str(place) for place in range(1, len(examples) + 1))
    names = _names([str(file) for file in origins.files])
    seen: dict[str, int] = {}
    found = []
    for file, number in zip(origins.file.tolist(), origins.number.tolist(), strict=True):
        name = f"{names[file]}:{number}"
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return tuple(found)


def _names(files: list[str]) -> list[str]:
    short = [Path(file).name.removesuffix(_BUILT_IN) for file in files]
    return short if len(set(short)) == len(short) else files


def data_of(choice: Choice, held: Held) -> Data:
    """Return what results say of the rows."""
    how = {"held_out": ", held back from training", "trained_on": "", "given": ""}
    rows = f"{len(held.ids):,} rows" if len(held.ids) == held.of else f"{len(held.ids):,} of {held.of:,} rows"
    words = f"{rows} of {choice.name}{how[choice.kind]}{f'; {choice.why}' if choice.why else ''}"
    return Data(choice.name, choice.kind, len(held.ids), held.of, words, choice.recipe.stage)
