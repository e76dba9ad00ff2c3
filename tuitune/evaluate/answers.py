"""What a model answers to the prompts of the rows: greedily, or as the recipe samples; batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.errors import DataError
from tuitune.models.generate import Sampling
from tuitune.stages.base import Surroundings
from tuitune.stages.online.draws import drawn
from tuitune.stages.online.rollout import likeliest
from tuitune.stages.predict import last_answer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tuitune.data import Example
    from tuitune.evaluate.partners import Partner
    from tuitune.evaluate.scores import Around
    from tuitune.recipe import Recipe

_LEAST = 64  # tokens that an answer may have in any case
_TWICE = 2  # times the longest answer of the data


@dataclass(frozen=True)
class Question:
    """A row's prompt, as tokens, and what the data answers, as text."""

    id: str
    prompt: list[int]
    reference: str


@dataclass(frozen=True)
class Said:
    """An answer: its text without control marks, its tokens, and whether it ended by itself."""

    text: str
    tokens: int
    ended: bool


def questions(
    examples: Sequence[Example], ids: Sequence[str], tokenizer: PreTrainedTokenizerBase, stop: Collection[int]
) -> tuple[list[Question], int]:
    """Return what is asked, and the tokens of the longest answer of the data; rows without a prompt are left out.

    stop: tokens that end an answer; what a template writes behind them is no part of it.
    """
    found, longest = [], 0
    for name, example in zip(ids, examples, strict=True):
        asked = last_answer(example.sequences[0])
        if asked is not None:
            end = next((place for place, token in enumerate(asked.answer) if token in stop), len(asked.answer))
            found.append(Question(name, asked.prompt, text_of(asked.answer[:end], tokenizer)))
            longest = max(longest, len(asked.answer))
        elif not any(label >= 0 for label in example.sequences[0]["labels"]):  # a prompt alone
            reference = example.columns.get("answer", example.columns.get("output"))
            prompt = list(example.sequences[0]["input_ids"])
            found.append(Question(name, prompt, "" if reference is None else str(reference)))
    return found, longest


def text_of(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> str:
    """Return tokens as text, without control marks; a lone surrogate, which no file can hold, is replaced."""
    text = str(tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))
    return text.encode("utf-8", "replace").decode()


def sampling_of(recipe: Recipe, longest: int, *, sample: bool) -> Sampling:
    """Return how answers are made; where the recipe sets no limit: twice the longest answer of the data, if known."""
    most = recipe.max_new_tokens
    if "max_new_tokens" not in recipe.asked and longest:
        most = min(most, max(_LEAST, _TWICE * longest))
    return Sampling(
        most, recipe.temperature, recipe.top_p, recipe.top_k, sample, recipe.repetition_penalty, seed=recipe.seed,
        skip_special_tokens=True,
    )  # fmt: skip


def fitting(sampling: Sampling, questions: Sequence[Question], partner: Partner, around: Around) -> Sampling:
    """Return the sampling with answers that fit behind the longest prompt. Raises DataError where none does."""
    longest = max(len(question.prompt) for question in questions)
    if partner.context is None or longest + sampling.max_new_tokens <= partner.context:
        return sampling
    room = partner.context - longest
    if room < 1:
        raise DataError(
            f"{partner.key}: the longest prompt has {longest} tokens, and the model was made for {partner.context}",
            "lower cutoff_len",
        )
    around.note(f"{partner.key}: answers end after {room} tokens, where the model's {partner.context} places end")
    return sampling.updated({"max_new_tokens": room})


def ask(
    partner: Partner,
    questions: Sequence[Question],
    left: Collection[int],
    sampling: Sampling,
    around: Around,
    told: Callable[[Question, Said], None],
) -> None:
    """Tell each answer soon after it has ended; memory that runs out halves how many are made at once.

    left: the places of the questions without an answer. They go through in the batches of all of them, so that one of
    which a part is there is made whole again: in another batch an answer may be rounded to other words.
    """
    if not left:
        return
    stage, most, tokenizer = f"answers, {partner.key}", sampling.max_new_tokens, partner.tokenizer
    stop = set(partner.template.stop_ids(tokenizer))
    draws = drawn(sampling.seed or 0, len(questions), most) if sampling.do_sample else None

    def each(place: int, ids: list[int]) -> None:
        told(questions[place], Said(text_of(ids, tokenizer), len(ids), ids[-1] in stop))

    around.progress(stage, 0, len(left))
    surroundings = surroundings_of(partner, around, sampling=sampling)
    surroundings.progress = lambda _, done, total: around.progress(stage, done, total)
    surroundings.token = lambda number: around.within(f"token {number:,} of up to {most:,}")
    likeliest(surroundings, [question.prompt for question in questions], draws=draws, each=each, wanted=left)


def surroundings_of(
    partner: Partner, around: Around, *, sampling: Sampling | None = None, recipe: Recipe | None = None
) -> Surroundings:
    """Return what the stages' own work needs to know of a model."""
    return Surroundings(
        partner.model, partner.path, partner.tokenizer, partner.template, recipe or around.recipe,
        sampling or Sampling(), Path(), tokens_per_batch=around.tokens_per_batch, attend=around.check,
        note=around.note, warn=lambda text, hint="": around.note(f"{text}; {hint}" if hint else text),
    )  # fmt: skip
