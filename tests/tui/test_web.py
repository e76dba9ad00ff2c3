"""The app in a browser: nothing without the token, and with it a tab that works."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import ClientSession, CookieJar, WSMsgType, WSServerHandshakeError
from aiohttp.test_utils import TestServer

from tests.cli.given import gone, until
from tests.tui.test_guardian import left_in
from tuitune.serve.secret import Secret
from tuitune.tui.env import in_browser
from tuitune.tui.web import Web, environment

TOKEN = "the-token-of-the-page"
# Speaks the packets of an app: says its environment, then repeats what it is sent.
ECHO = """
import os, sys
def say(data): os.write(1, b"D" + len(data).to_bytes(4, "big") + data)
os.write(1, b"__GANGLION__\\n")
say(f"{os.getpid()} {os.environ['TUITUNE_BROWSER']} {os.environ['COLUMNS']} {os.environ.get('API_KEY')}".encode())
while True:
    head = sys.stdin.buffer.read(5)
    if not head: break
    say(head[:1] + sys.stdin.buffer.read(int.from_bytes(head[1:], "big")))
"""


@asynccontextmanager
async def serving(*argv: str, tabs: int = 4) -> AsyncIterator[TestServer]:
    web = Web(argv or (sys.executable, "-c", ECHO), Secret(TOKEN), any_host=False, tabs=tabs)
    server = TestServer(await web.app(), host="127.0.0.1")
    await server.start_server()
    try:
        yield server
    finally:
        await server.close()


def session() -> ClientSession:
    return ClientSession(cookie_jar=CookieJar(unsafe=True))  # cookies of an address instead of a name


def at(server: TestServer, path: str) -> str:
    return f"http://127.0.0.1:{server.port}{path}"


async def login(client: ClientSession, server: TestServer, token: str = TOKEN) -> aiohttp.ClientResponse:
    return await client.post(at(server, "/login"), data={"token": token}, allow_redirects=False)


async def text_of(socket: aiohttp.ClientWebSocketResponse) -> bytes:
    message = await socket.receive(timeout=60)
    assert message.type == WSMsgType.BINARY
    data: bytes = message.data
    return data


def test_without_the_token_there_is_nothing_but_401() -> None:
    async def work() -> None:
        async with serving() as server, session() as client:
            for path in ("/", "/static/js/textual.js", "/static/", "/download/abc", "/ws", "/anything", "/login"):
                answer = await client.get(at(server, path), headers={"Cookie": f"tuitune-{server.port}=guess"})
                assert answer.status == 401, path
                assert TOKEN not in await answer.text()
                assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
            with pytest.raises(WSServerHandshakeError) as refused:
                await client.ws_connect(at(server, "/ws"), origin=at(server, ""))
            assert refused.value.status == 401
            for wrong in ("", "wrong", f"{TOKEN}x"):
                answer = await login(client, server, wrong)
                assert answer.status == 401
                assert "Set-Cookie" not in answer.headers
            assert (await client.get(at(server, "/"))).status == 401

    asyncio.run(work())


def test_with_the_token_the_page_and_its_files_come() -> None:
    async def work() -> None:
        async with serving() as server, session() as client:
            answer = await login(client, server)
            assert (answer.status, answer.headers["Location"]) == (303, "/")
            cookie = answer.headers["Set-Cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=Strict" in cookie
            assert TOKEN not in cookie
            page = await client.get(at(server, "/"))
            text = await page.text()
            assert page.status == 200
            assert f'data-session-websocket-url="ws://127.0.0.1:{server.port}/ws"' in text
            assert 'src="/static/js/textual.js"' in text
            assert (await client.get(at(server, "/static/js/textual.js"))).status == 200
            assert (await client.get(at(server, "/nothing"))).status == 404

    asyncio.run(work())


def test_another_site_or_name_cannot_use_the_session() -> None:
    async def work() -> None:
        async with serving() as server, session() as client:
            await login(client, server)
            for origin in ("http://evil.example", f"https://127.0.0.1:{server.port}", "null", None):
                with pytest.raises(WSServerHandshakeError) as refused:
                    await client.ws_connect(at(server, "/ws"), origin=origin)
                assert refused.value.status == 403
            for host in ("evil.example", f"evil.example:{server.port}", "127.0.0.1.evil.example"):
                answer = await client.get(at(server, "/"), headers={"Host": host})
                assert answer.status == 403
            answer = await client.post(
                at(server, "/login"), data={"token": TOKEN}, headers={"Origin": "http://evil.example"}
            )
            assert answer.status == 401

    asyncio.run(work())


def test_a_tab_talks_to_an_app_of_its_own_which_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "a-secret-of-a-server")

    async def work() -> None:
        async with serving(tabs=1) as server, session() as client:
            await login(client, server)
            url, origin = at(server, "/ws?width=90&height=30"), at(server, "")
            async with client.ws_connect(url, origin=origin) as socket:
                pid, browser, columns, secret = (await text_of(socket)).split()
                assert (browser, columns, secret) == (b"1", b"90", b"None")
                await socket.send_json(["stdin", "ä\x1b[A"])
                assert await text_of(socket) == "Dä\x1b[A".encode()
                await socket.send_json(["resize", {"width": 100, "height": 40}])
                assert b'"width": 100' in await text_of(socket)
                await socket.send_json(["ping", 7])
                assert (await socket.receive(timeout=60)).json() == ["pong", 7]
                with pytest.raises(WSServerHandshakeError) as refused:
                    await client.ws_connect(url, origin=origin)
                assert refused.value.status == 503
            await asyncio.to_thread(until, lambda: gone(int(pid)))
            async with client.ws_connect(url, origin=origin) as socket:  # there is room again
                assert await text_of(socket)
                await socket.send_str("no json")

    asyncio.run(work())


def test_the_real_app_draws_in_a_tab_and_ends_when_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))

    async def work() -> None:
        async with serving(sys.executable, "-m", "tuitune") as server, session() as client:
            await login(client, server)
            seen = b""
            async with client.ws_connect(at(server, "/ws?width=140&height=40"), origin=at(server, "")) as socket:
                while b"Models" not in seen and b"Model" not in seen:
                    seen += await text_of(socket)
                assert left_in(tmp_path / "home")
            await asyncio.to_thread(until, lambda: not left_in(tmp_path / "home"))

    asyncio.run(work())


def test_only_apps_of_the_web_command_believe_in_a_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not in_browser()
    made = environment({"TUITUNE_API_KEY": "x", "HOME": "/home"}, 80, 24)
    assert "TUITUNE_API_KEY" not in made
    monkeypatch.setattr(os, "environ", made)
    assert in_browser()
