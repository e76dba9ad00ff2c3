"""The Serve screen: what is asked for, a server at work, its token, and how it is asked."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.tui.given import offered, rows_text, screen_text
from tests.tui.test_app import MIDDLE, SMALL, WIDE, go, home, made, opened, said, until  # noqa: F401
from tuitune.face import served
from tuitune.run import job as room
from tuitune.serve.live import Live
from tuitune.serve.secret import Secret
from tuitune.tui import serving
from tuitune.tui.app import TuiTune
from tuitune.tui.asking import Ask, TextAsk
from tuitune.tui.help import HelpScreen
from tuitune.tui.leave import Leave
from tuitune.tui.panes.jobs import JobsPane
from tuitune.tui.panes.serve_lines import Line
from tuitune.tui.panes.serve_live import UsePane
from tuitune.tui.panes.serve_setup import ServeSetup
from tuitune.tui.screens.serve import ServeScreen
from tuitune.tui.serving import Asked, Named, snippets

Opened = tuple[TuiTune, Pilot[Leave], ServeScreen]
TOKEN = "tt-the-token-of-the-screen"
EVIL = "a\x1b]0;PWN\x07[@click=app.quit]b\u202e"
# Behaves as `tuitune serve --json` does, without a model.
SERVER = """
import json, signal, sys, threading
from tuitune.serve.live import Live
from tuitune.serve.secret import Secret
end = threading.Event()
signal.signal(signal.SIGINT, lambda number, frame: end.set())
print(json.dumps({"kind": "note", "text": " ".join(sys.argv[1:])}), flush=True)
print(json.dumps({"kind": "progress", "stage": "load", "done": 0, "total": None}), flush=True)
word = Live(8123, "http://127.0.0.1:8123", [{"name": "tiny", "judges": False}], "")
word.keep(Secret("tt-from-the-job"))
word.write({"answers": 2, "waiting": 0, "requests": [], "last": [], "totals": {"requests": 1}})
end.wait(600)
word.remove()
print(json.dumps({"kind": "result", "requests": 7, "answered": 6, "tokens": 90}), flush=True)
"""


def request(state: str, **more: Any) -> dict[str, Any]:
    return {
        "model": EVIL, "client": EVIL, "state": state, "prompt_tokens": 35, "tokens": 21, "seconds": 2.5,
        "tokens_per_second": 8.4, **more,
    }  # fmt: skip


@pytest.fixture
def running(home: Path) -> Live:  # noqa: F811
    """A server that seems to run in this process."""
    word = Live(8000, "http://127.0.0.1:8000", [{"name": "tuned"}, {"name": EVIL}], "")
    word.keep(Secret(TOKEN))
    word.write({
        "answers": 1, "waiting": 2, "requests": [request("writes")], "last": [request("left"), request("failed")],
        "totals": {"requests": 1234, "answered": 1200, "failed": 3, "tokens": 56000, "prompt_tokens": 7000},
    })  # fmt: skip
    return word


@contextlib.asynccontextmanager
async def on_screen(subject: str | None = None, size: tuple[int, int] = MIDDLE) -> AsyncIterator[Opened]:
    app = made()
    async with opened(app, size) as pilot:
        app.show_screen("serve", subject)
        await until(pilot, lambda: isinstance(app.screen, ServeScreen) and bool(app.screen.query(JobsPane)))
        screen = app.screen
        assert isinstance(screen, ServeScreen)
        await pilot.pause()
        yield app, pilot, screen


@pytest.mark.parametrize(
    ("size", "seen", "hidden"),
    [
        (WIDE, ["1 Serve", "2 Settings", "3 Server", "4 Use it", "5 Work", "infer_backend", "curl", "1.2k"], []),
        (MIDDLE, ["1 Serve", "2 Settings", "3 Server", "4 Use it", "5 Work", "infer_backend", "curl"], []),
        (
            SMALL,
            ["1 Serve   2 Settings   3 Server   4 Use it   5 Work", "this machine only"],
            ["infer_backend", "curl"],
        ),
    ],
)
def test_what_shows_depends_on_the_room(
    running: Live, size: tuple[int, int], seen: list[str], hidden: list[str]
) -> None:
    async def work() -> None:
        async with on_screen("some-model", size) as (app, pilot, _):
            await until(pilot, lambda: all(word in screen_text(app) for word in seen))
            text = screen_text(app)
            assert not any(word in text for word in hidden), text
            assert "some-model" in text
            assert "s start" in text

    go(work)


def test_requests_show_and_the_token_only_after_a_key(running: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with on_screen(size=WIDE) as (app, pilot, screen):
            await until(
                pilot, lambda: "1 written now, 2 wait" in screen_text(app) and "56k written" in screen_text(app)
            )
            text = screen_text(app)
            for word in ("writes", "left", "failed", "35+21", "2.5 s", "8.4", "1.234k requests", "56k written"):
                assert word in text, (word, text)
            assert "a[@click=app.quit]b" in text
            assert not {"\x1b", "\u202e"} & set(text)
            assert TOKEN not in text
            copied: list[str] = []
            monkeypatch.setattr(app, "copy", copied.append)
            await pilot.press("c")
            await pilot.press("t")
            await until(pilot, lambda: screen_text(app).count(TOKEN) == 2)
            await pilot.press("t")
            await until(pilot, lambda: TOKEN not in screen_text(app))
            screen.query_one(UsePane).focus()
            await pilot.press("y")
            assert copied == [TOKEN, f"export OPENAI_BASE_URL=http://127.0.0.1:8000/v1\nexport OPENAI_API_KEY={TOKEN}"]

    go(work)


def test_a_server_is_started_survives_the_screen_and_is_stopped(
    home: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    monkeypatch.setattr(room, "PROGRAM", (sys.executable, str(script)))

    async def work() -> None:
        async with on_screen("some-model") as (app, pilot, screen):
            await pilot.press("s")
            await until(pilot, lambda: "http://127.0.0.1:8123/v1" in screen_text(app))
            [job] = screen.query_one(JobsPane).running
            assert job.argv == ("serve", "some-model", "--quiet")
            assert serving.kept().models == (Named("some-model"),)  # it was started, so it was meant
            await until(pilot, lambda: "x stop" in screen_text(app))
            pane = screen.query_one(JobsPane)
            await until(pilot, lambda: "1 request, 2 written now" in screen_text(app))
            told = "\n".join(rows_text(pane.body(60, 9)))
            assert "serving http://127.0.0.1:8123/v1" in told
            assert "load" not in told
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(app.screen, ServeScreen))
            app.show_screen("serve", None)
            await until(pilot, lambda: "http://127.0.0.1:8123/v1" in screen_text(app))
            await pilot.press("x")
            await until(pilot, lambda: isinstance(app.screen, Ask) and "8123, 1 model." in screen_text(app))
            assert "2 answers are being written; they" in screen_text(app)
            await pilot.press("x")
            await until(pilot, lambda: "7 requests, 6 answered" in screen_text(app))
            await until(pilot, lambda: "no server runs" in screen_text(app))

    go(work)


def test_a_server_of_another_terminal_is_stopped_too_and_every_pane_has_its_help(
    running: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(serving.os, "kill", lambda pid, number: killed.append((pid, number)) if number else None)

    async def work() -> None:
        async with on_screen() as (app, pilot, screen):
            await until(pilot, lambda: "http://127.0.0.1:8000/v1" in screen_text(app))
            await pilot.press("x")
            await until(pilot, lambda: isinstance(app.screen, Ask) and "2 models" in screen_text(app))
            assert "1 answer is being written; it is finished first" in screen_text(app)
            await pilot.press("escape")
            await pilot.pause()
            assert killed == []
            await pilot.press("x")
            await until(pilot, lambda: isinstance(app.screen, Ask))
            await pilot.press("x")
            await until(pilot, lambda: killed == [(running.pid, signal.SIGINT)])
            panes = (("3", "server", "Its address"), ("4", "use", "Pieces to paste"), ("1", "setup", "OpenAI-style"))
            for digit, name, word in panes:
                await pilot.press(digit)
                await until(pilot, lambda name=name: screen.pane(name).has_focus)  # type: ignore[misc]
                await pilot.press("f1")
                await until(pilot, lambda: isinstance(app.screen, HelpScreen))
                await until(pilot, lambda word=word: word in " ".join(screen_text(app).split()))  # type: ignore[misc]
                await pilot.press("escape")
                await until(pilot, lambda: app.screen is screen)

    go(work)


def test_models_names_and_limits_become_the_command(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    async def work() -> None:
        async with on_screen("some-model") as (app, pilot, screen):
            setup = screen.setup
            setup._add("other-model")
            await pilot.press("home", "enter")
            await until(pilot, lambda: isinstance(app.screen, TextAsk))
            await pilot.press("!", "enter")
            assert isinstance(app.screen, TextAsk)  # refused
            await pilot.press("backspace", "n", "enter")
            await until(pilot, lambda: setup.asked.models[0].name == "n")
            for name, keys in (("port", "90"), ("rows", "3")):
                at = next(place for place, line in enumerate(setup.lines()) if line.kind == name)
                setup._choose(at)
                await pilot.press("enter")
                await until(pilot, lambda: isinstance(app.screen, TextAsk))
                await pilot.press(*keys, "enter")
                await until(pilot, lambda: not isinstance(app.screen, TextAsk))
            screen.options.set("temperature", 0.5)
            copied: list[str] = []
            monkeypatch.setattr(app, "copy", copied.append)
            screen.setup.focus()
            await pilot.press("y")
            await until(pilot, lambda: bool(copied))
            assert copied == ["tuitune serve n=some-model other-model temperature=0.5 --port 90 --rows 3"]
            await pilot.press("home", "delete")
            assert [each.word for each in setup.asked.models] == ["other-model"]
            screen.options.set("temperature", -1)
            await pilot.press("s")
            await until(pilot, lambda: "the settings are not ready" in said(app))
            assert screen.query_one(JobsPane).jobs == []

    go(work)
    assert serving.kept() == Asked((Named("other-model"),), port=90, rows=3)


def test_models_that_were_chosen_are_there_again_unless_they_are_gone(home: Path, tmp_path: Path) -> None:  # noqa: F811
    gone, there = tmp_path / "gone", tmp_path / "there"
    there.mkdir()
    serving.keep(Asked((Named(str(gone), "nice"), Named(str(there)), Named("a-model"))))

    async def work() -> None:
        async with on_screen() as (app, pilot, screen):
            kept = (Named(str(there)), Named("a-model"))
            await until(pilot, lambda: screen.setup.asked.models == kept and "gone: not there any more" in said(app))
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(app.screen, ServeScreen))
            app.show_screen("serve", "a-model")  # one of them: the others stay
            await until(pilot, lambda: isinstance(app.screen, ServeScreen) and bool(app.screen.query(JobsPane)))
            await until(pilot, lambda: app.screen.query_one(ServeSetup).asked.models == kept)
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(app.screen, ServeScreen))
            app.show_screen("serve", "another")
            await until(pilot, lambda: isinstance(app.screen, ServeScreen) and bool(app.screen.query(JobsPane)))
            await until(pilot, lambda: app.screen.query_one(ServeSetup).asked.models == (Named("another"),))

    go(work)


def test_a_model_that_was_only_proposed_is_not_kept(home: Path) -> None:  # noqa: F811
    async def work() -> None:
        async with on_screen() as (_, _, screen):
            screen.setup.propose((Named("newest"),))
            screen.setup.ask(replace(screen.setup.asked, port=9000))
            assert serving.kept() == Asked(port=9000)
            screen.setup.begun()
            assert serving.kept() == Asked((Named("newest"),), port=9000)

    go(work)


def test_an_example_shows_whole_in_a_narrow_pane_and_is_copied_whole(
    running: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with on_screen(size=SMALL) as (app, pilot, screen):
            await until(pilot, lambda: screen.server is not None)
            await pilot.press("4", "down")
            await until(pilot, lambda: "y copies" in screen_text(app))
            text = screen_text(app)
            assert "…" not in text
            assert "".join(snippets(screen.server)[1].text.split()) in "".join(text.split())  # type: ignore[arg-type]
            copied: list[str] = []
            monkeypatch.setattr(app, "copy", copied.append)
            await pilot.press("y", "enter")
            assert copied == [snippets(screen.server)[1].text] * 2  # type: ignore[arg-type]

    go(work)


def test_a_port_that_a_server_has_is_not_asked_for_again(running: Live) -> None:
    async def work() -> None:
        async with on_screen("some-model") as (app, pilot, screen):
            await until(pilot, lambda: screen.server is not None)
            await pilot.press("s")
            await until(pilot, lambda: "the port is taken" in said(app))
            await until(pilot, lambda: screen.setup._chosen() == Line("port", "port", "8000"))
            assert screen.query_one(JobsPane).jobs == []

    go(work)
    [server] = served.servers()
    assert Asked().meets(server)
    assert not any(Asked(**other).meets(server) for other in ({"port": 8001}, {"port": 0}, {"host": "192.0.2.7"}))


def test_without_a_model_one_is_asked_for(home: Path) -> None:  # noqa: F811
    async def work() -> None:
        async with on_screen() as (app, pilot, screen):
            await until(pilot, lambda: "choose one" in screen_text(app))
            await pilot.press("s")
            await until(pilot, lambda: offered(app) or "nothing to choose" in said(app))
            assert screen.query_one(JobsPane).running == []

    go(work)


def test_snippets_ask_the_server_without_the_token_in_a_file(running: Live) -> None:
    [server] = served.servers()
    shell, curl, python = snippets(server)
    assert TOKEN in shell.text
    assert TOKEN not in curl.text + python.text
    assert '"model": "tuned"' in curl.text
    assert 'model="tuned"' in python.text
    compile(python.text, "snippet", "exec")
    assert Asked((Named("a b", "c"),), host="0.0.0.0", seconds=2.5).argv(["top_k=1"]) == [
        "serve", "c=a b", "top_k=1", "--host", "0.0.0.0", "--timeout", "2.5", "--quiet",
    ]  # fmt: skip
