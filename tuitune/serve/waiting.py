"""Who is next: clients take turns, so that one who asks for much does not keep the others waiting."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator

from tuitune.serve.order import Ticket


class Waiting:
    """Answers that wait for a place, in a line for every client and model; the lines take turns."""

    def __init__(self) -> None:
        self._lines: OrderedDict[tuple[str, str], deque[Ticket]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def __iter__(self) -> Iterator[Ticket]:
        for line in self._lines.values():
            yield from line

    def add(self, ticket: Ticket) -> None:
        """Put an answer at the end of its line."""
        self._lines.setdefault((ticket.order.client, ticket.order.model), deque()).append(ticket)

    def next(self, fits: Callable[[Ticket], bool]) -> Ticket | None:
        """Take the answer whose turn it is; None where there is none, or where there is no room for that one now.

        Nobody overtakes it: a long one would wait for ever behind short ones.
        """
        for key, line in self._lines.items():
            if not fits(line[0]):
                return None
            ticket = line.popleft()
            del self._lines[key]
            if line:
                self._lines[key] = line  # behind all the others
            return ticket
        return None

    def drop(self, unwanted: Callable[[Ticket], bool]) -> list[Ticket]:
        """Take out and return the answers that need not wait any more."""
        dropped = [ticket for ticket in self if unwanted(ticket)]
        if dropped:
            gone = set(map(id, dropped))
            lines = [(key, deque(t for t in line if id(t) not in gone)) for key, line in self._lines.items()]
            self._lines = OrderedDict((key, line) for key, line in lines if line)
        return dropped
