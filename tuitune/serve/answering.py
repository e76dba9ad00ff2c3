"""From pieces of answers to what a client gets: one object, or a stream of parts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from tuitune.serve.asking import ChatAsked, TextAsked
from tuitune.serve.order import Answers, End, Piece, Served, Token
from tuitune.serve.saying import DONE, Json, Saying, calls_of, chat_logprobs, text_logprobs, usage_of
from tuitune.serve.spoken import Spoken, Told


class Teller(Protocol):
    """Tells the answers to one request."""

    kind: str
    streams: bool
    prompt_tokens: int

    async def whole(self, answers: Answers) -> dict[str, Any]:
        """Return all of it when it is done. Raises Refusal."""
        ...

    def stream(self, answers: Answers) -> AsyncIterator[bytes]:
        """Yield it as it comes, as server-sent events. Raises Refusal."""
        ...


class Chat:
    """Answers to a conversation."""

    kind = "chat"

    def __init__(self, asked: ChatAsked, served: Served, prompt: Sequence[int], *, tools: bool) -> None:
        self._asked, self._served, self._prompt, self._tools = asked, served, prompt, tools
        self.streams, self.prompt_tokens = asked.stream, len(prompt)
        self._saying = Saying("chat", served.name)

    def _spoken(self) -> Spoken:
        from tuitune.data.templates.reading import form_of, opened

        form = form_of(self._served.template, self._served.tokenizer) if self._tools else None
        return Spoken(
            form, opened=opened(self._prompt, self._served.tokenizer), one=not self._asked.parallel_tool_calls
        )  # fmt: skip

    async def whole(self, answers: Answers) -> dict[str, Any]:
        """Return all of it when it is done. Raises Refusal."""
        spoken = [self._spoken() for _ in answers.tickets]
        told: list[list[Told]] = [[] for _ in spoken]
        tokens: list[list[Token]] = [[] for _ in spoken]
        ends: list[End] = [End() for _ in spoken]
        async for number, item in answers:
            if isinstance(item, End):
                ends[number] = item
                told[number].append(spoken[number].end())
            else:
                told[number].append(spoken[number].feed(item.text))
                tokens[number] += item.tokens
        choices = [self._choice(number, told[number], tokens[number], end) for number, end in enumerate(ends)]
        return self._saying.whole(choices, usage_of(self.prompt_tokens, sum(end.tokens for end in ends)))

    def _choice(self, number: int, told: Sequence[Told], tokens: Sequence[Token], end: End) -> Json:
        calls = [call for each in told for call in each.calls]
        said, thought = "".join(each.said for each in told), "".join(each.thought for each in told)
        message: Json = {"role": "assistant", "content": said if said or not calls else None, "refusal": None}
        if thought:
            message["reasoning_content"] = thought
        if calls:
            message["tool_calls"] = calls_of(calls)
        return {
            "index": number, "message": message, "finish_reason": "tool_calls" if calls else end.reason,
            "logprobs": chat_logprobs(tokens) if self._asked.logprobs else None,
        }  # fmt: skip

    async def stream(self, answers: Answers) -> AsyncIterator[bytes]:
        """Yield it as it comes, as server-sent events. Raises Refusal."""
        spoken = [self._spoken() for _ in answers.tickets]
        counted = self._asked.stream_options is not None and self._asked.stream_options.include_usage
        total = 0
        for number in range(len(spoken)):
            yield self._part(number, {"role": "assistant", "content": ""}, counted=counted)
        async for number, item in answers:
            if isinstance(item, Piece):
                for part in self._told(number, spoken[number].feed(item.text), item.tokens, counted):
                    yield part
                continue
            last = spoken[number].end()
            for part in self._told(number, last, (), counted):
                yield part
            total += item.tokens
            yield self._part(number, {}, reason="tool_calls" if last.calls else item.reason, counted=counted)
        if counted:
            yield self._saying.chunk(None, usage_of(self.prompt_tokens, total), counted=True)
        yield DONE

    def _told(self, number: int, told: Told, tokens: Sequence[Token], counted: bool) -> list[bytes]:
        deltas: list[Json] = []
        if told.thought:
            deltas.append({"reasoning_content": told.thought})
        if told.said or (tokens and not told.thought):
            deltas.append({"content": told.said})
        parts = [
            self._part(number, delta, tokens=() if place else tokens, counted=counted)
            for place, delta in enumerate(deltas)
        ]
        if told.calls:
            parts += self._calls(number, told, counted)
        return parts

    def _calls(self, number: int, told: Told, counted: bool) -> list[bytes]:
        """Return each call in two parts, as OpenAI streams them: its name, then its arguments."""
        parts = []
        for call in calls_of(told.calls, streamed=True):
            arguments = call["function"]["arguments"]
            head = {**call, "function": {"name": call["function"]["name"], "arguments": ""}}
            rest = {"index": call["index"], "function": {"arguments": arguments}}
            parts += [self._part(number, {"tool_calls": [each]}, counted=counted) for each in (head, rest)]
        return parts

    def _part(
        self, number: int, delta: Json, *, reason: str | None = None, tokens: Sequence[Token] = (), counted: bool
    ) -> bytes:
        logprobs = chat_logprobs(tokens) if tokens else None
        choice = {"index": number, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return self._saying.chunk(choice, counted=counted)


class Text:
    """Continuations of texts."""

    kind = "text"

    def __init__(self, asked: TextAsked, served: Served, prompts: Sequence[Sequence[int]]) -> None:
        self._asked = asked
        self.streams, self.prompt_tokens = asked.stream, sum(map(len, prompts))
        self._saying = Saying("text", served.name)

    async def whole(self, answers: Answers) -> dict[str, Any]:
        """Return all of it when it is done. Raises Refusal."""
        pieces: list[list[Piece]] = [[] for _ in answers.tickets]
        ends: list[End] = [End() for _ in pieces]
        async for number, item in answers:
            if isinstance(item, End):
                ends[number] = item
            else:
                pieces[number].append(item)
        choices = [
            self._choice(number, told, end.reason) for number, (told, end) in enumerate(zip(pieces, ends, strict=True))
        ]
        return self._saying.whole(choices, usage_of(self.prompt_tokens, sum(end.tokens for end in ends)))

    def _choice(self, number: int, pieces: Sequence[Piece], reason: str | None) -> Json:
        """Return an answer or a part of it."""
        tokens = [token for piece in pieces for token in piece.tokens]
        wanted = self._asked.logprobs is not None
        return {
            "index": number, "text": "".join(piece.text for piece in pieces), "finish_reason": reason,
            "logprobs": text_logprobs(tokens) if wanted and pieces else None,
        }  # fmt: skip

    async def stream(self, answers: Answers) -> AsyncIterator[bytes]:
        """Yield it as it comes, as server-sent events. Raises Refusal."""
        counted = self._asked.stream_options is not None and self._asked.stream_options.include_usage
        total = 0
        async for number, item in answers:
            if isinstance(item, Piece):
                choice = self._choice(number, [item], None)
            else:
                choice = self._choice(number, [], item.reason)
                total += item.tokens
            yield self._saying.chunk(choice, counted=counted)
        if counted:
            yield self._saying.chunk(None, usage_of(self.prompt_tokens, total), counted=True)
        yield DONE
