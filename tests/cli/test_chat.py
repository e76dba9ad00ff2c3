from __future__ import annotations

import io
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Call
from tests.cli.given import EVIL, plant, run
from tuitune.chat.base import Answer, NotWriting, Options, Turn
from tuitune.chat.conversation import Conversation
from tuitune.chat.kept import Kept
from tuitune.cli.replies import interruptible, printed
from tuitune.cli.talk import Talk
from tuitune.errors import RunError


class Parrot:
    """Repeats what it is told, letter by letter, and remembers how it was asked."""

    title = "a parrot"

    def __init__(self) -> None:
        self.asked: list[tuple[list[Turn], str | None, Options]] = []

    def reply(
        self, turns: Sequence[Turn], *, system: str | None = None, tools: str = "", sampling: Options,
        on_text: Callable[[str], None] = lambda text: None, stop: Callable[[], bool] = lambda: False,
    ) -> Answer:  # fmt: skip
        """Repeat the last turn."""
        self.asked.append((list(turns), system, sampling))
        text = turns[-1].content
        if text == "fail":
            raise RunError("the parrot is gone")
        for letter in text:
            on_text(letter)
        return Answer(text, len(text), 0.1, "end")


@pytest.fixture
def parrot(monkeypatch: pytest.MonkeyPatch) -> Parrot:
    made = Parrot()
    monkeypatch.setattr("tuitune.cli.chat.load", lambda chosen, stream: made)
    return made


def say(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_once_prints_the_reply_and_nothing_else(parrot: Parrot, capfd: pytest.CaptureFixture[str], home: Path) -> None:
    from tuitune.cli.main import main

    assert main(["chat", "--once", f"Hello {EVIL}", "--temperature", "0", "--seed", "3", "--system", "Be brief."]) == 0
    assert capfd.readouterr() == ("Hello abcd2Jefg\n", "")
    assert parrot.asked[0][1:] == ("Be brief.", {"temperature": 0.0, "seed": 3})
    assert not (home / "chats").exists()


def test_once_reads_standard_input(
    parrot: Parrot, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tuitune.cli.main import main

    say(monkeypatch, "two\nlines\n")
    assert main(["chat", "--once", "-"]) == 0
    assert capfd.readouterr().out == "two\nlines\n"
    say(monkeypatch, " \n")
    assert main(["chat", "--once", "-"]) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("--run", "x", "--model", "y"),
        ("--run", "nothing"),
        ("--top-p", "2"),
        ("--max-new-tokens", "0"),
        ("--seed", "-1"),
        ("--seed", str(2**63)),
        ("--compare", "smollm2-135m", "--seed", "99999999999999999999999"),
        ("--once", " "),
    ],
)
def test_what_cannot_be_asked_is_exit_2(call: Call, parrot: Parrot, arguments: tuple[str, ...]) -> None:
    code, out, _ = call("chat", *arguments)
    assert (code, out) == (2, "")


def test_a_run_without_weights_says_what_to_do(call: Call) -> None:
    recipe = "model_name_or_path: smollm2-135m\ndataset: identity\nname: A\nauthor: B\n"
    plant("empty", recipe=recipe, status="failed")
    code, _, err = call("chat", "--run", "empty", "--once", "hi")
    assert code == 1
    assert "tuitune resume empty" in err


def talk(text: str, monkeypatch: pytest.MonkeyPatch, partner: Parrot) -> tuple[int, Conversation]:
    say(monkeypatch, text)
    kept = Conversation.begin()
    return Talk(partner, Kept(kept), {}).run(), kept


