from __future__ import annotations

import math
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tuitune.run.events import CheckpointSaved, EvalLogged, Event, Paused, RunStarted, StepLogged, Warned
from tuitune.run.journal import Journal, JournalReader, supersede, thin


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def test_what_is_appended_is_read_once(path: Path) -> None:
    reader = JournalReader(path)
    assert reader.read() == []
    with Journal(path) as journal:
        first, second = Paused(1), Warned("a")
        journal.append(first)
        assert reader.read() == [first]
        assert reader.read() == []
        journal.append(second)
        assert reader.read() == [second]
    assert JournalReader(path).read() == [first, second]


def test_the_journal_is_private(path: Path) -> None:
    before = os.umask(0o022)
    try:
        Journal(path).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_many_threads_write_whole_lines(path: Path) -> None:
    journal = Journal(path)

    def write(number: int) -> None:
        for step in range(200):
            journal.append(Warned("x" * (step % 50), str(number)))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert journal.close() == 0
    reader = JournalReader(path)
    found = [event for event in reader.read() if isinstance(event, Warned)]
    assert reader.unread == 0
    assert len(found) == 1600
    for number in range(8):
        # Each thread's own events keep their order.
        assert [len(event.message) for event in found if event.hint == str(number)] == [s % 50 for s in range(200)]


def test_two_readers_do_not_disturb_each_other(path: Path) -> None:
    early, late = JournalReader(path), JournalReader(path)
    with Journal(path) as journal:
        journal.append(Paused(1, t=1.0))
        assert early.read() == [Paused(1, t=1.0)]
        journal.append(Paused(2, t=2.0))
        assert early.read() == [Paused(2, t=2.0)]
        assert late.read() == [Paused(1, t=1.0), Paused(2, t=2.0)]


def test_an_unfinished_line_is_read_when_it_is_whole(path: Path) -> None:
    reader = JournalReader(path)
    path.write_bytes(b'{"kind":"Paused","t":1.0,"st')
    assert reader.read() == []
    with path.open("ab") as stream:
        stream.write(b'ep":7}\n{"kind"')
    assert reader.read() == [Paused(7, t=1.0)]


def test_a_torn_line_costs_only_itself(path: Path) -> None:
    path.write_bytes(b'{"kind":"Paused","t":1.0,"step":1}\n{"kind":"Paused","t":2.0,"st')
    reader = JournalReader(path)
    with Journal(path) as journal:
        journal.append(Paused(3, t=3.0))
    assert reader.read() == [Paused(1, t=1.0), Paused(3, t=3.0)]
    assert reader.unread == 1


def test_a_killed_writer_leaves_a_journal_that_goes_on(path: Path) -> None:
    program = (
        "import sys, itertools; from pathlib import Path; from tuitune.run.events import Warned; "
        "from tuitune.run.journal import Journal; journal = Journal(Path(sys.argv[1])); "
        "[journal.append(Warned('x' * 5000, str(n))) or n or print('on', flush=True) for n in itertools.count()]"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.communicate()
    with Journal(path) as journal:
        journal.append(Paused(1))
    events = JournalReader(path).read()
    assert isinstance(events[-1], Paused)
    assert [event.hint for event in events[:-1] if isinstance(event, Warned)] == [
        str(n) for n in range(len(events) - 1)
    ]


def test_a_cut_or_replaced_journal_is_read_anew(path: Path) -> None:
    reader = JournalReader(path)
    with Journal(path) as journal:
        for step in range(5):
            journal.append(Paused(step, t=1.0))
    assert len(reader.read()) == 5
    path.write_bytes(b'{"kind":"Paused","t":2.0,"step":9}\n')
    assert reader.read() == [Paused(9, t=2.0)]
    # Cut and grown past the old place in one go: only the beginning tells.
    path.write_bytes(b'{"kind":"Paused","t":3.0,"step":1}\n' * 40)
    assert len(reader.read()) == 40
    fresh = path.with_suffix(".new")
    fresh.write_bytes(b'{"kind":"Paused","t":3.0,"step":1}\n' * 41)
    fresh.replace(path)
    assert len(reader.read()) == 41
    assert reader.restarts == 3
    path.unlink()
    assert reader.read() == []


def test_a_full_disk_loses_no_event(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(path)
    journal.append(Paused(1, t=1.0))
    real = os.write

    def full(fd: int, data: bytes) -> int:
        # The disk takes a piece of the line before it is full.
        if len(data) > 10:
            return real(fd, data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tuitune.run.files.os.write", full)
    journal.append(Paused(2, t=2.0))
    journal.append(Paused(3, t=3.0))
    assert journal.error is not None
    assert journal.waiting == 2
    monkeypatch.setattr("tuitune.run.files.os.write", real)
    journal.append(Paused(4, t=4.0))
    assert str(journal.error) == "None"
    assert journal.waiting == 0
    assert journal.close() == 0
    assert JournalReader(path).read() == [Paused(step, t=float(step)) for step in (1, 2, 3, 4)]
    with pytest.raises(ValueError, match="closed"):
        journal.append(Paused(5))


def test_a_disk_that_stays_full_costs_the_oldest_and_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuitune.run.journal._BACKLOG", 3)
    journal = Journal(path)

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("tuitune.run.files.os.write", full)
        for step in range(5):
            journal.append(Paused(step, t=1.0))
        assert (journal.lost, journal.waiting) == (2, 3)
    assert journal.close() == 2
    assert JournalReader(path).read() == [Paused(step, t=1.0) for step in (2, 3, 4)]


def test_a_later_attempt_takes_back_the_steps_after_its_start() -> None:
    first: list[Event] = [RunStarted(1), StepLogged(1), StepLogged(2), EvalLogged(2), CheckpointSaved(2), StepLogged(3)]
    second: list[Event] = [RunStarted(2, 2), StepLogged(3), StepLogged(4), Warned("kept")]
    third: list[Event] = [RunStarted(3, 3), StepLogged(4)]
    assert supersede(first) == first
    assert supersede(first + second) == first[:-1] + second
    assert supersede(first + second + third) == [*first[:-1], second[0], second[1], second[3], *third]
    assert supersede([*first, RunStarted(2, 0)])[1:-1] == [first[4]]


def test_thinning_keeps_ends_extremes_and_gaps() -> None:
    points = [(float(x), math.sin(x / 50)) for x in range(10_000)]
    points[4321] = (4321.0, 50.0)
    points[7000] = (7000.0, -50.0)
    points[5000] = (5000.0, math.nan)
    points[6000] = (6000.0, math.inf)
    thinned = thin(points, 200)
    assert len(thinned) <= 200
    assert (thinned[0], thinned[-1]) == (points[0], points[-1])
    assert {points[4321], points[7000], points[6000]} <= set(thinned)
    assert any(math.isnan(value) for _, value in thinned)
    assert [x for x, _ in thinned] == sorted(x for x, _ in thinned)


@pytest.mark.parametrize("most", range(2, 12))
def test_thinning_never_exceeds_what_was_asked(most: int) -> None:
    points = [(float(x), math.nan if x % 3 else float(x)) for x in range(100)]
    thinned = thin(points, most)
    assert len(thinned) <= most
    assert thinned[0] == points[0]
    assert thinned[-1] == points[-1]
    assert thin(points[:most], most) == points[:most]


def test_a_run_of_nothing_but_gaps_is_still_drawn_as_a_gap() -> None:
    assert all(math.isnan(value) for _, value in thin([(float(x), math.nan) for x in range(50)], 10))
    with pytest.raises(ValueError, match="two points"):
        thin([], 1)
