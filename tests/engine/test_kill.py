"""SIGKILL at random moments, also inside a save: the run resumes each time and ends as if nothing had happened."""

from __future__ import annotations

import multiprocessing
import random
import signal
from pathlib import Path

from tests.engine import child
from tests.engine.given import journal, losses, same, start, weights
from tuitune.run import events
from tuitune.run.directory import RunDir
from tuitune.run.state import State, liveness

KILLS = 10
HARD = {
    "lora_dropout": 0.2,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 2,
    "lr_scheduler_type": "cosine",
    "max_steps": 60,
    "save_strategy": "steps",
    "save_steps": 2,
    "save_total_limit": 3,
    "tokens_per_batch": 60,
}


def steps_done(run: RunDir) -> int:
    return max((e.step for e in journal(run, events.StepLogged)), default=0)


def test_ten_kills_and_the_end_is_bit_equal(root: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tuitune.engine.build", "peft"])
    whole, broken = start(root, "whole", **HARD), start(root, "broken", **HARD)

    def begin(run: RunDir, die: child.AfterStep | int | None = None) -> multiprocessing.process.BaseProcess:
        process = context.Process(target=child.train, args=(str(run.path), die))
        process.start()
        return process

    calm = begin(whole)
    draw = random.Random(11)
    for kill in range(KILLS):
        if kill % 3 == 2:
            process = begin(broken, draw.randint(1, 3))
        else:
            done = steps_done(broken)
            process = begin(broken, child.AfterStep(done + draw.randint(0, 5), done, draw.random() * 0.1))
        process.join(300)
        assert process.exitcode == -signal.SIGKILL
        assert liveness(State.read(broken.state)) == "crashed"
    last = begin(broken)
    for process in (last, calm):
        process.join(300)
        assert process.exitcode == 0
    assert same(weights(broken.final), weights(whole.final))
    assert losses(broken) == losses(whole)
    # Every attempt went on from a checkpoint, none quietly from the beginning once there was one.
    attempts = journal(broken, events.RunStarted)
    begun = [event.step for event in attempts]
    assert attempts[-1].attempt == KILLS + 1
    assert begun == sorted(begun)
    assert begun[-1] > 0
    assert not list(broken.path.glob(".tmp-*"))
