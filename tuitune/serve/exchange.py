"""One exchange: an answer is handed to the client as it is written, and the writing stops when the client goes away."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
import traceback
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import orjson
from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from tuitune.serve.answering import Teller
from tuitune.serve.book import LEFT, Book, Entry
from tuitune.serve.guarding import Receive, Scope, Send
from tuitune.serve.limits import Limits
from tuitune.serve.order import Answers, Engine, Order, Served
from tuitune.serve.refusal import Refusal, invalid
from tuitune.serve.saying import event

_STREAM = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Room:
    """What the routes need: who answers, what is allowed, what is written down."""

    def __init__(self, engine: Engine, limits: Limits, book: Book) -> None:
        self.engine, self.limits, self.book = engine, limits, book
        self.begun = time.time()

    def served(self, name: str, *, judges: bool = False) -> Served:
        """Return the model that is asked for. Raises Refusal."""
        models = self.engine.models
        if not name and len(models) == 1:
            name = next(iter(models))
        known = ", ".join(models)
        if not name:
            raise invalid(f"model is missing: this server has {known}", "model")
        if name not in models:
            raise Refusal(
                404, f"there is no model {name!r:.100}: this server has {known}", param="model", code="model_not_found"
            )
        found = models[name]
        if judges and not found.judges:
            raise Refusal(422, f"{name} is no reward model, so it has no score to give", param="model")
        if not judges and not found.writes:
            raise Refusal(
                422, f"{name} is a reward model: it writes no answers, POST /v1/score/evaluation has its scores",
                param="model",
            )  # fmt: skip
        return found


def refused(refusal: Refusal) -> Response:
    """Return a refusal as an answer."""
    return Response(orjson.dumps(refusal.body()), refusal.status, refusal.headers, "application/json")


def told(value: object) -> Response:
    """Return JSON as an answer."""
    return Response(orjson.dumps(value), media_type="application/json")


async def answered(room: Room, request: Request, teller: Teller, orders: list[Order]) -> Response:
    """Have answers written, and return them as they are asked for. Raises Refusal where there is no room."""
    answers = Answers(orders, room.limits.seconds)
    room.engine.submit(answers.tickets)
    entry = room.book.begin(
        orders[0].request, teller.kind, orders[0].model, orders[0].client, teller.prompt_tokens, answers.tickets
    )
    if teller.streams:
        parts = _watched(room, entry, answers, teller.stream(answers))
        return _Stream(parts, media_type="text/event-stream", headers=_STREAM)
    return await _unless_gone(request, room, entry, answers, teller.whole(answers))


class _Stream(StreamingResponse):
    """A stream that is closed at its end, whatever that is: left to the garbage collector, it would write on."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with contextlib.aclosing(self.body_iterator):  # type: ignore[type-var]
            await super().__call__(scope, receive, send)


async def _watched(
    room: Room, entry: Entry, answers: Answers, parts: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:  # fmt: skip
    """Pass a stream on; whatever ends it, the engine stops and the book knows."""
    status = LEFT
    try:
        async for part in parts:
            yield part
        status = 200
    except Refusal as refusal:  # the head has gone out: the error is a part of the stream
        status = refusal.status
        yield event(refusal.body())
    except Exception as error:
        status = 500
        yield event(mistake(error).body())
    finally:
        answers.cancel()
        room.book.end(entry, status)


async def _unless_gone(
    request: Request, room: Room, entry: Entry, answers: Answers, work: Coroutine[Any, Any, dict[str, Any]]
) -> Response:
    """Return what `work` returns as an answer; when the client goes away before that, the engine stops."""
    status = LEFT
    working, gone = asyncio.create_task(work), asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        answer = told(working.result()) if working.done() else Response(status_code=LEFT)
        status = answer.status_code
        return answer
    except Refusal as refusal:
        status = refusal.status
        return refused(refusal)
    except Exception as error:
        status = 500
        return refused(mistake(error))
    finally:
        answers.cancel()
        room.book.end(entry, status)
        for task in (working, gone):
            task.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


def mistake(error: BaseException) -> Refusal:
    """Write down what went wrong here, and return what a client is told of it: no traceback."""
    traceback.print_exception(error, file=sys.stderr)
    return Refusal(500, "the server made a mistake; its log has the whole story")


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
