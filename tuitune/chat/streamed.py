"""An answer that an OpenAI-style server streams, put together from its events."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from tuitune.chat.base import Answer, told_apart
from tuitune.data.templates.tools.calls import Call
from tuitune.errors import ModelError
from tuitune.text import clean_line

_GAVE_UP = ("abort", "error")  # how vLLM and SGLang finish what they ended themselves, as where they are shut down


def events(lines: Iterable[bytes]) -> Iterator[dict[str, Any] | None]:
    """Yield the objects of a stream of server-sent events, and None for the word that it ends.

    Raises ModelError for what is no such stream.
    """
    for line in lines:
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            yield None
            return
        try:
            event = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            if not line.endswith(b"\n"):  # torn
                return
            raise ModelError("the server sends what is no answer", "is it an OpenAI-style server?") from error
        if isinstance(event, dict):
            if "error" in event:
                raise ModelError(f"the server cannot answer: {clean_line(message_in(data))[:300]}")
            yield event


def message_in(data: bytes) -> str:
    """Return what a server says of an error; foreign text."""
    try:
        error = orjson.loads(data).get("error")
    except (orjson.JSONDecodeError, AttributeError):
        return data.decode("utf-8", "replace")
    return str(error.get("message", "")) if isinstance(error, dict) else str(error)


class Reading:
    """An answer on its way from a server."""

    def __init__(self, on_text: Callable[[str], None]) -> None:
        self._on_text = on_text
        self._begun = time.monotonic()
        self._text, self._thinks = "", False
        self._calls: dict[int, list[str]] = {}
        self._usage: dict[str, Any] = {}
        self._pieces = 0
        self._reason, self._ended, self._gave_up = "end", False, False

    @property
    def begun(self) -> bool:
        """Whether anything of it has come."""
        return bool(self._text or self._calls)

    @property
    def whole(self) -> bool:
        """Whether it has been said that nothing more comes; a stream that only ends was cut off."""
        return self._ended and not self._gave_up

    def stop(self) -> None:
        """Let this be all, at the user's wish."""
        self._reason, self._ended, self._gave_up = "stopped", True, False

    def take(self, event: dict[str, Any] | None) -> None:
        """Take an event of the stream, or the word that it ends."""
        if event is None:
            self._ended = True
            return
        self._usage = event.get("usage") or self._usage
        for choice in (event.get("choices") or [])[:1]:
            delta = choice.get("delta") or {}
            self._thought(delta.get("reasoning_content") or delta.get("reasoning") or "")
            if delta.get("content"):
                self._say(("\n</think>\n\n" if self._thinks else "") + str(delta["content"]))
                self._thinks = False
            for call in delta.get("tool_calls") or []:
                self._call(call)
            self._finish(choice.get("finish_reason"))

    def _finish(self, reason: str | None) -> None:
        # Either word ends it: some servers leave out [DONE], others the reason.
        self._ended = self._ended or bool(reason)
        self._gave_up = self._gave_up or reason in _GAVE_UP
        if reason == "length":
            self._reason = "length"

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
                self._reason,  # type: ignore[arg-type]
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
