"""The tokenizer's own chat template, cut into prompts and answers by comparing what it renders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from tuitune.data.conversation import Conversation, Message, UnusableRow
from tuitune.data.templates.base import Piece, encode_texts, known_ids, split_system
from tuitune.errors import DataError
from tuitune.text import clean_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NAME = "tokenizer"
Chat = list[dict[str, str]]


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
    Each must begin with the one before, and what is added is the piece. Special tokens, the first one too, are the
    template's business.
    """

    default_system: str = ""
    name: str = NAME
    warning: str = ""

    def pieces(
        self, conversations: Sequence[Conversation], tokenizer: PreTrainedTokenizerBase
    ) -> list[list[Piece] | str]:
        chats: list[tuple[Chat, bool]] = []
        for talk in conversations:
            whole = self._chat(talk.system, talk.messages)
            first = len(whole) - len(talk.messages)
            chats += [(whole[: first + count], count % 2 == 1) for count in range(1, len(talk.messages) + 1)]
        texts = iter(_render_all(chats, tokenizer))
        found: list[list[Piece] | str] = []
        for place, talk in enumerate(conversations):
            rendered = [next(texts) for _ in talk.messages]
            pieces = _pieces(rendered, talk.messages)
            if pieces is None:
                raise Unsplittable(place, "<|im_start|>" in tokenizer.get_vocab())
            found.append(pieces)
        return found

    def prompt_ids(self, messages: Sequence[Message], tokenizer: PreTrainedTokenizerBase) -> list[int]:
        system, turns = split_system(messages)
        text = _render_all([(self._chat(system, turns), True)], tokenizer)[0]
        if isinstance(text, UnusableRow):
            raise DataError(f"the dialogue cannot be shown to the model: {text}")
        return encode_texts([text], tokenizer)[text]

    def stop_ids(self, tokenizer: PreTrainedTokenizerBase) -> list[int]:
        # What the template writes right after an answer ends it, even where the tokenizer's eos_token is another.
        probe = self._chat(None, [Message("user", "?"), Message("assistant", "ANSWER")])
        text = _render_all([(probe, False)], tokenizer)[0]
        eos = tokenizer.eos_token
        tokens = [] if eos is None else [str(eos)]
        if isinstance(text, str) and "ANSWER" in text:
            tail = text.rpartition("ANSWER")[2]
            marks = {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
            ids = encode_texts([tail], tokenizer)[tail]
            tokens = [str(tokenizer.convert_ids_to_tokens(token)) for token in ids if token in marks][:1] + tokens
        return known_ids(tokens, tokenizer)

    def _chat(self, system: str | None, messages: Sequence[Message]) -> Chat:
        text = system or self.default_system
        chat: Chat = [{"role": "system", "content": text}] if text else []
        return chat + [{"role": message.role, "content": message.content} for message in messages]


def _render_all(chats: Sequence[tuple[Chat, bool]], tokenizer: PreTrainedTokenizerBase) -> list[str | UnusableRow]:
    """Render each chat, with the opening of an answer where asked; one that the template refuses becomes the reason."""
    found: list[str | UnusableRow] = [""] * len(chats)
    for opening in (True, False):
        places = [place for place, (_, wanted) in enumerate(chats) if wanted is opening]
        batch = [chats[place][0] for place in places]
        for place, text in zip(places, _render_batch(batch, opening, tokenizer), strict=True):
            found[place] = text
    return found


def _render_batch(batch: list[Chat], opening: bool, tokenizer: PreTrainedTokenizerBase) -> list[str | UnusableRow]:
    from jinja2 import TemplateError

    if not batch:
        return []
    try:
        texts = tokenizer.apply_chat_template(batch, tokenize=False, add_generation_prompt=opening)
    # A template runs code of its own: TemplateError is what it raises, the others come of odd values.
    except (TemplateError, TypeError, ValueError, LookupError) as error:
        if len(batch) == 1:
            return [UnusableRow(f"the chat template refuses it: {clean_line(str(error))[:200]}")]
        return [_render_batch([chat], opening, tokenizer)[0] for chat in batch]
    return [str(text) for text in texts]


def _pieces(rendered: Sequence[str | UnusableRow], messages: Sequence[Message]) -> list[Piece] | str | None:
    """Return the pieces of one dialogue, the reason why it was not rendered, or None if it cannot be split."""
    texts: list[str] = []
    for text in rendered:
        if isinstance(text, UnusableRow):
            return str(text)
        texts.append(text)
    if all(after.startswith(before) for before, after in pairwise(texts)):
        return [(after[len(before) :],) for before, after in pairwise(["", *texts])]
    ends = _history_ends(texts, messages)
    return None if ends is None else [(texts[-1][start:end],) for start, end in pairwise([0, *ends])]


def _history_ends(texts: Sequence[str], messages: Sequence[Message]) -> list[int] | None:
    """Return where each message ends in the last of `texts`, or None.

    Some templates write an answer differently once another question follows (they leave out its reasoning). Then the
    whole dialogue is cut: prompts still grow, and an earlier answer closes with the same text as when it is the last.
    """
    whole, ends = texts[-1], []
    for turn in range(0, len(messages), 2):
        prompt, closed, answer = texts[turn], texts[turn + 1], messages[turn + 1].content.strip()
        closing = closed.rpartition(answer)[2]
        end = whole.find(answer + closing, len(prompt))
        following = texts[turn + 2] if turn + 2 < len(texts) else whole
        if (
            not whole.startswith(prompt)
            or answer not in closed
            or end < 0
            or end + len(answer + closing) > len(following)
        ):
            return None
        ends += [len(prompt), end + len(answer + closing)]
    return ends if ends[-1] == len(whole) else None
