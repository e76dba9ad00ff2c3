from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pytest

from tests.cli.given import finished, plant, story
from tuitune.cli.console import screen
from tuitune.cli.host import Signals
from tuitune.cli.views import PlainView
from tuitune.cli.watch import Face, exit_code, watch
from tuitune.errors import RunError, TrainingError
from tuitune.face.host import ProcessHost
from tuitune.run import Journal, JournalReader, State, events
from tuitune.run.inbox import Command, Stop


class Played:
    """A host that does something each time it is waited for, and ends with the last thing."""

    def __init__(self, *acts: Any) -> None:
        self._acts = list(acts)
        self.asked: list[Command] = []

    def ask(self, command: Command) -> None:
        """Remember it."""
        self.asked.append(command)

    def wait(self, seconds: float) -> bool:
        """Do the next thing."""
        self._acts.pop(0)()
        return not self._acts


class Broken(PlainView):
    def show(self, found: Sequence[events.Event], state: State | None) -> None:
        """Fail as a dropped terminal does."""
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize("stop_if_lost", [True, False])
def test_a_lost_terminal_stops_a_run_in_the_foreground_only(stop_if_lost: bool) -> None:
    run = plant("run")
    with Journal(run.events) as journal:
        face = Face(Broken(run, screen(io.StringIO())))
        host = Played(lambda: None, lambda: journal.append(finished(reason="stopped")))
        with Signals(host.ask) as signals:
            ended = watch(run, face, JournalReader(run.events), host, signals, stop_if_lost=stop_if_lost)
    assert face.lost
    assert ended == stop_if_lost
    assert [type(command) for command in host.asked] == ([Stop] if stop_if_lost else [])
    # What happened is known although nobody saw it.
    assert (face.picture.end is not None) == stop_if_lost


def test_the_last_words_are_read_after_the_end() -> None:
    run = plant("run")
    with Journal(run.events) as journal:
        file = io.StringIO()
        face = Face(PlainView(run, screen(file)))
        host = Played(lambda: [journal.append(event) for event in [*story(), finished()]])
        with Signals(host.ask) as signals:
            assert watch(run, face, JournalReader(run.events), host, signals, stop_if_lost=True)
    assert "step 3" in file.getvalue()
    assert exit_code(run, face.picture.end) == 0


def test_every_end_has_its_exit_code() -> None:
    run = plant("run")
    assert exit_code(run, finished(reason="stopped_now")) == 3
    with pytest.raises(TrainingError, match="too hot"):
        exit_code(run, events.RunFailed("too hot"))
    with pytest.raises(RunError, match="without a word"):
        exit_code(run, None)


def test_a_process_that_never_began_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuitune.face.host._GRACE", 0.0)
    host = ProcessHost(plant("run", status="failed"), pid=2**22 + 1, attempt=2)
    host.wait(0.0)
    assert host.wait(0.01)
