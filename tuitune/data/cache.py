"""Prepared rows are kept: in the user's cache under a key of all they depend on, or in the recipe's tokenized_path."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tuitune.data.about import differences, key_of
from tuitune.data.keep import ABOUT, About, Loaded, Unreadable, keep, load, read_about, under_way
from tuitune.data.options import DataOptions
from tuitune.errors import DataError, RunError
from tuitune.run.files import private_dir
from tuitune.run.places import cache

LIMIT = 20 << 30  # bytes of rows in the cache; the longest unused go first
_ABANDONED = 86_400  # seconds after which a folder under way is nobody's any more

Make = Callable[[Path], Loaded]


@dataclass
class Shelf:
    """Where the rows of one recipe are kept; `notes` says what the user should know of that."""

    about: About
    target: Path | None
    named: bool = False  # by the recipe's tokenized_path
    anew: bool = False
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, options: DataOptions, about: About) -> Shelf:
        """Return the place that a recipe means; a cache that cannot be written is no obstacle, only a note."""
        if options.tokenized_path:
            return cls(about, options.locate(options.tokenized_path), True, options.overwrite_cache)
        try:
            target = private_dir(cache() / "tokens") / key_of(about)
        except (OSError, RunError) as error:
            return cls(about, None, notes=[f"the tokenised rows are not kept: {error}"])
        return cls(about, target, False, options.overwrite_cache)

    def find(self) -> Loaded | None:
        """Return what is kept, if it is whole and of this data; raises DataError for a tokenized_path of other data."""
        if self.target is None or not os.path.lexists(self.target) or _is_empty(self.target):
            return None
        try:
            content = read_about(self.target)
            if self.anew:
                return None
            if self.named:
                self._must_be_the_same(content["about"])
            found = load(self.target)
        except (Unreadable, KeyError) as error:
            self._damaged(str(error))
            return None
        with contextlib.suppress(OSError):
            os.utime(self.target / ABOUT)  # it has been used now
        return found

    def make(self, made: Make) -> Loaded:
        """Return what `made` makes in the folder it is given, and keep it."""
        if self.target is None:
            with tempfile.TemporaryDirectory(prefix="tuitune-", ignore_cleanup_errors=True) as folder:
                return made(Path(folder))
        self.target.parent.mkdir(parents=True, exist_ok=True)
        with under_way(self.target) as folder:
            found = made(folder)
            keep(folder, self.target, found, self.about)
        if not self.named:
            prune(self.target.parent, keep_last=self.target)
        return found

    def _must_be_the_same(self, former: About) -> None:
        odd = differences(former, self.about)
        if odd:
            raise DataError(
                f"tokenized_path {self.target} was made of something else: {'; '.join(odd)}",
                "Name another folder, or set overwrite_cache: true to make it anew.",
            )

    def _damaged(self, why: str) -> None:
        if not self.named:
            self.notes.append(f"tokenised rows of an earlier run cannot be used and are made anew: {why}")
        elif not (self.target and (self.target / ABOUT).is_file()):
            raise DataError(
                f"tokenized_path {self.target} holds something else than rows that TuiTune has tokenised",
                "Name another folder; folders that LLaMA-Factory or datasets wrote are not read.",
            )
        elif not self.anew:
            raise DataError(
                f"the rows in tokenized_path {self.target} cannot be used: {why}",
                "Set overwrite_cache: true to make them anew.",
            )


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and next(folder.iterdir(), None) is None


def prune(folder: Path, keep_last: Path, limit: int = LIMIT) -> None:
    """Remove what was unused longest until at most `limit` bytes are left, and what was never finished."""
    sizes = {}
    for entry, used, size in list(_entries(folder)):
        if entry.name.startswith("."):
            if time.time() - used > _ABANDONED:
                shutil.rmtree(entry, ignore_errors=True)
        else:
            sizes[entry] = (used, size)
    total = sum(size for _, size in sizes.values())
    for entry, (_, size) in sorted(sizes.items(), key=lambda item: item[1]):
        if total <= limit:
            return
        if entry != keep_last:
            # A run that has these files mapped goes on reading them: only their names go.
            shutil.rmtree(entry, ignore_errors=True)
            total -= size


def _entries(folder: Path) -> Iterator[tuple[Path, float, int]]:
    """Yield the folders in `folder`, when each was used last, and how large it is."""
    for entry in folder.iterdir():
        with contextlib.suppress(OSError):  # another process prunes too
            files = [file.stat() for file in entry.iterdir()]
            told = entry / ABOUT
            used = told.stat().st_mtime if told.is_file() else entry.stat().st_mtime
            yield entry, used, sum(file.st_size for file in files)
