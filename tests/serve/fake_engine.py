"""Stands in for vLLM's server: the same routes, answers that say what was asked. Run as a program."""

from __future__ import annotations

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Be silent."""

    def do_GET(self) -> None:
        """Be healthy."""
        self._send(200, {"status": "ok"})

    def do_POST(self) -> None:
        """Answer with words that the prompt's first token chooses."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._note({"asked": asked, "key": self.headers["Authorization"]})
        if self.headers["Authorization"] != f"Bearer {os.environ['VLLM_API_KEY']}":
            self._send(401, {"error": {"message": "no key"}})
        elif asked["prompt"][0] == 66:
            self._send(400, {"error": {"message": "this cannot be \x1b[31mdone"}})
        elif asked["prompt"][0] == 77:
            self._send(500, {"error": "broken"})
        else:
            self._stream(asked)

    def _stream(self, asked: dict) -> None:  # type: ignore[type-arg]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        words = ["one", " two", " three"] if asked["prompt"][0] != 88 else [" more"] * 2000
        try:
            for place, word in enumerate(words):
                logprobs = {
                    "tokens": [word],
                    "token_logprobs": [-0.5],
                    "top_logprobs": [{word: -0.5}],
                    "text_offset": [place],
                }
                told = logprobs if "logprobs" in asked else None
                self._event({"choices": [{"index": 0, "text": word, "logprobs": told, "finish_reason": None}]})
                time.sleep(0.01)
            ended = "abort" if asked["prompt"][0] == 99 else "stop"
            self._event({"choices": [{"index": 0, "text": "", "finish_reason": ended}]})
            self._event({"choices": [], "usage": {"completion_tokens": len(words)}})
            self._chunk(b"data: [DONE]\n\n")
            self._chunk(b"")
        except OSError:
            self._note({"left": True})

    def _event(self, value: object) -> None:
        self._chunk(f"data: {json.dumps(value)}\n\n".encode())

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _send(self, status: int, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _note(self, value: object) -> None:
        with Path(os.environ["FAKE_SEEN"]).open("a") as stream:
            stream.write(json.dumps(value) + "\n")


if __name__ == "__main__":
    port = int(sys.argv[sys.argv.index("--port") + 1])
    if "--broken" in sys.argv:
        sys.exit("no \x1b[31mGPU is left for this")
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
