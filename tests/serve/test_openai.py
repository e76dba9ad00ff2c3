"""The server as OpenAI's own client sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.cli.given import until
from tests.serve.given import MESSAGES, TOKEN, Running, held, partner, serving, tuned
from tuitune.chat.base import Turn
from tuitune.serve.limits import Limits

GREEDY = {"temperature": 0, "max_tokens": 12}
# Answers that go on and on; without a seed one in a few dozens ends by chance after a few tokens.
LONG = {"temperature": 2.0, "top_p": 1.0, "max_tokens": 450, "seed": 0}


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with serving(Limits(rows=4, choices=4), tiny=partner(), tuned=tuned()) as found:
        yield found


@pytest.fixture
def client(running: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{running.url}/v1", api_key=TOKEN, max_retries=0) as found:
        yield found


def expected(name: str = "tiny", tokens: int = 12) -> str:
    who = {"tiny": partner, "tuned": tuned}[name]()
    return who.reply([Turn("user", "Name three fruits.")], sampling={"temperature": 0, "max_new_tokens": tokens}).text


def test_models_are_listed_by_name(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny", "tuned"]
    assert client.models.retrieve("tuned").owned_by == "tuitune"
    with pytest.raises(openai.NotFoundError, match="no model 'other'"):
        client.models.retrieve("other")


def test_the_longest_conversation_is_told_as_it_is_limited() -> None:
    with serving(Limits(context=40), tiny=partner()) as running, running.client() as client:
        assert client.get("/v1/models/tiny").json()["max_model_len"] == 40
        found = client.post("/v1/chat/completions", json={"messages": MESSAGES, "max_tokens": 2})
        assert found.json()["model"] == "tiny"  # there is no other


@pytest.mark.parametrize("name", ["tiny", "tuned"])
def test_an_answer_is_that_of_the_chat(client: OpenAI, name: str) -> None:
    found = client.chat.completions.create(model=name, messages=MESSAGES, **GREEDY)
    assert found.choices[0].message.content == expected(name)
    assert found.choices[0].finish_reason == "length"
    assert found.model == name
    assert found.usage is not None
    assert found.usage.completion_tokens == 12
    assert found.usage.prompt_tokens > 10
    assert found.usage.total_tokens == found.usage.prompt_tokens + 12


def test_a_stream_adds_up_to_the_answer_and_counts_at_the_end(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="tiny", messages=MESSAGES, stream=True, stream_options={"include_usage": True}, **GREEDY
    )
    chunks = list(stream)
    told = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert told[0].delta.role == "assistant"
    assert "".join(choice.delta.content or "" for choice in told) == expected()
    assert len([choice for choice in told if choice.delta.content]) > 3
    assert [choice.finish_reason for choice in told if choice.finish_reason] == ["length"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 12
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_several_answers_come_with_their_numbers(client: OpenAI) -> None:
    asked = {"model": "tiny", "messages": MESSAGES, "n": 3, "seed": 4, "max_tokens": 8}
    drawn = {"temperature": 2.0, "top_p": 1.0, "extra_body": {"top_k": 0}}
    whole = client.chat.completions.create(**asked, **drawn)
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    assert whole.usage is not None
    texts = [choice.message.content for choice in whole.choices]
    streamed = ["", "", ""]
    for chunk in client.chat.completions.create(**asked, **drawn, stream=True):
        for choice in chunk.choices:
            streamed[choice.index] += choice.delta.content or ""
    assert streamed == texts
    one = client.chat.completions.create(**{**asked, "n": 1, "seed": 5}, **drawn)
    assert one.choices[0].message.content == texts[1]


def test_a_stop_string_ends_the_answer(client: OpenAI) -> None:
    text = expected(tokens=30)
    stop = text[8:11]
    asked = {"model": "tiny", "messages": MESSAGES, "temperature": 0, "max_tokens": 30}
    for value in (stop, [stop, "never there"]):
        found = client.chat.completions.create(**asked, stop=value)
        assert found.choices[0].message.content == text[: text.index(stop)]
        assert found.choices[0].finish_reason == "stop"
    streamed = client.chat.completions.create(**asked, stop=stop, stream=True)
    told = "".join(chunk.choices[0].delta.content or "" for chunk in streamed if chunk.choices)
    assert told == text[: text.index(stop)]


def test_logprobs_come_whole_and_streamed(client: OpenAI) -> None:
    asked = {"model": "tiny", "messages": MESSAGES, "logprobs": True, "top_logprobs": 2, **GREEDY}
    whole = client.chat.completions.create(**asked)
    assert whole.choices[0].logprobs is not None
    told = whole.choices[0].logprobs.content or []
    assert len(told) == 12
    data = b"".join(bytes(token.bytes or []) for token in told)
    assert data.decode("utf-8", "replace") == whole.choices[0].message.content
    assert all(len(token.top_logprobs) == 2 and token.logprob <= 0 for token in told)
    assert [token.token for token in told] == [token.top_logprobs[0].token for token in told]
    streamed = [
        token
        for chunk in client.chat.completions.create(**asked, stream=True)
        for choice in chunk.choices
        if choice.logprobs is not None
        for token in choice.logprobs.content or []
    ]
    assert [token.token for token in streamed] == [token.token for token in told]


def test_completions_go_on_with_texts_and_with_tokens(client: OpenAI) -> None:
    text = "The capital of France"
    found = client.completions.create(model="tiny", prompt=text, **GREEDY)
    ids = partner().tokenizer(text)["input_ids"]
    assert client.completions.create(model="tiny", prompt=ids, **GREEDY).choices[0].text == found.choices[0].text
    several = client.completions.create(model="tiny", prompt=[text, "Name"], **GREEDY)
    assert several.choices[0].text == found.choices[0].text
    assert [choice.index for choice in several.choices] == [0, 1]
    streamed = client.completions.create(model="tiny", prompt=text, stream=True, **GREEDY)
    assert "".join(chunk.choices[0].text for chunk in streamed) == found.choices[0].text


def test_a_completion_echoes_its_prompt_with_logprobs(client: OpenAI) -> None:
    text = "The capital of France"
    found = client.completions.create(model="tiny", prompt=text, echo=True, logprobs=1, **GREEDY).choices[0]
    assert found.text.startswith(text)
    assert found.logprobs is not None
    assert found.logprobs.token_logprobs is not None
    assert found.logprobs.token_logprobs[0] is None
    tokens, places = found.logprobs.tokens or [], found.logprobs.text_offset or []
    assert len(tokens) == len(places) == len(found.logprobs.token_logprobs) == 4 + 12
    assert "".join(tokens[:4]) == text
    assert places[:5] == [0, 3, 11, 14, len(text)]


def test_closing_a_stream_stops_the_writing(client: OpenAI, running: Running) -> None:
    with held(after=40) as gone:
        stream = client.chat.completions.create(
            model="tiny", messages=MESSAGES, stream=True, extra_body={"top_k": 0}, logprobs=True, **LONG
        )
        for count, _ in enumerate(stream):
            if count == 3:
                break
        stream.close()
        client.close()
        until(lambda: not running.book.open)
        gone.set()
        running.settled()
    left = running.book.record()["last"][0]
    assert left["state"] == "left"
    assert left["tokens"] <= 40 + 1  # the step that was held, too


def test_a_client_that_goes_away_before_a_whole_answer_stops_the_writing(running: Running) -> None:
    asked = {"model": "tiny", "messages": MESSAGES, **LONG, "n": 4, "top_k": 0, "logprobs": True, "top_logprobs": 20,
             "stop": "no text has this"}  # fmt: skip
    hasty = HTTPConnection(running.url.removeprefix("http://"))
    with held(after=5) as gone:
        hasty.request("POST", "/v1/chat/completions", json.dumps(asked), {"Authorization": f"Bearer {TOKEN}"})
        until(lambda: running.engine.waiting()[0] == 4)
        hasty.close()
        until(lambda: not running.book.open)
        gone.set()
        running.settled()
    left = running.book.record()["last"][0]
    assert left["status"] == 499
    assert left["tokens"] <= 4 * (5 + 1)  # the step that was held, too


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"model": "other"}, openai.NotFoundError, "no model 'other': this server has tiny, tuned"),
        ({"max_tokens": 5000}, openai.APIStatusError, "takes 512 for both together"),
        ({"messages": [{"role": "user", "content": "word " * 600}]}, openai.APIStatusError, "the prompt has"),
        ({"presence_penalty": 0.5}, openai.UnprocessableEntityError, "presence_penalty is not supported here"),
        ({"response_format": {"type": "json_object"}}, openai.UnprocessableEntityError, "response_format"),
        ({"extra_body": {"min_p": 0.1}}, openai.UnprocessableEntityError, "no parameter 'min_p'"),
        ({"temperature": 3}, openai.UnprocessableEntityError, "temperature"),
        ({"n": 5}, openai.UnprocessableEntityError, "this server gives 4"),
        ({"messages": []}, openai.UnprocessableEntityError, "messages"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, openai.UnprocessableEntityError, "should speak"),
        ({"tool_choice": "required", "tools": []}, openai.UnprocessableEntityError, "cannot be forced"),
        ({"stream_options": {"include_usage": True}}, openai.UnprocessableEntityError, "set stream to true"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    client: OpenAI, change: dict[str, object], error: type[openai.APIStatusError], words: str
) -> None:
    asked = {"model": "tiny", "messages": MESSAGES, **GREEDY, **change}
    with pytest.raises(error, match=words) as refused:
        client.chat.completions.create(**asked)  # type: ignore[call-overload]
    assert isinstance(refused.value.body, dict)
    assert refused.value.body["type"] in ("invalid_request_error", "not_found_error")
    if error is openai.APIStatusError:
        assert refused.value.status_code == 413
        assert refused.value.code == "context_length_exceeded"


def test_who_is_asked_is_said_where_there_are_several(running: Running) -> None:
    with running.client() as client:
        for more in ({}, {"model": None}, {"model": ""}):
            found = client.post("/v1/chat/completions", json={"messages": MESSAGES, **more})
            assert found.status_code == 422
            assert found.json()["error"]["message"] == "model is missing: this server has tiny, tuned"
            assert found.json()["error"]["param"] == "model"


def test_what_asks_for_nothing_is_let_pass(client: OpenAI) -> None:
    found = client.chat.completions.create(
        model="tiny", messages=MESSAGES, presence_penalty=0, frequency_penalty=0.0, logit_bias={}, n=1, user="me",
        response_format={"type": "text"}, service_tier="auto", store=False, **GREEDY,
    )  # fmt: skip
    assert found.choices[0].message.content == expected()


def test_a_wrong_token_is_told_so(running: Running) -> None:
    stranger = OpenAI(base_url=f"{running.url}/v1", api_key="another-token", max_retries=0)
    with pytest.raises(openai.AuthenticationError, match="missing or wrong"):
        stranger.models.list()


def test_many_at_once_all_get_their_own_answer(running: Running) -> None:
    import asyncio

    async def work() -> list[str | None]:
        async with AsyncOpenAI(base_url=f"{running.url}/v1", api_key=TOKEN, max_retries=0) as many:
            asked = [
                many.chat.completions.create(model=("tiny", "tuned")[place % 2], messages=MESSAGES, **GREEDY)
                for place in range(12)
            ]
            return [found.choices[0].message.content for found in await asyncio.gather(*asked)]

    assert asyncio.run(work()) == [expected("tiny"), expected("tuned")] * 6
