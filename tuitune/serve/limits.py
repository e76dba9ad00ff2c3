"""What a server lets clients ask of it."""

from __future__ import annotations

from dataclasses import dataclass

from tuitune.errors import UsageError


@dataclass(frozen=True)
class Limits:
    """Bounds of one server; all are at least 1.

    rows: answers that are written at the same time. queue: answers that may wait for a place. context: longest prompt
    with its answer in tokens, None for what the model can do. answer: longest answer in tokens, None for the context.
    choices: answers to one request (`n`), and prompts in one. body: bytes of a request. seconds: for one request, with
    its waiting. cache: tokens of keys and values kept at once, None for what the memory holds.
    """

    rows: int = 16
    queue: int = 256
    context: int | None = None
    answer: int | None = None
    choices: int = 8
    body: int = 4 << 20
    seconds: float = 600.0
    cache: int | None = None

    def __post_init__(self) -> None:
        for name in ("rows", "queue", "context", "answer", "choices", "body", "seconds", "cache"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"the limit on {name} is {value}", "limits are at least 1")
