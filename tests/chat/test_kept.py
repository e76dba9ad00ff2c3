"""A conversation that cannot be lost: edits, other answers, and what a crash leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tuitune.chat.base import Answer, Options, Turn
from tuitune.chat.conversation import Conversation
from tuitune.chat.kept import Kept, answered, earlier
from tuitune.chat.partial import Partial
from tuitune.chat.tools import Call
from tuitune.errors import RunError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path))
    return tmp_path


class Counts:
    """Answers with how many turns there are."""

    title = "counts"

    def __init__(self, *calls: Call, fails: bool = False, says: bool = True) -> None:
        self.calls, self.fails, self.says = calls, fails, says
        self.asked: list[tuple[str | None, str, Options]] = []

    def reply(
        self,
        turns: Sequence[Turn],
        *,
        system: str | None = None,
        tools: str = "",
        sampling: Options,
        on_text: Callable[[str], None] = lambda text: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Answer:
        self.asked.append((system, tools, sampling))
        on_text(f"{len(turns)}" if self.says else "\n")
        if self.fails:
            raise RunError("gone")
        return Answer(f"{len(turns)}", 3, 0.5, "end", prompt_tokens=7, said=f"{len(turns)}", calls=self.calls)


def texts(talk: Kept) -> list[str]:
    return [turn.content for turn in talk.turns]


def spoken(*questions: str) -> Kept:
    talk = Kept()
    for text in questions:
        talk.ask(text)
        answered(Counts(), talk, {})
    return talk


def on_disk(talk: Kept) -> list[Turn]:
    assert talk.path is not None
    return Conversation.load(talk.path).turns


def test_an_answer_is_kept_with_its_counts() -> None:
    talk = Kept(Conversation(system="S", tools="[]"))
    talk.ask("a")
    partner = Counts()
    answered(partner, talk, {"seed": 1})
    assert partner.asked == [("S", "[]", {"seed": 1})]
    [_, turn] = on_disk(talk)
    assert (turn.by, turn.tokens, turn.seconds, turn.prompt_tokens, turn.reason) == ("counts", 3, 0.5, 7, "end")
    assert talk.path is not None
    again = Conversation.load(talk.path)
    assert (again.system, again.tools) == ("S", "[]")
    assert earlier() == [talk.path]


def test_an_answer_that_fails_leaves_the_question() -> None:
    talk = Kept()
    talk.ask("a")
    with pytest.raises(RunError):
        answered(Counts(fails=True, says=False), talk, {})
    assert on_disk(talk) == [Turn("user", "a")]
    assert talk.path is not None
    assert not list(talk.path.parent.glob("*.part"))


def test_what_came_of_an_answer_that_fails_is_kept_as_a_part() -> None:
    talk = Kept()
    talk.ask("a")
    with pytest.raises(RunError):
        answered(Counts(fails=True), talk, {})
    [_, part] = on_disk(talk)
    assert (part.content, part.by, part.reason) == ("1", "counts", "lost")
    assert talk.path is not None
    assert not list(talk.path.parent.glob("*.part"))


def test_a_crash_in_the_middle_of_an_answer_keeps_what_had_come() -> None:
    talk = spoken("a")
    talk.ask("b")
    talk.begin_answer("tuned").add("half an ans")
    assert talk.path is not None
    again = Kept.load(talk.path)  # of another process
    assert texts(again) == ["a", "1", "b", "half an ans"]
    assert (again.turns[-1].by, again.turns[-1].reason) == ("tuned", "lost")
    assert Partial.left(talk.path) == ("", "")


def test_a_question_that_is_changed_takes_what_follows_with_it() -> None:
    talk = spoken("a", "b", "c")
    talk.rewrite(2, "B")
    assert texts(talk) == ["a", "1", "B"]
    assert [turn.content for turn in on_disk(talk)] == ["a", "1", "B"]
    assert talk.undo()
    assert texts(talk) == ["a", "1", "b", "3", "c", "5"]
    assert on_disk(talk) == talk.turns
    assert on_disk(talk)[-1].tokens == 3


def test_an_answer_that_is_changed_stays_where_it_is() -> None:
    talk = spoken("a", "b")
    talk.rewrite(1, "one")
    assert texts(talk) == ["a", "one", "b", "3"]
    assert (talk.turns[1].reason, talk.turns[1].tokens, talk.turns[1].by) == ("edited", 0, "counts")
    assert talk.undo()
    assert texts(talk) == ["a", "1", "b", "3"]


@pytest.mark.parametrize(
    ("place", "left"), [(None, ["a", "1", "b"]), (3, ["a", "1", "b"]), (2, ["a", "1", "b"]), (1, ["a"])]
)
def test_any_question_can_wait_for_an_answer_again(place: int | None, left: list[str]) -> None:
    talk = spoken("a", "b")
    assert talk.again(place)
    assert texts(talk) == left
    assert talk.undo()
    assert len(talk.turns) == 4


def test_what_is_typed_after_a_call_is_what_the_tool_says() -> None:
    talk = Kept()
    talk.ask("weather?")
    answered(Counts(Call("weather", {"city": "Rome"})), talk, {})
    assert talk.waits_for_tools
    talk.ask("sun\n---\nrain")
    answered(Counts(), talk, {})
    assert [turn.role for turn in on_disk(talk)] == ["user", "function", "observation", "assistant"]
    assert on_disk(talk)[2].content == "sun\n</tool_response>\n<tool_response>\nrain"
    talk.rewrite(1, "it calls nothing any more")
    assert talk.turns[1].role == "assistant"


def test_nothing_is_there_to_answer_again_at_the_beginning() -> None:
    assert not Kept().again()
    assert not Kept().undo()


def test_what_is_not_to_be_kept_makes_no_file(home: Path) -> None:
    talk = Kept(on_disk=False)
    talk.ask("a")
    answered(Counts(), talk, {})
    assert talk.path is None
    assert not (home / "chats").exists()


def test_a_conversation_that_is_open_elsewhere_is_gone_on_with_as_a_copy() -> None:
    talk = spoken("a")
    talk.ask_of("tuned")
    talk.ask("b")
    part = talk.begin_answer("tuned")
    part.add("half")
    assert talk.path is not None
    other = Kept.go_on(talk.path)
    assert (other.is_copy, texts(other), other.whom) == (True, ["a", "1", "b"], "tuned")
    assert earlier() == [talk.path]  # nothing of it is kept before something changes
    assert Partial.left(talk.path) == ("tuned", "half")  # the answer belongs to those who get it
    assert other.again(1)
    answered(Counts(), other, {})
    assert other.path not in (None, talk.path)
    assert [turn.content for turn in on_disk(other)] == ["a", "1"]
    assert other.undo()
    assert [turn.content for turn in on_disk(other)] == ["a", "1", "b"]
    assert [turn.content for turn in on_disk(talk)] == ["a", "1", "b"]
    part.close()
    talk.leave()
    back = Kept.go_on(talk.path)
    assert (back.is_copy, back.path) == (False, talk.path)
    assert Kept.go_on(talk.path).is_copy  # held from when it was opened


def test_a_conversation_is_let_go_with_what_keeps_it() -> None:
    talk = spoken("a")
    path = talk.path
    assert path is not None
    assert Kept.go_on(path).is_copy
    del talk
    assert not Kept.go_on(path).is_copy
