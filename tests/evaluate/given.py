"""A tiny trained run, and an evaluation of it as the command asks for one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.methods.cycle import train
from tuitune.evaluate.core import evaluate
from tuitune.face.evaluating import request_of
from tuitune.face.subject import Words
from tuitune.recipe import load
from tuitune.run.directory import RunDir
from tuitune.run.evaluation import Evaluation

HELD = {"template": "chatml", "val_size": 6, "eval_strategy": "steps", "eval_steps": 4, "max_steps": 4}


def trained(root: Path, name: str = "run", **more: Any) -> RunDir:
    """Train the tiny model for four steps, with six rows held back."""
    return train(root, name, **(HELD | more))


def measured(what: Path | str, *settings: str, resume: bool = False, **more: Any) -> Evaluation:
    """Evaluate and return what was found; more: of `Words`, and `note`, `line`, `progress`, `within`, `check`."""
    told = {name: more.pop(name) for name in ("note", "line", "progress", "within", "check") if name in more}
    words = Words(str(what), ("threads=1", *settings), **more)
    return evaluate(request_of(words, told.get("note", lambda text: None), resume=resume), **told)


def root_of(run: RunDir) -> Path:
    """Return the folder with the model and the data of a run."""
    return Path(load(run.recipe).dataset_dir).parent
