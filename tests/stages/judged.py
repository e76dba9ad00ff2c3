"""Hand-made examples of the stages that learn from judgements, and ways through the tiny model."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tests.engine.given import WORDS, recipe_text
from tests.tiny import tiny_model
from tuitune.data import Example, Examples
from tuitune.data.rows import IGNORED, Row, RowsBuilder
from tuitune.models import attention, paths, probe
from tuitune.models.head import HeadTap
from tuitune.recipe import Document, Recipe

CPU = torch.device("cpu")
END = 2  # the tiny tokenizer's end token


def recipe(root: Path, stage: str, **more: Any) -> Recipe:
    """Return a recipe of that stage."""
    return Document.parse(recipe_text(root, stage=stage, **more)).recipe()


def row(prompt: list[int], answer: list[int]) -> Row:
    """Return a sequence of which the answer is labelled."""
    return {"input_ids": prompt + answer, "labels": [IGNORED] * len(prompt) + answer}


def _some(draw: random.Random, count: int) -> list[int]:
    return [draw.randrange(3, 500) for _ in range(count)]


def pairs(count: int, seed: int = 0) -> list[Example]:
    """Return pairs of answers of very different lengths, all but the first ending with the end token."""
    draw = random.Random(seed)
    made = []
    for n in range(count):
        prompt = _some(draw, draw.randint(1, 30))
        answers = [_some(draw, draw.randint(1, 25)) + [END] * (n > 0) for _ in range(2)]
        made.append(Example(tuple(row(prompt, answer) for answer in answers), n))
    return made


def votes(count: int, seed: int = 0, good: list[bool] | None = None) -> list[Example]:
    """Return kto's examples: each answer, then the next one's answer to the same prompt."""
    draw = random.Random(seed)
    said = [(_some(draw, draw.randint(1, 30)), [*_some(draw, draw.randint(1, 25)), END]) for _ in range(count)]
    liked = good or [n % 3 != 1 for n in range(count)]
    return [
        Example((row(prompt, answer), row(prompt, said[(n + 1) % count][1])), n, liked[n])
        for n, (prompt, answer) in enumerate(said)
    ]


def judged_rows(root: Path, count: int = 40) -> None:
    """Write rows for each of the stages into the data folder below `root`; better answers say `good`."""
    draw = random.Random(0)

    def words(*more: str) -> str:
        some = [*draw.choices(WORDS, k=draw.randint(1, 25)), *more]
        draw.shuffle(some)
        return " ".join(some)

    prompts = [words() for _ in range(count)]
    files: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
        "texts": ([{"text": words()} for _ in prompts], {"columns": {"prompt": "text"}}),
        "pairs": (
            [{"instruction": p, "chosen": words("good", "good"), "rejected": words("bad", "bad")} for p in prompts],
            {"ranking": True, "columns": {"prompt": "instruction", "chosen": "chosen", "rejected": "rejected"}},
        ),
        "votes": (
            [
                {"instruction": p, "output": words(*["good" if n % 2 else "bad"] * 2), "liked": bool(n % 2)}
                for n, p in enumerate(prompts)
            ],
            {"columns": {"prompt": "instruction", "response": "output", "kto_tag": "liked"}},
        ),
    }
    table = root / "data" / "dataset_info.json"
    entries = json.loads(table.read_text())
    for name, (rows, entry) in files.items():
        (root / "data" / f"{name}.json").write_text(json.dumps(rows))
        entries[name] = {"file_name": f"{name}.json", **entry}
    table.write_text(json.dumps(entries))


def examples_of(examples: list[Example]) -> Examples:
    """Return them as a data set."""
    builder = RowsBuilder()
    for example in examples:
        for each in example.sequences:
            builder.add(each["input_ids"], [int(label != IGNORED) for label in each["labels"]])
    return Examples.of(
        builder.done(), len(examples[0].sequences), desirable=np.array([bool(each.desirable) for each in examples])
    )


def on_path(model: nn.Module, kind: str) -> paths.Path:
    """Return the flat way (`flat`), the padded one (`padded`), or the flat one with the model's own head (`own`)."""
    attention.register()
    probe.use(model, "sdpa" if kind == "padded" else "tuitune")
    head = paths.Head(None if kind == "own" else HeadTap.on(model), None)
    return paths.PaddedPath(head, CPU, 0) if kind == "padded" else paths.FlatPath(head, CPU, share=True)


def gradients(model: nn.Module) -> torch.Tensor:
    """Return all gradients in one vector."""
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def double() -> Any:
    """Return the tiny model in float64, training."""
    return tiny_model().double().train()
