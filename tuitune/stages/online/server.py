"""Scores from an HTTP server, in LLaMA-Factory's form: {"model", "messages": [text, ...]} -> {"scores": [number, ...]}.

The answer of a server is foreign text: its length is limited, and it is cleaned before it is shown.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from tuitune.errors import TrainingError
from tuitune.text import clean_line

if TYPE_CHECKING:
    from tuitune.stages.base import Surroundings

TOKEN = "TUITUNE_REWARD_TOKEN"  # the variable, not the token; sent as `Authorization: Bearer`
_TIMEOUT = 300.0  # seconds; a stop does not wait for it
_PAUSES = (1.0, 4.0, 15.0)  # seconds before another try
_AT_ONCE = 64  # texts of one request
_MOST = 16 << 20  # bytes of an answer
_NAP = 0.1  # seconds between two looks into the inbox while a server thinks
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)


class _Refused(Exception):
    """The server will not answer this; trying again would not help."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A token must not travel to an address that nobody named."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


@dataclass(frozen=True)
class Server:
    """What judges texts; timeout and pauses in seconds. `attend` is called while it waits, and may raise."""

    address: str
    attend: Callable[[], None]
    note: Callable[[str], None]
    timeout: float = _TIMEOUT
    pauses: Sequence[float] = _PAUSES

    @classmethod
    def of(cls, around: Surroundings) -> Server:
        """Return the server that a recipe names as `reward_model`."""
        return cls(str(around.recipe.reward_model), around.attend, around.note)

    @property
    def shown(self) -> str:
        """The address without what may be secret in it."""
        parts = urlsplit(self.address)
        return clean_line(urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")))

    def scores(self, texts: Sequence[str]) -> list[float]:
        """Return one number for each text. Raises TrainingError."""
        found: list[float] = []
        for start in range(0, len(texts), _AT_ONCE):
            found += self._asked(list(texts[start : start + _AT_ONCE]))
        return found

    def _asked(self, texts: list[str]) -> list[float]:
        why = ""
        for pause in (*self.pauses, None):
            try:
                return _numbers(_waited(lambda: self._posted(texts), self.attend), len(texts))
            except _Refused as error:
                raise TrainingError(f"the reward server {self.shown} {error}", _HINT) from None
            except (OSError, http.client.HTTPException) as error:
                why = clean_line(str(getattr(error, "reason", "") or error) or type(error).__name__)[:200]
            if pause is not None:
                self.note(f"the reward server {self.shown} does not answer ({why}); another try in {pause:g} s")
                _slept(pause, self.attend)
        tries = len(self.pauses) + 1
        raise TrainingError(f"the reward server {self.shown} did not answer in {tries} tries: {why}", _HINT)

    def _posted(self, texts: list[str]) -> bytes:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if token := os.environ.get(TOKEN):
            headers["Authorization"] = f"Bearer {token}"
        body = json.dumps({"model": "model", "messages": texts}).encode()
        request = urllib.request.Request(self.address, body, headers, method="POST")
        try:
            with urllib.request.build_opener(_NoRedirects).open(request, timeout=self.timeout) as response:
                content: bytes = response.read(_MOST + 1)
        except urllib.error.HTTPError as error:
            with error:
                if error.code in _TRANSIENT:
                    raise OSError(f"status {error.code}") from None
                raise _Refused(f"answers with status {error.code}: {_excerpt(error)}") from None
        if len(content) > _MOST:
            raise _Refused(f"answers with more than {_MOST >> 20} MiB")
        return content


_HINT = (
    'it gets {"messages": [text, ...]} by POST and returns {"scores": [number, ...]}, one for each; a token goes into '
    f"the environment variable {TOKEN}"
)


def _excerpt(error: urllib.error.HTTPError) -> str:
    if 300 <= error.code < 400:
        return f"it has moved to {clean_line(str(error.headers.get('Location')))[:200]}; name that address"
    try:
        return clean_line(error.read(2000).decode("utf-8", "replace"))[:200]
    except (OSError, http.client.HTTPException):
        return clean_line(str(error.reason))[:200]


def _numbers(content: bytes, count: int) -> list[float]:
    """Return the scores in a server's answer. Raises _Refused."""
    try:
        scores = json.loads(content)["scores"]
    except (ValueError, TypeError, KeyError, RecursionError):
        excerpt = clean_line(content[:200].decode("utf-8", "replace"))
        raise _Refused(f'answers without "scores": {excerpt}') from None
    if not isinstance(scores, list) or len(scores) != count:
        got = f"{len(scores)} scores" if isinstance(scores, list) else "no list of scores"
        raise _Refused(f"answers with {got} for {count} texts")
    for score in scores:
        if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
            raise _Refused(f"answers with a score that is no finite number: {clean_line(repr(score))[:50]}")
    return [float(score) for score in scores]


def _waited(work: Callable[[], bytes], attend: Callable[[], None]) -> bytes:
    """Return what `work` returns or raises in a thread of its own, while `attend` is called."""
    done: list[bytes] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)  # a stop does not wait for it
    thread.start()
    while thread.is_alive():
        thread.join(_NAP)
        attend()
    if failed:
        raise failed[0]
    return done[0]


def _slept(seconds: float, attend: Callable[[], None]) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(_NAP, left))
        attend()
