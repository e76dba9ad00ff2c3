from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tuitune.run.packing import convert, pack, restore


@dataclass(frozen=True)
class Sample:
    count: int
    rate: float = 0.5
    names: tuple[str, ...] = ()
    mixed: dict[str, int | float | bool] | None = None


def test_numbers_that_json_lacks_become_words() -> None:
    assert pack([math.nan, math.inf, -math.inf, 1.5]) == b'["NaN","Infinity","-Infinity",1.5]'


def test_scalars_of_numpy_are_numbers() -> None:
    assert pack({"a": np.float32(0.5), "b": np.int64(3), "c": np.float64("nan")}) == b'{"a":0.5,"b":3,"c":"NaN"}'


def test_what_has_no_form_is_refused() -> None:
    with pytest.raises(TypeError, match="object"):
        pack({"a": object()})


def test_a_file_name_that_is_no_text_can_be_written() -> None:
    assert pack(Path("a\udcffb")) == rb'"a\\udcffb"'


def test_restoring_takes_defaults_and_ignores_what_it_does_not_know() -> None:
    assert restore(Sample, {"count": 1, "names": ["a"], "colour": "red"}) == Sample(1, 0.5, ("a",))


def test_the_exact_type_wins_in_a_union() -> None:
    restored = restore(Sample, {"count": 1, "mixed": {"k": 50, "p": 0.5, "s": True}})
    assert restored.mixed == {"k": 50, "p": 0.5, "s": True}
    assert [type(value) for value in (restored.mixed or {}).values()] == [int, float, bool]


@pytest.mark.parametrize(
    "values",
    [{}, {"count": "1"}, {"count": True}, {"count": 1.5}, {"count": 1, "rate": "fast"}, {"count": 1, "names": "a"}],
)
def test_a_wrong_record_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - every message is its own
        restore(Sample, values)


def test_words_stay_words_where_text_is_meant() -> None:
    assert convert(str, "NaN") == "NaN"
    assert math.isnan(convert(float, "NaN"))  # type: ignore[arg-type]
