"""`tuitune chat --compare` where one of the two, or both, answer behind a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.chat.test_server import Stub, stub, url  # noqa: F401
from tests.cli.conftest import Call
from tests.cli.test_chat import say
from tests.cli.test_chat_more import Counter
from tuitune.chat.base import Answer, Turn
from tuitune.chat.compare import Comparison
from tuitune.chat.conversation import Conversation
from tuitune.chat.kept import Kept
from tuitune.chat.live import LiveChat
from tuitune.chat.loading import silent, unsaid
from tuitune.chat.server import ServerChat
from tuitune.chat.weights import Weights
from tuitune.cli.talk import Talk
from tuitune.errors import ModelError, UsageError
from tuitune.face.whom import loaded, whom
from tuitune.run import RunDir
from tuitune.serve.live import Live
from tuitune.serve.secret import Secret
from tuitune.tui.sides import Sides, offered


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Counter:
    """Who is loaded here, in place of any weights."""
    found = Counter("here")

    def several(people: Any, **more: Any) -> list[Any]:
        return [found if isinstance(each, Weights) else each for each in people]

    monkeypatch.setattr("tuitune.cli.chat.whom.loaded", several)
    return found


def test_two_models_of_one_server_are_compared(
    call: Call, url: str, stub: Stub, monkeypatch: pytest.MonkeyPatch, home: Path  # noqa: F811
) -> None:  # fmt: skip
    say(monkeypatch, "Who?\n/save both.json\n")
    code, out, _ = call("chat", "--server", url, "--model", "second", "--compare", "first")
    assert code == 0
    place = url.removeprefix("http://")
    assert f"[left: second at {place}]\nHello\n" in out
    assert f"[right: first at {place}]\nHello\n" in out
    assert [each["model"] for each in stub.asked] == ["second", "first"]
    assert stub.asked[0]["seed"] == stub.asked[1]["seed"]
    [folder] = (home / "comparisons").iterdir()
    names = [f"{url}/v1#{name}" for name in ("second", "first")]
    assert [side.whom for side in Comparison.peek(folder)] == names
    assert [side["name"] for side in json.loads(Path("both.json").read_text()).values()] == names
    found = [whom(name) for name in names]  # as the Compare screen finds them again
    assert [each.model for each in found if isinstance(each, ServerChat)] == ["second", "first"]


@pytest.mark.parametrize("turned", [False, True])
def test_a_served_model_is_compared_with_one_that_is_loaded_here(
    call: Call, url: str, stub: Stub, here: Counter, turned: bool  # noqa: F811
) -> None:  # fmt: skip
    words = ("smollm2-135m", "--compare", f"{url}#second") if turned else ("--server", url, "--compare", "smollm2-135m")
    code, out, _ = call("chat", *words, "--once", "Who?")
    assert code == 0
    assert ("[left: here]" if turned else "[right: here]") in out
    assert "here 1: Who?" in out
    assert [each["model"] for each in stub.asked] == ["second" if turned else "first"]
    assert here.asked[0][2]["seed"] == stub.asked[0]["seed"]


def test_base_is_that_of_the_server_or_is_refused_with_what_to_do(
    call: Call, url: str, stub: Stub, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    code, _, err = call("chat", "--server", url, "--compare", "base", "--once", "Who?")
    assert code == 2
    assert "offers no model called base" in err
    assert "tuitune serve RUN base=MODEL" in err
    stub.models.append("base")
    assert call("chat", "--server", url, "--compare", "base", "--once", "Who?")[0] == 0
    assert [each["model"] for each in stub.asked] == ["first", "base"]
    assert call("chat", f"{url}#third", "--once", "x")[0] == 2
    say(monkeypatch, "")
    code, _, err = call("chat", "--server", url, "--score")
    assert (code, "gives no scores" in err) == (2, True)


def test_in_the_app_a_server_answers_beside_anybody(url: str, stub: Stub, tmp_path: Path) -> None:  # noqa: F811
    ask: Callable[..., Any] = Sides(f"{url}#second", "first").partner
    assert ask("0", progress=silent, note=unsaid).title.startswith("second at 127.0.0.1")
    both = Sides(f"{url}#second", f"{url}#first")
    assert both.label(1) == f"first at {url.removeprefix('http://')}"
    assert both.apart()
    assert Sides(f"{url}#second", "smollm2-135m").apart()
    with pytest.raises(UsageError, match="no address"):
        both.choose(0, "http://")
    with pytest.raises(UsageError, match="does not belong into the address"):
        both.choose(0, "http://me:secret@here")
    stub.models.clear()
    with pytest.raises(ModelError, match="offers no model"):
        Sides(url, "smollm2-135m").partner("0", progress=silent, note=unsaid)
    server, live = ServerChat(url, "m"), LiveChat(RunDir(tmp_path))
    assert loaded([server, live]) == [server, live]  # they need no memory here


def test_a_server_of_ours_is_opened_by_the_token_that_it_left_and_nobody_else_gets_it(
    call: Call, url: str, stub: Stub, monkeypatch: pytest.MonkeyPatch, home: Path  # noqa: F811
) -> None:  # fmt: skip
    word = Live(
        urlsplit(url).port or 0, url, [{"name": "first", "judges": False}, {"name": "worth", "judges": True}], ""
    )  # fmt: skip
    word.write({})
    word.keep(Secret("tt-of-this-server"))
    monkeypatch.setenv("TUITUNE_API_KEY", "of-another")
    say(monkeypatch, "Who?\n/save both.json\n")
    code, out, err = call("chat", "--server", url, "--compare", f"{url}/v1#second")
    assert code == 0
    assert stub.tokens == ["Bearer tt-of-this-server"] * 2
    [folder] = (home / "comparisons").iterdir()
    written = [path.read_text() for path in (*folder.iterdir(), Path("both.json"))]
    assert not any("tt-of-this-server" in text for text in (out, err, *written))
    by_name = url.replace("127.0.0.1", "localhost")  # there another server may be
    assert call("chat", "--server", by_name, "--once", "x")[0] == 0
    assert stub.tokens[2:] == ["Bearer of-another"]
    sides = Sides("smollm2-135m", "base")
    ours = [item for item in offered(sides, 1) if item.group == "Servers"]
    assert [(item.key, item.title, item.note) for item in ours] == [
        (f"{url}/v1#first", "first", f"at {url.removeprefix('http://')}")
    ]
    word.remove()
    assert not [item for item in offered(sides, 1) if item.group == "Servers"]
    assert call("chat", "--server", url, "--once", "x")[0] == 0
    assert stub.tokens[3:] == ["Bearer of-another"]


def test_an_answer_that_is_cut_off_fails_and_is_kept_as_a_part(
    call: Call, url: str, stub: Stub, monkeypatch: pytest.MonkeyPatch, home: Path  # noqa: F811
) -> None:  # fmt: skip
    stub.dies = b""
    code, out, err = call("chat", "--server", url, "--once", "Who?")
    assert (code, out) == (1, "Hello\n")
    assert "broke off in the middle of its answer" in err
    say(monkeypatch, "Who?\n/turns\n")
    code, out, err = call("chat", "--server", url)
    assert (code, "broke off" in err) == (1, True)
    assert ": Hello (cut off)\n" in out
    [kept] = (home / "chats").iterdir()  # no .part is left beside it
    assert [(turn.content, turn.reason) for turn in Conversation.load(kept).turns] == [
        ("Who?", "end"),
        ("Hello", "lost"),
    ]


class Breaks(Counter):
    """Breaks off in the middle of its second answer."""

    def reply(self, turns: Sequence[Turn], **asked: Any) -> Answer:
        if len(self.asked) == 1:
            asked["on_text"]("half")
            raise ModelError("it broke off")
        return super().reply(turns, **asked)


@pytest.mark.parametrize("more", ["", "/undo\n"])
def test_another_answer_that_is_cut_off_is_kept_and_undo_brings_back_the_whole_one(
    monkeypatch: pytest.MonkeyPatch, home: Path, more: str
) -> None:
    say(monkeypatch, f"a\n/again\n{more}")
    talk = Kept()
    Talk(Breaks(), talk, {}).run()
    last = ("a counter 1: a", "end") if more else ("half", "lost")
    assert [(turn.content, turn.reason) for turn in talk.turns] == [("a", "end"), last]


def test_a_comparison_keeps_the_part_and_tells_no_difference(
    call: Call, url: str, stub: Stub, here: Counter, home: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    stub.dies = b""
    words = ("chat", "smollm2-135m", "--compare", url)
    code, out, err = call(*words, "--once", "Who?")
    assert (code, "broke off" in err) == (1, True)
    assert "here 1: Who?" in out
    assert "differ" not in out
    say(monkeypatch, "Who?\n")
    assert call(*words)[0] == 1
    [folder] = (home / "comparisons").iterdir()
    assert [side.turns[-1].reason for side in Comparison.peek(folder)] == ["end", "lost"]


def test_a_server_of_ours_that_is_started_again_is_opened_by_its_new_token(
    url: str, stub: Stub, home: Path  # noqa: F811
) -> None:  # fmt: skip
    word = Live(urlsplit(url).port or 0, url, [{"name": "first", "judges": False}], "")
    word.write({})
    word.keep(Secret("tt-before"))
    stub.key = "tt-before"
    chat = whom(url)
    assert isinstance(chat, ServerChat)
    other = whom("second", chat)
    assert isinstance(other, ServerChat)
    word.keep(Secret("tt-afterwards"))
    stub.key = "tt-afterwards"
    for each in (chat, other):
        assert each.reply([Turn("user", "?")], sampling={}).text == "Hello"
    assert stub.tokens == ["Bearer tt-afterwards"] * 2
