"""What the answers to a run's prompts are worth: the reward functions of its recipe, as its training applied them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tuitune.evaluate.answers import surroundings_of
from tuitune.stages.online.answer import Answer
from tuitune.stages.online.rewards import Rewards, rewards_of

if TYPE_CHECKING:
    from tuitune.evaluate.partners import Partner
    from tuitune.evaluate.scores import Around
    from tuitune.run.evaluation import Item

TOTAL = "reward"


def wanted(partner: Partner, around: Around) -> Rewards | None:
    """Return the rewards that the recipe asks for, None where it has none that could be asked here.

    Raises UsageError with what is wrong with them.
    """
    recipe = around.recipe
    if recipe.reward_model:
        around.note("what the reward model says of the answers is left out: only reward functions are asked")
    if not recipe.reward_functions and not recipe.reward_file:
        return None
    weights = recipe.reward_weights.split(",") if recipe.reward_weights else []
    update: dict[str, str | None] = {"reward_model": None}
    if recipe.reward_model and weights:
        update["reward_weights"] = ",".join(weights[:-1])  # the last is the model's
    plain = recipe.model_copy(update=update)
    return rewards_of(surroundings_of(partner, around, recipe=plain))


def names_of(rewards: Rewards) -> list[str]:
    """Return the names of the scores."""
    return list(rewards.names) if len(rewards.names) == 1 else [TOTAL, *rewards.names]


def judged(
    rewards: Rewards, items: Sequence[Item], columns: Mapping[str, Mapping[str, Any]], partner: Partner
) -> list[dict[str, float]]:
    """Return the scores of each row's answer. Raises TrainingError where a function of the user's own fails."""
    answers = [_answer(item, columns.get(item.id, {}), partner) for item in items]
    found = rewards(answers)
    named = found.parts if len(rewards.names) == 1 else {TOTAL: found.totals, **found.parts}
    return [{name: values[place] for name, values in named.items()} for place in range(len(items))]


def _answer(item: Item, columns: Mapping[str, Any], partner: Partner) -> Answer:
    reply, encode = item.answers[partner.key], partner.tokenizer.encode
    ids = encode(reply.text or "", add_special_tokens=False)
    prompt = encode(item.prompt, add_special_tokens=False)
    return Answer(prompt, ids, item.prompt, reply.text or "", bool(reply.ended), columns)
