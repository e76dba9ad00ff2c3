"""The app in a browser: textual-serve's server with a lock on every door, which it has not itself.

A page without a session gets 401 and a form for the token; the token in the address' fragment, which browsers never
send, fills it. A session is a cookie that scripts cannot read and other sites cannot use. Each tab is a process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import resources
from typing import Any

import aiohttp_jinja2
from aiohttp import WSMsgType, web
from textual_serve.app_service import AppService
from textual_serve.server import Server, to_int

from tuitune.serve.guarding import is_loopback
from tuitune.serve.secret import Secret
from tuitune.tui.env import for_browser

_OURS = ("TUITUNE_API_KEY", "API_KEY")  # secrets of `tuitune serve`
_MOST_SESSIONS = 64
_PATIENCE = 3.0  # seconds for the app of a closed tab to see it
_HEADERS = {
    # Nothing from elsewhere is loaded, and no other page may show this one.
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' "
    "'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; connect-src 'self' ws: wss:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_FORM = """<!doctype html><meta charset="utf-8"><title>TuiTune</title>
<style>body{background:#14171c;color:#c9d1d9;font:16px monospace;display:grid;place-items:center;height:90vh}
input,button{font:inherit;color:inherit;background:#20262e;border:1px solid #3a424d;padding:.5em}</style>
<form method="post" action="/login"><p>The token that <b>tuitune web</b> showed:</p>
<input name="token" type="password" size="48" autofocus autocomplete="off"> <button>Open</button></form>
<script>const t=location.hash.slice(1);if(t){history.replaceState(null,"",location.pathname);
const f=document.forms[0];f.token.value=t;f.submit()}</script>"""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Door:
    """Who may come in: whoever has a session, and gets one for the token.

    any_host: the server listens beyond this machine, so that any name may be its own.
    """

    def __init__(self, secret: Secret, *, any_host: bool) -> None:
        self._secret, self._any_host = secret, any_host
        self._sessions: list[str] = []

    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request through to its handler, or answer it here."""
        if not self._any_host and not is_loopback(_name(request.host)):
            return self._told(web.Response(status=403, text="this server answers to localhost and 127.0.0.1 only"))
        if request.method == "POST" and request.path == "/login":
            return self._told(await self._login(request))
        if not self._known(request):
            return self._told(web.Response(status=401, text=_FORM, content_type="text/html"))
        if request.path == "/ws" and not self._own(request):
            return self._told(web.Response(status=403, text="a websocket is opened by this server's own page only"))
        try:
            answer = await handler(request)
        except web.HTTPException as error:
            return self._told(web.Response(status=error.status, text=error.reason))
        return answer if answer.prepared else self._told(answer)

    async def _login(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        token = form.get("token")
        right = isinstance(token, str) and self._secret.opens(token.strip().encode("utf-8", "replace"))
        if not right or not self._own(request, needed=False):
            return web.Response(status=401, text=_FORM, content_type="text/html")
        session = secrets.token_urlsafe(32)
        self._sessions = [*self._sessions, session][-_MOST_SESSIONS:]
        answer = web.Response(status=303, headers={"Location": "/"})
        answer.set_cookie(
            _cookie(request), session, httponly=True, samesite="Strict", secure=request.secure, path="/"
        )  # fmt: skip
        return answer

    def _known(self, request: web.Request) -> bool:
        offered = request.cookies.get(_cookie(request), "")
        return any(Secret(session).opens(offered.encode()) for session in self._sessions)

    @staticmethod
    def _own(request: web.Request, *, needed: bool = True) -> bool:
        """Return whether the page that asks is of this server; browsers say where it is from."""
        origin = request.headers.get("Origin")
        if origin is None:
            return not needed
        return origin == f"{request.scheme}://{request.host}"

    @staticmethod
    def _told(answer: web.StreamResponse) -> web.StreamResponse:
        answer.headers.update(_HEADERS)
        return answer


def _name(host: str) -> str:
    return host.partition("]")[0].strip("[") if host.startswith("[") else host.partition(":")[0]


def _cookie(request: web.Request) -> str:
    # Cookies do not know ports: two servers on one machine must not take each other's away.
    return f"tuitune-{request.host.rpartition(':')[2]}" if request.host[-1:].isdigit() else "tuitune"


class Web(Server):
    """textual-serve's pages for apps that `argv` starts; at most `tabs` of them at once."""

    def __init__(self, argv: Sequence[str], secret: Secret, *, any_host: bool, tabs: int = 4) -> None:
        super().__init__("tuitune", title="TuiTune")
        self._argv, self._tabs, self._open = list(argv), tabs, 0
        self.door = Door(secret, any_host=any_host)

    async def app(self) -> web.Application:
        """Return the server as an application of aiohttp's."""
        base = resources.files("textual_serve")
        self.templates_path, self.statics_path = (
            type(self.templates_path)(str(base / n)) for n in ("templates", "static")
        )
        made = await self._make_app()

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self.door.guard(request, handler)

        made.middlewares.append(guard)
        return made

    async def on_startup(self, app: web.Application) -> None:
        """Say nothing: the command does."""

    @aiohttp_jinja2.template("app_index.html")
    async def handle_index(self, request: web.Request) -> dict[str, Any]:
        """Return what the page needs; addresses are those under which the browser came, not a fixed one."""
        socket = "wss" if request.secure else "ws"
        return {
            "font_size": to_int(request.query.get("fontsize", "16"), 16),
            "app_websocket_url": f"{socket}://{request.host}/ws",
            "config": {"static": {"url": "/static/"}},
            "application": {"name": self.title},
        }

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Run an app for a tab until one of both goes."""
        if self._open >= self._tabs:
            raise web.HTTPServiceUnavailable(reason=f"{self._tabs} tabs are open already")
        self._open += 1
        socket = web.WebSocketResponse(heartbeat=15, max_msg_size=1 << 20)
        service = Tab(self._argv, socket, self.download_manager)
        try:
            await socket.prepare(request)
            size = [to_int(request.query.get(name, ""), usual) for name, usual in (("width", 80), ("height", 24))]
            await service.start(*(max(20, min(500, value)) for value in size))
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    await _pass_on(service, socket, message.data)
        except (ConnectionError, ValueError, LookupError, TypeError):
            pass  # a torn connection, or packets of nobody's
        finally:
            self._open -= 1
            await service.stop()
            with contextlib.suppress(ConnectionError):
                await socket.close()
        return socket


async def _pass_on(service: Tab, socket: web.WebSocketResponse, data: str) -> None:
    """Give the app what the page sends. Raises ValueError, LookupError or TypeError for what it never would."""
    import json

    match json.loads(data):
        case ["stdin", str() as keys]:
            await service.send_bytes(keys.encode("utf-8", "replace"))
        case ["resize", {"width": int() as width, "height": int() as height}]:
            await service.set_terminal_size(max(20, min(500, width)), max(5, min(300, height)))
        case ["ping", value]:
            await socket.send_json(["pong", value])
        case ["blur", *_]:
            await service.blur()
        case ["focus", *_]:
            await service.focus()


class Tab(AppService):
    """The app of one tab, started without a shell and in a session of its own."""

    def __init__(self, argv: Sequence[str], socket: web.WebSocketResponse, downloads: Any) -> None:
        async def close() -> None:
            await socket.close()

        super().__init__(
            "tuitune", write_bytes=socket.send_bytes, write_str=socket.send_str, close=close, download_manager=downloads
        )
        self._argv = list(argv)

    async def _open_app_process(self, width: int = 80, height: int = 24) -> asyncio.subprocess.Process:
        self._process = await asyncio.create_subprocess_exec(
            *self._argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, env=environment(os.environ, width, height), start_new_session=True,
        )  # fmt: skip
        assert self._process.stdin is not None
        self._stdin = self._process.stdin
        return self._process

    async def stop(self) -> None:
        """Close the app's input: to it the tab is lost, as a terminal would be, and what it trains goes on."""
        task, self._task = self._task, None
        if task is None:
            return
        await self._download_manager.cancel_app_downloads(app_service_id=self.app_service_id)
        with contextlib.suppress(OSError, RuntimeError):
            self.stdin.close()
        with contextlib.suppress(asyncio.TimeoutError, ConnectionError):
            await asyncio.wait_for(task, _PATIENCE)


def environment(environ: Mapping[str, str], width: int, height: int) -> dict[str, str]:
    """Return the environment of an app in a tab of this size; secrets of servers stay here."""
    kept = {key: value for key, value in environ.items() if key not in _OURS}
    size = {"COLUMNS": str(width), "ROWS": str(height)}
    return for_browser({**kept, **size, "TEXTUAL_COLOR_SYSTEM": "truecolor", "TERM_PROGRAM": "textual"})
