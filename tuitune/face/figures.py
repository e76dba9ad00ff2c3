"""The stages' own figures for the eye: which tell most, what they are called in few cells, what the large curve shows.

The names are those of the journal (StepLogged.metrics), which are trl's; an evaluation puts `eval_` before them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

LOSS = "loss"
EVAL = "eval_"
_PAIRS = ("rewards/accuracies", "rewards/margins")
_ONLINE = ("reward", "kl", "entropy")

# The telling ones of each stage, the most telling first.
_TELLING: Mapping[str, tuple[str, ...]] = {
    "rm": _PAIRS,
    "dpo": _PAIRS,
    "orpo": _PAIRS,
    "simpo": _PAIRS,
    "kto": ("rewards/margins", "kl"),
    "ppo": _ONLINE,
    "grpo": (*_ONLINE, "completions/mean_length"),
    "rloo": (*_ONLINE, "completions/mean_length"),
}
# A name of at most five cells, and one for a line of text.
_NAMES: Mapping[str, tuple[str, str]] = {
    LOSS: ("loss", "loss"),
    "reward": ("rewrd", "reward"),
    "reward_std": ("±rew", "reward std"),
    "frac_reward_zero_std": ("alike", "alike"),
    "kl": ("kl", "kl"),
    "kl_coef": ("kl β", "kl weight"),
    "entropy": ("entr", "entropy"),
    "rewards/margins": ("margn", "margin"),
    "rewards/accuracies": ("acc", "acc"),
    "rewards/chosen": ("chosn", "chosen"),
    "rewards/rejected": ("rejct", "rejected"),
    "logps/chosen": ("lp ch", "logps chosen"),
    "logps/rejected": ("lp rj", "logps rejected"),
    "completions/mean_length": ("len", "length"),
    "completions/clipped_ratio": ("cut", "cut off"),
    "clip_ratio/low_mean": ("clip-", "clipped low"),
    "clip_ratio/high_mean": ("clip+", "clipped high"),
    "clip_ratio/region_mean": ("clip", "clipped"),
    "policy/clipfrac": ("clip", "clipped"),
    "policy/approx_kl": ("moved", "moved"),
    "policy/loss": ("polcy", "policy loss"),
    "value/loss": ("value", "value loss"),
}
_CELLS = 5


def main(stage: str) -> str:
    """Return what the large curve of a stage shows: the reward where the loss says little, else the loss."""
    return "reward" if stage in ("ppo", "grpo", "rloo") else LOSS


def telling(stage: str, known: Iterable[str]) -> list[str]:
    """Return those of the known figures that tell most of a stage."""
    there = set(known)
    return [name for name in _TELLING.get(stage, ()) if name in there]


def others(stage: str, known: Iterable[str]) -> list[str]:
    """Return the known figures that do not tell most, in the order given."""
    first = _TELLING.get(stage, ())
    return [name for name in known if name not in first]


def label(name: str) -> str:
    """Return a name of at most five cells; foreign ones (the user's reward functions) are cut."""
    found = _NAMES.get(name)
    return found[0] if found else _own(name)[:_CELLS]


def word(name: str) -> str:
    """Return a name for a line of text."""
    found = _NAMES.get(name)
    return found[1] if found else _own(name)


def _own(name: str) -> str:
    return name.removeprefix("rewards/").removesuffix("/mean").removeprefix("reward_")
