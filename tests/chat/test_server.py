"""A partner behind an OpenAI-style server."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tuitune.chat.base import Turn
from tuitune.chat.server import ServerChat
from tuitune.chat.tools import Call, content
from tuitune.errors import ModelError, UsageError

TOOLS = json.dumps([{"name": "weather", "description": "", "parameters": {"type": "object"}}])


def delta(**more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": more, "finish_reason": None}]}


class Stub:
    """What the server says, and what it was asked."""

    def __init__(self) -> None:
        self.models: list[str] = ["first", "second"]
        self.events: list[Any] = [delta(role="assistant"), delta(content="Hel"), delta(content="lo")]
        self.status, self.error = 200, ""
        self.key: str | None = None  # what opens it, None for everybody
        self.dies: bytes | None = None  # it does not say that it ends, but sends this
        self.chunked = False
        self.refused = 0
        self.asked: list[dict[str, Any]] = []
        self.tokens: list[str | None] = []
        self.sent = 0


def serving(stub: Stub) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002

        def do_GET(self) -> None:
            self.answer({"data": [{"id": name} for name in stub.models]})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if stub.key is not None and self.headers.get("Authorization") != f"Bearer {stub.key}":
                stub.refused += 1
                self.answer({"error": {"message": "the token is wrong"}}, 401)
                return
            stub.asked.append(asked)
            if stub.status != 200:
                self.answer({"error": {"message": stub.error}})
                return
            stub.tokens.append(self.headers.get("Authorization"))
            self.send_response(200)
            if stub.chunked:
                self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for event in stub.events:
                self.event(event if isinstance(event, str) else json.dumps(event))
                stub.sent += 1
            if stub.dies is not None:
                self.wfile.write(stub.dies)
                return
            self.event("[DONE]")
            self.wfile.write(b"0\r\n\r\n" if stub.chunked else b"")

        def event(self, text: str) -> None:
            data = f"data: {text}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) if stub.chunked else data)

        def answer(self, value: object, status: int | None = None) -> None:
            self.send_response(status or stub.status)
            if stub.status == 302:
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()
            self.wfile.write(json.dumps(value).encode())

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def stub() -> Stub:
    return Stub()


@pytest.fixture
def url(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("TUITUNE_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tuitune.chat.server._WAIT", 120.0)  # a machine that is very busy
    server = serving(stub)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_answer_is_streamed(url: str, stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITUNE_API_KEY", "secret")
    stub.events.append({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}})
    pieces: list[str] = []
    chat = ServerChat.found(url)
    done = chat.reply(
        [Turn("user", "Hi")], system="S", sampling={"max_new_tokens": 5, "temperature": 0.5, "seed": 1},
        on_text=pieces.append,
    )  # fmt: skip
    assert pieces == ["Hel", "lo"]
    assert (done.text, done.said, done.tokens, done.prompt_tokens, done.reason) == ("Hello", "Hello", 2, 9, "end")
    [asked] = stub.asked
    assert asked["messages"] == [{"role": "system", "content": "S"}, {"role": "user", "content": "Hi"}]
    assert (asked["model"], asked["max_tokens"], asked["temperature"], asked["seed"]) == ("first", 5, 0.5, 1)
    assert stub.tokens == ["Bearer secret"]
    assert chat.title.startswith("first at 127.0.0.1:")
    assert "secret" not in repr(vars(chat)["_url"]) + chat.title


def test_calls_and_thoughts_come_in_pieces(url: str, stub: Stub) -> None:
    call = lambda **function: delta(tool_calls=[{"index": 0, "function": function}])  # noqa: E731
    stub.events = [
        delta(reasoning_content="h"), delta(reasoning_content="m"), delta(content="I look."),
        call(name="weather", arguments=""), call(arguments='{"city": '), call(arguments='"Rome"}'),
    ]  # fmt: skip
    done = ServerChat.found(url).reply([Turn("user", "?")], tools=TOOLS, sampling={})
    assert (done.thoughts, done.said, done.calls) == ("hm", "I look.", (Call("weather", {"city": "Rome"}),))
    assert stub.asked[0]["tools"][0]["function"]["name"] == "weather"
    turns = [Turn("user", "?"), Turn("function", content("", list(done.calls))), Turn("observation", "sun")]
    stub.events = [delta(content="Sun."), {"choices": [{"delta": {}, "finish_reason": "length"}]}]
    done = ServerChat.found(url).reply(turns, sampling={"do_sample": False})
    assert (done.text, done.reason) == ("Sun.", "length")
    told = stub.asked[1]["messages"]
    assert told[1]["tool_calls"][0]["id"] == told[2]["tool_call_id"]
    assert stub.asked[1]["temperature"] == 0


def test_a_call_that_cannot_be_read_is_shown(url: str, stub: Stub) -> None:
    stub.events = [delta(tool_calls=[{"index": 0, "function": {"name": "weather", "arguments": "{"}}])]
    done = ServerChat.found(url).reply([Turn("user", "?")], tools=TOOLS, sampling={})
    assert (done.said, done.calls) == ("weather({)", ())


def test_stopping_ends_it(url: str, stub: Stub) -> None:
    stub.events = [delta(content="word ") for _ in range(50)]
    got: list[str] = []
    done = ServerChat.found(url).reply(
        [Turn("user", "?")], sampling={}, on_text=got.append, stop=lambda: len(got) > 2
    )  # fmt: skip
    assert (done.reason, done.text) == ("stopped", "word word word ")


@pytest.mark.parametrize(
    ("status", "words", "hint"),
    [
        (401, "no token", "TUITUNE_API_KEY"),
        (404, "no such model", "--model"),
        (422, "bad \x1b[2J", "log"),
        (302, "", ""),
    ],
)
def test_a_refusal_is_told_in_words(url: str, stub: Stub, status: int, words: str, hint: str) -> None:
    chat = ServerChat.found(url)
    stub.status, stub.error = status, words
    with pytest.raises(ModelError, match=f"refuses \\({status}\\)") as caught:
        chat.reply([Turn("user", "?")], sampling={})
    assert hint in caught.value.hint
    assert "\x1b" not in caught.value.message


def test_an_error_in_the_stream_is_one(url: str, stub: Stub) -> None:
    stub.events = [delta(content="a"), {"error": {"message": "out of memory"}}]
    with pytest.raises(ModelError, match="out of memory"):
        ServerChat.found(url).reply([Turn("user", "?")], sampling={})
    stub.events = ["no json"]
    with pytest.raises(ModelError, match="no answer"):
        ServerChat.found(url).reply([Turn("user", "?")], sampling={})


def ended(reason: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("more", "dies"),
    [([], None), ([ended("stop")], None), ([ended("stop")], b""), ([ended("tool_calls"), {"choices": []}], b"")],
)
def test_done_or_a_reason_ends_an_answer(
    url: str, stub: Stub, chunked: bool, more: list[dict[str, Any]], dies: bytes | None
) -> None:
    stub.events += more
    stub.dies, stub.chunked = dies, chunked
    made = ServerChat.found(url).reply([Turn("user", "?")], sampling={})
    assert (made.text, made.reason) == ("Hello", "end")


def test_what_is_torn_behind_its_end_is_whole(url: str, stub: Stub) -> None:
    stub.events.append(ended("length"))
    stub.dies, stub.chunked = b"40\r\ndata: {", True
    made = ServerChat.found(url).reply([Turn("user", "?")], sampling={})
    assert (made.text, made.reason) == ("Hello", "length")


@pytest.mark.parametrize(
    ("chunked", "dies"),
    [(False, b""), (False, b'data: {"cho'), (True, b""), (True, b"40\r\ndata: {"), (True, b"7\r\ndata: {\r\n")],
)
def test_an_answer_that_the_servers_death_cuts_off_is_no_answer(
    url: str, stub: Stub, chunked: bool, dies: bytes
) -> None:
    stub.dies, stub.chunked = dies, chunked
    pieces: list[str] = []
    with pytest.raises(ModelError, match="broke off in the middle of its answer") as caught:
        ServerChat.found(url).reply([Turn("user", "?")], sampling={}, on_text=pieces.append)
    assert pieces == ["Hel", "lo"]
    assert "is a part" in caught.value.hint
    stub.events = [delta(role="assistant")]
    with pytest.raises(ModelError, match="broke off before its answer"):
        ServerChat.found(url).reply([Turn("user", "?")], sampling={})


@pytest.mark.parametrize("word", ["abort", "error"])
def test_what_the_server_gives_up_is_broken_off_though_it_says_done(url: str, stub: Stub, word: str) -> None:
    stub.events.append(ended(word))  # as vLLM does when it is shut down
    with pytest.raises(ModelError, match="broke off"):
        ServerChat.found(url).reply([Turn("user", "?")], sampling={})


def test_a_key_that_is_refused_is_asked_for_again_once(url: str, stub: Stub) -> None:
    keys = ["one", "two", "three", "three"]
    chat = ServerChat.found(url, newest=lambda: keys.pop(0))
    stub.key = "one"
    assert chat.reply([Turn("user", "?")], sampling={}).text == "Hello"
    stub.key = "two"  # it was started again
    assert chat.reply([Turn("user", "?")], sampling={}).text == "Hello"
    assert (stub.tokens, stub.refused) == (["Bearer one", "Bearer two"], 1)
    stub.key = "nobody knows"
    with pytest.raises(ModelError, match=r"refuses \(401\)") as caught:
        chat.reply([Turn("user", "?")], sampling={})
    assert stub.refused == 3  # with the old one, and with the new one
    assert "begin anew" in caught.value.hint
    with pytest.raises(ModelError, match=r"refuses \(401\)"):
        chat.reply([Turn("user", "?")], sampling={})
    assert (stub.refused, keys) == (4, [])  # it is the same key: nothing is gained by another try


def test_what_is_no_server_is_told(url: str, stub: Stub) -> None:
    for wrong in ("127.0.0.1:8000", "ftp://x", "http://user:token@host/v1"):
        with pytest.raises(UsageError):
            ServerChat.found(wrong)
    with socket.socket() as nobody:  # a port that nobody else can have, and that does not listen
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(ModelError, match="cannot be reached"):
            ServerChat.found(f"http://127.0.0.1:{nobody.getsockname()[1]}/v1")
    with pytest.raises(UsageError, match="no model 'third'"):
        ServerChat.found(url, "third")
    assert ServerChat.found(f"{url}/v1/", "second").model == "second"
    stub.models = []
    with pytest.raises(ModelError, match="offers no model"):
        ServerChat.found(url)
