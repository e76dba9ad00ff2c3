"""The routes of the server: what is asked is read, refused or handed to the engine, and its answer is told."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse
from starlette.exceptions import HTTPException

from tuitune.serve import drafting
from tuitune.serve.answering import Chat, Teller, Text
from tuitune.serve.asking import ChatAsked, ScoreAsked, TextAsked, read
from tuitune.serve.book import Book, Entry
from tuitune.serve.guarding import App, Guard, Receive, Scope, Send
from tuitune.serve.limits import Limits
from tuitune.serve.order import Answers, Engine, Order, Served
from tuitune.serve.refusal import Refusal
from tuitune.serve.saying import event
from tuitune.serve.secret import Secret

_LEFT = 499  # nginx's word for a client that closed its connection
_UPLOAD = 30.0  # seconds in which the body of a request must have come
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
        if name not in models:
            known = ", ".join(models)
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


def app_of(engine: Engine, secret: Secret, limits: Limits, book: Book, *, any_host: bool = False) -> App:
    """Return the server as an ASGI application, every route of it behind the token."""
    room = Room(engine, limits, book)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    for path, method, handler in (
        ("/v1/models", "GET", _models), ("/v1/models/{name:path}", "GET", _model), ("/health", "GET", _health),
        ("/v1/chat/completions", "POST", _chat), ("/v1/completions", "POST", _text),
        ("/v1/score/evaluation", "POST", _score),
    ):  # fmt: skip
        app.add_route(path, _told(room, handler), methods=[method])
    app.add_exception_handler(HTTPException, _unknown)
    return Guard(app, secret, body=limits.body, any_host=any_host, refused=book.refused)


Handler = Callable[[Room, Request], Awaitable[Response]]


def _told(room: Room, handler: Handler) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """Return a handler whose refusals and faults are told in OpenAI's shape."""

    async def work(request: Request) -> Response:
        try:
            return await handler(room, request)
        except Refusal as refusal:
            room.book.refused(refusal.status)
            return refused(refusal)
        except Exception as error:  # the border of the server
            room.book.refused(500)
            return refused(_mistake(error))

    return work


def refused(refusal: Refusal) -> Response:
    """Return a refusal as an answer."""
    return Response(orjson.dumps(refusal.body()), refusal.status, refusal.headers, "application/json")


async def _unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path[:100]
    if error.status_code == 405:
        return refused(Refusal(405, f"{path} does not take {request.method}"))
    return refused(Refusal(error.status_code, f"there is nothing at {path}", code="not_found"))


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")


# -- what there is ---------------------------------------------------------------------------------------------------


async def _health(room: Room, request: Request) -> Response:
    written, wait = room.engine.waiting()
    return _json({"status": "ok", "models": list(room.engine.models), "answers": written, "waiting": wait,
                  "uptime": round(time.time() - room.begun, 1)})  # fmt: skip


async def _models(room: Room, request: Request) -> Response:
    return _json({"object": "list", "data": [_about(each) for each in room.engine.models.values()]})


async def _model(room: Room, request: Request) -> Response:
    name = str(request.path_params["name"])
    if name not in room.engine.models:
        room.served(name)
    return _json(_about(room.engine.models[name]))


def _about(served: Served) -> dict[str, Any]:
    return {
        "id": served.name, "object": "model", "created": served.created, "owned_by": "tuitune",
        "root": served.base, "max_model_len": served.context,
    }  # fmt: skip


# -- answers ---------------------------------------------------------------------------------------------------------


async def _chat(room: Room, request: Request) -> Response:
    asked = read(await _body(request), ChatAsked)
    served = room.served(asked.model)
    prompt, tools = await asyncio.to_thread(drafting.chat_prompt, asked, served)
    orders = drafting.orders_of(
        asked, served, [prompt], request=_name(), client=_client(request, asked.safety_identifier or asked.user),
        limits=room.limits, tools=tools,
    )  # fmt: skip
    return await _answered(room, request, Chat(asked, served, prompt, tools=tools), orders)


