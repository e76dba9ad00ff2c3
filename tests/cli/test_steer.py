from __future__ import annotations

import pytest

from tests.cli.conftest import Call
from tests.cli.given import Engine, finished, plant, story
from tuitune.cli import steer
from tuitune.engine.session import Session
from tuitune.run import JournalReader, RunDir, State, events
from tuitune.run.inbox import Command, Save, SetLearningRate


def kinds(run: RunDir) -> list[str]:
    return [event.kind for event in JournalReader(run.events).read()]


def test_pause_and_continue_reach_the_run(call: Call) -> None:
    run = plant("live")
    with Engine(run):
        assert call("pause", "live")[:2] == (0, "live is paused\n")
        state = State.read(run.state)
        assert state is not None
        assert state.status == "paused"
        assert call("continue", "li")[:2] == (0, "live goes on\n")
    assert kinds(run)[1:5] == ["Paused", "CommandDone", "Resumed", "CommandDone"]


def test_the_learning_rate_arrives_and_the_engines_words_come_back(call: Call) -> None:
    rates: list[float] = []

    def answer(session: Session, command: Command) -> bool:
        if isinstance(command, SetLearningRate):
            rates.append(command.value)
            session.done(command, "done", "it was \x1b[2Jbig")
            return True
        return False

    with Engine(plant("live"), answer=answer):
        assert call("lr", "live", "2e-5")[:2] == (0, "it was big\n")
        assert call("lr", "live", "nan")[0] == 2
    assert rates == [2e-5]


def test_a_refusal_is_exit_1_with_its_reason(call: Call) -> None:
    def answer(session: Session, command: Command) -> bool:
        if isinstance(command, Save):
            session.done(command, "refused", "there is nothing to save")
        return isinstance(command, Save)

    with Engine(plant("live"), answer=answer):
        code, out, err = call("save", "live")
    assert (code, out) == (1, "")
    assert "live refused to save: there is nothing to save" in err


@pytest.mark.parametrize("now", [False, True])
def test_stop_waits_for_the_end_and_says_how_to_go_on(call: Call, now: bool) -> None:
    run = plant("live")
    with Engine(run):
        code, out, _ = call("stop", "live", *(["--now"] if now else []))
        assert kinds(run)[-1] == "RunFinished"
    assert code == 0
    assert "stopped at step 4" in out
    assert "tuitune resume live" in out
    commands = [e.command for e in JournalReader(run.events).read() if isinstance(e, events.CommandDone)]
    assert commands == ["stop_now" if now else "stop"]


def test_stop_need_not_wait(call: Call) -> None:
    with Engine(plant("live")):
        assert call("stop", "live", "--no-wait")[:2] == (0, "live is stopping\n")


def test_a_run_that_does_not_train_takes_no_commands(call: Call) -> None:
    plant("done", [*story(), finished()], status="finished")
    plant("dead", story(), status="running", pid=2**22 + 1)
    for name in ("done", "dead"):
        for command in (("pause", name), ("stop", name), ("lr", name, "1e-5")):
            code, out, err = call(*command)
            assert (code, out) == (1, "")
            assert f"tuitune resume {name}" in err


def test_a_wrong_name_is_a_wrong_command_line(call: Call) -> None:
    plant("quickstart")
    code, _, err = call("pause", "quikstart")
    assert code == 2
    assert "did you mean quickstart?" in err


def test_an_engine_that_does_not_answer_is_not_waited_for_forever(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steer, "PATIENCE", 0.2)
    with Engine(plant("live"), answer=lambda session, command: True):
        code, _, err = call("pause", "live")
    assert code == 1
    assert "has not answered" in err
    assert "tuitune attach live" in err


def test_an_engine_that_ends_meanwhile_is_told_of(call: Call) -> None:
    engine = Engine(plant("live"), answer=lambda session, command: engine.over.set() or True)
    with engine:
        code, _, err = call("pause", "live")
    assert code == 1
    assert "ended before it answered" in err
