"""`tuitune data`: which tokens of a recipe's data would be trained on, without a weight of the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuitune.cli import report
from tuitune.cli.bars import bars
from tuitune.cli.console import json_line, screen
from tuitune.errors import UsageError
from tuitune.face.asking import read_good
from tuitune.face.looking import look
from tuitune.run import places
from tuitune.run.streams import guard

if TYPE_CHECKING:
    from tuitune.data.look import Look, Side


def data(
    recipe: str, settings: Sequence[str], *, count: int, row: str | None, stage: str | None, evaluation: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """Print what the data come to, then some examples token by token. Raises DataError when no row is usable."""
    asked = [*settings, *([f"stage={stage}"] if stage else [])]
    document, warnings = read_good(recipe, asked)
    with guard(places.home() / "data.log") as real, bars(real.err) as progress:
        found = look(document.recipe(), progress=progress)
    side = _side(found, evaluation)
    chosen = [_row(side, row)] if row is not None else list(range(min(max(0, count), len(side))))
    if as_json:
        from tuitune.cli.data_json import records

        for record in records(found, side, chosen):
            json_line(record)
        return 0
    from tuitune.cli.data_words import show

    report.problems(warnings)
    show(screen(), found, side, chosen)
    return 0


def _side(found: Look, evaluation: bool) -> Side:
    if not evaluation:
        return found.train
    if found.evaluation is None:
        raise UsageError("no rows are held back for evaluation", "Set val_size, or name them in eval_dataset.")
    return found.evaluation


def _row(side: Side, row: str) -> int:
    """Return the place of the example that `row` means: its number from 1, or FILE:ROW."""
    file, _, number = row.rpartition(":")
    if not number.isascii() or not number.isdigit():
        raise UsageError(f"--row {row}: {number!r} is no number", "Give the number of an example, or FILE:ROW.")
    if not file:
        if not 1 <= int(number) <= len(side):
            raise UsageError(f"there is no example {int(number):,}", f"They go from 1 to {len(side):,}.")
        return int(number) - 1
    place = side.find(int(number), file)
    if place is None:
        raise UsageError(
            f"no example comes from row {number} of {file}",
            "It may be among the rows that were left out, or in the other split (--eval).",
        )
    return place
