"""Scores by HTTP: LLaMA-Factory's form, and every way in which a server can fail."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tuitune.errors import TrainingError
from tuitune.stages.online.server import TOKEN, Server


class Judge:
    """A server whose answers are a list of (status, content), the last of them for ever."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any]] = [(200, None)]
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.free = threading.Event()  # it does not answer before this is set
        self.free.set()
        judge = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                judge.asked.append(body)
                judge.headers.append(dict(self.headers))
                judge.free.wait(600)
                status, content = judge.answers.pop(0) if len(judge.answers) > 1 else judge.answers[0]
                if content is None:
                    content = {"scores": [float(len(text)) for text in body["messages"]]}
                out = content if isinstance(content, bytes) else json.dumps(content).encode()
                with contextlib.suppress(ConnectionError):  # who asked may have gone
                    self.send_response(status)
                    if status == 302:
                        self.send_header("Location", "http://elsewhere.example/")
                    self.send_header("Content-Length", str(len(out)))
                    self.end_headers()
                    self.wfile.write(out)

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}/score"
        self.notes: list[str] = []

    def server(self, attend: Callable[[], None] = lambda: None, timeout: float = 60.0) -> Server:
        """Return our side of it, which does not wait long."""
        return Server(self.address, attend, self.notes.append, timeout, (0.01, 0.02))


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Iterator[Judge]:
    monkeypatch.delenv(TOKEN, raising=False)
    made = Judge()
    thread = threading.Thread(target=made.http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.free.set()
    made.http.shutdown()
    made.http.server_close()


def test_it_speaks_as_llama_factory_does(judge: Judge) -> None:
    assert judge.server().scores(["a", "four", "é<|im_end|>"]) == [1.0, 4.0, 11.0]
    assert judge.asked == [{"model": "model", "messages": ["a", "four", "é<|im_end|>"]}]
    assert "Authorization" not in judge.headers[0]


def test_many_texts_go_in_several_requests(judge: Judge) -> None:
    assert judge.server().scores(["x" * n for n in range(150)]) == [float(n) for n in range(150)]
    assert [len(asked["messages"]) for asked in judge.asked] == [64, 64, 22]


def test_the_token_comes_from_the_environment_and_is_never_told(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, "s3cret")
    judge.answers = [(403, b"no entry")]
    with pytest.raises(TrainingError, match="status 403: no entry") as caught:
        judge.server().scores(["a"])
    assert judge.headers[0]["Authorization"] == "Bearer s3cret"
    assert len(judge.asked) == 1  # asking again would not help
    assert "s3cret" not in str(caught.value) + str(caught.value.hint) + "".join(judge.notes)


def test_what_is_secret_in_an_address_is_not_shown(judge: Judge) -> None:
    server = Server("http://user:pass@127.0.0.1:1/x?key=s3cret", lambda: None, judge.notes.append, 1.0, (0.01,))
    with pytest.raises(TrainingError) as caught:
        server.scores(["a"])
    assert "http://127.0.0.1:1/x" in str(caught.value)
    assert "2 tries" in str(caught.value)
    assert not any(word in str(caught.value) + "".join(judge.notes) for word in ("pass", "s3cret", "user"))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(judge: Judge, status: int) -> None:
    judge.answers = [(status, b""), (status, b""), (200, None)]
    assert judge.server().scores(["abc"]) == [3.0]
    assert len(judge.asked) == 3
    assert f"status {status}" in judge.notes[0]


def test_a_server_that_stays_busy_is_given_up(judge: Judge) -> None:
    judge.answers = [(500, b"")]
    with pytest.raises(TrainingError, match="did not answer in 3 tries: status 500"):
        judge.server().scores(["abc"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"scores": [1.0]}, "1 scores for 2 texts"),
        ({"scores": [1.0, 2.0, 3.0]}, "3 scores for 2 texts"),
        ({"scores": 1.0}, "no list of scores"),
        ({"rewards": [1.0, 2.0]}, 'without "scores"'),
        ([1.0, 2.0], 'without "scores"'),
        (b"<html>\x1b[31mhello", 'without "scores": <html>'),
        (b'{"scores": [1.0, NaN]}', "no finite number: nan"),
        ({"scores": [1.0, "2"]}, "no finite number: '2'"),
        ({"scores": [1.0, True]}, "no finite number: True"),
        ({"scores": [1.0, [2.0]]}, "no finite number"),
    ],
)
def test_answers_that_are_no_scores_are_refused_in_words(judge: Judge, content: Any, words: str) -> None:
    judge.answers = [(200, content)]
    with pytest.raises(TrainingError) as caught:
        judge.server().scores(["a", "b"])
    assert words in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(judge.asked) == 1


def test_no_redirect_is_followed(judge: Judge) -> None:
    judge.answers = [(302, b"")]
    with pytest.raises(TrainingError, match="it has moved"):
        judge.server().scores(["a"])


def test_a_server_that_takes_too_long_is_given_up(judge: Judge) -> None:
    judge.free.clear()
    with pytest.raises(TrainingError, match="timed out"):
        judge.server(timeout=0.05).scores(["a"])


def test_a_stop_does_not_wait_for_the_server(judge: Judge) -> None:
    judge.free.clear()

    class Halted(BaseException):
        pass

    def attend() -> None:
        if judge.asked:
            raise Halted

    with pytest.raises(Halted):
        judge.server(attend).scores(["a"])
    assert not judge.free.is_set()
