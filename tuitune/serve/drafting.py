"""From a request to orders: the prompt in the model's template, and how its answer is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tuitune.errors import TuiTuneError
from tuitune.serve.asking import ChatAsked, TextAsked
from tuitune.serve.limits import Limits
from tuitune.serve.order import Order, Served
from tuitune.serve.refusal import Refusal, invalid

if TYPE_CHECKING:
    from tuitune.data.conversation import Message
    from tuitune.models.generate import Sampling

# What a message may have beside role and content; the reason where it may not be given a value.
_FIELDS = {
    "name": "the name of a speaker is not shown to the model: write it into the content",
    "audio": "sounds are not supported",
    "refusal": "a refusal is written as content",
    "annotations": "annotations are not supported",
    "tool_calls": "", "tool_call_id": "", "function_call": "", "reasoning_content": "", "role": "", "content": "",
}  # fmt: skip


def chat_prompt(asked: ChatAsked, served: Served) -> tuple[list[int], bool]:
    """Return the tokens that the model answers to, and whether it is offered tools. Raises Refusal."""
    from tuitune.data.asked import Misasked, offered
    from tuitune.data.asked import asked as read_messages

    check_messages(asked.messages)
    places = in_order(asked.messages)
    try:
        messages = read_messages([asked.messages[place] for place in places], places=places)
        tools = offered(asked.tools or []) if asked.tool_choice != "none" else ""
        return served.template.prompt_ids(messages, served.tokenizer, tools), bool(tools)
    except Misasked as error:
        raise invalid(error.message, error.place) from error
    except TuiTuneError as error:
        raise invalid(error.message, "messages") from error
    except RecursionError:
        raise invalid("the request is nested too deeply") from None


def check_messages(messages: Sequence[Mapping[str, Any]], what: str = "messages") -> None:
    """Raise Refusal for what messages hold and nobody would read."""
    for number, message in enumerate(messages):
        for key, value in message.items():
            if key not in _FIELDS:
                raise invalid(f"{what}[{number}] has an unknown part {key!r:.60}", f"{what}[{number}]")
            told = value is None or value == [] or (key == "name" and message.get("role") in ("tool", "function"))
            if _FIELDS[key] and not told:
                raise invalid(f"{what}[{number}].{key}: {_FIELDS[key]}", f"{what}[{number}].{key}")


def in_order(messages: Sequence[Mapping[str, Any]], what: str = "messages") -> list[int]:
    """Return the places of the messages with the answers of tools in the order of the calls, which templates go by.

    Raises Refusal where an answer belongs to no call before it.
    """
    placed: list[tuple[int, int]] = []
    turn, called = 0, list[object]()
    for number, message in enumerate(messages):
        known = message.get("role") == "tool" and called
        if known and message.get("tool_call_id") not in called:
            raise invalid(f"{what}[{number}].tool_call_id is of no call before it", f"{what}[{number}]")
        if message.get("role") != "tool":
            calls = message.get("tool_calls")
            called = [each.get("id") for each in calls if isinstance(each, dict)] if isinstance(calls, list) else []
            turn += 1
        placed.append((turn, called.index(message["tool_call_id"]) if known else -1))
    return sorted(range(len(messages)), key=placed.__getitem__)


def text_prompts(asked: TextAsked, served: Served) -> list[list[int]]:
    """Return the tokens of each prompt. Raises Refusal."""
    size = len(served.tokenizer)
    found = []
    for prompt in asked.prompts:
        ids = served.tokenizer(prompt)["input_ids"] if isinstance(prompt, str) else prompt
        if not ids:
            raise invalid("a prompt is empty", "prompt")
        if max(ids) >= size:
            raise invalid(f"a prompt has the token {max(ids)}, and the model knows {size:,}", "prompt")
        found.append(list(ids))
    return found


def sampling_of(asked: ChatAsked | TextAsked, served: Served, prompt: int, limits: Limits) -> Sampling:
    """Return how an answer to so many tokens is drawn: as the client says, else as the model was trained to be asked.

    Raises Refusal where prompt and answer are longer than the model or this server allows.
    """
    from tuitune.models.generate import Sampling

    own = Sampling().updated(served.options)
    names = ("temperature", "top_p", "top_k", "repetition_penalty", "seed")
    given = {name: value for name in names if (value := getattr(asked, name)) is not None}
    drawn = own.do_sample or bool({"temperature", "top_p", "top_k"} & given.keys())
    longest = _longest(asked.longest, own.max_new_tokens, served, prompt, limits)
    return replace(own.updated(given), do_sample=drawn, max_new_tokens=longest, stop=asked.stops, logprobs=asked.likely)


def _longest(wanted: int | None, usual: int, served: Served, prompt: int, limits: Limits) -> int:
    """Return the longest answer. Raises Refusal."""
    if wanted is not None and limits.answer is not None and wanted > limits.answer:
        raise Refusal(413, f"{wanted:,} tokens are asked for, and this server writes at most {limits.answer:,}",
                      param="max_tokens", code="too_many_tokens")  # fmt: skip
    rooms = [each for each in (served.context, limits.context, limits.cache) if each is not None]
    room = min(rooms) - prompt if rooms else None
    if room is not None and room < max(1 if wanted is None else wanted, 0):
        asked = "" if not wanted else f" and an answer of {wanted:,}"
        raise Refusal(
            413, f"the prompt has {prompt:,} tokens{asked}, and {served.name} takes {min(rooms):,} for both together",
            param="messages", code="context_length_exceeded",
        )  # fmt: skip
    bounds = [each for each in (limits.answer, room) if each is not None]
    return min([usual, *bounds]) if wanted is None else wanted


def orders_of(
    asked: ChatAsked | TextAsked, served: Served, prompts: Sequence[list[int]], *, request: str, client: str,
    limits: Limits, tools: bool = False,
) -> list[Order]:  # fmt: skip
    """Return the answers that are asked for, those of one prompt next to each other. Raises Refusal."""
    if asked.n * len(prompts) > limits.choices:
        raise invalid(
            f"{asked.n * len(prompts)} answers are asked for at once, and this server gives {limits.choices}", "n"
        )
    ends, keep = tuple(served.template.stop_ids(served.tokenizer)), kept(served, tools=tools)
    found = []
    for prompt in prompts:
        sampling = sampling_of(asked, served, len(prompt), limits)
        for number in range(asked.n):
            seed = None if sampling.seed is None else (sampling.seed + number + 2**63) % 2**64 - 2**63
            found.append(Order(
                served.name, prompt, replace(sampling, seed=seed), request, client, ends, keep,
                isinstance(asked, TextAsked) and asked.echo,
            ))  # fmt: skip
    return found


def kept(served: Served, *, tools: bool) -> frozenset[int]:
    """Return the special tokens that belong to the text: those around thoughts and, with tools, around calls."""
    from tuitune.data.templates.reading import form_of, kept_ids

    return kept_ids(form_of(served.template, served.tokenizer) if tools else None, served.tokenizer)


def told_of(messages: Sequence[Mapping[str, Any]], number: int) -> list[Message]:
    """Return a conversation that is to be scored. Raises Refusal."""
    from tuitune.data.asked import Misasked
    from tuitune.data.asked import asked as read_messages

    what = f"messages[{number}]"
    check_messages(messages, what)
    places = in_order(messages, what)
    try:
        return read_messages([messages[place] for place in places], answered=True, name=what, places=places)
    except Misasked as error:
        raise invalid(error.message, error.place) from error
