"""Two partners at one prompt: both answer what is asked, one after the other, with the same seed."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tuitune.chat.base import Answer, Chat, Options
from tuitune.chat.compare import NAMES, Comparison, common_words, seeded
from tuitune.chat.thinking import split
from tuitune.cli import report
from tuitune.cli.console import say, screen
from tuitune.cli.prompting import Prompting, listed, number_of, told
from tuitune.cli.replies import answer, folded, printed, tell
from tuitune.errors import TuiTuneError, UsageError
from tuitune.run import RunDir, index, places
from tuitune.run.streams import guard


class Comparing(Prompting):
    """A conversation with two partners; each has its own history."""

    commands: ClassVar = {
        "/again": ("[N]", "both answer again, the last question or that before turn N"),
        "/edit": ("N TEXT", "change question N for both; what followed it goes"),
        "/turns": ("", "list the turns of both with their numbers"),
        "/undo": ("", "bring back what /again, /edit, /load or /clear took away"),
        "/system": ("TEXT", "tell both how to behave; without TEXT as they do by themselves"),
        "/tools": ("FILE", "functions that they may call, a JSON list; none: no more"),
        "/set": ("NAME VALUE", "how replies are drawn; seed: the same numbers every time"),
        "/clear": ("", "forget the conversation so far"),
        "/save": ("PATH", "write both conversations as one JSON file"),
        "/load": ("FILE", "go on with such a file, or with a kept folder"),
    }

    def __init__(self, partners: Sequence[Chat], words: Sequence[str], talk: Comparison, options: Options) -> None:
        """words: what names the partners on the command line, so that the Compare screen finds them again."""
        super().__init__(options)
        self._partners, self._words, self._talk = partners, words, talk
        self._name()

    def _name(self) -> None:
        for side, word in zip(self._talk.sides, self._words, strict=True):
            side.ask_of(word)

    def went_on(self, path: Path | None) -> None:
        """Say how it goes on after something was loaded: as it was drawn before, and what nobody answered."""
        if path is None:
            return
        if self._talk.is_copy:
            self.note(f"{path} is open elsewhere, so this goes on with a copy")
        if self._talk.sampling:
            self.note(f"answers are drawn with {told(self.options)}")
        for name, side in zip(NAMES, self._talk.sides, strict=True):
            if side.turns and not side.turns[-1].is_answer:
                self.note(f"{name}: the last question was not answered, /again asks it again")

    @property
    def title(self) -> str:
        """Who is talked to."""
        return " | ".join(partner.title for partner in self._partners)

    @property
    def kept(self) -> Path | None:
        """The folder of both conversations."""
        return self._talk.folder

    @property
    def mark(self) -> str:
        """What stands before a line."""
        return "result> " if any(side.waits_for_tools for side in self._talk.sides) else "> "

    def said(self, line: str) -> None:
        """Ask, and print both answers."""
        self._keep_drawn()
        self.answers(self._talk.ask(line))

    def answers(self, which: Sequence[int]) -> list[Answer]:
        """Let these sides answer in turn; a side that fails does not cost the other. Raises the last failure."""
        sampling = seeded(self.options)
        done: list[Answer] = []
        failure: TuiTuneError | None = None
        for place in which:
            say(screen(), f"[{NAMES[place]}: {self._partners[place].title}]", "bold")
            try:
                done.append(self._answer(place, sampling))
            except TuiTuneError as error:
                if failure is not None:
                    report.failure(failure)
                failure = error
        if len(done) == len(NAMES):
            say(screen(), _difference(*done), "dim")
        if failure is not None:
            raise failure
        return done

    def _answer(self, place: int, sampling: Options) -> Answer:
        side = self._talk.sides[place]
        with (
            guard(places.home() / "chat.log") as real,
            printed(real.out, real.err) as out,
            folded(out) if self.asks else contextlib.nullcontext(out) as pieces,
        ):
            done = answer(self._partners[place], side, sampling, pieces)
        tell(done, counts=True)
        if side.warning is not None:
            report.failure(side.warning)
            side.warning = None
        return done

    def _keep_drawn(self) -> None:
        if self.options or self._talk.sampling is not None:  # else nobody has said how
            self._talk.draw(self.options)

    # -- commands ------------------------------------------------------------------------------------------------

    def do_again(self, rest: str) -> None:
        """Answer a question again."""
        left = self._talk.sides[0]
        place, _ = number_of(rest, left)
        which = self._talk.again(0, len(left.turns) - 1 if place is None else place)
        if not which:
            raise UsageError("there is no question yet", "ask one first")
        self.answers(which)

    def do_edit(self, rest: str) -> None:
        """Change a question."""
        place, text = number_of(rest, self._talk.sides[0])
        if place is None or not text:
            raise UsageError("/edit takes the number of a question and its new text", "/turns lists them")
        if self._talk.sides[0].turns[place].is_answer:
            raise UsageError(
                f"turn {place + 1} is an answer; /edit changes questions", "/again N asks that before it once more"
            )
        self.answers(self._talk.rewrite(0, place, text))

    def do_turns(self, rest: str) -> None:
        """List the turns."""
        for name, side in zip(NAMES, self._talk.sides, strict=True):
            say(screen(), f"[{name}]", "bold")
            listed(side)

    def do_undo(self, rest: str) -> None:
        """Bring turns back."""
        if not self._talk.undo():
            raise UsageError("nothing was taken away", "")
        self.do_turns("")

    def do_system(self, rest: str) -> None:
        """Set the system message."""
        old = self._talk.sides[0].system
        self._talk.instruct(rest or None)
        self.instructed(old, self._talk.sides[0].system)

    def do_tools(self, rest: str) -> None:
        """Set the tools."""
        self._talk.offer(self.tools_of(rest))

    def do_set(self, rest: str) -> None:
        """Set how both draw, or show it; the comparison keeps it."""
        super().do_set(rest)
        self._keep_drawn()

    def do_clear(self, rest: str) -> None:
        """Forget the turns."""
        self._talk.clear()
        self.note("forgotten; /undo brings it back")

    def do_save(self, rest: str) -> None:
        """Write both conversations."""
        if not rest:
            raise UsageError("/save takes the name of a file", "such as compared.json")
        self._talk.save(Path(rest).expanduser())
        say(screen(), f"written to {rest}")

    def do_load(self, rest: str) -> None:
        """Go on with a comparison from a file or a folder."""
        if not rest:
            raise UsageError("/load takes the name of a file", "such as compared.json")
        path = Path(rest).expanduser()
        self._talk.take(path)
        self._name()
        if self._talk.sampling is not None:
            self.options = dict(self._talk.sampling)
        self.do_turns("")
        self.went_on(path)


def lasting(word: str) -> str:
    """Return a word that means the same from any folder: runs, folders and files by their whole path."""
    path = Path(word).expanduser()
    if path.exists() and not RunDir(path).is_run():
        return str(path.absolute())
    with contextlib.suppress(TuiTuneError, OSError, ValueError):
        return str(index.find(word).path)
    return word


def _difference(left: Answer, right: Answer) -> str:
    texts = [split(each.text)[1] for each in (left, right)]
    common = common_words(*texts)
    if texts[0].split() == texts[1].split():
        return "both say the same"
    return f"they differ from word {common + 1} on" if common else "they differ from the first word on"
