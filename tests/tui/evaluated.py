"""A run with evaluations of it, hand made, for the Evaluate screen."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.tui.runs import RECIPE, append, opening, steps, tell
from tuitune.run import RunDir, evaluations, events, manifest
from tuitune.run.evaluation import DATA, Data, Difference, Estimate, Evaluation, Item, Metric, Model, Reply, Status

EVIL = "a\x1b]0;PWN\x07[@click=app.quit]b\u202e"
TUNED, BASE = Model("tuned", "a, final", "tuned", "m", ("a/final",)), Model("base", "m, before training", "base", "m")
ROWS = [
    ("Who are you?", "I am Nova, made by Iris.", "I am Nova, made by Iris.", "I am SmolLM, made by a team."),
    ("What is your name?", "My name is Nova.", "My name is Ava.", "I don't know."),
    ("你是谁？", "我是诺瓦，由爱丽丝开发。", "我是诺瓦，由爱丽丝开发。", "我是小爱，由小米开发。"),
    (EVIL, "Kept out.", EVIL, "[/nope] \x1b[31mred"),
]


def a_run(folder: Path, name: str = "a") -> RunDir:
    """Return a run with a result, which is whole as far as names and sizes tell."""
    run = RunDir.create(folder / name, RECIPE)
    ended = events.RunFinished(30, 33.0, "finished", "final", {}, t=1_795_370_400.0)
    append(run, [*opening(30), *steps(1, 30), ended])
    tell(run, "finished", step=30, total=30)
    made = manifest.temporary(run.path, 30)
    (made / "adapter_config.json").write_text("{}")
    manifest.seal(made, run.final, {}, step=30, attempt=1)
    return run


def data_items(rows: Sequence[tuple[str, str, str, str]] = ROWS) -> list[Item]:
    """Return rows as an evaluation answers them: with a loss, and a measure of likeness."""
    return [
        Item(
            DATA, f"identity.json:{n + 1}", "", prompt, reference,
            {
                "tuned": Reply(own, {"loss": 0.1 + 0.3 * n, "rouge-l": 100.0 if own == reference else 40.0}, 9, True),
                "base": Reply(other, {"loss": 3.0 - 0.2 * n, "rouge-l": 10.0 * n}, 12, n != 1),
            },
        )
        for n, (prompt, reference, own, other) in enumerate(rows)
    ]  # fmt: skip


def questions(count: int = 40) -> list[Item]:
    """Return answers to a multiple-choice benchmark with two subjects."""
    draw = random.Random(3)
    items = []
    for n in range(count):
        right = draw.choice("ABCD")
        said = {key: right if draw.random() < share else "D" for key, share in (("tuned", 0.9), ("base", 0.3))}
        replies = {key: Reply(word, {"right": float(word == right)}) for key, word in said.items()}
        items.append(Item("mmlu_test", f"q:{n}", ("anatomy", "virology")[n % 2], f"Question {n}?", right, replies))
    return items


def metrics() -> tuple[Metric, ...]:
    clear = Difference("base", -2.4, -2.9, -1.9, "better")
    return (
        Metric(DATA, "loss", "loss", "", "less", "Mean over tokens; bootstrap over rows.",
               {"tuned": Estimate(0.55, 0.21, 0.93, 4), "base": Estimate(2.95, 2.6, 3.4, 4)}, {"tuned": clear}),
        Metric(DATA, "rouge-l", "ROUGE-L", "", "more", "F1 of the longest common subsequence.",
               {"tuned": Estimate(70.0, 40.0, 95.0, 4), "base": Estimate(15.0, 2.0, 45.0, 4)},
               {"tuned": Difference("base", 55.0, -3.0, 80.0, "unclear")}),
        Metric("mmlu_test", "average", "average", "%", "more", "Right answers of 40; Wilson.",
               {"tuned": Estimate(90.0, 76.9, 96.0, 40), "base": Estimate(45.0, 30.7, 60.2, 40)},
               {"tuned": Difference("base", 45.0, 26.0, 60.0, "better")}),
    )  # fmt: skip


def evaluated(
    run: RunDir,
    name: str = "20261123-050000-a",
    *,
    items: Sequence[Item] | None = None,
    status: Status = "done",
    figures: Sequence[Metric] | None = None,
    notes: Sequence[str] = ("the run held no rows back",),
) -> Path:
    """Write an evaluation into a run, and return its folder."""
    folder = run.path / "evaluations" / name
    folder.mkdir(parents=True)
    found = Evaluation(
        folder, str(run.path), "a", 1_795_370_500.0, status, (TUNED, BASE),
        Data("identity", "held_out", 4, 4, "All 4 rows of identity that the run held back.", "sft"), ("mmlu_test",),
        tuple(metrics() if figures is None else figures), tuple(notes), ("tuned is better than base in loss.",), 12.0,
    )  # fmt: skip
    here = psutil.Process(os.getpid())
    evaluations.write(found, pid=here.pid, born=here.create_time())
    chosen = [*data_items(), *questions()] if items is None else items
    (folder / "predictions.jsonl").write_bytes(b"".join(map(evaluations.line_of, chosen)))
    return folder
