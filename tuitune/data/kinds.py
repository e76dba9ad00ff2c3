"""What each kind of data becomes: from the ids of a row's pieces to the sequences that are kept of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from tuitune.data.conversation import Conversation, Message
from tuitune.data.truncate import Cut, Masking, Turn, cut, cut_answers, cut_prompt

if TYPE_CHECKING:
    from tuitune.data.options import Kind

TOO_SHORT = "nothing is left to train on after cutting to cutoff_len"
UNMARKED = "no answer in it is marked to be learnt"
MESSAGES = "prompt_messages"  # the column with what a prompt was made of, as a list of role and content


@dataclass(frozen=True, slots=True)
class Encoded:
    """What is kept of one row. label: prompt and answer apart and uncut, see `with_other`; text: the whole document."""

    sequences: tuple[Cut, ...]
    lost: int = 0
    dropped_turns: int = 0
    desirable: bool | None = None
    columns: dict[str, Any] = field(default_factory=dict)


Encode = Callable[[Conversation, list[list[int]], Masking], "Encoded | str"]


def of_answers(talk: Conversation, pieces: list[list[int]], masking: Masking) -> Encoded | str:
    """Return a dialogue whose answers are learnt, or why it cannot be."""
    turns: list[Turn] = list(zip(pieces[::2], pieces[1::2], strict=True))
    trained = [message.trained for message in talk.messages[1::2]]
    if not (masking.train_on_prompt or any(trained[-1:] if masking.mask_history else trained)):
        return UNMARKED
    row = cut(turns, masking, trained)
    if not any(row.labelled):
        return _too_short(masking)
    return Encoded((row,), row.lost, row.dropped_turns)


def of_pair(talk: Conversation, pieces: list[list[int]], masking: Masking) -> Encoded | str:
    """Return the better and the worse answer to one prompt."""
    *prompts, chosen, rejected = pieces
    prompt = list(chain.from_iterable(prompts))
    rows = cut_answers(prompt, (chosen, rejected), masking)
    if not all(any(row.labelled) for row in rows):
        return _too_short(masking)
    return Encoded(tuple(rows), sum(row.lost for row in rows))


def of_label(talk: Conversation, pieces: list[list[int]], masking: Masking) -> Encoded | str:
    """Return prompt and answer apart, once it is sure that something of the answer will be left."""
    prompt, answer = list(chain.from_iterable(pieces[:-1])), pieces[-1]
    own = cut_answers(prompt, (answer,), masking)[0]
    if not any(own.labelled):
        return _too_short(masking)
    parts = (Cut(prompt, [0] * len(prompt)), Cut(answer, [1] * len(answer)))
    return Encoded(parts, own.lost, desirable=bool(talk.desirable))


def of_prompt(talk: Conversation, pieces: list[list[int]], masking: Masking) -> Encoded | str:
    """Return the prompt with the opening of its answer, and what reward functions may look at."""
    row = cut_prompt(list(chain.from_iterable(pieces)), masking)
    said = [Message("system", talk.system)] if talk.system else []
    messages = [{"role": each.role, "content": each.content} for each in (*said, *talk.messages)]
    return Encoded((row,), row.lost, columns={MESSAGES: messages, **talk.columns})


def with_other(prompt: list[int], answer: list[int], other: list[int], masking: Masking) -> tuple[Cut, Cut]:
    """Return kto's two sequences: the prompt with its own answer, and with that of another row."""
    return cut_answers(prompt, (answer,), masking)[0], _something_of(prompt, other, masking)


def _something_of(prompt: list[int], answer: list[int], masking: Masking) -> Cut:
    # The share of an answer that comes with a much longer prompt may be rounded to no token at all.
    row = cut_answers(prompt, (answer,), masking)[0]
    return row if any(row.labelled) else cut_answers(prompt[: masking.room - 1], (answer,), masking)[0]


ENCODERS: dict[Kind, Encode] = {"answer": of_answers, "pair": of_pair, "label": of_label, "prompt": of_prompt}


def document(ids: Sequence[int], bos: int | None, eos: int | None) -> Encoded:
    """Return a text with its end token, and its first one where the tokenizer writes one; all of it is learnt."""
    whole = [*(() if bos is None else (bos,)), *ids, *(() if eos is None else (eos,))]
    return Encoded((Cut(whole, [1] * len(whole)),))


def _too_short(masking: Masking) -> str:
    return f"{TOO_SHORT} {masking.cutoff_len}"
