"""The routes of the server: what is asked is read, refused or handed to the engine, and its answer is told."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from tuitune.serve import drafting
from tuitune.serve.answering import Chat, Text
from tuitune.serve.asking import ChatAsked, ScoreAsked, TextAsked, read
from tuitune.serve.book import LEFT, Book
from tuitune.serve.exchange import Room, answered, mistake, refused, told
from tuitune.serve.guarding import App, Guard
from tuitune.serve.limits import Limits
from tuitune.serve.order import Engine, Served
from tuitune.serve.refusal import Refusal
from tuitune.serve.secret import Secret

_UPLOAD = 30.0  # seconds in which the body of a request must have come


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
        except ClientDisconnect:
            return Response(status_code=LEFT)
        except Exception as error:  # the border of the server
            room.book.refused(500)
            return refused(mistake(error))

    return work


async def _unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path[:100]
    if error.status_code == 405:
        return refused(Refusal(405, f"{path} does not take {request.method}"))
    return refused(Refusal(error.status_code, f"there is nothing at {path}", code="not_found"))


# -- what there is ---------------------------------------------------------------------------------------------------


async def _health(room: Room, request: Request) -> Response:
    written, wait = room.engine.waiting()
    return told({"status": "ok", "models": list(room.engine.models), "answers": written, "waiting": wait,
                  "uptime": round(time.time() - room.begun, 1)})  # fmt: skip


async def _models(room: Room, request: Request) -> Response:
    return told({"object": "list", "data": [_about(each, room.limits) for each in room.engine.models.values()]})


async def _model(room: Room, request: Request) -> Response:
    name = str(request.path_params["name"])
    if name not in room.engine.models:
        room.served(name)
    return told(_about(room.engine.models[name], room.limits))


def _about(served: Served, limits: Limits) -> dict[str, Any]:
    rooms = [each for each in (served.context, limits.context, limits.cache) if each is not None]
    return {
        "id": served.name, "object": "model", "created": served.created, "owned_by": "tuitune",
        "root": served.base, "max_model_len": min(rooms) if rooms else None,
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
    return await answered(room, request, Chat(asked, served, prompt, tools=tools), orders)


async def _text(room: Room, request: Request) -> Response:
    asked = read(await _body(request), TextAsked)
    served = room.served(asked.model)
    prompts = await asyncio.to_thread(drafting.text_prompts, asked, served)
    orders = drafting.orders_of(
        asked, served, prompts, request=_name(), client=_client(request, asked.user), limits=room.limits
    )
    return await answered(room, request, Text(asked, served, prompts), orders)


# -- scores ----------------------------------------------------------------------------------------------------------


async def _score(room: Room, request: Request) -> Response:
    asked = read(await _body(request), ScoreAsked)
    served = room.served(asked.model, judges=True)
    if len(asked.messages) > 64 * room.limits.choices:
        raise Refusal(413, f"{len(asked.messages)} texts at once; this server scores {64 * room.limits.choices}")
    texts = [text if isinstance(text, str) else drafting.told_of(text, number)
             for number, text in enumerate(asked.messages)]  # fmt: skip
    entry = room.book.begin(_name(), "score", served.name, _client(request, None), 0)
    status = LEFT
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
        return refused(mistake(error))
    finally:
        room.book.end(entry, status)
    return told({"id": f"scoreval-{secrets.token_hex(12)}", "object": "score.evaluation", "model": served.name,
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
