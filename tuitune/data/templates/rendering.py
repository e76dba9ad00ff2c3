"""Rendering chats with the tokenizer's own template, many in one call."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tuitune.data.conversation import UnusableRow
from tuitune.text import clean_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Chat = list[dict[str, Any]]


@dataclass(frozen=True)
class Request:
    """A chat to be rendered, `opening`: with the opening of an answer.

    tools: JSON, or "". thinking: the template's enable_thinking. remember: with earlier thoughts.
    """

    chat: Chat
    opening: bool
    tools: str = ""
    thinking: bool | None = None
    remember: bool = False

    def key(self) -> tuple[object, ...]:
        """Return what chats of one call have in common."""
        return self.opening, self.tools, self.thinking, self.remember

    def variables(self) -> dict[str, Any]:
        """Return what the template is told; a template ignores what it does not know."""
        told: dict[str, Any] = {"add_generation_prompt": self.opening}
        if self.tools:
            told["tools"] = json.loads(self.tools)
        if self.thinking is not None:
            told["enable_thinking"] = self.thinking
        if self.remember:
            told.update(preserve_thinking=True, clear_thinking=False)
        return told


class Renderer:
    """Renders chats for one tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer

    def all(self, requests: Sequence[Request]) -> list[str | UnusableRow]:
        """Render each request; one that the template refuses becomes the reason."""
        groups: dict[tuple[object, ...], list[int]] = {}
        for place, request in enumerate(requests):
            groups.setdefault(request.key(), []).append(place)
        found: list[str | UnusableRow] = [""] * len(requests)
        for places in groups.values():
            texts = self._batch([requests[place].chat for place in places], requests[places[0]])
            for place, text in zip(places, texts, strict=True):
                found[place] = text
        return found

    def _batch(self, chats: Sequence[Chat], like: Request) -> list[str | UnusableRow]:
        from jinja2 import TemplateError

        try:
            return self._apply(chats, like)
        # A template runs code of its own: TemplateError is what it raises, the others come of odd values.
        except (TemplateError, TypeError, ValueError, LookupError, AttributeError) as error:
            if len(chats) > 1:
                return [self._batch([chat], like)[0] for chat in chats]
            if isinstance(error, TypeError) and any("tool_calls" in message for message in chats[0]):
                written = _written(chats[0])
                if written != chats[0]:
                    return self._batch([written], like)
            return [UnusableRow(f"the chat template refuses it: {clean_line(str(error))[:200]}")]

    def _apply(self, chats: Sequence[Chat], like: Request) -> list[str | UnusableRow]:
        texts = self._tokenizer.apply_chat_template(list(chats), tokenize=False, **like.variables())
        return [str(text) for text in texts]


def _written(chat: Chat) -> Chat:
    """Return `chat` with arguments of calls as JSON text, as templates of OpenAI's form want them."""
    return [{**message, "tool_calls": [_call(each) for each in message.get("tool_calls", ())]} for message in chat]


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    arguments = function["arguments"]
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {**call, "function": {**function, "arguments": text}}
