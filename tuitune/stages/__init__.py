"""Training stages, found by name; a stage is one module and one row here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuitune.stages.base import Stage

_STAGES = {"sft": ("tuitune.stages.sft", "Sft")}


def stage(name: str) -> Stage:
    """Return the stage called `name`; its module is imported only now."""
    module, attribute = _STAGES[name]
    made: Stage = getattr(import_module(module), attribute)()
    return made
