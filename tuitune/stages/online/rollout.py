"""Answers of the weights in training: sampled from the policy itself, in batches, stoppable between tokens."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import StoppingCriteria

from tuitune.errors import TrainingError
from tuitune.models.generate import borrowed
from tuitune.models.oom import is_out_of_memory
from tuitune.stages.online.answer import Answer
from tuitune.stages.online.draws import Choice, drawn

if TYPE_CHECKING:
    from torch import Tensor

    from tuitune.data import Example
    from tuitune.models.generate import Sampling
    from tuitune.stages.base import Surroundings

_ROOM = 2  # the keys and values of a token take about half of what training keeps of one
_TOLD = 8  # tokens between two looks at which have ended: a GPU is waited for then
Each = Callable[[int, list[int]], None]
# The policy's own distribution: what it learns from is what it says.
_OWN = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "repetition_penalty": 1.0}


def _nothing(place: int, answer: list[int]) -> None:
    """Take note of nothing."""


def sampling_of(around: Surroundings) -> Sampling:
    """Return how answers are sampled: as the policy would, where the recipe does not ask for anything else."""
    unasked = {key: value for key, value in _OWN.items() if key not in around.recipe.asked}
    return around.sampling.updated(unasked)


def say_sampling(around: Surroundings, longest: int) -> None:
    """Warn of sampling that is not the policy's own, and of answers that do not fit behind the longest prompt."""
    sampling = sampling_of(around)
    other = [f"{key}: {getattr(sampling, key):g}" for key in ("top_p", "top_k", "repetition_penalty")
             if getattr(sampling, key) != _OWN[key]]  # fmt: skip
    if other:
        around.warn(
            f"answers are sampled with {', '.join(other)}, which is not the distribution that learns from them",
            "the gradient is biased; leave these keys out",
        )
    most = getattr(around.model.config.get_text_config(), "max_position_embeddings", None)
    if most is not None and longest + sampling.max_new_tokens > most:
        around.warn(
            f"the longest prompt has {longest} tokens and answers up to {sampling.max_new_tokens}: more than the "
            f"{most} positions of this model",
            "lower max_new_tokens or cutoff_len",
        )


def answers(around: Surroundings, prompts: Sequence[Example], count: int, seed: int) -> list[Answer]:
    """Return `count` answers to each prompt, those to the first prompt first.

    May raise what `around.attend` raises (a stop), so a stage changes nothing of its own before this returns. Raises
    TrainingError when not even one answer fits into memory.
    """
    sampling = sampling_of(around)
    asked = [prompt for prompt in prompts for _ in range(count)]
    draws = drawn(seed, len(asked), sampling.max_new_tokens)
    rows = [prompt.sequences[0]["input_ids"] for prompt in asked]
    ids = _Rollout(around, sampling, draws).run(rows)
    return [answer_of(around, rows[i], ids[i], asked[i].columns) for i in range(len(asked))]


def likeliest(
    around: Surroundings,
    rows: Sequence[Sequence[int]],
    *,
    draws: Tensor | None = None,
    each: Each = _nothing,
    wanted: Collection[int] | None = None,
) -> list[list[int]]:
    """Return the greedy answer to each prompt, or with `draws` the sampled one. Raises as `answers` does.

    each: gets the place of a prompt and its answer soon after it has ended. wanted: the places of the prompts that
    still need an answer, where others have theirs; batches are cut as for all, so that no answer changes by that.
    """
    found = _Rollout(around, around.sampling, draws, phase="predict", each=each).run(rows, wanted)
    return [found[i] for i in sorted(found)]


def answer_of(
    around: Surroundings, prompt_ids: Sequence[int], ids: Sequence[int], columns: Mapping[str, Any]
) -> Answer:
    """Return an answer by its tokens, as words too."""
    ended = ids[-1] in around.template.stop_ids(around.tokenizer)
    return Answer(prompt_ids, ids, _text(around, prompt_ids), _text(around, ids), ended, columns)


def _text(around: Surroundings, ids: Sequence[int]) -> str:
    text = around.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert isinstance(text, str)
    return text


