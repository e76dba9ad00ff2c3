"""SwanLab: its cloud (SWANLAB_API_KEY), or files on this machine."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from typing import Any

import swanlab

from tuitune.engine.trackers.base import PROJECT, Opening, Outcome

_NOT_PLAIN = re.compile(r"[^0-9A-Za-z_.+-]+")  # no other letters may stand in a project's name there
_ENDS = {"finished": "success", "stopped": "aborted", "failed": "crashed", "crashed": "crashed"}


class SwanLab:
    """An experiment at SwanLab."""

    replaces = False

    def __init__(self, opening: Opening) -> None:
        recipe = opening.recipe
        project = recipe.swanlab_project or recipe.project or os.environ.get("SWANLAB_PROJECT") or PROJECT
        folder = opening.place(recipe.swanlab_logdir)
        mode = _mode(opening)
        online = mode == "online"
        self._run: Any = swanlab.init(
            project=_NOT_PLAIN.sub("-", project), workspace=recipe.swanlab_workspace,
            name=recipe.swanlab_run_name or opening.title,
            config=dict(opening.config), mode=mode, log_dir=str(folder),
            # It goes on with a run only in its cloud; on this machine every attempt is a run of its own.
            id=opening.id if online else None, resume="allow" if online and opening.id else None,
        )  # fmt: skip
        self.id = str(self._run.id)
        watch = {"local": "swanlab watch", "offline": "swanlab sync"}.get(self._run.mode, "")
        self.where = f"{watch} {shlex.quote(str(folder))}" if watch else str(self._run.url)

    def log(self, step: int, figures: Mapping[str, float], t: float) -> None:
        """Send the figures of a step."""
        self._run.log(dict(figures), step=step)

    def close(self, outcome: Outcome, message: str) -> None:
        """Send what is left."""
        end = _ENDS[outcome]
        swanlab.finish(state=end, error=message or outcome if end == "crashed" else None)


def _mode(opening: Opening) -> Any:
    """Return swanlab's word for the mode; its environment variable counts where the recipe does not say."""
    own: str = opening.recipe.swanlab_mode
    word = own if "swanlab_mode" in opening.recipe.asked else os.environ.get("SWANLAB_MODE") or own
    return {"cloud": "online"}.get(word, word)
