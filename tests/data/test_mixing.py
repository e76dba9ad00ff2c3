"""Several data sets as one: the order of `datasets.interleave_datasets`, lazily."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from typing import Any

import pytest

from tuitune.data.mixing import mixed, places, probabilities
from tuitune.errors import DataError

STRATEGIES = {
    "interleave_under": "first_exhausted",
    "interleave_over": "all_exhausted",
    "interleave_once": "all_exhausted_without_replacement",
}
LENGTHS = [[3, 4, 5], [5, 4, 3], [1, 1], [7, 700], [2000, 1500, 40], [4, 4, 4]]
PROBS: dict[int, list[tuple[float, ...] | None]] = {
    2: [None, (0.5, 0.5), (0.9, 0.1)],
    3: [None, (0.2, 0.3, 0.5), (0.6, 0.3, 0.1)],
}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("seed", [0, 42])
def test_the_order_is_that_of_datasets(strategy: str, lengths: list[int], seed: int) -> None:
    from datasets import Dataset, interleave_datasets

    parts = [Dataset.from_dict({"row": [(n, row) for row in range(length)]}) for n, length in enumerate(lengths)]
    for probs in PROBS[len(lengths)]:
        expected: Any = interleave_datasets(
            parts,
            probabilities=None if probs is None else list(probs),
            seed=seed,
            stopping_strategy=STRATEGIES[strategy],  # type: ignore[arg-type]
        )
        which, rows = places(lengths, strategy, probs, seed)
        assert list(zip(which.tolist(), rows.tolist(), strict=True)) == [tuple(row) for row in expected["row"]]


def test_concat_goes_one_after_another() -> None:
    which, rows = places([2, 0, 3], "concat", None, 1)
    assert which.tolist() == [0, 0, 2, 2, 2]
    assert rows.tolist() == [0, 1, 0, 1, 2]
    assert list(mixed(["ab", "c"], "concat", None, 1)) == [(0, "a"), (0, "b"), (1, "c")]
    assert list(mixed(["ab"], "interleave_over", None, 1)) == [(0, "a"), (0, "b")]


@pytest.mark.parametrize("strategy", [*STRATEGIES, "concat"])
def test_streams_without_end_are_read_no_further_than_needed(strategy: str) -> None:
    read = [0, 0]

    def stream(place: int) -> Iterator[int]:
        for number in count():
            read[place] += 1
            yield number

    class Endless:
        def __init__(self, place: int) -> None:
            self._place = place

        def __iter__(self) -> Iterator[int]:
            return stream(self._place)

    for probs in (None, (0.5, 0.5)):
        read[:] = [0, 0]
        assert len(list(islice(mixed([Endless(0), Endless(1)], strategy, probs, 3), 20))) == 20
        assert sum(read) <= 22


def test_a_stream_that_repeats_is_read_again_from_its_beginning() -> None:
    opened = []

    class Short:
        def __iter__(self) -> Iterator[str]:
            opened.append(1)
            return iter("ab")

    order = list(mixed([Short(), "wxyz"], "interleave_over", None, 0))
    assert [item for _, item in order] == ["a", "w", "b", "x", "a", "y", "b", "z"]
    assert len(opened) >= 2


def test_empty_data_sets() -> None:
    assert list(mixed(["", "ab"], "interleave_once", None, 0)) == [(1, "a"), (1, "b")]
    assert list(mixed(["", ""], "interleave_once", None, 0)) == []
    assert list(mixed(["", "ab"], "interleave_under", None, 0)) == []
    assert [item for _, item in mixed(["", "ab"], "interleave_under", (0.0, 1.0), 0)] == ["a", "b"]
    for strategy, probs in (("interleave_over", None), ("interleave_under", (0.5, 0.5))):
        with pytest.raises(DataError, match="data set 1 has no rows"):
            list(mixed(["", "ab"], strategy, probs, 0))
    for strategy in ("interleave_over", "interleave_once"):
        with pytest.raises(DataError, match="gives data set 2 0"):
            list(mixed(["a", "b"], strategy, (1.0, 0.0), 0))


def test_probabilities_are_read() -> None:
    assert probabilities(None, 2) is None
    assert probabilities(" ", 2) is None
    assert probabilities("0.25, 0.75", 2) == (0.25, 0.75)
    third = probabilities("0.3333333,0.3333333,0.3333333", 3)
    assert third is not None
    assert sum(third) == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0.5", "has 1 numbers, and there are 2"),
        ("a,b", "are not numbers"),
        ("0.5,0.6", "are not probabilities"),
        ("-0.5,1.5", "are not probabilities"),
        ("nan,1", "are not probabilities"),
        ("1,,0", "are not numbers"),
    ],
)
def test_probabilities_that_are_none(text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        probabilities(text, 2)
