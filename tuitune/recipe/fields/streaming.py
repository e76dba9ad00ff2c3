"""What does not go together with rows that are read while training."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tuitune.recipe.fields.online import ONLINE
from tuitune.recipe.option import Rule

if TYPE_CHECKING:
    from tuitune.recipe.recipe import Recipe


def _streaming(key: str, unfit: Callable[[Recipe], bool], reason: str, hint: str) -> Rule:
    return Rule(("streaming", key), lambda r: r.streaming and unfit(r), reason, hint)


STREAMING: tuple[Rule, ...] = (
    _streaming(
        "max_steps",
        lambda r: r.max_steps < 0,
        "reads rows while training, so nobody knows how many steps an epoch has",
        "set max_steps",
    ),
    _streaming(
        "stage",
        lambda r: r.stage in ONLINE,
        "is for learning from answers that are there: ppo, grpo and rloo take few prompts and write their own",
        "remove streaming",
    ),
    _streaming(
        "max_samples",
        lambda r: r.max_samples is not None,
        "ends at max_steps, max_samples at so many rows",
        "remove max_samples, or streaming: so few rows are quickly prepared",
    ),
    _streaming(
        "tokenized_path",
        lambda r: r.tokenized_path is not None,
        "keeps no tokenised rows that could be written to tokenized_path",
        "keep one of them",
    ),
    _streaming(
        "val_size",
        lambda r: 0 < r.val_size < 1,
        "cannot hold back a share of rows that nobody has counted",
        "give val_size as a number of rows: the first ones are taken",
    ),
    _streaming(
        "eval_strategy",
        lambda r: "epoch" in (r.eval_strategy, r.save_strategy),
        "has no epochs: passes over the data end in the middle of steps",
        "set eval_strategy: steps and save_strategy: steps",
    ),
)
