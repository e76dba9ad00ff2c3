"""Runs on disk as an engine leaves them, for what shows them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tuitune.run import Journal, RunDir, State, events
from tuitune.run.state import Status

T0 = 1_795_370_000.0
RECIPE = "model_name_or_path: smollm2-135m\ndataset: identity\nlr_scheduler_type: cosine\nnum_train_epochs: 3\n"


def loss_at(step: int) -> float:
    """A loss that falls from 3 to 0.5."""
    return 2.5 * math.exp(-step / 40) + 0.5


def logged(step: int, loss: float | None = None, **more: float | None) -> events.StepLogged:
    """A step of a run that takes a second for each."""
    values: dict[str, float | None] = {
        "learning_rate": 1e-4 * min(1.0, step / 20), "grad_norm": 1.0, "tokens_per_second": 5000.0, **more,
    }  # fmt: skip
    loss = loss_at(step) if loss is None else loss
    return events.StepLogged(
        step,
        step / 100,
        loss,
        tokens=1000,
        step_seconds=1.0,
        t=T0 + 20 + step,
        **values,  # type: ignore[arg-type]
    )


def opening(total: int = 300) -> list[events.Event]:
    """What an attempt says before its first step."""
    return [
        events.RunStarted(1, 0, None, "r", "smollm2-135m", "sft", "lora", pid=os.getpid(), t=T0),
        events.PhaseStarted("prepare", "smollm2-135m", t=T0),
        events.PhaseStarted("tokenize", t=T0 + 2),
        events.Progress("tokenize", 91, 91, t=T0 + 3),
        events.PhaseStarted("load", "smollm2", t=T0 + 4),
        events.PhaseStarted("train", f"{total} steps", t=T0 + 20),
    ]


def steps(first: int, last: int) -> list[events.Event]:
    """Logged steps, an evaluation after every fiftieth."""
    found: list[events.Event] = []
    for step in range(first, last + 1):
        found.append(logged(step))
        if step % 50 == 0:
            found.append(events.EvalLogged(step, step / 100, loss_at(step) + 0.05, t=T0 + 20 + step))
    return found


def online(first: int, last: int, stage: str = "grpo", total: int = 300) -> list[events.Event]:
    """What a run that learns from rewards says: its opening if it begins, steps with figures, answers, evaluations."""
    found: list[events.Event] = []
    if first == 1:
        found = [replace(event, stage=stage) if isinstance(event, events.RunStarted) else event
                 for event in opening(total)]  # fmt: skip
    for step in range(first, last + 1):
        reward = 1.2 - math.exp(-step / 60)
        figures = {
            "reward": reward, "kl": step / 4000, "entropy": 2.0 - reward, "completions/mean_length": 120.0 + step / 10,
            "rewards/exact/mean": reward / 2, "rewards/reward_short/mean": 0.25, "reward_std": 0.3,
        }  # fmt: skip
        found.append(answered(step, reward))
        found.append(replace(logged(step, loss=0.01 * math.sin(step)), metrics=figures))
        if step % 50 == 0:
            evaluated = {"eval_reward": reward - 0.1, "eval_kl": step / 4000}
            found.append(events.EvalLogged(step, step / 100, 0.0, evaluated, t=T0 + 20 + step))
    return found


def answered(step: int, reward: float = 0.5) -> events.Sampled:
    """Four answers to a prompt of a step; the second is the best, the third has no reward."""
    texts = [
        "It is 12.",
        "<think>\n6 and 7 make 13, for 6 + 6 = 12 and one more.\n</think>\n13",
        "\x1b]0;evil\x07[/b]",
        "13" * 90,
    ]
    worth = [reward - 0.4, reward + 0.5, math.nan, reward]
    parts = {"exact": [0.0, 1.0, math.nan, 1.0], "reward_short": [0.1, 0.2, math.nan, -0.5]}
    prompt = f"Ann has 6 apples and gets 7 more on day {step}. How many has she now?"
    return events.Sampled(step, prompt, texts, worth, parts, "6 + 7 = 13\n#### 13", t=T0 + 20 + step)


def run_with(path: Path, found: Iterable[events.Event], status: Status | None = "running", **state: int) -> RunDir:
    """Make a run whose journal holds these events and whose state says so."""
    run = RunDir.create(path / "run", RECIPE)
    append(run, found)
    if status is not None:
        tell(run, status, **state)
    return run


def append(run: RunDir, found: Iterable[events.Event]) -> None:
    """Write events as an engine does."""
    with Journal(run.events) as journal:
        for event in found:
            journal.append(event)


def tell(run: RunDir, status: Status, *, step: int = 0, total: int = 300, pid: int = 0) -> None:
    """Write the sign of life of this very process, or of one that is no more."""
    state = replace(State.here(), status=status, step=step, total_steps=total)
    if pid:
        state = replace(state, pid=pid, started=1.0)
    state.write(run.state)
