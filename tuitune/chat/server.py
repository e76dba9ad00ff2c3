"""A partner behind an OpenAI-style server, such as `tuitune serve`, vLLM or Ollama."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from http.client import HTTPException, HTTPResponse
from typing import Any, Unpack
from urllib.parse import urlsplit

import orjson

from tuitune.chat.base import Answer, Asking, Options, Question, Turn
from tuitune.chat.saved import Saved, written
from tuitune.chat.streamed import Reading, events, message_in
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
    """Asks /v1/chat/completions and streams the answer; `model` by the server's name for it.

    newest: what tells the key that opens the server now, None where nobody knows it. It is asked again where the
    server refuses the key, as one does that was started anew.
    """

    def __init__(
        self, url: str, model: str, *, key: str | None = None, newest: Callable[[], str | None] = lambda: None
    ) -> None:
        self._url, self.model, self._key, self._newest = url, model, key, newest

    @classmethod
    def found(
        cls, url: str, model: str | None = None, *, newest: Callable[[], str | None] = lambda: None
    ) -> ServerChat:
        """Return the partner at a server: its first model unless one is named, here or as URL#MODEL.

        newest: what tells the key, where that is not in the environment. Raises UsageError or ModelError.
        """
        url, _, named = url.partition("#")
        url, model = _checked(url), model or named or None
        key = newest() or next((os.environ[name] for name in _KEYS if os.environ.get(name)), None)
        made = cls(url, model or "", key=key, newest=newest)
        names = made.models()
        if model is not None and names and model not in names:
            raise UsageError(f"the server has no model {model!r:.80}", f"it has {clean_line(', '.join(names[:10]))}")
        if model is None and not names:
            raise ModelError("the server offers no model", "name one with --model")
        made.model = model or names[0]
        return made

    @property
    def word(self) -> str:
        """What names it, so that `found` finds it again."""
        return f"{self._url}#{self.model}"

    @property
    def title(self) -> str:
        """The model, and where it is."""
        return called(self.word)

    def beside(self, model: str) -> ServerChat | None:
        """Return another model of the same server, None where it offers none of this name. Raises ModelError."""
        if model not in self.models():
            return None
        return ServerChat(self._url, model, key=self._key, newest=self._newest)

    def models(self) -> list[str]:
        """Return the names of the models that the server offers. Raises ModelError."""
        try:
            with self._open("models") as found:
                return [str(each["id"]) for each in orjson.loads(found.read(_MOST_LIST))["data"]]
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{self._url} is no OpenAI-style server", "its address ends in /v1") from error

    def reply(self, turns: Sequence[Turn], **asked: Unpack[Asking]) -> Answer:
        """Answer the last turn. Raises ModelError where the server does not, or breaks off."""
        question = Question(turns, **asked)
        body = _request(self.model, turns, question.system, question.tools, question.sampling)
        reading = Reading(question.on_text)
        try:
            with self._open("chat/completions", body) as found:
                for event in events(found):
                    reading.take(event)
                    if question.stop():
                        reading.stop()
                        break
        except (OSError, HTTPException) as error:
            if not reading.whole:
                raise self._broken_off(reading, _words(error)) from error
        # A torn stream looks like one that ends: nothing but the server's word tells them apart.
        if not reading.whole:
            raise self._broken_off(reading)
        return reading.answer()

    def _open(self, path: str, body: object = None, *, again: bool = True) -> HTTPResponse:
        try:
            return self._sent(path, body)
        except urllib.error.HTTPError as error:
            with error:
                if not (again and error.code == 401 and self._renewed()):
                    raise _refused(error) from error
        except (OSError, HTTPException) as error:
            raise self._lost(error) from error
        return self._open(path, body, again=False)

    def _renewed(self) -> bool:
        """Take the key that opens the server now; tell whether it is another."""
        old, self._key = self._key, self._newest() or self._key
        return self._key != old

    def _sent(self, path: str, body: object) -> HTTPResponse:
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        data = None if body is None else orjson.dumps(body)
        request = urllib.request.Request(f"{self._url}/{path}", data, headers)
        found: HTTPResponse = self._opener().open(request, timeout=_SILENT if body is not None else _WAIT)
        return found

    def _opener(self) -> urllib.request.OpenerDirector:
        here = urlsplit(self._url).hostname in _LOCAL
        return urllib.request.build_opener(_NoRedirect, *([urllib.request.ProxyHandler({})] if here else []))

    def _lost(self, error: Exception) -> ModelError:
        return ModelError(
            f"the server at {self._url} cannot be reached: {_words(error)}", "does it run? `tuitune serve`"
        )  # fmt: skip

    def _broken_off(self, reading: Reading, why: str = "") -> ModelError:
        where = f"the server at {self._url} broke off"
        why = f": {why}" if why else ""
        if reading.begun:
            return ModelError(
                f"{where} in the middle of its answer{why}", "what came is a part; see whether it still runs, ask again"
            )
        return ModelError(
            f"{where} before its answer{why}", "see whether it still runs, and is an OpenAI-style server that streams"
        )  # fmt: skip


def _words(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return clean_line(str(reason))[:200] or type(error).__name__


def is_address(word: str) -> bool:
    """Tell whether a word means a server."""
    return word.startswith(("http://", "https://"))


def called(word: str) -> str:
    """Return what the partner that a word means is called; foreign text."""
    url, _, model = word.partition("#")
    return f"{model or 'a server'} at {urlsplit(url).netloc.rpartition('@')[2]}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nobody elsewhere: the token is for this server."""

    def redirect_request(self, *_: Any) -> None:
        """Return no request, so that the redirect itself is the answer."""


def _refused(error: urllib.error.HTTPError) -> ModelError:
    words = clean_line(message_in(error.read(_MOST)))[:300] or clean_line(str(error.reason))
    if error.code in (401, 403):
        hint = f"put its token into the environment variable {_KEYS[0]} and begin anew: what runs does not see it"
    elif error.code == 404:
        hint = "its address ends in /v1, and --model names one of its models"
    else:
        hint = "the server's own log may say more"
    return ModelError(f"the server refuses ({error.code}): {words}", hint)


def check_address(word: str) -> None:
    """Raise UsageError for what is no address of a server."""
    _checked(word.partition("#")[0])


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