async def _text(room: Room, request: Request) -> Response:
    asked = read(await _body(request), TextAsked)
    served = room.served(asked.model)
    prompts = await asyncio.to_thread(drafting.text_prompts, asked, served)
    orders = drafting.orders_of(
        asked, served, prompts, request=_name(), client=_client(request, asked.user), limits=room.limits
    )
    return await _answered(room, request, Text(asked, served, prompts), orders)


async def _answered(room: Room, request: Request, teller: Teller, orders: list[Order]) -> Response:
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
    status = _LEFT
    try:
        async for part in parts:
            yield part
        status = 200
    except Refusal as refusal:  # the head has gone out: the error is a part of the stream
        status = refusal.status
        yield event(refusal.body())
    except Exception as error:
        status = 500
        yield event(_mistake(error).body())
    finally:
        answers.cancel()
        room.book.end(entry, status)


async def _unless_gone(
    request: Request, room: Room, entry: Entry, answers: Answers, work: Coroutine[Any, Any, dict[str, Any]]
) -> Response:
    """Return what `work` returns as an answer; when the client goes away before that, the engine stops."""
    status = _LEFT
    working, gone = asyncio.create_task(work), asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        answer = _json(working.result()) if working.done() else Response(status_code=_LEFT)
        status = answer.status_code
        return answer
    except Refusal as refusal:
        status = refusal.status
        return refused(refusal)
    except Exception as error:
        status = 500
        return refused(_mistake(error))
    finally:
        answers.cancel()
        room.book.end(entry, status)
        for task in (working, gone):
            task.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


def _mistake(error: BaseException) -> Refusal:
    """Write down what went wrong here, and return what a client is told of it: no traceback."""
    traceback.print_exception(error, file=sys.stderr)
    return Refusal(500, "the server made a mistake; its log has the whole story")


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


# -- scores ----------------------------------------------------------------------------------------------------------


async def _score(room: Room, request: Request) -> Response:
    asked = read(await _body(request), ScoreAsked)
    served = room.served(asked.model, judges=True)
    if len(asked.messages) > 64 * room.limits.choices:
        raise Refusal(413, f"{len(asked.messages)} texts at once; this server scores {64 * room.limits.choices}")
    texts = [text if isinstance(text, str) else drafting.told_of(text, number)
             for number, text in enumerate(asked.messages)]  # fmt: skip
    entry = room.book.begin(_name(), "score", served.name, _client(request, None), 0)
    status = _LEFT
    try:
        async with asyncio.timeout(room.limits.seconds):
            scores = await room.engine.scores(served.name, texts, asked.max_length)
        status = 200
    except TimeoutError:
        status = 504
        return refused(Refusal(504, f"the scores took longer than {room.limits.seconds:g} s", code="timeout"))
    except Refusal as refusal:
        status = refusal.status
        return refused(refusal)
    except Exception as error:
        status = 500
        return refused(_mistake(error))
    finally:
        room.book.end(entry, status)
    return _json({"id": f"scoreval-{secrets.token_hex(12)}", "object": "score.evaluation", "model": served.name,
                  "scores": scores})  # fmt: skip


# -- requests --------------------------------------------------------------------------------------------------------


async def _body(request: Request) -> bytes:
    """Return the request's body. Raises Refusal where it is too long or too slow."""
    try:
        async with asyncio.timeout(_UPLOAD):
            return await request.body()
    except TimeoutError:
        raise Refusal(408, f"the request did not come within {_UPLOAD:g} s") from None


def _client(request: Request, user: str | None) -> str:
    """Return who asks: whom the request names, else the connection."""
    where = f"{request.client.host}:{request.client.port}" if request.client is not None else "unknown"
    return user or where


def _name() -> str:
    return secrets.token_hex(6)
