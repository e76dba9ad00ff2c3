"""Answers in the shapes that OpenAI's clients read."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any, Literal

import orjson

from tuitune.data.templates.tools import Call, dumps
from tuitune.serve.order import Token

Json = dict[str, Any]


class Saying:
    """What all parts of one answer have in common."""

    def __init__(self, kind: Literal["chat", "text"], model: str) -> None:
        self.id = f"{'chatcmpl' if kind == 'chat' else 'cmpl'}-{secrets.token_hex(12)}"
        self._kind, self._model, self._created = kind, model, int(time.time())

    def whole(self, choices: Sequence[Json], usage: Json) -> Json:
        """Return the answer in one."""
        kind = "chat.completion" if self._kind == "chat" else "text_completion"
        return {**self._head(kind), "choices": list(choices), "usage": usage}

    def chunk(self, choice: Json | None, usage: Json | None = None, *, counted: bool = False) -> bytes:
        """Return a part of a stream; counted: usage is told at the end, so every other part says null."""
        kind = "chat.completion.chunk" if self._kind == "chat" else "text_completion"
        told: Json = {**self._head(kind), "choices": [choice] if choice is not None else []}
        if counted:
            told["usage"] = usage
        return event(told)

    def _head(self, kind: str) -> Json:
        return {
            "id": self.id, "object": kind, "created": self._created, "model": self._model, "system_fingerprint": None,
        }  # fmt: skip


def event(value: object) -> bytes:
    """Return one server-sent event."""
    return b"data: " + orjson.dumps(value) + b"\n\n"


DONE = b"data: [DONE]\n\n"


def usage_of(prompt: int, answer: int) -> Json:
    """Return what was read and written, in tokens."""
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


def calls_of(calls: Sequence[Call], first: int = 0, *, streamed: bool = False) -> list[Json]:
    """Return calls of tools; in a stream each has its number."""
    return [
        {
            **({"index": number} if streamed else {}),
            "id": f"call_{secrets.token_hex(12)}",
            "type": "function",
            "function": {"name": call.name, "arguments": dumps(call.arguments)},
        }
        for number, call in enumerate(calls, first)
    ]


def chat_logprobs(tokens: Sequence[Token]) -> Json:
    """Return the tokens of a chat's answer."""
    return {"content": [_chat_token(token) for token in tokens], "refusal": None}


def _chat_token(token: Token) -> Json:
    top = [_likely(text, data, value) for text, data, value in token.top]
    return {**_likely(token.text, token.data, token.logprob or 0.0), "top_logprobs": top}


def _likely(text: str, data: bytes, value: float) -> Json:
    return {"token": text, "logprob": _finite(value), "bytes": list(data)}


def text_logprobs(tokens: Sequence[Token]) -> Json:
    """Return the tokens of a completion."""
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [None if token.logprob is None else _finite(token.logprob) for token in tokens],
        "top_logprobs": [
            {text: _finite(value) for text, _, value in token.top} if token.logprob is not None else None
            for token in tokens
        ],
        "text_offset": [token.start for token in tokens],
    }


def _finite(value: float) -> float:
    # JSON has no infinity; OpenAI says -9999 for what cannot be.
    return max(value, -9999.0)
