"""Questions as a model reads them: LLaMA-Factory's words in the model's template, examples as turns before.

The letters are the tokens with which an answer begins in the template that the model was tuned with: whether a blank
stands before them, and whether that blank is part of the token, follows from there and is not guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuitune.data.conversation import Conversation, Message
from tuitune.data.templates.base import encode_pieces
from tuitune.errors import DataError, ModelError
from tuitune.evaluate.choice_rows import LETTERS, Question

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tuitune.data.templates import Template

# lang -> what stands before the first question, and after the options
_WORDS = {
    "en": ("The following are multiple choice questions (with answers) about {subject}.\n\n", "\nAnswer:"),
    "zh": ("以下是中国关于{subject}考试的单项选择题，请选出其中的正确答案。\n\n", "\n答案："),
}


def asked(question: Question, lang: str) -> str:
    """Return a question with its options, as the user asks it."""
    options = "".join(f"\n{letter}. {text}" for letter, text in zip(question.letters, question.options, strict=True))
    return f"{question.text}{options}{_WORDS[lang][1]}"


def messages(question: Question, examples: Sequence[Question], subject: str, lang: str) -> list[Message]:
    """Return the dialogue that ends with the question: every example is a turn of its own, with its answer."""
    turns = [
        message
        for example in examples
        for message in (Message("user", asked(example, lang)), Message("assistant", example.answer))
    ]
    turns.append(Message("user", asked(question, lang)))
    return [Message("user", _WORDS[lang][0].format(subject=subject) + turns[0].content), *turns[1:]]


@dataclass(frozen=True)
class Letters:
    """The tokens of the letters A, B, ... where an answer begins; before: what the template puts in front of any."""

    ids: tuple[int, ...]
    before: tuple[int, ...] = ()

    @classmethod
    def of(cls, template: Template, tokenizer: PreTrainedTokenizerBase, count: int) -> Letters:
        """Return those of the first `count` letters. Raises ModelError where one is not a single token."""
        answers = [_answer(template, tokenizer, letter) for letter in LETTERS[:count]]
        common = 0
        while len({tuple(ids[: common + 1]) for ids in answers}) == 1 and common + 1 < min(map(len, answers)):
            common += 1
        firsts = tuple(ids[common] for ids in answers)
        texts = [str(tokenizer.decode([token])).strip() for token in firsts]
        if len(set(firsts)) < count or texts != list(LETTERS[:count]):
            raise ModelError(
                f"the answers {', '.join(LETTERS[:count])} are not one token each for this tokenizer in template "
                f"{template.name}, so they cannot be compared",
                "choose another template",
            )
        return cls(firsts, tuple(answers[0][:common]))


def _answer(template: Template, tokenizer: PreTrainedTokenizerBase, letter: str) -> list[int]:
    talk = Conversation((Message("user", "?"), Message("assistant", letter)))
    [pieces] = encode_pieces(template.pieces([talk], tokenizer), tokenizer)
    if isinstance(pieces, str):
        raise DataError(f"an answer cannot be shown to the model: {pieces}")
    return list(pieces[-1])
