"""What there is to know of a draft: its text, what it began from and differs from, the command that does the same."""

from __future__ import annotations

from pathlib import Path

from tuitune.recipe import Document
from tuitune.tui import recipefile
from tuitune.tui.base import Base
from tuitune.tui.steps import Steps


class DraftFacts:
    """The facts of a recipe in the making; a part of the draft."""

    document: Document | None
    values: dict[str, object]
    _steps: Steps

    @property
    def _base(self) -> Base:
        return self._steps.now.base

    @property
    def text(self) -> str:
        """The text as it stands, also when it is broken."""
        return self._steps.now.text

    @property
    def path(self) -> Path | None:
        """The file it was opened from or saved to."""
        return self._base.path

    @property
    def preset(self) -> str | None:
        """The name of the preset it began from."""
        return self._base.preset

    @property
    def run(self) -> str | None:
        """The name of the run whose recipe it began from."""
        return self._base.run

    @property
    def own_name(self) -> str | None:
        """What a new run of it is to be called, where it was begun under a name and has no file yet."""
        return self._base.own_name

    @property
    def title(self) -> str:
        """What it is called on the screen; foreign text."""
        return self._base.title

    @property
    def base_text(self) -> str:
        """The text of the file or preset that it differs from."""
        return self._base.text

    @property
    def base_values(self) -> dict[str, object]:
        """The values of the file or preset that it differs from."""
        return self._base.values or {}

    @property
    def origin(self) -> str:
        """What those values are of, in a word."""
        return "preset" if self.preset else "file"

    @property
    def dirty(self) -> bool:
        """Whether it differs from its file or preset."""
        return self.text != self._base.text

    @property
    def changed(self) -> frozenset[str]:
        """The keys whose value differs from that of the file or preset, those taken out included."""
        return self._base.changed(self.values)

    @property
    def trouble(self) -> str:
        """Why the draft cannot be kept on disk, in words; empty when it is."""
        return self._base.keeper.trouble

    @property
    def source(self) -> Path | None:
        """The file next to which the paths in it may lie."""
        return self._base.source

    def modified_outside(self) -> bool:
        """Return whether something else changed or removed the file since it was opened or saved."""
        return self._base.modified()

    def command(self) -> list[str]:
        """Return the words of the `tuitune train` that does the same; see `needs_saving`."""
        if self.needs_saving:
            return ["tuitune", "train", recipefile.typed(self.path or Path(self.title).absolute())]
        return ["tuitune", "train", *self._base.words(self.values)]

    @property
    def needs_saving(self) -> bool:
        """Whether the command means this draft only once it is saved, as no `key=value` says what was changed."""
        return self.document is None or not self._base.sayable(self.values)
