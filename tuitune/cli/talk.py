"""The conversation at the prompt: lines in, replies out."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import ClassVar

from tuitune.chat.base import Chat, NotWriting, Options, Turn, typed
from tuitune.chat.kept import Kept
from tuitune.chat.saved import Saved, read_file, save
from tuitune.chat.thinking import split
from tuitune.cli import report
from tuitune.cli.console import say, screen
from tuitune.cli.prompting import Prompting, listed, number_of
from tuitune.cli.replies import answer, folded, printed, tell
from tuitune.errors import TuiTuneError, UsageError
from tuitune.run import places
from tuitune.run.streams import guard
from tuitune.text import clean


class Talk(Prompting):
    """A conversation with one partner."""

    commands: ClassVar = {
        "/again": ("[N]", "another answer, to the last question or to that before turn N"),
        "/edit": ("N TEXT", "change turn N; a question is asked again, and what followed it goes"),
        "/turns": ("", "list the turns with their numbers"),
        "/undo": ("", "bring back what /again, /edit, /load or /clear took away"),
        "/answer": ("TEXT", "with a reward model: score an answer of your own; once more, one in its place"),
        "/thoughts": ("", "show what the model thought before its last answer"),
        "/system": ("TEXT", "tell the model how to behave; without TEXT as it does by itself"),
        "/tools": ("FILE", "functions that it may call, a JSON list; what it calls, you answer. none: no more"),
        "/set": ("NAME VALUE", "how replies are drawn, such as temperature 0"),
        "/clear": ("", "forget the conversation so far"),
        "/save": ("PATH", "write the conversation, as JSON where the name ends in .json, else as text"),
        "/load": ("FILE", "go on with a conversation from a JSON file"),
    }

    def __init__(self, partner: Chat, talk: Kept, options: Options) -> None:
        super().__init__(options)
        self._partner, self._talk = partner, talk

    @property
    def title(self) -> str:
        """Who is talked to."""
        return self._partner.title

    @property
    def kept(self) -> Path | None:
        """The file of the conversation."""
        return self._talk.path

    @property
    def mark(self) -> str:
        """What stands before a line: after a call of tools, their results are asked for."""
        return "result> " if self._talk.waits_for_tools else "> "

    def said(self, line: str) -> None:
        """Ask, and print the answer."""
        if self._talk.turns and not self._talk.turns[-1].is_answer:  # it was never answered
            self._talk.take_back()
        self._talk.ask(line)
        try:
            self._answer()
        except NotWriting as error:  # the question waits for an answer of the user's own
            say(screen(), f"{error.message}; {error.hint}", "dim")
        except BaseException:
            if not self._talk.turns[-1].is_answer:  # nothing has come of one
                self._talk.take_back()
            raise

    def _answer(self) -> None:
        with (
            guard(places.home() / "chat.log") as real,
            printed(real.out, real.err) as out,
            folded(out) if self.asks else nullcontext(out) as pieces,
        ):
            done = answer(self._partner, self._talk, self.options, pieces)
        tell(done, counts=self.asks)
        if self._talk.warning is not None:
            report.failure(self._talk.warning)
            self._talk.warning = None

    # -- commands ------------------------------------------------------------------------------------------------

    def do_again(self, rest: str) -> None:
        """Answer a question again."""
        place, _ = number_of(rest, self._talk)
        if not self._talk.again(place):
            raise UsageError("there is no question yet", "ask one first")
        self._anew()

    def do_edit(self, rest: str) -> None:
        """Change a turn."""
        place, text = number_of(rest, self._talk)
        if place is None or not text:
            raise UsageError("/edit takes the number of a turn and its new text", "/turns lists them")
        self._talk.rewrite(place, text)
        if not self._talk.turns[-1].is_answer:
            self._anew()

    def _anew(self) -> None:
        try:
            self._answer()
        except TuiTuneError:
            if not self._talk.turns[-1].is_answer:
                self._talk.undo()
            raise

    def do_turns(self, rest: str) -> None:
        """List the turns."""
        listed(self._talk)

    def do_undo(self, rest: str) -> None:
        """Bring turns back."""
        if not self._talk.undo():
            raise UsageError("nothing was taken away", "")
        listed(self._talk)

    def do_thoughts(self, rest: str) -> None:
        """Show the thoughts of the last answer."""
        last = next((turn for turn in reversed(self._talk.turns) if turn.is_answer), None)
        print(clean(split(last.content)[0]) if last is not None else "", end="\n")

    def do_answer(self, rest: str) -> None:
        """Score the user's own answer to the last question; it takes the place of one that is there."""
        turns = list(self._talk.turns)
        if turns and turns[-1].is_answer:
            turns.pop()
        if not turns or not rest:
            raise UsageError("there is no question yet", "ask it first, then answer with /answer TEXT")
        with guard(places.home() / "chat.log"):
            done = typed(self._partner, turns, rest, system=self._talk.system)
        self._talk.become([*turns, Turn("assistant", rest, "you", score=done.score)])
        say(screen(), f"score {done.score:.4g}", "bold")

    def do_system(self, rest: str) -> None:
        """Set the system message."""
        old = self._talk.system
        self._talk.instruct(rest or None)
        self.instructed(old, self._talk.system)

    def do_tools(self, rest: str) -> None:
        """Set the tools."""
        self._talk.offer(self.tools_of(rest))

    def do_clear(self, rest: str) -> None:
        """Forget the turns."""
        self._talk.clear()
        self.note("forgotten; /undo brings it back")

    def do_save(self, rest: str) -> None:
        """Write the conversation."""
        if not rest:
            raise UsageError("/save takes the name of a file", "such as talk.json")
        path = Path(rest).expanduser()
        save(path, Saved(tuple(self._talk.turns), self._talk.system, self._talk.tools))
        say(screen(), f"written to {path}")

    def do_load(self, rest: str) -> None:
        """Go on with a conversation from a file."""
        found = read_file(Path(rest).expanduser())
        self._talk.replace(found.turns, found.system, found.tools)
        listed(self._talk)
