"""Reading in bulk gives what reading event by event gives."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from tuitune.run import Journal, events, steplines
from tuitune.run.journal import supersede
from tuitune.run.ledger import Ledger


def write(path: Path, found: list[events.Event]) -> None:
    with Journal(path) as journal:
        for event in found:
            journal.append(event)


def step(number: int, loss: float, t: float, **metrics: float) -> events.StepLogged:
    return events.StepLogged(
        number, number / 10, loss, 1e-4, 0.5, 100 + number, 50, 1e3, 5e2, 0.1, {"peak": 7}, 0.4, 1, metrics, t=t
    )


def story() -> list[events.Event]:
    """Two attempts with a pause, evaluations and odd values; the second goes on from step 6."""
    found: list[events.Event] = [events.RunStarted(1, 0, 12, "r", "m", "sft", "lora", t=100.0),
                                 events.PhaseStarted("train", t=110.0)]  # fmt: skip
    losses = [3.0, 2.5, math.nan, 2.0, math.inf, 1.5, 1.4, 1.3]
    for number, loss in enumerate(losses, 1):
        found.append(step(number, loss, 110.0 + number))
        if number == 4:
            found += [events.Paused(4, t=114.5), events.Resumed(4, t=144.5)]
            found.append(events.EvalLogged(4, 0.4, 2.1, {"eval_x": 1.0}, t=145.0))
    found += [events.EvalLogged(8, 0.8, 1.2, t=150.0), events.RunFailed("full disk", "", 8, t=151.0)]
    found += [events.RunStarted(2, 6, 12, "r", "m", "sft", "lora", t=500.0), events.PhaseStarted("train", t=520.0)]
    found += [step(number, 1.0 / number, 520.0 + number) for number in range(7, 13)]
    return [*found, events.RunFinished(12, 20.0, "finished", t=540.0)]


def by_hand(found: list[events.Event]) -> tuple[list[float], list[float], list[float]]:
    kept = [event for event in supersede(found) if isinstance(event, events.StepLogged)]
    totals, total = [], 0
    for event in kept:
        total += event.tokens
        totals.append(float(total))
    return [float(event.step) for event in kept], [event.loss for event in kept], totals


def same(left: list[float], right: list[float]) -> bool:
    return len(left) == len(right) and all(a == b or (a != a and b != b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("piece", [0, 1, 7, 200])
def test_columns_are_those_of_the_events_however_the_journal_grows(tmp_path: Path, piece: int) -> None:
    path = tmp_path / "events.jsonl"
    write(path, story())
    data = path.read_bytes()
    ledger = Ledger(path)
    if piece:
        path.write_bytes(b"")
        with path.open("ab") as stream:
            for start in range(0, len(data), max(1, len(data) // piece)):
                stream.write(data[start : start + max(1, len(data) // piece)])
                stream.flush()
                ledger.read()
    ledger.read()
    steps, losses, tokens = by_hand(story())
    columns = ledger.columns
    assert same(list(columns.step), steps)
    assert same(list(columns.values), losses)
    assert same(list(columns.tokens), tokens)
    assert [each.event.step for each in ledger.evals] == [4]
    assert ledger.end is not None
    assert ledger.last is not None
    assert ledger.last.step == 12
    assert ledger.cuts == 1


def test_the_clock_is_that_of_training(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    write(path, story())
    ledger = Ledger(path)
    ledger.read()
    seconds = list(ledger.columns.seconds)
    assert seconds[:4] == [1.0, 2.0, 3.0, 4.0]  # loading does not count
    assert seconds[4] == 4.0  # its time lies in the pause, and the curve does not turn back
    assert seconds[6] - seconds[5] == pytest.approx(7.0)  # the second attempt goes on from the last step that counts
    assert seconds == sorted(seconds)


def test_lines_that_others_wrote_are_read_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    write(path, [events.RunStarted(1, stage="sft", t=0.0), step(1, 3.0, 1.0)])
    with path.open("ab") as stream:
        stream.write(b'{"kind":"StepLogged","step":2,"t":2.0,"loss":2.5,"tokens":7}\nnonsense\n')
    ledger = Ledger(path)
    ledger.read()
    assert list(ledger.columns.values) == [3.0, 2.5]
    assert list(ledger.columns.tokens) == [101.0, 108.0]


def test_another_figure_stands_beside_its_steps_and_gaps_stay(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    found: list[events.Event] = [events.RunStarted(1, stage="grpo", t=0.0)]
    found += [step(1, 0.1, 1.0, reward=0.5, kl=0.0), step(2, 0.2, 2.0, kl=0.1), step(3, 0.3, 3.0, kl=1.0, reward=-1e-7)]
    write(path, found)
    ledger = Ledger(path, lambda stage: "reward" if stage == "grpo" else "loss")
    ledger.read()
    assert same(list(ledger.columns.values), [0.5, math.nan, -1e-7])
    assert list(ledger.columns.tokens) == [101.0, 203.0, 306.0]


def test_the_pattern_knows_every_line_that_we_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steplines, "_one_by_one", None)  # the slow way would fail
    rng = random.Random(3)
    for number in range(200):
        path = tmp_path / f"{number}.jsonl"
        event = events.StepLogged(
            rng.randint(0, 10**9), rng.random() * 10 ** rng.randint(-9, 9),
            rng.choice([rng.gauss(0, 1), 1e-300, 1e300, -0.0, math.nan, math.inf, -math.inf, 5]),
            rng.random() * 10 ** rng.randint(-12, 0), rng.choice([None, 0.1, math.nan]), rng.randint(0, 10**9),
            metrics={'we"ird,name}': 1.0, 'x"reward': 3.0, "reward": 2.0}, t=rng.random() * 1e10,
        )  # fmt: skip
        write(path, [events.RunStarted(1, stage="grpo", t=0.0), event])
        for figure in ("loss", "reward"):
            ledger = Ledger(path, lambda stage, figure=figure: figure)  # type: ignore[misc]
            ledger.read()
            assert list(ledger.columns.step) == [float(event.step)]
            wished = event.loss if figure == "loss" else 2.0
            assert same(list(ledger.columns.values), [wished])


def test_a_replaced_journal_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    write(path, story())
    ledger = Ledger(path)
    ledger.read()
    path.unlink()
    write(path, [events.RunStarted(1, t=0.0), step(1, 9.0, 1.0)])
    assert ledger.read()
    assert list(ledger.columns.values) == [9.0]
    assert ledger.evals == []
    path.unlink()
    assert not ledger.read()
