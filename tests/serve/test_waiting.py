"""Who is served when."""

from __future__ import annotations

import asyncio

from tests.serve.given import order
from tuitune.serve.order import Ticket
from tuitune.serve.waiting import Waiting


def ticket(client: str, model: str = "tiny", tokens: int = 10) -> Ticket:
    loop = asyncio.new_event_loop()
    loop.close()
    return Ticket(order([1], model, client=client, max_new_tokens=tokens), 0, asyncio.Queue(), loop)


def taken(waiting: Waiting) -> list[str]:
    found = []
    while (each := waiting.next(lambda _: True)) is not None:
        found.append(each.order.client)
    return found


def test_clients_take_turns_however_much_each_asks_for() -> None:
    waiting = Waiting()
    for client in ["greedy"] * 5 + ["modest", "other", "modest"]:
        waiting.add(ticket(client))
    assert len(waiting) == 8
    assert taken(waiting) == ["greedy", "modest", "other", "greedy", "modest", "greedy", "greedy", "greedy"]
    assert len(waiting) == 0


def test_models_take_turns_too() -> None:
    waiting = Waiting()
    for model in ("tiny", "tiny", "tuned"):
        waiting.add(ticket("one", model))
    found = [each.order.model for each in iter(lambda: waiting.next(lambda _: True), None)]
    assert found == ["tiny", "tuned", "tiny"]


def test_nobody_overtakes_one_that_needs_more_room() -> None:
    waiting = Waiting()
    for client, tokens in (("long", 900), ("short", 5)):
        waiting.add(ticket(client, tokens=tokens))
    assert waiting.next(lambda each: each.order.longest < 100) is None
    assert taken(waiting) == ["long", "short"]


def test_those_who_left_leave_the_line() -> None:
    waiting = Waiting()
    tickets = [ticket(client) for client in ("a", "b", "a")]
    for each in tickets:
        waiting.add(each)
    tickets[0].cancelled = True
    assert waiting.drop(lambda each: each.cancelled) == [tickets[0]]
    assert taken(waiting) == ["a", "b"]
