"""Conversations in the form that chat templates of tokenizers read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tuitune.data.conversation import BETWEEN_REPLIES, Conversation, Message
from tuitune.data.templates import tools
from tuitune.data.templates.base import Style
from tuitune.data.templates.plain import Shield, marks_of
from tuitune.data.templates.rendering import Chat, Renderer, Request
from tuitune.data.templates.thoughts import WORDS, Thoughts, settle

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PROBE = "tuitune_probe"
_PROBED = tools.dumps(
    [
        {
            "type": "function",
            "function": {"name": _PROBE, "description": _PROBE, "parameters": {"type": "object", "properties": {}}},
        }
    ]
)


@dataclass(frozen=True)
class Turns:
    """One conversation as chats: `system` stands before the messages, `rejected` is the worse last answer.

    Each message is a chat of its own: what several tools replied is several messages there. tools: JSON, or "".
    """

    system: Chat
    messages: list[Chat]
    rejected: Chat | None
    tools: str
    thinking: bool | None
    remember: bool
    thoughts: Thoughts
    shield: Shield

    def request(self, count: int, messages: Sequence[Chat] | None = None) -> Request:
        """Return the first `count` messages to be rendered, with the opening of an answer where one is due."""
        told = (self.messages if messages is None else messages)[:count]
        chat = [*self.system, *(each for message in told for each in message)]
        return Request(chat, count % 2 == 1, self.tools, self.thinking, self.remember)

    def growing(self) -> Iterator[Request]:
        """Yield the dialogue from its first message to the whole, and to the worse answer."""
        for count in range(1, len(self.messages) + 1):
            yield self.request(count)
        if self.rejected is not None:
            yield self.request(len(self.messages), [*self.messages[:-1], self.rejected])


class Chats:
    """Makes chats for one tokenizer; `in_words` tells whether tools had to be written without the template's help."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, default_system: str, style: Style) -> None:
        given = tokenizer.chat_template
        template = "\n".join(given.values()) if isinstance(given, dict) else str(given)
        self._tokenizer, self._default_system, self._style = tokenizer, default_system, style
        self.marks = marks_of(tokenizer, template)
        self.in_words = False
        self._takes: bool | None = None
        words = [pair for pair in WORDS if pair[1] in template]
        self._thinks = bool(words) or "enable_thinking" in template
        self._thoughts = Thoughts(f"{words[0][0]}\n", f"\n{words[0][1]}\n\n") if words else Thoughts()

    def turns(self, talk: Conversation) -> Turns:
        """Return `talk` as a chat; raises tools.Unreadable or Unspeakable with the reason why it cannot be one."""
        shield = Shield(self.marks)
        settled = settle(talk, self._thoughts if self._thinks else None, self._style)
        words = self._form(talk)
        offered = shield.hide_all(tools.read_tools(talk.tools)) if talk.tools.strip() else []
        system = shield.hide(talk.system or "", everywhere=False) or self._default_system
        if words is not None and offered:
            system += words.describe(offered)
            system, offered = system.lstrip("\n"), []
        said = [self._message(place, settled.messages, words, shield) for place in range(len(settled.messages))]
        rejected = settled.rejected
        worse = None if rejected is None else self._message(0, [rejected], words, shield)
        return Turns(
            [{"role": "system", "content": system}] if system else [], said, worse,
            tools.dumps(list(map(tools.wrapped, offered))) if offered else "", self._thinking(talk),
            self._style.preserve_thinking, self._thoughts, shield,
        )  # fmt: skip

    def _thinking(self, talk: Conversation) -> bool | None:
        if not self._thinks or self._style.enable_thinking is not None:
            return self._style.enable_thinking
        # Mixed: an answer that thinks is opened for thoughts, another, or one still to come, is not.
        answers = [talk.messages[-1], talk.rejected] if len(talk.messages) % 2 == 0 else []
        return any(each is not None and self._thoughts.inside(each.content) for each in answers)

    def _form(self, talk: Conversation) -> tools.ToolFormat | None:
        """Return the format in which tools are written as text, or None where the template writes them."""
        if not talk.tools.strip() and not any(m.role in ("function", "observation") for m in talk.messages):
            return None
        if self._style.tool_format is None and self._takes_tools():
            return None
        self.in_words = True
        return tools.tool_format(self._style.tool_format or "default")

    def _takes_tools(self) -> bool:
        if self._takes is None:
            request = Request([{"role": "user", "content": "?"}], True, _PROBED)
            text = Renderer(self._tokenizer).all([request])[0]
            self._takes = isinstance(text, str) and _PROBE in text
        return self._takes

    def _message(self, place: int, messages: Sequence[Message], words: tools.ToolFormat | None, shield: Shield) -> Chat:
        message = messages[place]
        if message.role == "user":
            return [{"role": "user", "content": shield.hide(message.content, everywhere=True)}]
        if message.role == "observation":
            return self._observation(place, messages, words, shield)
        content, calls = self._answer(message, shield)
        if words is not None and calls:
            return [{"role": "assistant", "content": content + words.say(calls)}]
        answer: dict[str, Any] = {"role": "assistant", "content": content}
        if calls:
            answer["tool_calls"] = [_told(call, place, number) for number, call in enumerate(calls)]
        return [answer]

    def _answer(self, message: Message, shield: Shield) -> tuple[str, list[tools.Call]]:
        thought, said = self._thoughts.cut(message.content)
        held = self._thoughts.held(thought, shield)
        if message.role == "assistant":
            return held + shield.hide(said, everywhere=False), []
        before, calls = tools.read_calls(said)
        calls = [tools.Call(*shield.hide_all([call.name, call.arguments])) for call in calls]
        return held + shield.hide(before, everywhere=False), calls

    @staticmethod
    def _observation(place: int, messages: Sequence[Message], words: tools.ToolFormat | None, shield: Shield) -> Chat:
        replies = [shield.hide(each, everywhere=True) for each in messages[place].content.split(BETWEEN_REPLIES)]
        if words is not None:
            return [{"role": "user", "content": "\n".join(replies)}]
        told: Chat = [
            {"role": "tool", "content": reply, "tool_call_id": _number(place - 1, number)}
            for number, reply in enumerate(replies)
        ]
        if place and messages[place - 1].role == "function":
            calls = tools.read_calls(Thoughts().cut(messages[place - 1].content)[1])[1]
            for reply, call in zip(told, calls, strict=False):
                reply["name"] = shield.hide(call.name, everywhere=False)
        return told


def _told(call: tools.Call, place: int, number: int) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"type": "function", "id": _number(place, number), "function": function}


def _number(place: int, number: int) -> str:
    """Return the name of a call: nine letters and digits, as Mistral's templates demand."""
    return f"call{place:03d}{number:02d}"[-9:]


def replaced(message: Chat, words: str) -> Chat:
    """Return a message that says `words` instead; one that calls tools calls one of that name."""
    first, *others = message
    empty = [{**other, "content": ""} for other in others]
    if "tool_calls" not in first:
        return [{**first, "content": words}, *empty]
    call, *more = first["tool_calls"]
    call = {**call, "function": {**call["function"], "name": words}}
    return [{**first, "content": "", "tool_calls": [call, *more]}]
