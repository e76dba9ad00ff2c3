"""What a server is doing and has done: for its log, and for the file in which others look."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tuitune.serve.order import Ticket
from tuitune.text import clean_line

_REMEMBERED = 50  # requests that have ended
_SHOWN = 100  # requests at work
_COUNTED = ("requests", "answered", "left", "cut", "failed", "refused", "prompt_tokens", "tokens")
LEFT = 499  # nginx's word for a client that closed its connection
CUT = 503  # told here of an answer that the end of the server has cut off


@dataclass(eq=False)
class Entry:
    """One request.

    model and client: cleaned. status: of HTTP, 0 while it is answered, 499 when the client left. cut: the end of the
    server was the end of it.
    """

    name: str
    kind: str
    model: str
    client: str
    prompt: int
    tickets: Sequence[Ticket] = ()
    begun: float = field(default_factory=time.time)
    clock: float = field(default_factory=time.monotonic)
    seconds: float | None = None
    status: int = 0
    cut: bool = False

    @property
    def tokens(self) -> int:
        """How many tokens of answers there are."""
        return sum(ticket.tokens for ticket in self.tickets)

    @property
    def state(self) -> str:
        """How far it is."""
        if self.seconds is not None:
            return "cut" if self.cut else {200: "done", LEFT: "left"}.get(self.status, "failed")
        states = {ticket.state for ticket in self.tickets}
        return next((state for state in ("writes", "reads", "waits") if state in states), "works")

    def record(self) -> dict[str, Any]:
        """Return it for a file or a line of the log; tokens a second are counted from the first token on."""
        seconds = self.seconds if self.seconds is not None else time.monotonic() - self.clock
        return {
            "id": self.name, "what": self.kind, "model": self.model, "client": self.client, "state": self.state,
            "status": self.status, "prompt_tokens": self.prompt, "tokens": self.tokens, "begun": self.begun,
            "seconds": round(seconds, 3), "tokens_per_second": round(self._rate(seconds), 2),
        }  # fmt: skip

    def _rate(self, seconds: float) -> float:
        begun = [ticket.begun for ticket in self.tickets if ticket.begun is not None]
        written = seconds - (min(begun) - self.clock) if begun else 0.0
        return max(0, self.tokens - len(begun)) / written if written > 0 else 0.0


class Book:
    """The requests of a server; `ended` hears of each when it is over. hide: takes secrets out of what clients say."""

    def __init__(
        self, ended: Callable[[Entry], None] = lambda entry: None, hide: Callable[[str], str] = lambda text: text
    ) -> None:
        self._ended, self._hide = ended, hide
        self._open: dict[str, Entry] = {}
        self._last: deque[Entry] = deque(maxlen=_REMEMBERED)
        self.totals: Counter[str] = Counter(dict.fromkeys(_COUNTED, 0))
        self.changes = 0
        self._cut = False

    def cut(self) -> None:
        """Take note that the server ends now: who is not answered from here on has not left."""
        self._cut = True

    def begin(
        self, name: str, kind: str, model: str, client: str, prompt: int, tickets: Sequence[Ticket] = ()
    ) -> Entry:
        """Take note of a request that is answered from now on."""
        shown = clean_line(self._hide(model))[:80], clean_line(self._hide(client))[:60]
        entry = Entry(name, kind, *shown, prompt, tickets)
        self._open[name] = entry
        self.totals["requests"] += 1
        self.totals["prompt_tokens"] += prompt
        self.changes += 1
        return entry

    def end(self, entry: Entry, status: int) -> None:
        """Take note that a request is over."""
        if self._open.pop(entry.name, None) is None:
            return
        entry.cut = self._cut and status in (LEFT, CUT)
        entry.status, entry.seconds = CUT if entry.cut else status, time.monotonic() - entry.clock
        self.totals["tokens"] += entry.tokens
        self.totals[{"done": "answered"}.get(entry.state, entry.state)] += 1
        self._last.append(entry)
        self.changes += 1
        self._ended(entry)

    def refused(self, status: int) -> None:
        """Count a request that was not answered."""
        self.totals["refused"] += 1
        self.totals[f"status_{status}"] += 1
        self.changes += 1

    @property
    def open(self) -> int:
        """How many requests are at work."""
        return len(self._open)

    def record(self) -> dict[str, Any]:
        """Return requests and totals for a file."""
        return {
            "requests": [entry.record() for entry in list(self._open.values())[:_SHOWN]],
            "last": [entry.record() for entry in reversed(self._last)],
            "totals": dict(self.totals),
        }
