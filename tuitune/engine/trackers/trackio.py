"""Trackio: on this machine (`trackio show`), or in a Space on Hugging Face where one is named."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from typing import Any

import trackio

from tuitune.engine.trackers.base import PROJECT, Opening, Outcome


class Trackio:
    """A run in a project; it is found again by its name, which is therefore its own."""

    replaces = False

    def __init__(self, opening: Opening) -> None:
        project = opening.recipe.project or PROJECT
        # Names need not differ at trackio; a run that went on with another's would mix the two.
        self.id = opening.id or f"{opening.title}-{opening.folder.name}"
        if opening.title == opening.folder.name:
            self.id = opening.id or opening.title
        self._run: Any = trackio.init(
            project=project, name=self.id, config=dict(opening.config), resume="allow" if opening.id else "never",
            space_id=opening.recipe.trackio_space_id, embed=False,
        )  # fmt: skip
        space = trackio.context_vars.current_space_id.get()
        show = f"trackio show --project {shlex.quote(project)}"
        self.where = f"https://huggingface.co/spaces/{space}" if space else show

    def log(self, step: int, figures: Mapping[str, float], t: float) -> None:
        """Send the figures of a step."""
        self._run.log({name: value for name, value in figures.items() if math.isfinite(value)}, step=step)

    def close(self, outcome: Outcome, message: str) -> None:
        """Write what is left."""
        trackio.finish()
