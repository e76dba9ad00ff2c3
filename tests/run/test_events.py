from __future__ import annotations

import math
from dataclasses import FrozenInstanceError

import orjson
import pytest

from tuitune.run import events
from tuitune.run.events import (
    CheckpointSaved,
    CommandDone,
    EvalLogged,
    Event,
    ReplyFinished,
    RunFinished,
    RunStarted,
    StepLogged,
    Warned,
    decode,
    encode,
)

SAMPLES: list[Event] = [
    RunStarted(2, 10, 30, "quick", "smollm2-135m", "sft", "lora", "checkpoint-10", "box", 42, t=1.25),
    events.PhaseStarted("load", "weights"),
    events.Noted("trains 4 of 5 parameters (80 %)"),
    events.Progress("tokenize", 3),
    StepLogged(1, 0.1, 2.5, 1e-4, None, 100, 60, 50.0, 30.0, 2.0, {"allocated": 1 << 40}, 0.3, 4, {"kl": math.nan}),
    events.Sampled(1, "2 + 2 = ?", ["4", "5\x1b[2J"], [1.0, math.inf], {"exact": [1.0, 0.0]}, "4"),
    EvalLogged(1, 0.1, 2.4, {"accuracy": 0.5}, 3.0),
    CheckpointSaved(10, "/runs/a/checkpoint-10", 12, 0.5, True),
    events.ReplyStarted("a", 1, 5),
    ReplyFinished("a", 1, 9, 0.5, "error", "out of memory"),
    Warned("a\nb \x1b[31m", "é"),
    events.Paused(3),
    events.Resumed(3),
    CommandDone("a", "save", "deferred", "after this step"),
    RunFinished(30, 60.0, "stopped", None, {"loss": 2.0}),
    events.RunFailed("it broke", "mend it", 4),
]


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: event.kind)
def test_every_event_comes_back_as_it_was(event: Event) -> None:
    line = encode(event)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line) == event


def test_no_kind_is_left_out() -> None:
    assert {event.kind for event in SAMPLES} == set(events.KINDS)
    assert all(orjson.loads(encode(event))["kind"] == type(event).__name__ for event in SAMPLES)


@pytest.mark.parametrize(("value", "word"), [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")])
def test_a_loss_that_is_no_number_is_told_as_such(value: float, word: str) -> None:
    line = encode(EvalLogged(1, 0.0, value, {"perplexity": value}))
    raw = orjson.loads(line)
    assert (raw["loss"], raw["metrics"]["perplexity"]) == (word, word)
    back = decode(line)
    assert isinstance(back, EvalLogged)
    assert repr(back.loss) == repr(back.metrics["perplexity"]) == repr(value)


def test_a_word_in_a_message_stays_a_word() -> None:
    back = decode(encode(Warned("NaN", "Infinity")))
    assert isinstance(back, Warned)
    assert (back.message, back.hint) == ("NaN", "Infinity")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"null",
        b'{"kind":"Celebrated","t":1}',
        b'{"t":1}',
        b'{"kind":"StepLogged"}',
        b"\xff\xfe\n",
        b'{"kind":"StepLogged","step":"one"}',
        b'{"kind":["StepLogged"]}',
        b'{"kind":"StepLogged","step":1,"loss":null}',
    ],
)
def test_what_is_no_event_is_none(line: bytes) -> None:
    assert decode(line) is None


def test_old_and_new_journals_are_read() -> None:
    old = decode(b'{"kind":"StepLogged","t":1.0,"step":3}')
    assert old == StepLogged(3, t=1.0)
    assert decode(b'{"kind":"StepLogged","t":1.0,"step":3,"mood":{"a":[1]}}') == old
    newer = decode(b'{"kind":"CommandDone","t":1,"id":"a","outcome":"postponed"}')
    assert isinstance(newer, CommandDone)
    assert str(newer.outcome) == "postponed"


def test_events_are_stamped_and_cannot_be_changed() -> None:
    event = events.Paused(1)
    assert event.t > 1.7e9
    with pytest.raises(FrozenInstanceError):
        event.step = 2  # type: ignore[misc]
    assert not hasattr(event, "__dict__")
