"""What every model has made of every row, in memory and, as it comes, in predictions.jsonl."""

from __future__ import annotations

import os
from pathlib import Path

from tuitune.evaluate.keeping import keeping
from tuitune.run.evaluation import Item, Reply
from tuitune.run.evaluations import PREDICTIONS, line_of, predictions
from tuitune.run.files import PRIVATE_FILE, write_all, write_atomic


class Sheet:
    """The rows of one evaluation; opened again, it holds what is there already."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / PREDICTIONS
        self._items = {(item.task, item.id): item for item in predictions(folder)}
        self._order: list[tuple[str, str]] = []
        with keeping(folder):
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)

    def plan(self, items: list[Item]) -> None:
        """Say which rows there will be, with their texts; the file ends in this order."""
        self._order += [(item.task, item.id) for item in items]
        for item in items:
            self._keep(item)

    def add(self, item: Item) -> None:
        """Take in what a model has made of a row, and write it down at once, with the row's texts the first time."""
        known = self._items.get((item.task, item.id))
        first = known is None or not known.answers
        self._keep(item)
        # Begun with a line break, so that a line torn by a kill cannot spoil this one.
        with keeping(self._path.parent):
            write_all(self._fd, b"\n" + line_of(self._items[item.task, item.id] if first else item))

    def score(self, task: str, name: str, model: str, scores: dict[str, float]) -> None:
        """Add scores of an answer that is here already; they are written at the end."""
        self._keep(Item(task, name, answers={model: Reply(scores=scores)}))

    def _keep(self, item: Item) -> None:
        key = item.task, item.id
        self._items[key] = self._items[key].joined(item) if key in self._items else item

    def reply(self, task: str, name: str, model: str) -> Reply:
        """Return what is known of a model's answer to a row."""
        item = self._items.get((task, name))
        return (item.answers.get(model) if item else None) or Reply()

    def reference(self, task: str, name: str) -> str:
        """Return the data's answer to a row."""
        return self._items[task, name].reference

    def items(self, task: str) -> list[Item]:
        """Return the rows of a task, in the order of the data."""
        keys = dict.fromkeys([*self._order, *self._items])
        return [self._items[key] for key in keys if key[0] == task and key in self._items]

    @property
    def answered(self) -> bool:
        """Whether anything is known of any row."""
        return any(item.answers for item in self._items.values())

    def finish(self) -> None:
        """Write the file anew, one line a row, in the order of the data."""
        self.close()
        keys = dict.fromkeys([*self._order, *self._items])
        with keeping(self._path.parent):
            write_atomic(self._path, b"".join(line_of(self._items[key]) for key in keys))

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
