"""Nobody comes in without the token, under another name, or with too much."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.cli.given import until
from tests.serve.given import MESSAGES, TOKEN, Running, held, partner, serving
from tuitune.errors import UsageError
from tuitune.serve import live
from tuitune.serve.guarding import is_loopback
from tuitune.serve.limits import Limits
from tuitune.serve.live import Live
from tuitune.serve.secret import Secret

CHAT = {"model": "tiny", "messages": MESSAGES, "max_tokens": 2, "temperature": 0}
ROUTES = [
    ("GET", "/v1/models"), ("GET", "/v1/models/tiny"), ("GET", "/health"), ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"), ("POST", "/v1/score/evaluation"), ("GET", "/docs"), ("GET", "/openapi.json"),
    ("GET", "/redoc"), ("GET", "/"), ("OPTIONS", "/v1/models"), ("HEAD", "/health"), ("POST", "/anything"),
]  # fmt: skip


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with serving(Limits(body=4000, queue=2, rows=1)) as found:
        yield found


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("header", ["", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer"])
def test_every_route_is_behind_the_token(running: Running, method: str, path: str, header: str) -> None:
    headers = {"Authorization": header} if header else {}
    found = httpx.request(method, running.url + path, headers=headers, timeout=120)
    assert found.status_code == 401
    assert found.headers["www-authenticate"] == "Bearer"
    if method != "HEAD":
        assert found.json()["error"]["code"] == "invalid_api_key"
        assert TOKEN not in found.text


def test_with_the_token_there_is_no_page_that_tells_of_the_routes(running: Running) -> None:
    with running.client() as client:
        for path in ("/docs", "/redoc", "/openapi.json", "/"):
            found = client.get(path)
            assert found.status_code == 404
            assert found.json()["error"]["type"] == "not_found_error"
        assert client.get("/v1/chat/completions").status_code == 405
        assert client.get("/health").json()["status"] == "ok"
        assert "access-control-allow-origin" not in client.options("/v1/models", headers={"Origin": "http://a"}).headers


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "[::2]:80"])
def test_another_name_for_this_machine_is_refused(running: Running, host: str) -> None:
    with running.client(headers={"Host": host}) as client:
        assert client.get("/v1/models").status_code == 403


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:8000", "LOCALHOST"])
def test_names_of_this_machine_are_let_in(running: Running, host: str) -> None:
    with running.client(headers={"Host": host}) as client:
        assert client.get("/v1/models").status_code == 200


def test_loopback_is_what_reaches_this_machine_only() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "127.8.8.8", "::1", "localhost", "a.localhost", "localhost."]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "192.168.0.2", "example.org", ""]))


def test_a_body_that_is_too_long_is_refused_whether_it_says_so_or_not(running: Running) -> None:
    with running.client() as client:
        found = client.post("/v1/completions", content=b"x" * 5000)
        assert (found.status_code, found.json()["error"]["code"]) == (413, "request_too_large")
        pieces = client.post("/v1/completions", content=(b"x" * 1000 for _ in range(9)))
        assert (pieces.status_code, pieces.json()["error"]["code"]) == (413, "request_too_large")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff\xfe", b'{"model": NaN}', b"[" * 3000])
def test_what_is_no_json_object_is_told_so(running: Running, body: bytes) -> None:
    with running.client() as client:
        found = client.post("/v1/chat/completions", content=body)
        assert found.status_code == 400
        assert "JSON" in found.json()["error"]["message"]


def test_when_the_line_is_full_more_is_refused(running: Running) -> None:
    codes: list[int] = []
    with running.client() as first, running.client() as second, held(after=1) as gone:
        thread = threading.Thread(
            target=lambda: codes.append(first.post("/v1/chat/completions", json={**CHAT, "n": 3}).status_code)
        )
        thread.start()
        until(lambda: running.engine.waiting() == (1, 2))
        found = second.post("/v1/chat/completions", json=CHAT)
        gone.set()
        thread.join()
    assert codes == [200]
    assert (found.status_code, found.json()["error"]["code"]) == (429, "queue_full")
    assert found.headers["retry-after"] == "1"


def test_a_fault_of_the_server_shows_no_traceback(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    from tuitune.serve import drafting

    def broken(*arguments: object, **keywords: object) -> None:
        raise ZeroDivisionError("inside /secret/path.py")

    monkeypatch.setattr(drafting, "chat_prompt", broken)
    with running.client() as client:
        found = client.post("/v1/chat/completions", json=CHAT)
    assert found.status_code == 500
    assert found.json()["error"]["type"] == "server_error"
    assert "secret" not in found.text
    assert "Traceback" not in found.text


def test_an_answer_that_takes_too_long_is_ended() -> None:
    with serving(Limits(seconds=1.0), tiny=partner()) as running, running.client() as client:
        with held(after=1), ThreadPoolExecutor() as pool:
            asked = [
                pool.submit(client.post, "/v1/chat/completions", json={**CHAT, "stream": s}) for s in (False, True)
            ]
            whole, streamed = [each.result() for each in asked]
            assert (whole.status_code, whole.json()["error"]["code"]) == (504, "timeout")
            assert streamed.status_code == 200
            assert "longer than 1 s" in streamed.text
        running.settled()
        assert running.book.totals["failed"] == 2


# The token itself


def test_the_token_is_made_anew_or_taken_from_the_environment() -> None:
    made = Secret.of({})
    assert made.value != Secret.of({}).value
    assert len(made.value) > 40
    assert made.source == ""
    assert Secret.of({"API_KEY": "from-llama-factory"}).value == "from-llama-factory"
    both = Secret.of({"API_KEY": "other-token", "TUITUNE_API_KEY": "chosen-token"})
    assert (both.value, both.source) == ("chosen-token", "TUITUNE_API_KEY")
    assert "chosen-token" not in repr(both)
    assert both.hide("it is chosen-token.") == "it is [token]."


@pytest.mark.parametrize("value", ["short", "with space inside", "ünïcödé-token", "line\nbreak-token"])
def test_a_token_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(UsageError) as refused:
        Secret.of({"TUITUNE_API_KEY": value})
    assert value not in refused.value.message


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import hmac

    seen: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: seen.append((a, b)) or a == b)
    secret = Secret("right-token")
    assert secret.opens(b"right-token")
    assert not secret.opens(b"r")
    assert not secret.opens(b"")
    assert [(len(a), len(b)) for a, b in seen] == [(32, 32)] * 3


def test_the_word_of_a_server_is_private_and_goes_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))
    word = Live(8000, "http://127.0.0.1:8000", [{"name": "tiny"}], "")
    path = word.keep(Secret("the-token"))
    word.write({"totals": {"requests": 3}})
    assert path is not None
    assert all(each.stat().st_mode & 0o777 == 0o600 for each in (path, word.path))
    assert word.path.parent.stat().st_mode & 0o777 == 0o700
    assert b"the-token" not in word.path.read_bytes()
    [found] = live.seen()
    assert (found.token, found.url, found.work["totals"]) == ("the-token", "http://127.0.0.1:8000", {"requests": 3})
    dead = Live(9000, "http://127.0.0.1:9000", [], "", born=1.0)
    dead.keep(Secret("dead-token"))
    dead.write({})
    assert [each.port for each in live.seen()] == [8000]
    assert not dead.path.with_suffix(".token").exists()
    word.remove()
    assert live.seen() == []
    assert Live(1, "", [], "API_KEY").keep(Secret("own-token", "API_KEY")) is None
