"""Weights & Biases; WANDB_API_KEY, WANDB_MODE, WANDB_PROJECT, WANDB_ENTITY and its other variables are its own."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from typing import Any

import wandb

from tuitune.engine.trackers.base import PROJECT, Opening, Outcome

_CODES = {"finished": 0, "stopped": 0, "failed": 1, "crashed": 255}


class Wandb:
    """A run at wandb, or its files on this machine (WANDB_MODE=offline)."""

    replaces = False  # its steps only grow

    def __init__(self, opening: Opening) -> None:
        project = opening.recipe.project or (None if os.environ.get("WANDB_PROJECT") else PROJECT)
        settings = wandb.Settings(
            console="off", disable_git=True, disable_code=True, x_stats_pid=opening.pid, silent=True
        )  # what this process prints and runs is not the training's
        self._run: Any = wandb.init(
            project=project, name=opening.title, config=dict(opening.config), dir=str(opening.own_folder()),
            id=opening.id, resume="allow" if opening.id else None, settings=settings,
        )  # fmt: skip
        self.id = str(self._run.id)
        sync = f"wandb sync {shlex.quote(str(self._run.settings.sync_dir))}"
        self.where = sync if self._run.offline else str(self._run.url)

    def log(self, step: int, figures: Mapping[str, float], t: float) -> None:
        """Send the figures of a step."""
        self._run.log(dict(figures), step=step)

    def close(self, outcome: Outcome, message: str) -> None:
        """Send the rest and end the run."""
        self._run.summary["outcome"] = outcome
        self._run.finish(exit_code=_CODES[outcome])
