from __future__ import annotations

import math

import pytest

from tests.cli.given import plant, story
from tuitune.face import words
from tuitune.face.picture import Picture
from tuitune.run import State, events


def picture(found: list[events.Event], total: int | None = 20) -> Picture:
    made = Picture("run")
    made.take_all(found)
    made.look(State(1, 0.0, attempt=1, step=made.step, total_steps=total))
    return made


def test_the_time_that_is_left_comes_from_the_pace_and_not_from_the_start() -> None:
    # Half an hour of loading does not make the steps longer.
    late = [event for event in story(steps=2, t=5000.0) if not isinstance(event, events.RunStarted)]
    assert picture([events.RunStarted(1, t=0.0), *late]).left(5025.0) == pytest.approx(180.0)


def test_the_pace_forgets_slowly() -> None:
    made = picture([*story(steps=2), events.StepLogged(3, step_seconds=110.0)])
    assert made.left() == pytest.approx(17 * 20.0)


def test_before_the_first_log_line_steps_are_counted() -> None:
    made = picture([events.RunStarted(1, 5, t=0.0), events.PhaseStarted("train", t=100.0)])
    assert made.left(160.0) is None
    made.look(State(1, 0.0, attempt=1, step=8, total_steps=20))
    assert made.left(160.0) == pytest.approx(12 * 20.0)


def test_a_new_attempt_begins_anew() -> None:
    made = picture([*story(), events.RunFailed("x"), events.RunStarted(2, 1, t=2000.0)])
    assert (made.step, made.end, made.logged, made.training) == (1, None, None, False)
    made.look(State(1, 0.0, attempt=1, step=3))
    assert made.step == 1


@pytest.mark.parametrize(
    ("value", "shown"),
    [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf"), (0.12345, "0.1235"), (5e6, "5.000e+06")],
)
def test_numbers_are_shown_as_they_are(value: float, shown: str) -> None:
    assert words.number(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (65, "1:05"), (3723.4, "1:02:03"), (86400 * 2 + 3 * 3600 + 240, "2d 03:04")]
)
def test_durations(seconds: float, shown: str) -> None:
    assert words.duration(seconds) == shown


def test_a_name_is_quoted_for_the_shell() -> None:
    run = plant("it's mine")
    assert words.ending(run, Picture("x", end=events.RunFinished(3, reason="stopped")))[1].endswith(
        """'it'"'"'s mine'"""
    )
