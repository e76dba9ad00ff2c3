from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.given import Engine, finished, plant, story, until
from tuitune.chat.base import Turn
from tuitune.chat.live import LiveChat
from tuitune.engine.session import Session
from tuitune.errors import RunError, Stopped
from tuitune.run import events
from tuitune.run.inbox import CancelReply, Command, Generate


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path))


def answering(pieces: list[bytes], seen: list[Generate], got: list[str]) -> Callable[[Session, Command], bool]:
    """Return what answers in pieces, each cut anywhere, and stops when it is told to; each waits until it was got."""

    def answer(session: Session, command: Command) -> bool:
        if not isinstance(command, Generate):
            return False
        seen.append(command)
        session.emit(events.ReplyStarted(command.id, 4, 7))
        reason = "end"
        with session.run.reply(command.id).open("wb", buffering=0) as file:
            for piece in pieces:
                before = len(got)
                file.write(piece)
                until(lambda before=before: len(got) > before)  # type: ignore[misc]
                if any(isinstance(other, CancelReply) for other in session.commands()):
                    reason = "stopped"
                    break
        session.emit(events.ReplyFinished(command.id, 4, 3, 0.5, reason))  # type: ignore[arg-type]
        session.done(command)
        return True

    return answer


def test_a_reply_is_streamed_as_it_grows() -> None:
    seen: list[Generate] = []
    pieces = ["Grüß".encode()[:3], "Grüß".encode()[3:], b" Gott", b" \x1b[2J\xff!"]
    got: list[str] = []
    run = plant("live")
    with Engine(run, answer=answering(pieces, seen, got)):
        turns = [Turn("user", "a"), Turn("assistant", "b"), Turn("user", "c")]
        chat = LiveChat(run)
        assert chat.title == "live, live at step 4"
        done = chat.reply(
            turns, system="S", sampling={"temperature": 0, "skip_special_tokens": True}, on_text=got.append
        )
    assert done.text == "".join(got) == "Grüß Gott \x1b[2J\ufffd!"
    assert len(got) >= 3
    assert (done.tokens, done.reason, done.step) == (3, "end", 4)
    [command] = seen
    assert [message["content"] for message in command.messages] == ["a", "b", "c"]
    assert (command.system, command.options, command.attempt) == ("S", {"temperature": 0}, 1)


def test_a_reply_can_be_stopped_and_what_was_said_is_kept() -> None:
    run, got = plant("live"), list[str]()
    with Engine(run, answer=answering([b"word "] * 100, [], got)):
        done = LiveChat(run).reply([Turn("user", "go")], sampling={}, on_text=got.append, stop=lambda: bool(got))
    assert done.reason == "stopped"
    assert done.text.startswith("word ")
    assert len(done.text) < 100


def test_an_error_of_the_engine_is_the_users_to_read() -> None:
    def answer(session: Session, command: Command) -> bool:
        if isinstance(command, Generate):
            session.emit(events.ReplyFinished(command.id, reason="error", error="out of memory"))
        return isinstance(command, Generate)

    run = plant("live")
    with Engine(run, answer=answer), pytest.raises(RunError, match="live cannot answer: out of memory"):
        LiveChat(run).reply([Turn("user", "go")], sampling={})


def test_a_refusal_ends_the_waiting() -> None:
    def answer(session: Session, command: Command) -> bool:
        session.done(command, "refused", "the run has ended")
        return True

    run = plant("live")
    with Engine(run, answer=answer), pytest.raises(RunError, match="the run has ended"):
        LiveChat(run).reply([Turn("user", "go")], sampling={})


def test_a_run_that_ends_meanwhile_is_told_of() -> None:
    run = plant("live")
    engine = Engine(run, answer=lambda session, command: engine.over.set() or True)
    with engine, pytest.raises(RunError, match="ended before the reply did"):
        LiveChat(run).reply([Turn("user", "go")], sampling={})


def test_a_run_that_has_ended_is_not_asked() -> None:
    run = plant("done", [*story(), finished()], status="finished")
    with pytest.raises(RunError) as caught:
        LiveChat(run).reply([Turn("user", "go")], sampling={})
    assert "tuitune chat --run done" in caught.value.hint
    assert list(run.inbox.iterdir()) == []


def test_an_answer_that_never_ends_can_be_given_up() -> None:
    heard: list[Command] = []

    def silent(session: Session, command: Command) -> bool:
        heard.append(command)
        return True

    def stop() -> bool:
        if any(isinstance(command, CancelReply) for command in heard):
            raise Stopped("nobody waits any more")
        return bool(heard)

    run = plant("live")
    with Engine(run, answer=silent), pytest.raises(Stopped):
        LiveChat(run).reply([Turn("user", "go")], sampling={}, stop=stop)


def test_calls_and_thoughts_of_live_weights_are_told_apart() -> None:
    call = '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>'
    text = f"<think>\nhm\n</think>\n\nI look.\n{call}"
    heard: list[Generate] = []

    def answer(session: Session, command: Command) -> bool:
        if isinstance(command, Generate):
            heard.append(command)
            session.emit(events.ReplyStarted(command.id, 4, 70, "qwen" if command.tools else ""))
            session.run.reply(command.id).write_text(text)
            session.emit(events.ReplyFinished(command.id, 4, 9, 0.5, "end"))
            session.done(command)
        return True

    run = plant("live")
    with Engine(run, answer=answer):
        done = LiveChat(run).reply([Turn("user", "go")], tools='[{"name": "weather"}]', sampling={})
        plain = LiveChat(run, base=True).reply([Turn("user", "go")], sampling={})
    assert (done.thoughts, done.said, done.calls) == ("hm", "I look.", (("weather", {"city": "Rome"}),))
    assert (done.prompt_tokens, done.role) == (70, "function")
    assert (plain.role, plain.calls) == ("assistant", ())
    assert [(command.tools, command.base) for command in heard] == [('[{"name": "weather"}]', False), ("", True)]


def test_what_a_run_was_before_training_has_no_step() -> None:
    run, seen, got = plant("live"), list[Generate](), list[str]()
    with Engine(run, answer=answering([b"I"], seen, got)):
        assert LiveChat(run, base=True).reply([Turn("user", "go")], sampling={}, on_text=got.append).step is None
    assert seen[0].base
