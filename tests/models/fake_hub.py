"""A hub on the loopback interface: enough of its interface for one model or data set, and for its refusals."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "d" * 40
# Larger files take their time, so that progress can be seen.
_SLOW = 1_000_000


@contextmanager
def fake_hub(
    repo: str,
    files: dict[str, bytes],
    refusals: dict[str, tuple[int, str]],
    kind: str = "models",
    branches: dict[str, dict[str, bytes]] | None = None,
    held: threading.Event | None = None,
) -> Iterator[tuple[str, list[str]]]:
    """Serve `repo`, refuse the names in `refusals` with a status and an error code; yield the address and a log.

    branches: files of other revisions than the main one. held: larger files come to their end once it is set.
    """
    log: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(True)

        def do_HEAD(self) -> None:
            self._answer(False)

        def _answer(self, body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            log.append(path)
            for name, (status, code) in refusals.items():
                if name in path:
                    return self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": "refused"}, body)
            files_at = f"/{repo}/resolve/" if kind == "models" else f"/{kind}/{repo}/resolve/"
            for branch, inside in (branches or {}).items():
                if path == f"/api/{kind}/{repo}/revision/{branch}":
                    return self._info(inside, body)
                if path.startswith(f"{files_at}{branch}/"):
                    return self._bytes(inside[path.removeprefix(f"{files_at}{branch}/")], body)
            if path.startswith(files_at):
                return self._file(path.removeprefix(files_at).split("/", 1)[1], body)
            if path.startswith(f"/api/{kind}/{repo}/revision/") and not path.endswith(("/main", COMMIT)):
                return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, body)
            if path.startswith(f"/api/{kind}/{repo}/tree/"):
                return self._send(
                    200, json.dumps([_entry(name, data) for name, data in files.items()]).encode(), {}, body
                )
            if path.startswith(f"/api/{kind}/{repo}"):
                return self._info(files, body)
            return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, body)

        def _info(self, files: dict[str, bytes], body: bool) -> None:
            siblings = [{"rfilename": name, "size": len(data)} for name, data in files.items()]
            answer = {"id": repo, "modelId": repo, "sha": COMMIT, "siblings": siblings, "tags": [], "private": False}
            self._send(200, json.dumps(answer).encode(), {}, body)

        def _file(self, name: str, body: bool) -> None:
            if name in files:
                self._bytes(files[name], body)
            else:
                self._send(404, b"{}", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, body)

        def _bytes(self, data: bytes, body: bool) -> None:
            headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha1(data).hexdigest()}"'}
            self._send(200, data, headers, body)

        def _send(self, status: int, data: bytes, headers: dict[str, str], body: bool) -> None:
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(data))}).items():
                self.send_header(name, value)
            self.end_headers()
            if body and len(data) > _SLOW:
                for start in range(0, len(data), len(data) // 4):
                    time.sleep(0.15)
                    self.wfile.write(data[start : start + len(data) // 4])
                    if held is not None:
                        held.wait(600)
            elif body:
                self.wfile.write(data)

        def log_message(self, *arguments: object) -> None:
            """Be silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", log
    finally:
        if held is not None:
            held.set()
        server.shutdown()
        server.server_close()


def _entry(name: str, data: bytes) -> dict[str, object]:
    return {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
