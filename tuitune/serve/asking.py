"""What clients may ask, by OpenAI's names and a few of ours; what is not honoured is refused, never ignored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tuitune.serve.refusal import Refusal, invalid
from tuitune.serve.wording import reasons

Stop = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(max_length=4 << 20)]
# A list's first wrong entry ends its reading: a request may hold a million of them.
Ids = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, fail_fast=True)]
Messages = Annotated[list[dict[str, Any]], Field(min_length=1, fail_fast=True)]
_MOST = 20  # likeliest tokens beside each one
_MOST_KEYS = 100  # of a request
_TOLD = 10  # reasons in one answer


class StreamOptions(BaseModel):
    """What a stream tells beside the answer."""

    model_config = ConfigDict(extra="forbid", strict=True)
    include_usage: bool = False


class _Asked(BaseModel):
    """What chats and completions have in common."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str = ""
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: int = Field(1, ge=1)
    max_tokens: int | None = Field(None, ge=0)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0)
    repetition_penalty: float | None = Field(None, gt=0, le=10)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = None
    user: str | None = Field(None, max_length=200)

    @property
    def stops(self) -> tuple[str, ...]:
        """The strings before which an answer ends."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class ChatAsked(_Asked):
    """POST /v1/chat/completions."""

    messages: Messages
    max_completion_tokens: int | None = Field(None, ge=1)
    max_tokens: int | None = Field(None, ge=1)
    logprobs: bool = False
    top_logprobs: int | None = Field(None, ge=0, le=_MOST)
    tools: Annotated[list[dict[str, Any]], Field(fail_fast=True)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    parallel_tool_calls: bool = True
    safety_identifier: str | None = Field(None, max_length=200)

    @property
    def longest(self) -> int | None:
        """The longest answer that is asked for."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens

    @property
    def likely(self) -> int | None:
        """How many of the likeliest tokens are told beside each one; None for none at all."""
        return (self.top_logprobs or 0) if self.logprobs else None


class TextAsked(_Asked):
    """POST /v1/completions."""

    prompt: Text | Ids | Annotated[list[Text | Ids], Field(min_length=1, fail_fast=True)]
    logprobs: int | None = Field(None, ge=0, le=_MOST)
    echo: bool = False

    @property
    def longest(self) -> int | None:
        """The longest answer that is asked for."""
        return self.max_tokens

    @property
    def likely(self) -> int | None:
        """How many of the likeliest tokens are told beside each one; None for none at all."""
        return self.logprobs

    @property
    def prompts(self) -> list[str | list[int]]:
        """The prompts, each of which is answered by itself."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if isinstance(self.prompt[0], int):
            return [self.prompt]
        return self.prompt


class ScoreAsked(BaseModel):
    """POST /v1/score/evaluation, as LLaMA-Factory has it: texts, or conversations as lists of messages."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str = ""
    messages: Annotated[list[Text | Messages], Field(min_length=1, fail_fast=True)]
    max_length: int | None = Field(None, ge=1)


# Keys of OpenAI's that mean nothing here; a value that asks for nothing is let pass.
_NOTHING: dict[str, Callable[[Any], bool]] = {
    "presence_penalty": lambda value: value == 0,
    "frequency_penalty": lambda value: value == 0,
    "logit_bias": lambda value: value == {},
    "response_format": lambda value: value == {"type": "text"},
    "store": lambda value: value is False,
    "metadata": lambda value: value == {},
    "service_tier": lambda value: value in ("auto", "default"),
    "modalities": lambda value: value == ["text"],
    "best_of": lambda value: value == 1,
    "suffix": lambda value: value == "",
}
_REFUSED = (
    *_NOTHING, "audio", "function_call", "functions", "moderation", "prediction", "prompt_cache_key",
    "prompt_cache_options", "prompt_cache_retention", "reasoning_effort", "verbosity", "web_search_options",
)  # fmt: skip
_INSTEAD = {
    "functions": "use tools",
    "function_call": "use tool_choice",
    "presence_penalty": "repetition_penalty, above 1, makes used tokens less likely",
    "frequency_penalty": "repetition_penalty, above 1, makes used tokens less likely",
    "best_of": "use n",
}

Any_ = TypeVar("Any_", bound=BaseModel)


def read(body: bytes, kind: type[Any_]) -> Any_:
    """Return the request in a body. Raises Refusal with every reason in words."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"the request is no JSON: {error}", code="invalid_json") from None
    if not isinstance(value, dict):
        raise Refusal(400, "the request is no JSON object", code="invalid_json")
    try:
        asked = kind.model_validate(_few(_meant(value, kind)))
    except ValidationError as error:
        told = reasons(error.errors(include_url=False))
        words = list(dict.fromkeys(words for _, words in told))
        more = [f"and {len(words) - _TOLD} more"] if len(words) > _TOLD else []
        raise invalid("; ".join([*words[:_TOLD], *more]), told[0][0] or None) from None
    except RecursionError:
        raise invalid("the request is nested too deeply") from None
    _relate(asked)
    return asked


def _meant(value: Mapping[str, Any], kind: type[BaseModel]) -> dict[str, Any]:
    """Return what is asked for, without what asks for nothing. Raises Refusal for what is not honoured."""
    given = {key: each for key, each in value.items() if each is not None}
    for key in _REFUSED:
        if key in kind.model_fields or key not in given:
            continue
        if key in _NOTHING and _NOTHING[key](given[key]):
            del given[key]
            continue
        instead = f"; {_INSTEAD[key]}" if key in _INSTEAD else ""
        raise invalid(f"{key} is not supported here: leave it out{instead}", key, "unsupported_parameter")
    choice = given.get("tool_choice")
    if choice == "required" or isinstance(choice, dict):
        raise invalid(
            "a call of a tool cannot be forced here: tool_choice is none or auto", "tool_choice",
            "unsupported_parameter",
        )  # fmt: skip
    return given


def _few(given: dict[str, Any]) -> dict[str, Any]:
    """Return what is asked for. Raises Refusal where it names more parameters than there could be."""
    counts = [len(each) for each in (given, *given.values()) if isinstance(each, dict)]
    if max(counts) > _MOST_KEYS:
        raise invalid(f"the request has {max(counts):,} parameters, and there are not so many")
    return given


def _relate(asked: BaseModel) -> None:
    """Raise Refusal where keys do not go together."""
    if isinstance(asked, _Asked) and asked.stream_options is not None and not asked.stream:
        raise invalid("stream_options are for a stream: set stream to true", "stream_options")
    if not isinstance(asked, ChatAsked):
        return
    if asked.top_logprobs is not None and not asked.logprobs:
        raise invalid("top_logprobs needs logprobs: true", "top_logprobs")
    if None not in (asked.max_tokens, asked.max_completion_tokens) and asked.max_tokens != asked.max_completion_tokens:
        raise invalid("max_tokens and max_completion_tokens say different things", "max_tokens")
