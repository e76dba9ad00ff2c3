from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from tuitune.run import Journal, RunDir, manifest, overview, summary
from tuitune.run.events import Event, Progress, RunFailed, RunFinished, RunStarted, StepLogged, encode
from tuitune.run.state import State

START = RunStarted(1, 0, 100, "quick", "smollm2-135m", "sft", "lora", t=1000.0)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir.create(tmp_path / "run", "seed: 1\n")


def write(run: RunDir, *events: Event) -> None:
    with Journal(run.events) as journal:
        for event in events:
            journal.append(event)


def checkpoint(run: RunDir, step: int) -> Path:
    temporary = manifest.temporary(run.path, step)
    (temporary / "model").write_bytes(b"weights")
    return manifest.seal(temporary, run.checkpoint(step), {}).path


def test_a_new_run_is_only_created(run: RunDir) -> None:
    found = summary(run)
    assert (found.name, found.path, found.status, found.loss, found.resumable) == (
        "run",
        run.path,
        "created",
        None,
        False,
    )


def test_a_live_run_is_described_by_its_state_and_journal(run: RunDir) -> None:
    write(run, START, StepLogged(1, loss=3.0, t=1001.0), StepLogged(2, loss=2.5, t=1002.0))
    replace(State.here(), status="paused", step=3, total_steps=90, heartbeat=1060.0).write(run.state)
    found = summary(run)
    assert (found.model, found.stage, found.method, found.status) == ("smollm2-135m", "sft", "lora", "paused")
    assert (found.step, found.total_steps, found.loss) == (3, 90, 2.5)
    assert (found.started, found.duration) == (1000.0, 60.0)


def test_a_crashed_run_is_no_running_one_and_can_be_resumed(run: RunDir) -> None:
    write(run, START)
    replace(State.here(), status="running", pid=1 << 22).write(run.state)
    assert (summary(run).status, summary(run).resumable) == ("crashed", False)
    path = checkpoint(run, 5)
    assert (summary(run).checkpoint, summary(run).resumable) == (path, True)
    (path / "model").unlink()
    assert not summary(run).resumable


@pytest.mark.parametrize(
    ("last", "status"),
    [
        (RunFinished(9), "finished"),
        (RunFinished(9, reason="stopped_now"), "stopped"),
        (RunFailed("x"), "failed"),
        (START, "crashed"),
    ],
)
def test_without_a_state_the_journal_tells(run: RunDir, last: Event, status: str) -> None:
    write(run, START, last)
    assert summary(run).status == status


def test_a_superseded_loss_is_not_shown(run: RunDir) -> None:
    write(run, START, StepLogged(5, loss=2.0), StepLogged(9, loss=1.0), replace(START, attempt=2, step=5))
    assert (summary(run).loss, summary(run).step) == (2.0, 5)


class Counting(io.FileIO):
    total = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(-1 if size is None else size) or b""
        Counting.total += len(data)
        return data


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> type[Counting]:
    def opened(path: Path) -> BinaryIO:
        return Counting(path, "rb")

    monkeypatch.setattr(overview, "_open", opened)
    Counting.total = 0
    return Counting


def test_only_the_ends_of_a_large_journal_are_read(run: RunDir, counted: type[Counting]) -> None:
    write(run, START)
    with run.events.open("ab") as stream:
        stream.write(b"\0" * 50_000_000 + b"\n")
        stream.write(encode(StepLogged(77, loss=0.5, t=1500.0)))
    assert summary(run).duration is None  # attempts may lie where nobody looked
    replace(State.here(), status="finished", step=77, heartbeat=1500.0).write(run.state)
    Counting.total = 0
    found = summary(run)
    assert (found.model, found.loss, found.step, found.started, found.duration) == (
        "smollm2-135m",
        0.5,
        77,
        1000.0,
        500.0,
    )
    assert counted.total < 200_000


def test_a_logged_step_is_looked_for_a_little_further_back(run: RunDir, counted: type[Counting]) -> None:
    noise = encode(Progress("tokenize", 1)) * 5000
    write(run, START)
    with run.events.open("ab") as stream:
        stream.write(noise * 20 + encode(StepLogged(7, loss=0.5)) + noise)
    assert summary(run).loss == 0.5
    assert counted.total < 3 << 20
