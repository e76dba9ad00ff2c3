"""Lines at a prompt: what is said, on several where one ends in a backslash, and words that begin with a slash."""

from __future__ import annotations

import contextlib
import difflib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from tuitune.chat.base import Options
from tuitune.chat.kept import Kept
from tuitune.chat.tools import names, read_file, shown
from tuitune.chat.tools import parts as calls_in
from tuitune.cli import report
from tuitune.cli.console import say, screen
from tuitune.errors import TuiTuneError, UsageError
from tuitune.run.inbox import OPTIONS, check_option
from tuitune.text import clean_line

_WIDTH = 60  # characters of a turn in a list
_MARGIN = 17


class Prompting:
    """Reads lines until it is enough; subclasses say what a line does, and add commands to `commands`."""

    commands: ClassVar[Mapping[str, tuple[str, str]]] = {}  # word: what follows it, what it does

    def __init__(self, options: Options) -> None:
        self.options = dict(options)
        self.asks = sys.stdin.isatty()
        self.failed = False

    def run(self) -> int:
        """Talk until the end of input; return 1 when something failed and nobody sat there to see it."""
        if self.asks:
            with contextlib.suppress(ImportError):
                import readline  # noqa: F401  # gives `input` its line editing and history

            say(screen(), f"{self.title}; /help tells what else there is", "bold")
        try:
            while (line := self._lines()) is not None:
                word, _, rest = line.partition(" ")
                if word in ("/quit", "/exit"):
                    break
                if line:
                    self._take(line, word, rest.strip())
        finally:
            if self.kept is not None:
                self.note(f"kept in {self.kept}; with --load it goes on")
        return 1 if self.failed and not self.asks else 0

    @property
    def kept(self) -> Path | None:
        """Where what was said is kept, None while there is nothing."""
        raise NotImplementedError

    def note(self, text: str) -> None:
        """Say what was done; where the replies go to a file or a program, it stays out of them."""
        say(screen() if self.asks else screen(sys.stderr), text, "dim")

    @property
    def title(self) -> str:
        """Who is talked to."""
        raise NotImplementedError

    @property
    def mark(self) -> str:
        """What stands before a line that is asked for."""
        return "> "

    def said(self, line: str) -> None:
        """Take what the user says. Raises TuiTuneError."""
        raise NotImplementedError

    def _take(self, line: str, word: str, rest: str) -> None:
        """Do what a line says; an error is told, and the conversation goes on."""
        try:
            if line.startswith("/") and not line.startswith("//"):
                self._command(word, rest)
            else:
                self.said(line.removeprefix("/"))
        except TuiTuneError as error:
            self.failed = True
            report.failure(error)

    def _command(self, word: str, rest: str) -> None:
        if word in ("/help", "/?"):
            self._help()
        elif word in self.commands:
            getattr(self, f"do_{word.removeprefix('/')}")(rest)
        else:
            near = difflib.get_close_matches(word, [*self.commands, "/quit"], n=1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise UsageError(
                f"there is no command {word!r:.40}", f"{meant}/help lists them; what begins with // is said with one /"
            )

    def _help(self) -> None:
        for known, (more, does) in {**self.commands, "/quit": ("", "end, as ctrl+d does")}.items():
            print(f"{f'{known} {more}':<{_MARGIN}}{does}")
        print(f"{'//...':<{_MARGIN}}say a line that begins with a slash")
        print(f"{'ctrl+c':<{_MARGIN}}end the reply that is being written")
        print(f"{'... ' + chr(92):<{_MARGIN}}a backslash at the end of a line: it goes on in the next")

    def _lines(self) -> str | None:
        lines: list[str] = []
        while (line := self._line("... " if lines else self.mark)) is not None:
            if not line.endswith("\\"):
                return "\n".join([*lines, line]).strip()
            lines.append(line[:-1])
        return "\n".join(lines).strip() if lines else None

    def _line(self, mark: str) -> str | None:
        try:
            return input(mark if self.asks else "").rstrip()
        except EOFError:
            if self.asks:
                print()
            return None
        except KeyboardInterrupt:
            # Meant for a reply that has just ended: it must not cost the conversation.
            if not self.asks:
                raise
            print("\n(ctrl+d ends)")
            return ""

    # -- what every conversation has -----------------------------------------------------------------------------

    def instructed(self, old: str | None, new: str | None) -> None:
        """Say how a system message has changed."""
        if new is not None:
            self.note("the next answer follows it")
        elif old is not None:
            self.note("the system message is gone: the model's own is back")
        else:
            self.note("there is no system message but the model's own; /system TEXT sets one")

    def do_set(self, rest: str) -> None:
        """Set how replies are drawn, or show it."""
        name, _, text = rest.partition(" ")
        if not name:
            print(told(self.options))
            return
        if name not in OPTIONS:
            raise UsageError(f"there is no {name!r:.40} to set", f"there are {', '.join(OPTIONS)}")
        try:
            value = OPTIONS[name][0](text)
        except ValueError as error:
            raise UsageError(f"{name} cannot be {text!r:.40}", f"it must be {OPTIONS[name][1]}") from error
        check_option(name, value)
        self.options[name] = value

    @staticmethod
    def tools_of(rest: str) -> str:
        """Return the tools in a file, "" for none, and say which they are."""
        tools = "" if rest in ("", "none") else read_file(Path(rest).expanduser())
        say(screen(), f"tools: {', '.join(names(tools)) or 'none'}", "dim")
        return tools


def told(options: Options) -> str:
    """Return how replies are drawn, in a line."""
    return "  ".join(f"{key}={value}" for key, value in options.items()) or "as the model was trained"


def number_of(rest: str, talk: Kept) -> tuple[int | None, str]:
    """Return the place of the turn whose number `rest` begins with, None for none, and the rest. Raises UsageError."""
    word, _, more = rest.partition(" ")
    if not word.isdecimal():
        return None, rest
    place = int(word) - 1
    if not 0 <= place < len(talk.turns):
        raise UsageError(f"there is no turn {word}", "/turns lists them with their numbers")
    return place, more.strip()


def listed(talk: Kept) -> None:
    """Print the turns, a line each, with numbers."""
    for number, turn in enumerate(talk.turns, 1):
        text = turn.content
        if turn.role == "function":
            said, calls = calls_in(text)
            text = " ".join([said, *map(shown, calls)])
        line = clean_line(text)
        cut = " (cut off)" if turn.reason == "lost" else ""
        line = line if len(line) <= _WIDTH else f"{line[:_WIDTH]}…"
        print(f"{number:>3} {clean_line(turn.by) or turn.role}: {line}{cut}")
