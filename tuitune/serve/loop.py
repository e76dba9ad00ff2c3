"""The thread that writes all answers: between any two tokens others may join, leave, or be called off."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from tuitune.serve.desk import Desk
from tuitune.serve.limits import Limits
from tuitune.serve.order import End, Ticket
from tuitune.serve.refusal import Refusal
from tuitune.serve.waiting import Waiting

Work = Callable[[], Any]


def stopping() -> Refusal:
    """Return the refusal of a server that is about to end."""
    return Refusal(503, "the server is being stopped", code="stopping")


class Loop:
    """Runs the desks; `cache` is the most columns, over all of them, that keys and values may take."""

    def __init__(self, desks: Mapping[str, Desk], limits: Limits, cache: int) -> None:
        self._desks, self._limits, self._cache = desks, limits, cache
        self._waiting, self._works = Waiting(), list[tuple[Work, Future[Any]]]()
        self._change = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="serve", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def submit(self, tickets: Sequence[Ticket]) -> None:
        """Take answers that are asked for together, all or none. Raises Refusal where there is no room."""
        with self._change:
            if self._closed:
                raise stopping()
            if len(self._waiting) + len(tickets) > self._limits.queue + self._free():
                raise Refusal(429, f"{len(self._waiting)} answers wait already: try again later", code="queue_full")
            for ticket in tickets:
                ticket.wake = self._wake
                self._waiting.add(ticket)
            self._change.notify()

    def call(self, work: Work) -> Future[Any]:
        """Have something computed in this thread, between two tokens."""
        future: Future[Any] = Future()
        with self._change:
            if self._closed:
                raise stopping()
            self._works.append((work, future))
            self._change.notify()
        return future

    def counts(self) -> tuple[int, int]:
        """Return how many answers are written and how many wait."""
        return sum(desk.rows for desk in self._desks.values()), len(self._waiting)

    def close(self, seconds: float = 10.0) -> None:
        """End: what is on its way is told so; wait so long for the thread."""
        with self._change:
            self._closed = True
            self._change.notify()
        if self._thread.is_alive():
            self._thread.join(seconds)

    # -- the thread ----------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        with self._change:
            self._change.notify()

    def _run(self) -> None:
        try:
            while self._has_work():
                self._compute()
                for desk in self._desks.values():
                    self._work(desk)
        finally:  # also after a fault of this very loop: nobody shall wait for ever
            with self._change:
                self._closed = True
            self._end()

    @staticmethod
    def _work(desk: Desk) -> None:
        try:
            desk.work()
        except Exception as error:  # one model's fault must not end the others
            traceback.print_exception(error)

    def _has_work(self) -> bool:
        """Wait until there is something to do, and let in who has a place; return whether to go on."""
        with self._change:
            while not self._closed:
                for ticket in self._waiting.drop(lambda each: each.cancelled):
                    ticket.put(End())
                self._let_in()
                if self._works or any(desk.rows for desk in self._desks.values()):
                    return True
                self._change.wait()
            return False

    def _let_in(self) -> None:
        while self._free() > 0 and (ticket := self._waiting.next(self._fits)) is not None:
            self._desks[ticket.order.model].take(ticket)

    def _free(self) -> int:
        return self._limits.rows - sum(desk.rows for desk in self._desks.values())

    def _fits(self, ticket: Ticket) -> bool:
        """Return whether keys and values of one more answer find room, as long as it may become."""
        used = 0
        for name, desk in self._desks.items():
            joins = name == ticket.order.model
            used += (desk.rows + joins) * desk.widest(ticket if joins else None)
        return used <= self._cache or not any(desk.rows for desk in self._desks.values())

    def _compute(self) -> None:
        with self._change:
            works, self._works = self._works, []
        for work, future in works:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except Exception as error:
                    future.set_exception(error)

    def _end(self) -> None:
        for desk in self._desks.values():
            desk.fail(stopping())
        with self._change:
            for ticket in self._waiting.drop(lambda each: True):
                ticket.put(End(refusal=stopping()))
            for _, future in self._works:
                future.set_exception(stopping())
            self._works = []
