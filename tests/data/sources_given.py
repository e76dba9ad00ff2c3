"""What the tests of sources share: a file in a folder, read as a stage reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.data.given import Given, folder
from tuitune.data.conversation import Conversation, Document, UnusableRow
from tuitune.data.sources import Source, open_sources


def source(root: Path, content: object, stage: str = "sft", name: str = "rows.json", **entry: Any) -> Source:
    """Write `content` as a file and open it: with an entry of the catalog if one is given, else by its columns."""
    guessed = entry.pop("guessed", False)
    given = {key: entry.pop(key) for key in ("max_samples", "seed", "media_dir") if key in entry}
    folder(root, {name: content}, {"rows": {"file_name": name, **entry}})
    dataset = f"data/{name}" if guessed else "rows"
    (found,) = open_sources([dataset], Given(root=root, stage=stage, dataset=dataset, **given), _progress, _check)
    return found


def read(found: Source) -> tuple[list[Conversation | Document], list[tuple[int, str]]]:
    """Return what the usable rows hold, and number and reason of the others."""
    good, bad = [], []
    for row in found.rows:
        try:
            good.append(found.read(row))
        except UnusableRow as reason:
            bad.append((row.number, str(reason)))
    return good, bad


def only(root: Path, row: object, stage: str = "sft", **entry: Any) -> Conversation:
    """Return the conversation of one row; fails with the reason if it is unusable."""
    (talk,), bad = read(source(root, [row], stage, **entry))
    assert not bad
    assert isinstance(talk, Conversation)
    return talk


def _progress(stage: str, done: int, total: int | None) -> None:
    """Nobody looks."""


def _check() -> None:
    """Go on."""
