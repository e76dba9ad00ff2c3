"""What the user says about a run: a note and tags, in a file of the run that no recipe and no engine knows."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import orjson

from tuitune.errors import RunError, UsageError
from tuitune.run.directory import RunDir
from tuitune.run.files import write_atomic
from tuitune.run.packing import pack, record, restore
from tuitune.text import clean

NAME = "remarks.json"
MOST_NOTE = 4_000  # characters
Change = Callable[["Remarks"], "Remarks"]
_TAG = re.compile(r"\w[\w.+/:-]{0,39}")


@dataclass(frozen=True, slots=True)
class Remarks:
    """A note in words, and tags in the order in which they were given."""

    note: str = ""
    tags: tuple[str, ...] = ()

    @classmethod
    def of(cls, run: RunDir) -> Remarks:
        """Return what is said about a run; nothing where the file is missing or says nothing sensible."""
        try:
            values = orjson.loads((run.path / NAME).read_bytes())
            return restore(cls, values) if isinstance(values, dict) else cls()
        except (OSError, ValueError):
            return cls()

    def noted(self, text: str) -> Remarks:
        """Return the remarks with another note; an empty one takes it away. Raises UsageError for one too long."""
        note = clean(text).strip()
        if len(note) > MOST_NOTE:
            raise UsageError(f"a note has at most {MOST_NOTE:,} characters, this one {len(note):,}", "say it shorter")
        return replace(self, note=note)

    def tagged(self, tags: Iterable[str]) -> Remarks:
        """Return the remarks with more tags; raises UsageError for one that is no plain word."""
        found = {tag.casefold(): tag for tag in self.tags}
        for tag in map(plain_tag, tags):
            found.setdefault(tag.casefold(), tag)
        return replace(self, tags=tuple(found.values()))

    def untagged(self, tags: Iterable[str]) -> Remarks:
        """Return the remarks without some tags; raises UsageError for one that is not there."""
        gone = [tag.casefold() for tag in tags]
        have = {tag.casefold() for tag in self.tags}
        if missing := [tag for tag in gone if tag not in have]:
            there = f"its tags: {', '.join(self.tags)}" if self.tags else "it has no tags"
            raise UsageError(f"the run has no tag {missing[0]!r:.60}", there)
        return replace(self, tags=tuple(tag for tag in self.tags if tag.casefold() not in gone))


def plain_tag(text: str) -> str:
    """Return a tag as it is kept; raises UsageError for what is no plain word."""
    tag = text.strip().removeprefix("#")
    if not _TAG.fullmatch(tag):
        raise UsageError(
            f"{text!r:.60} cannot be a tag", "a tag is one word of letters, digits and . + - / : _, at most 40 of them"
        )
    return tag


def edit(run: RunDir, change: Change) -> Remarks:
    """Change what is said about a run and return it; two who do so at once lose nothing. Raises RunError."""
    try:
        with _alone(run):
            before = Remarks.of(run)
            after = change(before)
            if after != before:
                write_atomic(run.path / NAME, pack(record(after)) + b"\n")
            return after
    except OSError as error:
        raise RunError(f"nothing can be noted in {run.path}: {error.strerror}", "look at its permissions") from error


@contextlib.contextmanager
def _alone(run: RunDir) -> Iterator[None]:
    # Not the run's own lock: an engine may hold that for days.
    fd = os.open(run.path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: the last one to write wins
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
