"""`tuitune serve` from its start to its end."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from tests.cli.conftest import Call
from tests.cli.given import hear_all, start, until
from tests.engine.given import model_folder

CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "Name three fruits."}]}
# The seed: without one the tiny model may draw its end at once.
LONG = {**CHAT, "max_tokens": 200, "temperature": 2, "top_p": 1.0, "top_k": 0, "stream": True, "seed": 0}


class Served:
    """A server in a process of its own; `lines` are what it has told."""

    def __init__(self, root: Path, *words: str, **environ: str) -> None:
        self.home = root / "home"
        self.process = start(root, "serve", *words, "--port", "0", "--json", preexec_fn=hear_all, env=environ)
        self.text = ""
        self.lines: list[dict[str, Any]] = []
        assert self.process.stdout is not None
        self._thread = threading.Thread(target=self._read, args=(self.process.stdout,))
        self._thread.start()
        until(lambda: bool(self.told("ready")) or self.process.poll() is not None)

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self.text += line
            self.lines.append(json.loads(line))  # a line that is no JSON ends the test: nothing comes any more

    def told(self, kind: str) -> list[dict[str, Any]]:
        """Return the lines of a kind."""
        return [line for line in self.lines if line["kind"] == kind]

    @property
    def ready(self) -> dict[str, Any]:
        """What it said when it was ready."""
        assert self.told("ready"), self.process.stderr and self.process.stderr.read()
        return self.told("ready")[0]

    def end(self) -> int:
        """Wait for the end, and return the exit code."""
        code = self.process.wait(120)
        self._thread.join(60)
        return code

    def everything(self) -> bytes:
        """Return all that it has written down; what went to standard error only after its end."""
        assert self.process.stderr is not None
        said = self.process.stderr.read() if self.process.poll() is not None else ""
        return b"\n".join([self.text.encode(), said.encode(), *map(_content, self.home.rglob("*"))])


def _content(path: Path) -> bytes:
    """Return what a file holds; nothing of one that is gone by now, as the server replaces files while it runs."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        return b""


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Start servers, and leave none behind."""
    begun: list[Served] = []

    def work(root: Path, *words: str, **environ: str) -> Served:
        begun.append(Served(root, *words, **environ))
        return begun[-1]

    yield work
    for server in begun:
        server.process.kill()
        server.process.wait()


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    model_folder(tmp_path)
    return tmp_path


def client(url: str, token: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=120)


def stream(http: httpx.Client, into: list[str], model: str = "tiny") -> threading.Thread:
    """Ask for a long answer in a thread; what comes goes into the list, at the end "end" or "cut"."""

    def work() -> None:
        try:
            with http.stream("POST", "/v1/chat/completions", json={**LONG, "model": model}) as answer:
                into.extend(line for line in answer.iter_lines() if line)
            into.append("end")
        except httpx.HTTPError:
            into.append("cut")

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: len(into) > 5)
    return thread


def test_a_server_shows_its_token_once_and_ends_when_answers_are_done(tiny: Path, serve: Callable[..., Served]) -> None:
    server = serve(tiny, "tiny")
    url, place = server.ready["url"], Path(server.ready["token_file"])
    assert server.ready["models"] == ["tiny"]
    assert url.startswith("http://127.0.0.1:")
    token = place.read_text().strip()
    assert place.stat().st_mode & 0o777 == 0o600
    with client(url, "wrong-token-of-a-stranger") as stranger:
        assert stranger.get("/v1/models").status_code == 401
        assert stranger.post("/v1/chat/completions", json=CHAT).status_code == 401
    with client(url, token) as http:
        assert http.post("/v1/chat/completions", json={**CHAT, "max_tokens": 3}).status_code == 200
        assert http.post("/v1/chat/completions", json={**CHAT, "model": token}).status_code == 404
        assert http.post("/v1/chat/completions", json={**CHAT, "max_tokens": 3, "user": token}).status_code == 200
        until(lambda: len(server.told("request")) == 2)
        seen = server.everything().replace(place.read_bytes(), b"")
        assert token.encode() not in seen
        came: list[str] = []
        thread = stream(http, came)
        server.process.send_signal(signal.SIGINT)
        thread.join(120)
    assert came[-2:] == ["data: [DONE]", "end"]
    assert server.end() == 0
    assert [line["status"] for line in server.told("request")] == [200, 200, 200]
    assert {**server.told("result")[0], "refused": 3, "failed": 0, "left": 0} == server.told("result")[0]
    assert not place.exists()
    everything = server.everything()
    assert token.encode() not in everything
    assert b"wrong-token-of-a-stranger" not in everything


@pytest.mark.slow
def test_a_second_signal_ends_at_once_and_the_token_of_the_environment_is_taken(
    tiny: Path, serve: Callable[..., Served]
) -> None:
    server = serve(tiny, "one=tiny", "temperature=0.5", TUITUNE_API_KEY="a-chosen-token", MAX_CONCURRENT="3")
    assert server.ready["token_file"] is None
    assert server.ready["token_from"] == "TUITUNE_API_KEY"
    came: list[str] = []
    with client(server.ready["url"], "a-chosen-token") as http:
        thread = stream(http, came, "one")
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGTERM)
        thread.join(120)
    assert server.end() == 0
    assert came[-1] in ("cut", "end")
    if came[-1] == "cut":
        assert [(line["state"], line["status"]) for line in server.told("request")] == [("cut", 503)]
        assert (server.told("result")[0]["cut"], server.told("result")[0]["left"]) == (1, 0)
    assert b"a-chosen-token" not in server.everything()


def test_what_cannot_be_served_is_told_before_anything_is_loaded(call: Call, tiny: Path) -> None:
    for words, message in (
        (("nobody",), "nobody"),
        (("a=tiny", "a=tiny"), "two models are called a"),
        (("tiny", "--name", "x", "--name", "y"), "--name y belongs to no model"),
        (("temperature=0.5",), "nothing to serve"),
        (("tiny", "temperature=-1"), "the command line has 1 problem\n"),
        (("tiny", "temperature=-1"), "temperature"),
        (("tiny", "--port", "70000"), "no port 70000"),
        (("tiny", "--host", "192.0.2.1"), "cannot be listened on"),
        (("bad name=tiny",), "bad name"),
    ):
        code, out, err = call("serve", *words)
        assert code == 2, (words, out, err)
        assert message in err


def test_a_port_that_is_taken_is_told(call: Call, tiny: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, _, err = call("serve", "tiny", "--port", port)
    assert code == 2
    assert f"port {port} is taken" in err


def test_of_two_servers_that_load_at_once_the_second_learns_it_at_once() -> None:
    from tuitune.errors import UsageError
    from tuitune.serve.address import Address

    with Address(port=0).bound() as first, pytest.raises(UsageError, match="is taken"):
        Address(port=first.getsockname()[1]).bound()


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEY", "TUITUNE_API_KEY", "API_HOST", "API_PORT", "API_MODEL_NAME", "MAX_CONCURRENT"):
        monkeypatch.delenv(name, raising=False)
