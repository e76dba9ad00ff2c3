"""A hub of a few lines that huggingface_hub really talks to: repositories, files small and large, commits."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

TOKEN = "hf_goodgoodgoodgood"


def asked_instead(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    """Start a hub that this process asks instead of the real one, with a token that it knows."""
    from huggingface_hub import constants

    made = FakeHub()
    monkeypatch.setenv("HF_ENDPOINT", made.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("USE_MODELSCOPE_HUB", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return made


def an_export(made: Path) -> Path:
    """Make a folder as an export leaves it, with a hidden file and a link that are none of it."""
    made.mkdir()
    (made / "README.md").write_text("---\nlicense: unknown\n---\n# Nova\n")
    (made / "config.json").write_text("{}")
    (made / "model-00001-of-00002.safetensors").write_bytes(b"a" * 5000)
    (made / "model-00002-of-00002.safetensors").write_bytes(b"b" * 3000)
    (made / "export.json").write_text("{}")
    (made / ".secret").write_text("x")
    (made / "link").symlink_to("/etc/hostname")
    return made


class FakeHub:
    """repos: name -> {"private", "files": name -> bytes}. refuse: path's pattern -> status to answer with."""

    def __init__(self) -> None:
        self.repos: dict[str, dict[str, Any]] = {}
        self.large: dict[str, bytes] = {}
        self.seen: list[str] = []
        self.refuse: dict[str, int] = {}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None: ...

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = self.path.split("?")[0]
                hub.seen.append(f"{self.command} {path}")
                token = self.headers.get("Authorization", "").removeprefix("Bearer ")
                status, told = hub.answer(self.command, path, body, token)
                data = json.dumps(told).encode()
                self.send_response(status)
                if status == 404:
                    self.send_header("X-Error-Code", "RepoNotFound")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else data)

            do_GET = do_POST = do_PUT = do_HEAD = _any

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, verb: str, path: str, body: bytes, token: str) -> tuple[int, Any]:
        for pattern, status in self.refuse.items():
            if re.search(pattern, f"{verb} {path}"):
                return status, {"error": f"refused, token {token}"}
        if path.startswith("/upload/"):
            self.large[path.removeprefix("/upload/")] = body
            return 200, {}
        if token != TOKEN:
            return 401, {"error": "Invalid credentials in Authorization header"}
        if path == "/api/whoami-v2":
            return 200, {"name": "me", "type": "user", "orgs": []}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if path == "/api/repos/create":
            told = json.loads(body)
            name = f"{told['organization']}/{told['name']}"
            known = name in self.repos
            self.repos.setdefault(name, {"private": told.get("visibility") == "private", "files": {}})
            return 409 if known else 200, {"url": f"{self.url}/{name}"}
        found = re.match(r"(?:/api/models)?/([\w.-]+/[\w.-]+?)(?:\.git/info/lfs/objects/batch|/(\w+)/main)?$", path)
        name, what = (found[1], found[2]) if found else ("", "")
        if name not in self.repos:
            return 404, {"error": "Repository not found"}
        asked: dict[str, Callable[[str, bytes], Any]] = {
            "tree": self._tree, "preupload": self._preupload, "commit": self._commit,
        }  # fmt: skip
        if path.endswith("/batch"):
            return 200, {"objects": [self._object(each) for each in json.loads(body)["objects"]]}
        if what:
            return 200, asked[what](name, body)
        return 200, {
            "id": name,
            "modelId": name,
            "private": self.repos[name]["private"],
            "sha": "a" * 40,
            "siblings": [],
        }

    def _tree(self, name: str, body: bytes) -> Any:
        return [self._file(path, data) for path, data in self.repos[name]["files"].items()]

    @staticmethod
    def _file(path: str, data: bytes) -> dict[str, Any]:
        oid = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        lfs = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
        more = {"lfs": lfs} if path.endswith(".safetensors") else {}
        return {"type": "file", "path": path, "size": len(data), "oid": oid, **more}

    def _preupload(self, name: str, body: bytes) -> Any:
        files = json.loads(body)["files"]
        modes = {True: "lfs", False: "regular"}
        return {
            "files": [
                {"path": f["path"], "uploadMode": modes[f["path"].endswith(".safetensors")], "shouldIgnore": False}
                for f in files
            ]
        }

    def _object(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["oid"] in self.large:
            return asked
        return {**asked, "actions": {"upload": {"href": f"{self.url}/upload/{asked['oid']}"}}}

    def _commit(self, name: str, body: bytes) -> Any:
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                self.repos[name]["files"][value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.repos[name]["files"][value["path"]] = self.large[value["oid"]]
        return {"commitUrl": f"{self.url}/{name}/commit/1", "commitOid": "b" * 40}
