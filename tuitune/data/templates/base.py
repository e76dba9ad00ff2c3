"""What a template is: the text around messages, as pieces that are tokenised one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tuitune.data.conversation import Conversation, Message
from tuitune.data.templates.plain import Text, Unspeakable
from tuitune.data.templates.renamed import id_of, plain_ids
from tuitune.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Text to be tokenised, text with words that must stay words, or the id of a token that stands for itself.
Element = str | Text | int
Piece = tuple[Element, ...]


class Asked(Protocol):
    """What a recipe says of tools and thoughts; `tuitune.data.DataOptions` has it."""

    @property
    def tool_format(self) -> str | None: ...
    @property
    def enable_thinking(self) -> bool | None: ...
    @property
    def preserve_thinking(self) -> bool: ...
    @property
    def mask_history(self) -> bool: ...


@dataclass(frozen=True)
class Style:
    """How tools and thoughts are written; see the recipe's fields of the same names."""

    tool_format: str | None = None
    enable_thinking: bool | None = True
    preserve_thinking: bool = False
    mask_history: bool = False

    @classmethod
    def of(cls, asked: Asked) -> Style:
        """Return what a recipe asks for."""
        return cls(asked.tool_format, asked.enable_thinking, asked.preserve_thinking, asked.mask_history)


class Template(Protocol):
    """How messages become the text that a model was, or shall be, trained on."""

    @property
    def name(self) -> str: ...

    @property
    def warning(self) -> str:
        """A sentence that the user should read, or nothing."""
        ...

    def pieces(
        self, conversations: Sequence[Conversation], tokenizer: PreTrainedTokenizerBase
    ) -> list[list[Piece] | str]:
        """Return one piece per message of each conversation, or the reason why it cannot be rendered.

        Prompts and answers take turns; what opens an answer belongs to the prompt. A conversation that ends with the
        user ends with a prompt. One with `rejected` has one more piece at the end, the worse answer.
        """
        ...

    def prompt_ids(self, messages: Sequence[Message], tokenizer: PreTrainedTokenizerBase, tools: str = "") -> list[int]:
        """Return the ids of a dialogue that ends with the user, ready for the model to answer; raises DataError."""
        ...

    def stop_ids(self, tokenizer: PreTrainedTokenizerBase) -> list[int]:
        """Return the ids that end an answer."""
        ...

    def late_end(self, tokenizer: PreTrainedTokenizerBase) -> int | None:
        """Return the id that ends answers but stands in none of them, or None where answers hold their end.

        LLaMA-Factory's efficient_eos: it is the label where the next turn begins, and the last token of the row.
        """
        ...


def encode_texts(texts: Iterable[str], tokenizer: PreTrainedTokenizerBase) -> dict[str, list[int]]:
    """Tokenise every different text once, in one call, without adding special tokens."""
    unique = list(dict.fromkeys(texts))
    if not unique:
        return {}
    encoded = tokenizer(unique, add_special_tokens=False, return_attention_mask=False, verbose=False)
    ids: list[list[int]] = encoded["input_ids"]
    return dict(zip(unique, ids, strict=True))


def ids_of(piece: Piece, encoded: Mapping[str | Text, list[int]]) -> list[int]:
    """Return the ids of one piece whose texts have been encoded."""
    if len(piece) == 1 and not isinstance(piece[0], int):
        return encoded[piece[0]]
    ids: list[int] = []
    for element in piece:
        ids.extend((element,) if isinstance(element, int) else encoded[element])
    return ids


def encode_pieces(
    rendered: Sequence[list[Piece] | str], tokenizer: PreTrainedTokenizerBase
) -> list[list[list[int]] | str]:
    """Return the ids of each piece of each conversation; reasons pass through, and new ones may join them."""
    elements = [e for pieces in rendered if not isinstance(pieces, str) for piece in pieces for e in piece]
    encoded: dict[str | Text, list[int]] = {}
    encoded.update(encode_texts((e for e in elements if isinstance(e, str)), tokenizer))
    refused: dict[Text, str] = {}
    for text in dict.fromkeys(e for e in elements if isinstance(e, Text)):
        try:
            encoded[text] = plain_ids(text, tokenizer)
        except Unspeakable as reason:
            refused[text] = str(reason)
    return [_encoded(pieces, encoded, refused) for pieces in rendered]


def _encoded(
    pieces: list[Piece] | str, encoded: Mapping[str | Text, list[int]], refused: Mapping[Text, str]
) -> list[list[int]] | str:
    if isinstance(pieces, str):
        return pieces
    if refused:
        for element in (e for piece in pieces for e in piece):
            if isinstance(element, Text) and element in refused:
                return refused[element]
    return [ids_of(piece, encoded) for piece in pieces]


def prompt_of(
    template: Template, messages: Sequence[Message], tokenizer: PreTrainedTokenizerBase, tools: str
) -> list[int]:
    """Return the ids of a dialogue that waits for an answer, from the pieces that training has; raises DataError."""
    system, turns = split_system(messages)
    [encoded] = encode_pieces(template.pieces([Conversation(tuple(turns), system, tools)], tokenizer), tokenizer)
    if isinstance(encoded, str):
        raise DataError(f"the dialogue cannot be shown to the model: {encoded}")
    return [token for ids in encoded for token in ids]


def split_system(messages: Sequence[Message]) -> tuple[str | None, list[Message]]:
    """Return the system text and the turns of a dialogue that waits for an answer; raises DataError."""
    turns = list(messages)
    system = turns.pop(0).content if turns and turns[0].role == "system" else None
    for number, message in enumerate(turns):
        if message.role not in (("assistant", "function") if number % 2 else ("user", "observation")):
            raise DataError(f"message {number + 1} of the dialogue is from the {message.role}, out of turn")
    if len(turns) % 2 == 0:
        raise DataError("the dialogue does not end with a message of the user")
    return system, turns


def known_ids(tokens: Iterable[str | None], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the ids of those `tokens` that are single tokens of this vocabulary, each once."""
    found = (id_of(token, tokenizer) for token in tokens if token is not None)
    return list(dict.fromkeys(each for each in found if each is not None))
