"""Every optimizer and schedule that a recipe may name does what transformers makes of it, and resumes exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from tests.engine.given import journal, losses, same, start, weights
from tests.engine.test_run import stop_after
from tuitune.engine.run import run
from tuitune.recipe import FIELDS
from tuitune.recipe.fields.schedule import Scheduler
from tuitune.run import events

NEEDS: dict[str, Any] = {
    "cosine_with_min_lr": {"min_lr": 1e-4},
    "cosine_warmup_with_min_lr": {"min_lr": 1e-4},
    "warmup_stable_decay": {"num_decay_steps": 2},
    "greedy": {"min_lr": 1e-6},
}
FOLLOWS = {"eval_strategy": "steps", "eval_steps": 2, "val_size": 0.2}


@pytest.mark.parametrize("name", get_args(Scheduler))
def test_every_schedule_gives_the_rates_of_transformers(root: Path, name: str) -> None:
    import torch
    from transformers import get_scheduler

    more: dict[str, Any] = {"lr_scheduler_type": name, "max_steps": 6, "warmup_steps": 2}
    if name in NEEDS:
        more["lr_scheduler_kwargs"] = NEEDS[name]
    follows = name in ("reduce_lr_on_plateau", "greedy")
    if follows or name == "constant":
        del more["warmup_steps"]
        more["warmup_steps"] = 0
    it = start(root, **more, **(FOLLOWS if follows else {}))
    outcome = run(it)
    assert outcome.status == "finished", outcome
    rates = [e.learning_rate for e in journal(it, events.StepLogged)]
    assert len(rates) == 6
    if follows:
        assert rates[0] == pytest.approx(5e-3)
        return
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=5e-3)
    warm = 0 if name == "constant" else 2
    plain = get_scheduler(name, optimizer, warm, 6, scheduler_specific_kwargs=NEEDS.get(name))
    for rate in rates:
        assert rate == pytest.approx(plain.get_last_lr()[0], rel=1e-9, abs=1e-15)
        optimizer.step()
        plain.step()


@pytest.mark.parametrize("name", FIELDS["optim"].choices)
def test_every_optimizer_trains_and_resumes_exactly(root: Path, name: str) -> None:
    more = {"optim": name, "max_steps": 4, "learning_rate": 1e-3, "weight_decay": 0.1}
    whole, broken = start(root, "whole", **more), start(root, "broken", **more)
    outcome = run(whole)
    assert outcome.status == "finished", outcome
    assert run(broken, on_session=stop_after(2)).status == "stopped"
    assert run(broken).status == "finished"
    assert losses(broken) == losses(whole)
    assert same(weights(broken.final), weights(whole.final))
    first, last = losses(whole)[1][0], losses(whole)[4][0]
    assert first != last
