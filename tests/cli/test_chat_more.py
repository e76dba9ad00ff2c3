"""`tuitune chat`: any turn anew, tools, files, two partners, servers, recipes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Call
from tests.cli.given import plant
from tests.cli.test_chat import Parrot, say
from tests.engine.given import model_folder
from tuitune.chat.base import Answer, Options, Turn
from tuitune.chat.compare import Comparison
from tuitune.chat.conversation import Conversation
from tuitune.chat.kept import Kept
from tuitune.chat.tools import Call as ToolCall
from tuitune.cli.main import main
from tuitune.cli.talk import Talk
from tuitune.run.imported import Imported

TOOLS = '[{"name": "weather", "description": "of a city", "parameters": {"type": "object"}}]'


class Counter(Parrot):
    """Says the how-manieth answer it is, and what it was asked."""

    def __init__(self, title: str = "a counter") -> None:
        super().__init__()
        self.title = title
        self.tools: list[str] = []

    def reply(
        self, turns: Sequence[Turn], *, system: str | None = None, tools: str = "", sampling: Options,
        on_text: Callable[[str], None] = lambda text: None, stop: Callable[[], bool] = lambda: False,
    ) -> Answer:  # fmt: skip
        self.asked.append((list(turns), system, sampling))
        self.tools.append(tools)
        text = f"{self.title} {len(self.asked)}: {turns[-1].content}"
        if tools and turns[-1].role == "user":
            return Answer("", 2, 0.1, "end", calls=(ToolCall("weather", {"city": turns[-1].content}),))
        on_text(text)
        return Answer(text, 4, 0.5, "end", said=text)


def talked(text: str, monkeypatch: pytest.MonkeyPatch, partner: Parrot) -> tuple[int, Kept]:
    say(monkeypatch, text)
    kept = Kept()
    return Talk(partner, kept, {}).run(), kept


def contents(talk: Kept) -> list[str]:
    return [turn.content for turn in talk.turns]


def test_a_line_that_ends_in_a_backslash_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    _, talk = talked("one\\\n  two\\\n\nthree\\\n", monkeypatch, Parrot())
    assert contents(talk)[::2] == ["one\n  two", "three"]


def test_any_turn_is_changed_or_answered_again(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = "a\nb\nc\n/again 2\n/undo\n/edit 3 B\n/edit 2 changed\n/again\n/turns\n"
    code, talk = talked(lines, monkeypatch, Counter())
    assert code == 0
    assert contents(talk) == ["a", "changed", "B", "a counter 6: B"]
    assert "  3 user: B\n  4 a counter: a counter 6: B\n" in capfd.readouterr().out
    assert talk.path is not None
    assert Conversation.load(talk.path).turns == talk.turns


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/again", "no question yet"), ("/again 7", "no turn 7"), ("/edit x", "number of a turn"),
        ("/undo", "nothing was taken away"), ("/set warmth 3", "no 'warmth'"), ("/set top_p 3", "cannot be"),
        ("/tools none.json", "cannot be read"), ("/load none.json", "cannot be read"), ("/save", "name of a file"),
    ],
)  # fmt: skip
def test_what_a_command_cannot_do_is_said(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], line: str, words: str
) -> None:
    code, talk = talked(f"{line}\nafter\n", monkeypatch, Parrot())
    assert code == 1
    assert words in capfd.readouterr().err
    assert contents(talk) == ["after", "after"]


def test_tools_are_called_and_their_results_typed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "tools.json").write_text(TOOLS)
    partner = Counter()
    _, talk = talked("/tools tools.json\nRome\nsun\n/tools none\nthanks\n", monkeypatch, partner)
    assert [turn.role for turn in talk.turns] == ["user", "function", "observation", "assistant", "user", "assistant"]
    out = capfd.readouterr().out
    assert 'tools: weather\n-> weather(city="Rome")\na counter 2: sun\ntools: none\n' in out
    assert [bool(tools) for tools in partner.tools] == [True, True, False]


def test_a_conversation_goes_to_a_file_and_on_from_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    talked("/system S\na\n/save talk.json\n", monkeypatch, Parrot())
    assert [each["role"] for each in json.loads((tmp_path / "talk.json").read_text())["messages"]] == [
        "system", "user", "assistant",
    ]  # fmt: skip
    partner = Counter()
    _, talk = talked("/load talk.json\nb\n", monkeypatch, partner)
    assert contents(talk)[:3] == ["a", "a", "b"]
    assert partner.asked[0][1] == "S"
    monkeypatch.setattr("tuitune.cli.chat.load", lambda chosen, stream: partner)
    assert main(["chat", "--load", "talk.json", "--once", "more", "--tools", "none.json"]) == 1
    assert main(["chat", "--load", "talk.json", "--once", "more"]) == 0
    assert [turn.content for turn in partner.asked[-1][0]] == ["a", "a", "more"]


def test_how_replies_are_drawn_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    partner = Counter()
    talked("/set temperature 0\n/set max_new_tokens 9\na\n", monkeypatch, partner)
    assert partner.asked[0][2] == {"temperature": 0.0, "max_new_tokens": 9}


def test_two_answer_the_same_with_the_same_seed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], home: Path
) -> None:
    both = [Counter("left one"), Counter("right one")]
    monkeypatch.setattr("tuitune.cli.chat._loaded", lambda people, stream: both)
    assert main(["chat", "smollm2-135m", "--compare", "smollm2-135m", "--once", "Who?"]) == 0
    out = capfd.readouterr().out
    assert out.index("[left: left one]") < out.index("left one 1: Who?") < out.index("right one 1: Who?")
    assert "they differ from the first word on" in out
    assert "4 tokens, 8/s" in out
    assert not (home / "comparisons").exists()
    seeds = [each.asked[0][2]["seed"] for each in both]
    assert seeds[0] == seeds[1]
    say(monkeypatch, "a\n/edit 1 A\n/again\n/undo\n/save both.json\n/turns\n")
    assert main(["chat", "smollm2-135m", "--compare", "smollm2-135m", "--seed", "3"]) == 0
    assert [[turn.content for turn in turns] for turns, _, _ in both[1].asked[1:]] == [["a"], ["A"], ["A"]]
    assert both[0].asked[-1][2] == {"seed": 3}
    assert json.loads(Path("both.json").read_text())["sampling"] == {"seed": 3}
    assert len(list((home / "comparisons").iterdir())) == 1


def test_beside_another_an_answer_is_not_changed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tuitune.cli.chat._loaded", lambda people, stream: [Counter(), Counter()])
    say(monkeypatch, "a\n/edit 2 not its words\n/turns\n")
    assert main(["chat", "smollm2-135m", "--compare", "smollm2-135m"]) == 1
    out, err = capfd.readouterr()
    assert "turn 2 is an answer" in err
    assert "not its words" not in out


def test_one_that_fails_does_not_cost_the_other_its_answer(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tuitune.cli.chat._loaded", lambda people, stream: [Parrot(), Counter()])
    assert main(["chat", "smollm2-135m", "--compare", "smollm2-135m", "--once", "fail"]) == 1
    out, err = capfd.readouterr()
    assert "a counter 1: fail" in out
    assert "the parrot is gone" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--server", "http://x", "--run", "y"),
        ("recipe.yaml", "--run", "y"),
        ("smollm2-135m", "--model", "y"),
        ("smollm2-135m", "a=1"),
        ("--server", "nonsense", "--once", "x"),
        ("nothing-of-this-name", "--once", "x"),
    ],
)
def test_what_contradicts_itself_is_exit_2(call: Call, arguments: tuple[str, ...]) -> None:
    assert call("chat", *arguments)[0] == 2


def test_a_recipe_of_llamafactory_is_asked_as_it_says(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model_folder(tmp_path, initializer_range=0.3)
    text = "model_name_or_path: ./tiny\ntemplate: default\ninfer_backend: huggingface\ntrust_remote_code: true\n"
    (tmp_path / "infer.yaml").write_text(text)
    asked = ("--once", "the river", "--temperature", "0", "--max-new-tokens", "6")
    assert main(["chat", "infer.yaml", "infer_dtype=float32", *asked]) == 0
    ours = capfd.readouterr().out
    assert main(["chat", "--model", "./tiny", *asked]) == 0
    assert capfd.readouterr().out != ours  # without the recipe's template it reads another prompt
    assert main(["chat", "infer.yaml", "infer_backend=vllm", *asked]) == 2
    assert "tuitune serve" in capfd.readouterr().err


def test_scoring_with_what_scores_nothing_says_so_before_it_reads(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tuitune.cli.chat.load", lambda chosen, stream: Parrot())
    say(monkeypatch, "")
    assert main(["chat", "--score"]) == 2
    assert "no reward model" in capfd.readouterr().err


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> list[Counter]:
    both = [Counter("left one"), Counter("right one")]
    monkeypatch.setattr("tuitune.cli.chat._loaded", lambda people, stream: both)
    return both


COMPARE = ("chat", "smollm2-135m", "--compare", "smollm2-135m")


def test_a_comparison_is_gone_on_with_from_its_folder_and_from_a_file(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], home: Path, pair: list[Counter]
) -> None:
    say(monkeypatch, "a\n/save both.json\n/load\n")
    assert main([*COMPARE, "--system", "S"]) == 1  # /load without a name
    [folder] = (home / "comparisons").iterdir()
    assert f"kept in {folder}" in capfd.readouterr().err
    assert [side.whom for side in Comparison.peek(folder)] == ["smollm2-135m"] * 2
    for kept in (str(folder), "both.json"):
        say(monkeypatch, "b\n")
        assert main([*COMPARE, "--load", kept]) == 0
        for each in pair:
            turns, system, _ = each.asked[-1]
            assert ([turn.content for turn in turns], system) == (["a", f"{each.title} 1: a", "b"], "S")
        assert main([*COMPARE, "--load", kept, "--system", "T", "--once", "c"]) == 0
        assert pair[1].asked[-1][1] == "T"
    assert len(list((home / "comparisons").iterdir())) == 2  # the folder was gone on with where it is
    assert [turn.content for turn in Comparison.peek(folder)[0].turns][2:] == ["b", "left one 2: b"]
    say(monkeypatch, f"x\n/load {folder}\ny\n/undo\n")
    capfd.readouterr()
    assert main([*COMPARE]) == 0
    assert [turn.content for turn in pair[0].asked[-1][0]] == ["a", "left one 1: a", "b", "left one 2: b", "y"]
    assert "  1 user: x\n" in capfd.readouterr().out


def test_what_is_no_comparison_is_refused_before_a_model_is_loaded(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuitune.cli.chat._loaded", lambda people, stream: pytest.fail("loaded"))
    (tmp_path / "talk.json").write_text('[{"role": "user", "content": "a"}]')
    code, _, err = call(*COMPARE, "--load", "talk.json")
    assert (code, "talk.json is no comparison" in err, "comparisons" in err) == (1, True, True)
    assert call(*COMPARE, "--load", str(tmp_path))[0] == 2
    code, _, err = call(*COMPARE, "--load", "nosuch.json")
    assert (code, "nosuch.json cannot be read: No such file or directory\n" in err) == (1, True)


def test_how_both_draw_is_kept_and_taken_with_what_was_said(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], home: Path, pair: list[Counter]
) -> None:
    say(monkeypatch, "/set temperature 0\na\n/set max_new_tokens 9\n/save both.json\n")
    assert main([*COMPARE, "--seed", "3"]) == 0
    [folder] = (home / "comparisons").iterdir()
    drawn = {"temperature": 0.0, "max_new_tokens": 9, "seed": 3}
    assert [side.sampling for side in Comparison.peek(folder)] == [drawn] * 2
    for kept in (folder, "both.json"):
        capfd.readouterr()
        say(monkeypatch, "b\n")
        assert main(["chat", "--load", str(kept), "--max-new-tokens", "5"]) == 0
        assert [each.asked[-1][2] for each in pair] == [{**drawn, "max_new_tokens": 5}] * 2  # what is said now wins
        assert "answers are drawn with max_new_tokens=5 temperature=0.0 seed=3" in capfd.readouterr().err
    say(monkeypatch, "/load both.json\nc\n")
    assert main([*COMPARE, "--temperature", "1"]) == 0
    assert pair[0].asked[-1][2] == drawn
    assert "answers are drawn with max_new_tokens=9 temperature=0.0 seed=3" in capfd.readouterr().err


def test_a_comparison_names_those_who_go_on_with_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], home: Path, tmp_path: Path, pair: list[Counter]
) -> None:
    (tmp_path / "tiny").mkdir()
    asked: list[list[str]] = []

    def loaded(people: list[Any], stream: Any) -> list[Counter]:
        asked.append([each.model for each in people])
        return pair

    monkeypatch.setattr("tuitune.cli.chat._loaded", loaded)
    say(monkeypatch, "a\n")
    assert main(["chat", "tiny", "--compare", "smollm2-135m"]) == 0
    [folder] = (home / "comparisons").iterdir()
    assert [side.whom for side in Comparison.peek(folder)] == [str(tmp_path / "tiny"), "smollm2-135m"]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["chat", "--load", str(folder), "--once", "b"]) == 0
    assert asked == [[str(tmp_path / "tiny"), "smollm2-135m"]] * 2
    assert [turn.content for turn in pair[0].asked[-1][0]] == ["a", "left one 1: a", "b"]
    assert len(Comparison.peek(folder)[0].turns) == 2  # --once keeps nothing
    assert main(["chat", "smollm2-135m", "--load", str(folder), "--once", "b"]) == 1
    assert "holds a comparison" in capfd.readouterr().err
    (folder / "right.jsonl").unlink()
    assert main(["chat", "--load", str(folder), "--once", "b"]) == 2
    assert "does not tell who was asked" in capfd.readouterr().err


def test_what_a_crash_cut_off_is_gone_on_with_and_what_is_open_elsewhere_is_copied(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], home: Path, pair: list[Counter]
) -> None:
    began = Comparison.begin()
    began.ask("a")
    began.sides[0].begin_answer("left one").add("hal")
    folder = began.folder
    assert folder is not None
    say(monkeypatch, "/again\n")
    assert main([*COMPARE, "--load", str(folder)]) == 0
    assert "goes on with a copy" in capfd.readouterr().err
    assert [len(side.turns) for side in Comparison.peek(folder)] == [1, 1]
    assert len(list((home / "comparisons").iterdir())) == 2
    began.close()  # as when its process dies
    say(monkeypatch, "/turns\n/again\n")
    assert main([*COMPARE, "--load", str(folder)]) == 0
    said = capfd.readouterr()
    assert "left one: hal" in said.out
    assert "right: the last question was not answered, /again asks it again" in said.err
    assert "left: the last" not in said.err
    assert [[turn.content for turn in side.turns] for side in Comparison.peek(folder)] == [
        ["a", "left one 2: a"], ["a", "right one 2: a"],
    ]  # fmt: skip
    assert not list(folder.glob("*.part"))


def test_an_unknown_command_is_named_and_the_near_one_too(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    code, talk = talked("/foo\n/agian\n", monkeypatch, Parrot())
    out, err = capfd.readouterr()
    assert (code, out, contents(talk)) == (1, "", [])
    assert "there is no command '/foo'" in err
    assert "did you mean /again? /help lists them" in err
    talked("/help\n", monkeypatch, Parrot())
    assert "/again [N]" in capfd.readouterr().out


def test_a_line_with_two_slashes_is_said_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    _, talk = talked("//usr/bin is what?\n", monkeypatch, Parrot())
    assert contents(talk)[0] == "/usr/bin is what?"


def test_what_was_done_is_said_beside_the_replies(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _, talk = talked("/system\n/system S\na\n/system\n/clear\n", monkeypatch, Parrot())
    out, err = capfd.readouterr()
    assert out == "a\n"
    assert err.splitlines() == [
        "there is no system message but the model's own; /system TEXT sets one",
        "the next answer follows it",
        "the system message is gone: the model's own is back",
        "forgotten; /undo brings it back",
        f"kept in {talk.path}; with --load it goes on",
    ]
    talked("/system\n", monkeypatch, Parrot())  # nothing was said, so nothing is kept
    assert "kept in" not in capfd.readouterr().err


@pytest.mark.parametrize("which", [("theirs",), ("--run", "theirs")])
def test_a_run_that_was_imported_without_weights_says_so(call: Call, which: tuple[str, ...]) -> None:
    run = plant("theirs", recipe="stage: sft\n", status="finished")
    Imported("saves/theirs", "LLaMA-Factory", 1.0).keep(run)
    code, _, err = call("chat", *which, "--once", "hi")
    assert (code, "theirs was imported without weights" in err) == (1, True)