def test_a_conversation_is_remembered_and_kept(
    parrot: Parrot, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    code, kept = talk("one\n\n/system Be kind.\ntwo\n/clear\nthree\n/quit\nfour\n", monkeypatch, parrot)
    assert code == 0
    assert capfd.readouterr().out == "one\ntwo\nthree\n"
    assert [[turn.content for turn in turns] for turns, _, _ in parrot.asked] == [
        ["one"],
        ["one", "one", "two"],
        ["three"],
    ]
    assert [system for _, system, _ in parrot.asked] == [None, "Be kind.", "Be kind."]
    assert kept.path is not None
    assert Conversation.load(kept.path).turns == kept.turns == [Turn("user", "three"), Turn("assistant", "three")]


def test_a_reply_that_fails_leaves_the_conversation_as_it_was(
    parrot: Parrot, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    code, kept = talk("one\nfail\ntwo\n", monkeypatch, parrot)
    assert code == 1  # nobody was there to see it
    assert "error: the parrot is gone" in capfd.readouterr().err
    assert [turn.content for turn in kept.turns] == ["one", "one", "two", "two"]


def test_ctrl_c_at_the_prompt_does_not_cost_the_conversation(
    parrot: Parrot, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    lines: list[str | type[BaseException]] = ["one", KeyboardInterrupt, "two", EOFError]

    def line(prompt: str) -> str:
        found = lines.pop(0)
        if isinstance(found, str):
            return found
        raise found

    monkeypatch.setattr("builtins.input", line)
    made = Talk(parrot, Kept(), {})
    made.asks = True
    assert made.run() == 0
    assert len(parrot.asked[1][0]) == 3
    assert "ctrl+d ends" in capfd.readouterr().out


def test_a_conversation_is_saved_where_nothing_is_yet(
    parrot: Parrot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "there.txt").write_text("mine")
    talk("one\n/save talk.txt\n/save there.txt\n/save no/such/folder\n/nonsense\n", monkeypatch, parrot)
    assert (tmp_path / "talk.txt").read_text() == "user: one\n\nassistant: one\n\n"
    assert (tmp_path / "there.txt").read_text() == "mine"


def test_an_escape_sequence_in_pieces_is_no_more_than_a_whole_one() -> None:
    file = io.StringIO()
    with printed(file) as out:
        for letter in EVIL + "\x1b]0;never ended":
            out(letter)
    assert file.getvalue().startswith("abcd2Jefg")
    assert "\x1b" not in file.getvalue()
    assert file.getvalue().endswith("\n")


def test_ctrl_c_is_a_wish_first_and_an_interrupt_then() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptible() as stop:
        assert not stop()
        signal.raise_signal(signal.SIGINT)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.slow
def test_a_tuned_model_is_asked_as_it_was_trained(root: Path) -> None:
    text = (root / "recipe.yaml").read_text()
    (root / "recipe.yaml").write_text(text + "default_system: Be brief.\n")
    assert run(root, "train", "recipe.yaml", "max_steps=2", "--run", "one")[0] == 0
    final = root / "home" / "runs" / "one" / "final"
    asked: list[tuple[int, str, str]] = [
        run(root, "chat", *which, "--once", "the river", "--temperature", "0", "--max-new-tokens", "12")
        for which in (("--run", "one"), ("--adapter", str(final)), ("--adapter", str(final.parent)))
    ]
    assert [code for code, _, _ in asked] == [0, 0, 0]
    assert asked[0][1] == asked[1][1] == asked[2][1] != "\n"


class Critic(Parrot):
    """Scores an answer by its length; `writes` says whether it answers, too."""

    def __init__(self, writes: bool = True) -> None:
        super().__init__()
        self.judge, self.writes = self, writes

    def reply(self, turns: Sequence[Turn], **more: Any) -> Answer:
        if not self.writes:
            raise NotWriting("it writes none", "write one yourself: /answer TEXT")
        return super().reply(turns, **more)

    def score(self, turns: Sequence[Turn], *, system: str | None = None) -> float:
        assert turns[-1].role == "assistant"
        return len(turns[-1].content) + (0.5 if system else 0)


def test_a_reward_model_scores_every_answer_and_those_of_the_user(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    code, kept = talk("one\n/answer longer\n/answer the longest\ntwo\n", monkeypatch, Critic())
    assert code == 0
    assert capfd.readouterr().out.split("\n") == [
        "one", "score 3", "score 6", "score 11", "two", "score 3", "",
    ]  # fmt: skip
    assert [(turn.content, turn.score) for turn in kept.turns] == [
        ("one", None), ("the longest", 11.0), ("two", None), ("two", 3.0),
    ]  # fmt: skip
    assert kept.path is not None
    assert [turn.score for turn in Conversation.load(kept.path).turns] == [None, 11.0, None, 3.0]


def test_the_question_waits_for_an_answer_where_the_reward_model_writes_none(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _, kept = talk("one\nbetter\n/answer yes\n", monkeypatch, Critic(writes=False))
    assert "write one yourself: /answer TEXT" in capfd.readouterr().out
    assert [turn.content for turn in kept.turns] == ["better", "yes"]


def test_an_answer_of_one_s_own_needs_a_question_and_a_reward_model(
    parrot: Parrot, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert talk("/answer x\n", monkeypatch, Critic())[0] == 1
    assert "there is no question yet" in capfd.readouterr().err
    code, kept = talk("one\n/answer x\n", monkeypatch, parrot)
    assert code == 1
    assert "this is no reward model" in capfd.readouterr().err
    assert [turn.content for turn in kept.turns] == ["one", "one"]


def test_conversations_on_standard_input_are_scored(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], parrot: Parrot
) -> None:
    from tuitune.cli.main import main

    lines = '[{"role": "user", "content": "a"}, {"role": "assistant", "content": "four"}]\n'
    say(monkeypatch, lines * 2)
    assert main(["chat", "--score"]) == 2
    assert "no reward model" in capfd.readouterr().err
    monkeypatch.setattr("tuitune.cli.chat.load", lambda chosen, stream: Critic())
    say(monkeypatch, lines * 2)
    assert main(["chat", "--score", "--system", "x"]) == 0
    assert capfd.readouterr().out == "4.5\n4.5\n"
    say(monkeypatch, "nothing")
    assert main(["chat", "--score"]) == 1


def test_once_tells_the_score_apart_from_the_reply(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from tuitune.cli.main import main

    monkeypatch.setattr("tuitune.cli.chat.load", lambda chosen, stream: Critic())
    assert main(["chat", "--once", "four"]) == 0
    assert capfd.readouterr() == ("four\n", "score 4\n")
