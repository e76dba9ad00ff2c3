"""The logged steps in a piece of a journal, read in bulk.

Building an event of every line takes two thirds of a second for 20,000 steps; a pattern over the lines that our own
journals consist of takes a hundredth of that. Lines written otherwise are read one by one, so nothing depends on it.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import orjson

from tuitune.run.events import StepLogged, decode
from tuitune.run.packing import NOT_NUMBERS

MARK = b'{"kind":"StepLogged"'
# The order of the fields is that of the dataclass, which `encode` keeps; a test holds the two together.
_LINE = (
    rb'\{"kind":"StepLogged","t":([^,]+),"step":(\d+),"epoch":[^,]+,"loss":([^,]+),"learning_rate":[^,]+,'
    rb'"grad_norm":[^,]+,"tokens":(\d+),'
)
_NOT_NUMBERS = {f'"{name}"'.encode(): value for name, value in NOT_NUMBERS.items()}


class Steps(NamedTuple):
    """One entry per line: when it was written (unix), the step, the figure, and the tokens since the line before."""

    times: array[float]
    steps: array[float]
    values: array[float]
    tokens: array[float]


def steps_in(data: bytes, start: int, stop: int, figure: str) -> Steps | None:
    """Return the steps between two places with a figure of each, nan where a step has none; None without any line."""
    count = data.count(MARK, start, stop)
    if not count:
        return None
    found: Sequence[tuple[bytes, ...]] = _pattern(figure).findall(data, start, stop)
    if len(found) != count:
        return _one_by_one(data[start:stop], figure)
    times, steps, third, fourth = (_floats(found, column) for column in range(4))
    # Another figure than the loss stands behind the tokens.
    return Steps(times, steps, third, fourth) if figure == "loss" else Steps(times, steps, fourth, third)


def _one_by_one(data: bytes, figure: str) -> Steps:
    lines = [line for line in data.split(b"\n") if MARK in line]
    found = [event for line in lines if isinstance(event := decode(line), StepLogged)]
    values = [event.loss if figure == "loss" else event.metrics.get(figure, float("nan")) for event in found]
    columns = ([each.t for each in found], [each.step for each in found], values, [each.tokens for each in found])
    return Steps(*(array("d", column) for column in columns))


@lru_cache(maxsize=32)
def _pattern(figure: str) -> re.Pattern[bytes]:
    if figure == "loss":
        return re.compile(_LINE)
    name = re.escape(orjson.dumps(figure))
    line = _LINE.replace(b'"loss":([^,]+)', b'"loss":[^,]+')
    # The stage's own figures come last in the line; a name of another one may hold any sign, quotes behind a backslash.
    return re.compile(line + rb'(?:[^\n]*"metrics":\{(?:[^\n]*?(?<!\\)' + name + rb":([^,}\n]+))?)?")


def _floats(found: Sequence[tuple[bytes, ...]], column: int) -> array[float]:
    try:
        return array("d", [float(row[column]) for row in found])
    except ValueError:
        return array("d", [_float(row[column]) for row in found])


def _float(text: bytes) -> float:
    if not text:
        return float("nan")
    return _NOT_NUMBERS[text] if text in _NOT_NUMBERS else float(text)
