from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest

from tests.cli.given import begun, hear_all, journal, plant, start
from tuitune.cli.host import Signals
from tuitune.engine.run import Outcome
from tuitune.engine.session import Session
from tuitune.errors import RunError
from tuitune.face.host import ThreadHost
from tuitune.run import RunDir, events, manifest
from tuitune.run.inbox import Command, Stop, StopNow


def test_ctrl_c_saves_the_last_whole_step_and_ends_with_3(root: Path) -> None:
    path = root / "home" / "runs" / "one"
    process = start(root, "train", "recipe.yaml", "--run", "one", preexec_fn=hear_all)
    begun(path)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 3, err
    assert "stopping: saving the last whole step" in out
    assert "tuitune resume one" in out
    [end] = journal(path, events.RunFinished)
    assert end.reason == "stopped"
    assert manifest.verify(path / f"checkpoint-{end.step}").valid


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_saves_ctrl_c_again_does_not_and_a_third_leaves(first: signal.Signals) -> None:
    asked: list[Command] = []
    with Signals(asked.append) as signals:
        signal.raise_signal(first)
        assert [type(command) for command in asked] == [Stop]
        signal.raise_signal(signal.SIGTERM)
        assert len(asked) == 1
        while len(asked) == 1:
            signal.raise_signal(signal.SIGINT)
        assert type(asked[1]) is StopNow
        assert not signals.leave
        signal.raise_signal(signal.SIGINT)
        assert signals.leave
        assert len(asked) == 2
        assert [notice.partition(":")[0].partition(",")[0] for notice in signals.notices] == [
            "stopping",
            "stopping now",
        ]


def test_handlers_are_given_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with Signals(lambda command: None):
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_under_nohup_a_hangup_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals(lambda command: None):
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_wish_from_before_the_engine_is_there_reaches_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    arrived: list[Command] = []

    def run(run_dir: RunDir, *, detached: bool, on_session: object) -> Outcome:
        assert callable(on_session)
        with Session(run_dir, attempt=1) as session:
            on_session(session)
            arrived.extend(session.commands() + session.commands())
        return Outcome("stopped", 3)

    monkeypatch.setattr("tuitune.engine.run.run", run)
    host = ThreadHost(plant("one"))
    stop = Stop()
    host.ask(stop)
    host.start()
    assert host.wait(60)
    assert arrived == [stop]
    assert host.outcome.exit_code == 3


def test_what_ends_the_engines_thread_is_raised_to_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(run_dir: RunDir, **options: object) -> Outcome:
        raise MemoryError("no more")

    monkeypatch.setattr("tuitune.engine.run.run", run)
    host = ThreadHost(plant("one")).start()
    assert host.wait(60)
    with pytest.raises(MemoryError):
        _ = host.outcome


def test_one_process_trains_one_run_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def run(run_dir: RunDir, **options: object) -> Outcome:
        over.wait(60)
        return Outcome("finished", 0)

    monkeypatch.setattr("tuitune.engine.run.run", run)
    first = ThreadHost(plant("one")).start()
    assert ThreadHost.active() is first
    with pytest.raises(RunError, match="one trains in this process already"):
        ThreadHost(plant("two")).start()
    over.set()
    assert first.wait(60)
    assert ThreadHost.active() is None
    assert ThreadHost(plant("two")).start().wait(60)
