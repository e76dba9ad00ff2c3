from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cli.conftest import Call
from tests.cli.given import Engine, finished, plant, story
from tuitune.face.host import ProcessHost
from tuitune.run import events


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[], None]]:
    """Press ctrl+c in this very thread, whatever became of the signal before.

    From another thread it might come before the watching, or in a callback of the garbage collector, where it is lost.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def at_second_look(monkeypatch: pytest.MonkeyPatch, what: Callable[[], None]) -> None:
    """Let something happen while a run is watched: when it was looked at once."""
    looks, wait = iter([lambda: None, what]), ProcessHost.wait

    def work(host: ProcessHost, seconds: float) -> bool:
        next(looks, lambda: None)()
        return wait(host, seconds)

    monkeypatch.setattr(ProcessHost, "wait", work)


def test_without_a_live_run_there_is_nothing_to_watch(call: Call) -> None:
    plant("done", [*story(), finished()], status="finished")
    code, out, err = call("attach")
    assert (code, out) == (1, "")
    assert "no run is training now" in err


@pytest.mark.parametrize(
    ("end", "status", "code", "words"),
    [
        (finished(), "finished", 0, "tuitune chat --run run"),
        (finished(reason="stopped"), "stopped", 3, "tuitune resume run"),
        (events.RunFailed("no memory", "use less"), "failed", 1, "error: no memory"),
        (None, "running", 1, "tuitune resume run"),
    ],
)
def test_a_run_that_has_ended_shows_how(call: Call, end: Any, status: str, code: int, words: str) -> None:
    plant("run", [*story(), *([end] if end else [])], status=status, step=3, pid=2**22 + 1)
    got, out, err = call("attach", "run")
    assert got == code
    assert words in out + err


def test_a_live_run_is_followed_to_its_end(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(plant("live", [*story(steps=2), finished(reason="stopped")]))
    at_second_look(monkeypatch, engine.over.set)
    with engine:
        code, out, _ = call("attach")
    assert code == 3
    assert out.splitlines()[0].startswith("live, in ")
    assert out.count("stopped at step 4") == 1


def test_ctrl_c_ends_the_watching_only(call: Call, monkeypatch: pytest.MonkeyPatch, ctrl_c: Callable[[], None]) -> None:
    at_second_look(monkeypatch, ctrl_c)
    run = plant("live")
    with Engine(run) as engine:
        code, out, _ = call("attach", "live")
        call("pause", "live")  # it is there, and hears
        assert engine.is_alive()
        assert not engine.over.is_set()
    assert code == 0
    assert "live goes on; look again: tuitune attach live" in out
