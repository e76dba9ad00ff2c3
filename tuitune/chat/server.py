"""A partner behind an OpenAI-style server, such as `tuitune serve`, vLLM or Ollama."""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import orjson

from tuitune.chat.base import Answer, Options, Turn, told_apart
from tuitune.chat.saved import Saved, written
from tuitune.data.templates.tools.calls import Call
from tuitune.errors import ModelError, UsageError
from tuitune.text import clean_line

_KEYS = ("TUITUNE_API_KEY", "OPENAI_API_KEY")
_LOCAL = ("localhost", "127.0.0.1", "::1")
_WAIT = 10.0  # seconds until a server must have taken a connection
_SILENT = 600.0  # seconds that it may say nothing: a long prompt on a small machine
_MOST = 1 << 16  # bytes of an error that are read
_MOST_LIST = 1 << 22  # bytes of a list of models
# What its requests call the options; the others go along by our names, which vLLM, SGLang and we know.
_NAMES = {"max_new_tokens": "max_tokens"}


class ServerChat:
    """Asks /v1/chat/completions and streams the answer; `model` by the server's name for it."""

    def __init__(self, url: str, model: str, *, key: str | None = None) -> None:
        self._url, self.model, self._key = url, model, key

    @classmethod
    def found(cls, url: str, model: str | None = None) -> ServerChat:
        """Return the partner at a server: its first model unless one is named. Raises UsageError or ModelError."""
        url = _checked(url)
        made = cls(url, model or "", key=next((os.environ[name] for name in _KEYS if os.environ.get(name)), None))
        names = made.models()
        if model is not None and names and model not in names:
            raise UsageError(f"the server has no model {model!r:.80}", f"it has {clean_line(', '.join(names[:10]))}")
        if model is None and not names:
            raise ModelError("the server offers no model", "name one with --model")
        made.model = model or names[0]
        return made

    @property
    def title(self) -> str:
        """The model, and where it is."""
        return f"{self.model} at {urlsplit(self._url).netloc}"

    def models(self) -> list[str]:
        """Return the names of the models that the server offers. Raises ModelError."""
        try:
            with self._open("models") as found:
                return [str(each["id"]) for each in orjson.loads(found.read(_MOST_LIST))["data"]]
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{self._url} is no OpenAI-style server", "its address ends in /v1") from error

    def reply(
        self,
        turns: Sequence[Turn],
        *,
        system: str | None = None,
        tools: str = "",
        sampling: Options,
        on_text: Callable[[str], None] = lambda text: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Answer:
        """Answer the last turn. Raises ModelError where the server does not."""
        asked = _request(self.model, turns, system, tools, sampling)
        reading = _Reading(on_text)
        try:
            with self._open("chat/completions", asked) as found:
                for event in _events(found):
                    reading.take(event)
                    if stop():
                        reading.reason = "stopped"
                        break
        except (OSError, HTTPException) as error:
            raise self._lost(error) from error
        return reading.answer()

    def _open(self, path: str, body: object = None) -> HTTPResponse:
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        data = None if body is None else orjson.dumps(body)
        request = urllib.request.Request(f"{self._url}/{path}", data, headers)
        try:
            found: HTTPResponse = self._opener().open(request, timeout=_SILENT if body is not None else _WAIT)
        except urllib.error.HTTPError as error:
            with error:
                raise _refused(error) from error
        except (OSError, HTTPException) as error:
            raise self._lost(error) from error
        return found

    def _opener(self) -> urllib.request.OpenerDirector:
        here = urlsplit(self._url).hostname in _LOCAL
        return urllib.request.build_opener(_NoRedirect, *([urllib.request.ProxyHandler({})] if here else []))

    def _lost(self, error: Exception) -> ModelError:
        reason = getattr(error, "reason", None) or error
        words = clean_line(str(reason))[:200] or type(error).__name__
        return ModelError(f"the server at {self._url} cannot be reached: {words}", "does it run? `tuitune serve`")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nobody elsewhere: the token is for this server."""

    def redirect_request(self, *_: Any) -> None:
        """Return no request, so that the redirect itself is the answer."""


def _refused(error: urllib.error.HTTPError) -> ModelError:
    words = clean_line(_message(error.read(_MOST)))[:300] or clean_line(str(error.reason))
    if error.code in (401, 403):
        hint = f"put its token into the environment variable {_KEYS[0]}"
    elif error.code == 404:
        hint = "its address ends in /v1, and --model names one of its models"
    else:
        hint = "the server's own log may say more"
    return ModelError(f"the server refuses ({error.code}): {words}", hint)


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{url!r:.100} is no address of a server", "such as http://127.0.0.1:8000/v1")
    if parts.username or parts.password:
        raise UsageError("a token does not belong into the address", f"put it into {_KEYS[0]}")
    return url.rstrip("/") if parts.path.strip("/") else f"{url.rstrip('/')}/v1"


def _request(model: str, turns: Sequence[Turn], system: str | None, tools: str, sampling: Options) -> dict[str, Any]:
    told = orjson.loads(written(Saved(tuple(turns), system, "")))
    asked: dict[str, Any] = {
        "model": model, "messages": told["messages"], "stream": True, "stream_options": {"include_usage": True},
    }  # fmt: skip
    asked |= {_NAMES.get(name, name): value for name, value in sampling.items() if name != "do_sample"}
    if sampling.get("do_sample") is False:
        asked["temperature"] = 0
    if tools:
        offered = orjson.loads(tools)
        asked["tools"] = [each if each.get("type") == "function" else {"type": "function", "function": each}
                          for each in offered]  # fmt: skip
    return asked


def _events(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the objects of a stream of server-sent events. Raises ModelError for what is none."""
    for line in lines:
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            return
        try:
            event = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise ModelError("the server sends what is no answer", "is it an OpenAI-style server?") from error
        if isinstance(event, dict):
            if "error" in event:
                raise ModelError(f"the server cannot answer: {clean_line(_message(data))[:300]}")
            yield event


def _message(data: bytes) -> str:
    try:
        error = orjson.loads(data).get("error")
    except (orjson.JSONDecodeError, AttributeError):
        return data.decode("utf-8", "replace")
    return str(error.get("message", "")) if isinstance(error, dict) else str(error)


class _Reading:
    """An answer on its way from a server."""

    def __init__(self, on_text: Callable[[str], None]) -> None:
        self._on_text = on_text
        self._begun = time.monotonic()
        self._text, self._thinks = "", False
        self._calls: dict[int, list[str]] = {}
        self._usage: dict[str, Any] = {}
        self._pieces = 0
        self.reason = "end"

    def take(self, event: dict[str, Any]) -> None:
        """Take an event of the stream."""
        self._usage = event.get("usage") or self._usage
        for choice in (event.get("choices") or [])[:1]:
            delta = choice.get("delta") or {}
            self._thought(delta.get("reasoning_content") or delta.get("reasoning") or "")
            if delta.get("content"):
                self._say(("\n</think>\n\n" if self._thinks else "") + str(delta["content"]))
                self._thinks = False
            for call in delta.get("tool_calls") or []:
                self._call(call)
            if choice.get("finish_reason") == "length":
                self.reason = "length"

    def _thought(self, text: str) -> None:
        if text:
            self._say(("" if self._thinks else "<think>\n") + text)
            self._thinks = True

    def _say(self, text: str) -> None:
        self._text += text
        self._pieces += 1
        self._on_text(text)

    def _call(self, call: dict[str, Any]) -> None:
        function = call.get("function") or {}
        known = self._calls.setdefault(int(call.get("index") or 0), ["", ""])
        known[0] += str(function.get("name") or "")
        known[1] += str(function.get("arguments") or "")

    def answer(self) -> Answer:
        """Return it as a whole."""
        text = self._text + ("\n</think>\n\n" if self._thinks and self._calls else "")
        made = told_apart(
            Answer(
                text, int(self._usage.get("completion_tokens") or self._pieces), time.monotonic() - self._begun,
                self.reason,  # type: ignore[arg-type]
                prompt_tokens=int(self._usage.get("prompt_tokens") or 0),
            ),
            None,
        )  # fmt: skip
        calls = [_read(name, arguments) for name, arguments in self._calls.values()]
        if any(call is None for call in calls):  # what cannot be read is shown as it is
            said = "\n".join(f"{name}({arguments})" for name, arguments in self._calls.values())
            return Answer(f"{text}{said}", made.tokens, made.seconds, made.reason, said=f"{made.said}{said}",
                          prompt_tokens=made.prompt_tokens, thoughts=made.thoughts)  # fmt: skip
        return Answer(
            text, made.tokens, made.seconds, made.reason, prompt_tokens=made.prompt_tokens, thoughts=made.thoughts,
            said=made.said, calls=tuple(call for call in calls if call is not None),
        )  # fmt: skip


def _read(name: str, arguments: str) -> Call | None:
    try:
        value = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        return None
    return Call(name, value) if name and isinstance(value, dict) else None
