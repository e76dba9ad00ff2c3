"""Many clients at once on one server: who gets how much, and what is left behind."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil
from openai import AsyncOpenAI


@dataclass
class Found:
    """What came out; samples: (seconds, resident bytes, descriptors, threads) of the server's process."""

    answered: list[int]
    closed: list[int]
    tokens: int = 0
    errors: list[str] = field(default_factory=list)
    samples: list[tuple[float, int, int, int]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def done(self) -> list[int]:
        """How many answers each client got, those that it closed among them."""
        return [answered + closed for answered, closed in zip(self.answered, self.closed, strict=True)]

    @property
    def spread(self) -> float:
        """How much the luckiest client got for each answer of the unluckiest."""
        return max(self.done) / max(1, min(self.done))

    def lacks(self, end: float, least: int) -> bool:
        """Whether the time `end` has not come, or a client still has fewer than `least` answers."""
        return time.monotonic() < end or (min(self.done) < least and not self.errors)


async def load(
    url: str, token: str, pid: int, *, clients: int, seconds: float, models: list[str], most: int = 24, least: int = 0
) -> Found:
    """Ask for answers from so many clients for so long; whole ones, streams, and streams that are closed early.

    least: go on, on a slow machine, until each has this many answers, or one has had an error.
    """
    found = Found([0] * clients, [0] * clients)
    begun = time.monotonic()
    end = begun + seconds
    watching = asyncio.create_task(_watch(found, pid, begun))
    await asyncio.gather(
        *(
            _client(found, number, url, token, models[number % len(models)], lambda: found.lacks(end, least), most)
            for number in range(clients)
        )
    )
    found.seconds = time.monotonic() - begun
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    return found


async def _client(
    found: Found, number: int, url: str, token: str, model: str, going: Callable[[], bool], most: int
) -> None:
    draw = random.Random(number)
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key=token, max_retries=0, timeout=600) as client:
        while going():
            words = " ".join(
                draw.choices(["water", "ice", "Paris", "three", "fruit", "who", "are", "you"], k=draw.randint(1, 30))
            )
            asked = {
                "model": model, "messages": [{"role": "user", "content": words}], "temperature": draw.choice([0, 1.0]),
                "max_tokens": most,
            }  # fmt: skip
            try:
                await _one(found, number, client, asked, draw.random())
            except Exception as error:
                found.errors.append(f"{type(error).__name__}: {error}")


async def _one(found: Found, number: int, client: AsyncOpenAI, asked: dict, kind: float) -> None:  # type: ignore[type-arg]
    if kind < 0.5:
        whole = await client.chat.completions.create(**asked)
        found.tokens += whole.usage.completion_tokens
        found.answered[number] += 1
        return
    stream = await client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    async for chunk in stream:
        if kind > 0.9 and chunk.choices and chunk.choices[0].delta.content:
            await stream.close()
            found.closed[number] += 1
            return
        if chunk.usage is not None:
            found.tokens += chunk.usage.completion_tokens
    found.answered[number] += 1


async def _watch(found: Found, pid: int, begun: float) -> None:
    process = psutil.Process(pid)
    while True:
        with process.oneshot():
            found.samples.append(
                (time.monotonic() - begun, process.memory_info().rss, process.num_fds(), process.num_threads())
            )
        await asyncio.sleep(1.0)
