"""What a template is: the text around messages, as pieces that are tokenised one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from tuitune.data.conversation import Conversation, Message
from tuitune.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Text to be tokenised, or the id of a token that stands for itself.
Piece = tuple[str | int, ...]


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
        """Return one piece per message of each conversation, or the reason why it cannot be rendered."""
        ...

    def prompt_ids(self, messages: Sequence[Message], tokenizer: PreTrainedTokenizerBase) -> list[int]:
        """Return the ids of a dialogue that ends with the user, ready for the model to answer; raises DataError."""
        ...

    def stop_ids(self, tokenizer: PreTrainedTokenizerBase) -> list[int]:
        """Return the ids that end an answer."""
        ...


def encode_texts(texts: Iterable[str], tokenizer: PreTrainedTokenizerBase) -> dict[str, list[int]]:
    """Tokenise every different text once, in one call, without adding special tokens."""
    unique = list(dict.fromkeys(texts))
    if not unique:
        return {}
    encoded = tokenizer(unique, add_special_tokens=False, return_attention_mask=False, verbose=False)
    ids: list[list[int]] = encoded["input_ids"]
    return dict(zip(unique, ids, strict=True))


def ids_of(piece: Piece, encoded: Mapping[str, list[int]]) -> list[int]:
    """Return the ids of one piece whose texts have been encoded."""
    if len(piece) == 1 and isinstance(piece[0], str):
        return encoded[piece[0]]
    ids: list[int] = []
    for element in piece:
        ids.extend(encoded[element] if isinstance(element, str) else (element,))
    return ids


def split_system(messages: Sequence[Message]) -> tuple[str | None, list[Message]]:
    """Return the system text and the turns of a dialogue that waits for an answer; raises DataError."""
    turns = list(messages)
    system = turns.pop(0).content if turns and turns[0].role == "system" else None
    for number, message in enumerate(turns):
        if message.role != ("assistant" if number % 2 else "user"):
            raise DataError(f"message {number + 1} of the dialogue is from the {message.role}, out of turn")
    if len(turns) % 2 == 0:
        raise DataError("the dialogue does not end with a message of the user")
    return system, turns


def known_ids(tokens: Iterable[str | None], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the ids of those `tokens` that are single tokens of this vocabulary, each once."""
    vocabulary = tokenizer.get_vocab()
    return list(dict.fromkeys(vocabulary[token] for token in tokens if token is not None and token in vocabulary))
