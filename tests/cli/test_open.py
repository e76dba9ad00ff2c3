"""Which command lines open the app, on what; and what they do where there is no terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.cli.given import finished, plant, story
from tuitune.errors import RunError, UsageError
from tuitune.tui.env import prepare_environment
from tuitune.tui.leave import Request
from tuitune.tui.opening import resolve


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """On a terminal: what would be opened."""
    found: list[Request] = []

    def launch(request: Request) -> int:
        found.append(request)
        return 5

    monkeypatch.setattr("tuitune.cli.open.launch", launch)
    monkeypatch.setattr("tuitune.cli.open.on_terminal", lambda: True)
    return found


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        ((), Request()),
        (("--no-mouse",), Request(mouse=False)),
        (("quickstart",), Request("quickstart")),
        (("my.yaml", "lora_rank=4", "name=a b"), Request("my.yaml", ("lora_rank=4", "name=a b"))),
        (("--no-mouse", "some/where/x.yml"), Request("some/where/x.yml", mouse=False)),
        (("x.json", "--no-mouse"), Request("x.json", mouse=False)),
        (("lora_rank=4",), Request(None, ("lora_rank=4",))),
        (("attach",), Request(attach="")),
        (("attach", "one", "--no-mouse"), Request(attach="one", mouse=False)),
        (("demo", "max_steps=3", "--name", 'A "B"'), Request("quickstart", ('name="A \\"B\\""', "max_steps=3"))),
    ],
)
def test_on_a_terminal_these_open_the_app(
    call: Call, opened: list[Request], words: tuple[str, ...], request_: Request
) -> None:
    code, out, err = call(*words)
    assert (code, out, err) == (5, "", "")
    assert opened == [request_]


def test_a_command_wins_over_a_file_of_its_name_and_a_file_needs_no_ending(
    call: Call, opened: list[Request], tmp_path: Path
) -> None:
    (tmp_path / "runs").write_text("stage: sft\n")
    (tmp_path / "mine").write_text("stage: sft\n")
    assert call("runs")[0] == 0
    assert opened == []
    call("mine")
    assert opened == [Request("mine")]


def test_a_word_that_is_nothing_gets_likely_ones(call: Call, opened: list[Request]) -> None:
    code, _, err = call("quikstart")
    assert code == 2
    assert "'quikstart' is no command, no preset and no recipe file" in err
    assert "did you mean quickstart?" in err
    assert "did you mean train or " in call("trian")[2]
    assert opened == []


def test_plain_follows_also_on_a_terminal(call: Call, opened: list[Request]) -> None:
    plant("one", [*story(), finished()], status="finished", pid=1)
    code, out, _ = call("attach", "one", "--plain")
    assert code == 0
    assert "finished: 3 steps" in out
    assert opened == []


def test_without_a_terminal_a_recipe_is_refused_with_what_to_do_instead(call: Call) -> None:
    code, out, err = call("quickstart")
    assert (code, out) == (2, "")
    assert "needs a terminal" in err
    assert "tuitune train" in err


def test_what_is_asked_for_is_found_or_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("stage: sft\n")
    assert resolve(Request("my.yaml")).path == Path("my.yaml")
    assert resolve(Request("quickstart.yaml")).preset == "quickstart"
    run = plant("one", story())
    found = resolve(Request(attach="one")).run
    assert found is not None
    assert found.path == run.path
    for request, word in ((Request("quickstrat.yaml"), "quickstart"), (Request(settings=("=x",)), "lora_rank=16")):
        with pytest.raises(UsageError) as refused:
            resolve(request)
        assert word in refused.value.hint
    with pytest.raises(RunError):
        resolve(Request(attach=""))


def test_over_ssh_fewer_frames_are_drawn_unless_the_user_says_so() -> None:
    near: dict[str, str] = {}
    far = {"SSH_CONNECTION": "1 2 3 4"}
    asked = {"SSH_TTY": "/dev/pts/1", "TEXTUAL_FPS": "30", "TEXTUAL_ANIMATIONS": "full"}
    for environ in (near, far, asked):
        prepare_environment(environ)
    assert "TEXTUAL_FPS" not in near
    assert far["TEXTUAL_FPS"] == "15"
    assert (asked["TEXTUAL_FPS"], asked["TEXTUAL_ANIMATIONS"]) == ("30", "full")
    assert near["TEXTUAL_ANIMATIONS"] == "none"
