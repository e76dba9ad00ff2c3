"""What panes tell the app: wishes that no pane can fulfil alone."""

from __future__ import annotations

from pathlib import Path

from textual.message import Message


class ModelChosen(Message):
    """Train the model called `name`."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class AdapterChosen(Message):
    """Train the adapter in the folder `path` further, on `model`."""

    def __init__(self, path: Path, model: str) -> None:
        super().__init__()
        self.path, self.model = path, model


class ChatWith(Message):
    """Talk to a model, an adapter on it, or what a run has saved."""

    def __init__(self, model: str | None = None, adapter: Path | None = None, run: Path | None = None) -> None:
        super().__init__()
        self.model, self.adapter, self.run = model, adapter, run


class AskDevice(Message):
    """Train on `device`: `auto`, `cpu` or `cuda:N`."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device = device
