"""Two partners, one question: each has a conversation of its own, and both draw with the same seed."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Sequence
from pathlib import Path

from tuitune.chat.base import Options, Turn
from tuitune.chat.comparefile import NAMES, files_in, told_in_file, told_in_folder
from tuitune.chat.comparisons import earlier
from tuitune.chat.conversation import Conversation, stamp
from tuitune.chat.hold import Hold
from tuitune.chat.kept import Kept
from tuitune.chat.saved import Saved, written
from tuitune.errors import DataError, UsageError
from tuitune.run import places
from tuitune.run.files import private_dir, write_atomic

__all__ = ["NAMES", "Comparison", "common_words", "earlier", "seeded"]


class Comparison:
    """The conversations of two sides, which share their questions; a folder has a file for each.

    A side that is asked something gets it into its own history: after an answer that failed, or where only one of them
    calls a tool, the histories differ. The folder begins with the first question; without one nothing is kept. It is
    held until `close`. is_copy: it was taken from a folder that somebody else has open.
    """

    def __init__(self, folder: Path | None = None, sides: tuple[Kept, Kept] | None = None) -> None:
        self._folder = folder
        self.sides = sides or (self._side(0), self._side(1))
        self._hold: Hold | None = None
        self.is_copy = False
        self._changed: list[dict[int, int]] = []  # for each change the sides that it concerned, and their count then

    @classmethod
    def begin(cls) -> Comparison:
        """Return a new one that is kept in the user's comparisons."""
        return cls(places.home() / "comparisons" / stamp())

    @classmethod
    def load(cls, folder: Path) -> Comparison:
        """Go on with one, such as a crash cut off, or with a copy of it while somebody else has it open.

        Raises UsageError where there is none, DataError where it cannot be read.
        """
        files = files_in(folder)
        hold = Hold.take(folder)
        if hold is None:
            made = cls.read(folder)
            made.is_copy = True
            return made
        try:
            left, right = (Kept.load(file) if file.is_file() else Kept(place=file) for file in files)
        except OSError as error:
            hold.release()
            raise DataError(f"{folder} cannot be read: {error.strerror or error}") from error
        made = cls(folder, (left, right))
        made._hold = hold
        return made

    def close(self) -> None:
        """Let others go on with it; nothing more is to be said here."""
        if self._hold is not None:
            self._hold.release()
            self._hold = None

    def _side(self, place: int) -> Kept:
        if self._folder is None:
            return Kept(on_disk=False)
        return Kept(place=self._folder / f"{NAMES[place]}.jsonl")

    @staticmethod
    def peek(folder: Path) -> list[Conversation]:
        """Return what a kept one holds, without touching its files."""
        files = [folder / f"{name}.jsonl" for name in NAMES]
        return [Conversation.load(file) for file in files if file.is_file()]

    @classmethod
    def read(cls, path: Path) -> Comparison:
        """Return one that `save` wrote, or a copy of a folder, kept in the user's comparisons. Raises DataError."""
        made = cls.begin()
        made.take(path)
        made._changed.clear()
        return made

    def take(self, path: Path) -> None:
        """Go on with what `save` wrote, or what a folder of comparisons holds; `undo` brings the former turns back.

        What is taken stays as it is. Raises DataError, and UsageError where a folder holds no comparison.
        """
        told, sampling = told_in_folder(path) if path.is_dir() else told_in_file(path)
        self.is_copy = False  # what is taken is a copy by its nature, whoever has it open
        self.make_folder()
        if sampling is not None:
            self.draw(sampling)
        for side, (word, saved) in zip(self.sides, told, strict=True):
            side.replace(saved.turns, saved.system, saved.tools)
            side.ask_of(word)
        self._remember(0, 1)

    def swapped(self) -> Comparison:
        """Return it with left and right changed; what comes from now on is kept in a folder of its own."""
        made = Comparison.begin() if self._folder is not None else Comparison()
        if any(side.turns for side in self.sides):
            made.make_folder()
        for new, old in zip(made.sides, reversed(self.sides), strict=True):
            new.instruct(old.system)
            new.offer(old.tools)
            if old.sampling is not None:
                new.draw(old.sampling)
            if old.turns:
                new.replace(old.turns, old.system, old.tools)
        return made

    def make_folder(self) -> None:
        """Make the place where it is kept; what cannot be kept is said by the sides."""
        if self._folder is not None:
            with contextlib.suppress(OSError):
                private_dir(self._folder.parent)
                private_dir(self._folder)
                self._hold = self._hold or Hold.take(self._folder)

    @property
    def folder(self) -> Path | None:
        """Where it is kept, None before there is anything."""
        return self._folder if any(side.path is not None for side in self.sides) else None

    def ask(self, text: str) -> tuple[int, ...]:
        """Ask both, and return which sides have to answer: those whose calls of tools it answers, if there are any."""
        self.make_folder()
        waiting = tuple(place for place, side in enumerate(self.sides) if side.waits_for_tools)
        asked = waiting or (0, 1)
        for place in asked:
            side = self.sides[place]
            if side.turns and not side.turns[-1].is_answer:  # it was never answered
                side.take_back()
            side.ask(text)
        return asked

    def rewrite(self, side: int, place: int, text: str) -> tuple[int, ...]:
        """Change a turn of one side; return which sides have to answer again.

        An answer is changed where it stands. A question is changed in both, and what came after it goes.
        """
        old = self.sides[side].turns[place]
        self.sides[side].rewrite(place, text)
        if old.is_answer:
            self._remember(side)
            return ()
        other = 1 - side
        same = _same_question(self.sides[other].turns, old, place)
        if same is None:
            self._remember(side)
            return (side,)
        self.sides[other].rewrite(same, text)
        self._remember(0, 1)
        return (0, 1)

    def again(self, side: int, place: int) -> tuple[int, ...]:
        """Let the question before `place` wait for an answer again, in both where both were asked it."""
        turns = self.sides[side].turns
        at = max((n for n in range(place + 1) if not turns[n].is_answer), default=None)
        return () if at is None else self.rewrite(side, at, turns[at].content)

    def instruct(self, system: str | None) -> None:
        """Set the system message of both."""
        for side in self.sides:
            side.instruct(system)

    def offer(self, tools: str) -> None:
        """Set the tools that both may call."""
        for side in self.sides:
            side.offer(tools)

    @property
    def sampling(self) -> Options | None:
        """How answers are drawn, None where it was never said."""
        return next((side.sampling for side in self.sides if side.sampling is not None), None)

    def draw(self, sampling: Options) -> None:
        """Note how both draw from now on."""
        for side in self.sides:
            side.draw(dict(sampling))

    def clear(self) -> None:
        """Forget the turns of both."""
        for side in self.sides:
            side.clear()
        self._remember(0, 1)

    def _remember(self, *places: int) -> None:
        self._changed.append({place: self.sides[place].changes for place in places})

    def undo(self) -> bool:
        """Take the last change back that removed something, on the sides that it concerned."""
        while self._changed:
            # A side whose count is another has taken it back already, as where an answer was cancelled.
            last = [(self.sides[place], count) for place, count in self._changed.pop().items()]
            back = [side.undo() for side, count in last if side.changes == count]
            if any(back):
                return True
        return False

    def save(self, path: Path, *, replacing: bool = False) -> None:
        """Write both as one JSON file. Raises UsageError, also where a file is, unless it is to be replaced."""
        told = [
            {"name": side.whom, **json.loads(written(Saved(tuple(side.turns), side.system, side.tools)))}
            for side in self.sides
        ]
        try:
            if not replacing and path.exists():
                raise UsageError(f"{path} exists already", "choose another name")
            drawn = {} if self.sampling is None else {"sampling": dict(self.sampling)}
            text = json.dumps({**dict(zip(NAMES, told, strict=True)), **drawn}, ensure_ascii=False, indent=2)
            write_atomic(path, f"{text}\n".encode("utf-8", "replace"))
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror or error}", "choose another place") from error


def _same_question(turns: Sequence[Turn], asked: Turn, near: int) -> int | None:
    """Return where the same was asked on another side, nearest to the same place."""
    found = [n for n, turn in enumerate(turns) if (turn.role, turn.content) == (asked.role, asked.content)]
    return min(found, key=lambda n: abs(n - near), default=None)


# Asking


def seeded(sampling: Options) -> Options:
    """Return how both draw: with the seed that was given, or one for the two of them."""
    return sampling if "seed" in sampling else {**sampling, "seed": secrets.randbelow(2**31)}


def common_words(left: str, right: str) -> int:
    """Return with how many equal words two texts begin."""
    count = 0
    for one, other in zip(left.split(), right.split(), strict=False):
        if one != other:
            break
        count += 1
    return count