class _Rollout:
    """Samples rows in batches that fit; a batch that does not is cut in two. Without draws it takes the likeliest."""

    def __init__(
        self,
        around: Surroundings,
        sampling: Sampling,
        draws: Tensor | None,
        *,
        phase: str = "rollout",
        each: Each = _nothing,
    ) -> None:
        self._around, self._sampling, self._draws, self._phase = around, sampling, draws, phase
        self._each = each
        self._room = _ROOM * around.tokens_per_batch()

    def run(self, rows: Sequence[Sequence[int]], wanted: Collection[int] | None = None) -> dict[int, list[int]]:
        """Return the answer of each row, by its place; wanted: of these only."""
        found: dict[int, list[int]] = {}
        asked = set(range(len(rows)) if wanted is None else wanted)

        def ended(answers: Mapping[int, list[int]]) -> None:
            for place in sorted((answers.keys() & asked) - found.keys()):
                found[place] = answers[place]
                self._each(place, answers[place])
            self._around.progress(self._phase, len(found), len(asked))

        left = sorted(range(len(rows)), key=lambda i: -len(rows[i]))  # what does not fit shows at once
        while left:
            size = min(len(left), max(1, self._room // (len(rows[left[0]]) + self._sampling.max_new_tokens)))
            batch = left[:size]
            try:
                if not asked.isdisjoint(batch):
                    ended(dict(zip(batch, self._sampled([rows[i] for i in batch], batch, ended), strict=True)))
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            else:
                left = left[size:]
                continue
            self._smaller(size, len(rows[left[0]]))  # out here the traceback is gone, and with it the memory
            left = [place for place in left if place in asked and place not in found]
        return found

    def _smaller(self, size: int, longest: int) -> None:
        if size == 1:
            raise TrainingError(
                f"not even one answer of up to {self._sampling.max_new_tokens} tokens to a prompt of {longest} fits "
                "into memory",
                "lower max_new_tokens or cutoff_len",
            )
        self._room = size // 2 * (longest + self._sampling.max_new_tokens)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._around.note(f"memory is short: {size // 2} answers at once from now on, in this buffer")

    def _sampled(
        self, rows: Sequence[Sequence[int]], places: Sequence[int], ended: Callable[[Mapping[int, list[int]]], None]
    ) -> list[list[int]]:
        around, sampling = self._around, self._sampling
        tokenizer, stop_ids = around.tokenizer, around.template.stop_ids(around.tokenizer)
        device = next(around.model.parameters()).device
        ids, mask = _left_padded(rows, tokenizer.pad_token_id or 0, device)
        config = sampling.config(tokenizer.pad_token_id, stop_ids)
        config.do_sample, config.temperature, config.top_p, config.top_k = False, 1.0, 1.0, 50  # `Choice` samples
        width = ids.shape[1]

        def told(made: Tensor, which: Sequence[int]) -> None:
            ended({places[i]: _until_end(made[i, width:].tolist(), set(stop_ids)) for i in which})

        draws = self._draws
        choice = [] if draws is None else [Choice(draws[list(places)].to(device), sampling)]
        with around.precision(), borrowed(around.model, device, 0):
            made = around.model.generate(
                input_ids=ids, attention_mask=mask, generation_config=config, logits_processor=choice,
                stopping_criteria=[_Attending(around, torch.tensor(stop_ids, device=device), told)],
            )  # fmt: skip
        return [_until_end(row, set(stop_ids)) for row in made[:, width:].tolist()]


def _left_padded(rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return ids and mask (rows, width): what is new shall stand side by side."""
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, width - len(row) :], mask[i, width - len(row) :] = torch.tensor(row), 1
    return ids.to(device), mask.to(device)


def _until_end(ids: list[int], stop: set[int]) -> list[int]:
    for place, token in enumerate(ids):
        if token in stop:
            return ids[: place + 1]
    return ids


class _Attending(StoppingCriteria):
    """Ends nothing by itself; the run's inbox is obeyed after every token, and told is which answers have ended."""

    def __init__(self, around: Surroundings, stop: Tensor, tell: Callable[[Tensor, Sequence[int]], None]) -> None:
        self._around, self._stop, self._tell = around, stop, tell
        self._ended: Tensor | None = None
        self._told: set[int] = set()
        self._calls = 0

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        self._around.attend()
        now = torch.isin(input_ids[:, -1], self._stop)
        self._ended = now if self._ended is None else self._ended | now
        self._calls += 1
        if self._calls % _TOLD == 0:
            fresh = [row for row in self._ended.nonzero()[:, 0].tolist() if row not in self._told]
            self._told.update(fresh)
            self._tell(input_ids, fresh)
        self._around.token(self._calls)
        return torch.zeros_like(now)
