"""The answer on its way, in a file beside its conversation: what is left when this process dies."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from tuitune.run.files import PRIVATE_FILE, write_all


class Partial:
    """The pieces of an answer in a file beside the conversation, for the case that this process dies."""

    def __init__(self, conversation: Path | None, by: str) -> None:
        self._path = _beside(conversation) if conversation is not None else None
        self._fd: int | None = None
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
        self.add(f"{by}\n")

    def add(self, text: str) -> None:
        """Keep a piece; a full disk ends the keeping, not the answer."""
        if self._fd is not None:
            try:
                write_all(self._fd, text.encode("utf-8", "replace"))
            except OSError:
                self._let_go()

    def close(self) -> None:
        """The answer is in the conversation."""
        self._let_go()
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()

    def _let_go(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

    @staticmethod
    def left(conversation: Path) -> tuple[str, str]:
        """Return who wrote an answer that was cut off, and its text."""
        try:
            text = _beside(conversation).read_bytes().decode("utf-8", "replace")
        except OSError:
            return "", ""
        by, _, rest = text.partition("\n")
        return by, rest

    @staticmethod
    def is_left(conversation: Path) -> bool:
        """Tell whether there is an answer that is being written, or was cut off."""
        return _beside(conversation).is_file()

    @staticmethod
    def remove(conversation: Path) -> None:
        """Remove what a crash left."""
        with contextlib.suppress(OSError):
            _beside(conversation).unlink()


def _beside(conversation: Path) -> Path:
    return conversation.with_name(conversation.name + ".part")
