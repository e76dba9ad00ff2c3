"""How long a run took: the time of its attempts, wherever it is told, and not the hours between them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.given import plant, story
from tests.tui.runs import append
from tuitune.face.picture import Picture
from tuitune.face.words import ending
from tuitune.run import RunDir, State, events, shelf, summary
from tuitune.run.attempts import Attempts
from tuitune.run.ledger import Ledger
from tuitune.run.shelf import Shelf

HOUR = 3600.0


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TUITUNE_CACHE", str(tmp_path / "cache"))


def crashed() -> list[events.Event]:
    """An attempt of 50 seconds whose last word is about a checkpoint."""
    return [*story(steps=3, total=6, t=1000.0), events.CheckpointSaved(3, "checkpoint-3", t=1050.0)]


def resumed(number: int, t: float) -> list[events.Event]:
    """An attempt of 20 seconds that goes on from the third step."""
    started = events.RunStarted(number, 3, 6, "run", "tiny", "sft", "lora", t=t)
    done = [events.StepLogged(step, loss=0.5, t=t + 5 * (step - 3)) for step in (4, 5, 6)]
    return [started, events.PhaseStarted("train", t=t), *done,
            events.RunFinished(6, 20.0, final="/f", t=t + 20.0, attempt=number)]  # fmt: skip


def told(found: list[events.Event]) -> Attempts:
    made = Attempts()
    for event in found:
        made.take(event)
    return made


def test_only_the_time_of_attempts_counts() -> None:
    assert told(crashed()).seconds == 50.0
    both = told([*crashed(), *resumed(2, 1000.0 + HOUR)])
    assert (both.count, both.seconds, both.ended) == (2, 70.0, True)
    third = told([*crashed(), *resumed(2, 1000.0 + HOUR), events.RunStarted(3, 6, t=9 * HOUR)])
    assert (third.count, third.seconds, third.ended) == (3, 70.0, False)


def test_an_attempt_that_never_began_is_none() -> None:
    refused = events.RunFailed("lora_rank cannot change", t=1000.0 + HOUR, attempt=2)
    found = told([*crashed(), refused])
    assert (found.count, found.seconds) == (1, 50.0)
    assert told([*crashed(), refused, *resumed(3, 1000.0 + 2 * HOUR)]).seconds == 70.0
    old = events.RunFailed("no room", t=1060.0)  # of a version that did not write the number
    assert told([*crashed(), old]).seconds == 60.0


def test_a_clock_that_was_set_back_takes_no_time_away() -> None:
    assert told([*crashed(), events.RunStarted(2, 3, t=10.0), events.StepLogged(4, t=5.0)]).seconds == 50.0


@pytest.mark.parametrize("piece", [1, 300, 10**6])
def test_a_ledger_counts_the_same_however_the_journal_grows(tmp_path: Path, piece: int) -> None:
    refused = events.RunFailed("lora_rank cannot change", t=1000.0 + HOUR, attempt=2)
    found = [*crashed(), refused, *resumed(3, 1000.0 + 2 * HOUR)]
    data = b"".join(map(events.encode, found))
    ledger = Ledger(tmp_path / "events.jsonl")
    with ledger._reader.path.open("ab") as stream:
        for start in range(0, len(data), max(1, min(piece, len(data)))) if piece > 1 else [0]:
            stream.write(data[start : start + piece] if piece > 1 else data)
            stream.flush()
            ledger.read()
    assert ledger.attempts == told(found)
    assert ledger.attempts.seconds == 70.0


def test_a_list_a_summary_and_the_end_of_a_training_tell_the_same() -> None:
    run = plant("two", [*crashed(), *resumed(2, 1000.0 + HOUR)])
    (entry,) = Shelf().entries()
    assert (entry.lasted, entry.facts.attempts) == (70.0, 2)
    assert (summary(run).duration, summary(run).attempts) == (70.0, 2)
    assert entry.summary() == summary(run)
    last = events.RunFinished(6, 20.0, final="/f")
    assert ending(run, Picture("two", end=last))[0] == "finished: 6 steps, 1:10 in 2 attempts"


def alive(run: RunDir, attempt: int, heartbeat: float) -> None:
    state = replace(State.here(), status="running", attempt=attempt, heartbeat=heartbeat, pid=1 << 22, started=1.0)
    state.write(run.state)


def test_a_heartbeat_counts_for_the_attempt_that_it_belongs_to() -> None:
    run = plant("long step", crashed())
    for attempt, lasted in ((1, 80.0), (2, 50.0)):  # the second has not begun: the hours before it are none of a run
        alive(run, attempt, 1080.0)
        assert (Shelf().entry(run).lasted, summary(run).duration) == (lasted, lasted)
    append(run, resumed(2, 1000.0 + HOUR))
    alive(run, 2, 1000.0 + 2 * HOUR)  # an engine that ended cleans up; that is no training
    assert (Shelf().entry(run).lasted, summary(run).duration) == (70.0, 70.0)


def test_an_attempt_that_was_refused_does_not_take_the_steps_away() -> None:
    run = plant("refused", [*crashed(), events.RunFailed("lora_rank cannot change", t=1000.0 + HOUR, attempt=2)])
    replace(State.here(), status="failed", attempt=2, heartbeat=1000.0 + HOUR).write(run.state)
    assert (Shelf().entry(run).step, summary(run).step) == (3, 3)


def test_a_long_journal_tells_nothing_before_it_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "_AT_ONCE", 100)
    run = plant("two", [*crashed(), *resumed(2, 1000.0 + HOUR)])
    once = plant("one", crashed())
    alive(once, 1, 1050.0)
    kept = Shelf()
    assert {entry.run: entry.lasted for entry in kept.entries()} == {run: None, once: 50.0}
    while kept.deepen():
        pass
    assert {entry.run: entry.lasted for entry in kept.entries()} == {run: 70.0, once: 50.0}
