"""Which models are on this machine, and what a name in a recipe means."""

from __future__ import annotations

from tuitune.fit.resolve import ModelKind, ModelSource, resolve
from tuitune.fit.scan import ModelInfo, scan

__all__ = ["ModelInfo", "ModelKind", "ModelSource", "resolve", "scan"]
