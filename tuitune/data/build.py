"""The whole way from a recipe's data sets to token rows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuitune.data.encode import Encoder
from tuitune.data.examples import Examples
from tuitune.data.options import Check, DataOptions, Progress, dataset_names
from tuitune.data.report import DataReport
from tuitune.data.rows import TokenRows
from tuitune.data.sources import open_sources
from tuitune.data.split import split
from tuitune.data.templates import Template, choose
from tuitune.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Prepared:
    """Rows ready to be trained on, and what became of the others."""

    train: Examples
    evaluation: Examples | None
    report: DataReport
    template_name: str

    def digest(self) -> str:
        """Return a short hash of the training rows, token by token."""
        rows = self.train.rows
        parts = (rows.ids, rows.labelled, rows.offsets)
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16]


def build(
    recipe: DataOptions,
    tokenizer: PreTrainedTokenizerBase,
    *,
    template: Template | None = None,
    progress: Progress = lambda stage, done, total: None,
    check: Check = lambda: None,
) -> Prepared:
    """Read, convert and tokenise what `recipe` names; raises DataError, and whatever `check` raises to cancel.

    `template` takes the place of the recipe's. Stages of `progress` are "read" (data sets) and "tokenise" (rows).
    """
    names = dataset_names(recipe.dataset, "dataset")
    if not names:
        raise DataError("the recipe names no data set", "Set `dataset` to a name of dataset_info.json, or to identity.")
    held_names = dataset_names(recipe.eval_dataset, "eval_dataset")
    if held_names and recipe.val_size:
        raise DataError("val_size and eval_dataset exclude each other", "Keep one of the two.")
    if template is None:
        template = choose(recipe.template, tokenizer, recipe.default_system)
    report = DataReport()
    report.add_note(template.warning)
    encoder = Encoder(recipe, tokenizer, template, report, progress, check)
    sources = open_sources(names, recipe, progress, check)
    held_sources = open_sources(held_names, recipe, progress, check)
    train = encoder.encode(sources, "dataset")
    evaluation = encoder.encode(held_sources, "eval_dataset") if held_sources else None
    if recipe.val_size:
        train, evaluation = split(train, recipe.val_size, recipe.seed)
    _count(report, train, evaluation)
    held = None if evaluation is None else Examples.of(evaluation)
    return Prepared(Examples.of(train), held, report, template.name)


def _count(report: DataReport, train: TokenRows, evaluation: TokenRows | None) -> None:
    report.rows = len(train)
    report.evaluation_rows = 0 if evaluation is None else len(evaluation)
    report.tokens = len(train.ids)
    report.labelled_tokens = int(train.labelled.sum())
    report.longest = int(train.lengths.max())
