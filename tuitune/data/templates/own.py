"""The tokenizer's own chat template, cut into prompts and answers by comparing what it renders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tuitune.data.conversation import Conversation, Message
from tuitune.data.templates import tools
from tuitune.data.templates.base import Piece, Style, encode_texts, known_ids, prompt_of
from tuitune.data.templates.chats import Chats, Turns
from tuitune.data.templates.own_split import Cutter
from tuitune.data.templates.plain import Unspeakable
from tuitune.data.templates.rendering import Renderer
from tuitune.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NAME = "tokenizer"
_IN_WORDS = (
    "the tokenizer's chat template has no place for tools: they are written in words, as with `tool_format: default`, "
    "and what they answer is said by the user"
)


class Unsplittable(DataError):
    """Prompts and answers of the dialogue at `place` cannot be told apart."""

    def __init__(self, place: int, chatml: bool) -> None:
        super().__init__(
            "the tokenizer's chat template cannot be split into prompts and answers: what it renders for the beginning "
            "of a dialogue is not the beginning of what it renders for the whole",
            f"Name a template in the recipe, such as `template: {'chatml' if chatml else 'default'}`.",
        )
        self.place = place


@dataclass(frozen=True)
class TokenizerTemplate:
    """The chat template that came with the tokenizer.

    Rendered text grows with the dialogue: up to a user's message with the opening of an answer, then up to the answer.
    Each must begin with the one before, and what is added is the piece; `own_split` cuts templates that write earlier
    turns otherwise. Special tokens, the first one too, are the template's business.
    """

    default_system: str = ""
    style: Style = field(default_factory=Style)
    name: str = NAME
    notes: list[str] = field(default_factory=list, compare=False)

    @property
    def warning(self) -> str:
        """What was found out about the template, also while it was used."""
        return "; ".join(self.notes)

    def pieces(
        self, conversations: Sequence[Conversation], tokenizer: PreTrainedTokenizerBase
    ) -> list[list[Piece] | str]:
        chats = Chats(tokenizer, self.default_system, self.style)
        told: list[Turns | str] = []
        for talk in conversations:
            try:
                told.append(chats.turns(talk))
            except (tools.Unreadable, Unspeakable) as reason:
                told.append(str(reason))
        if chats.in_words and not self.style.tool_format and _IN_WORDS not in self.notes:
            self.notes.append(_IN_WORDS)
        return self._cut(told, Renderer(tokenizer), chats, tokenizer)

    def prompt_ids(self, messages: Sequence[Message], tokenizer: PreTrainedTokenizerBase, tools: str = "") -> list[int]:
        return prompt_of(self, messages, tokenizer, tools)

    def stop_ids(self, tokenizer: PreTrainedTokenizerBase) -> list[int]:
        # What the template writes right after an answer ends it, even where the tokenizer's eos_token is another.
        probe = Conversation((Message("user", "?"), Message("assistant", "ANSWER")))
        turns = Chats(tokenizer, self.default_system, self.style).turns(probe)
        text = Renderer(tokenizer).all([turns.request(2)])[0]
        eos = tokenizer.eos_token
        tokens = [] if eos is None else [str(eos)]
        if isinstance(text, str) and "ANSWER" in text:
            tail = text.rpartition("ANSWER")[2]
            marks = {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
            ids = encode_texts([tail], tokenizer)[tail]
            tokens = [str(tokenizer.convert_ids_to_tokens(token)) for token in ids if token in marks][:1] + tokens
        return known_ids(tokens, tokenizer)

    def late_end(self, tokenizer: PreTrainedTokenizerBase) -> int | None:
        return None

    def _cut(
        self, told: Sequence[Turns | str], renderer: Renderer, chats: Chats, tokenizer: PreTrainedTokenizerBase
    ) -> list[list[Piece] | str]:
        texts = iter(
            renderer.all([request for turns in told if not isinstance(turns, str) for request in turns.growing()])
        )
        found: list[list[Piece] | str] = []
        for place, turns in enumerate(told):
            if isinstance(turns, str):
                found.append(turns)
                continue
            cut = Cutter(turns, chats.marks, renderer).cut([next(texts) for _ in turns.growing()])
            if cut is None:
                raise Unsplittable(place, "<|im_start|>" in tokenizer.get_vocab())
            found.append(cut if isinstance(cut, str) else [(turns.shield.done(text),) for text in cut])
        return found


def own(tokenizer: PreTrainedTokenizerBase, default_system: str, style: Style) -> TokenizerTemplate:
    """Return the tokenizer's own template, with a word on what it cannot do; raises DataError."""
    if style.tool_format is not None:
        tools.tool_format(style.tool_format)
    template = TokenizerTemplate(default_system, style)
    if style.preserve_thinking and _forgets(template, tokenizer):
        template.notes.append(
            "the tokenizer's chat template leaves out earlier thoughts, whatever preserve_thinking says"
        )
    return template


def _forgets(template: TokenizerTemplate, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether an earlier answer loses its thoughts."""
    thinking = Message("assistant", "<think>\nTHOUGHT\n</think>\n\nANSWER")
    probe = Conversation((Message("user", "?"), thinking, Message("user", "?")))
    text = Renderer(tokenizer).all([Chats(tokenizer, "", template.style).turns(probe).request(3)])[0]
    return isinstance(text, str) and "ANSWER" in text and "THOUGHT" not in text
