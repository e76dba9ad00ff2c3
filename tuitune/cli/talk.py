"""The conversation at the prompt: lines in, replies out, a few words that begin with a slash."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from tuitune.chat.base import Chat, NotWriting, Options, typed
from tuitune.chat.conversation import Conversation
from tuitune.cli import report
from tuitune.cli.console import say, screen
from tuitune.cli.replies import answer, printed
from tuitune.errors import TuiTuneError, UsageError
from tuitune.run import places
from tuitune.run.files import write_atomic
from tuitune.run.streams import guard
from tuitune.text import clean

_HELP = (
    "/answer TEXT   with a reward model: score an answer of your own; once more, one in its place",
    "/clear         forget the conversation so far",
    "/system TEXT   tell the model how to behave; without TEXT as it does by itself",
    "/save PATH     write the conversation as text",
    "/quit          end, as ctrl+d does",
    "ctrl+c         end the reply that is being written",
)


class Talk:
    """Reads what the user says until it is enough."""

    def __init__(self, partner: Chat, talk: Conversation, options: Options) -> None:
        self._partner, self._talk, self._options = partner, talk, options
        self._asks = sys.stdin.isatty()
        self._failed = False

    def run(self) -> int:
        """Talk until the end of input; return 1 when a reply failed and nobody sat there to see it."""
        if self._asks:
            with contextlib.suppress(ImportError):
                import readline  # noqa: F401  # gives `input` its line editing and history

            say(screen(), f"{self._partner.title}; /help tells what else there is", "bold")
        while (line := self._line()) is not None:
            if line.startswith("/"):
                if not self._command(line):
                    break
            elif line:
                self._reply(line)
        return 1 if self._failed and not self._asks else 0

    def _line(self) -> str | None:
        try:
            return input("> " if self._asks else "").strip()
        except EOFError:
            if self._asks:
                print()
            return None
        except KeyboardInterrupt:
            # Meant for a reply that has just ended: it must not cost the conversation.
            if not self._asks:
                raise
            print("\n(ctrl+d ends)")
            return ""

    def _reply(self, line: str) -> None:
        if self._talk.turns and self._talk.turns[-1].role == "user":  # it was never answered
            self._talk.undo()
        self._talk.ask(line)
        try:
            with guard(places.home() / "chat.log") as real, printed(real.out, real.err) as out:
                done = answer(self._partner, self._talk, self._options, out)
        except NotWriting as error:  # the question waits for an answer of the user's own
            say(screen(), f"{error.message}; {error.hint}", "dim")
            return
        except TuiTuneError as error:
            self._talk.undo()
            self._failed = True
            report.failure(error)
            return
        except BaseException:
            self._talk.undo()
            raise
        if self._asks and done.reason != "end":
            word = "cut off at max_new_tokens" if done.reason == "length" else "stopped"
            say(screen(), f"({word}, {done.tokens} tokens)", "dim")
        if done.score is not None:
            say(screen(), f"score {done.score:.4g}", "bold")

    def _typed(self, text: str) -> None:
        """Score the user's own answer to the last question; it takes the place of one that is there."""
        turns = list(self._talk.turns)
        if turns and turns[-1].role == "assistant":
            turns.pop()
        try:
            if not turns:
                raise UsageError("there is no question yet", "ask it first, then answer with /answer TEXT")
            with guard(places.home() / "chat.log"):
                done = typed(self._partner, turns, text, system=self._talk.system)
        except TuiTuneError as error:
            self._failed = True
            report.failure(error)
            return
        if len(turns) < len(self._talk.turns):
            self._talk.undo()
        self._talk.answer(text, by="you", score=done.score)
        say(screen(), f"score {done.score:.4g}", "bold")

    def _command(self, line: str) -> bool:
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        match word:
            case "/quit" | "/exit":
                return False
            case "/clear":
                self._talk.clear()
            case "/system":
                self._talk.instruct(rest or None)
            case "/answer" if rest:
                self._typed(rest)
            case "/save" if rest:
                self._save(Path(rest).expanduser())
            case _:
                for text in _HELP:
                    print(text)
        return True

    def _save(self, path: Path) -> None:
        text = "".join(f"{turn.role}: {clean(turn.content)}\n\n" for turn in self._talk.turns)
        try:
            if path.exists():
                say(screen(), f"{path} exists already; choose another name", "yellow")
                return
            write_atomic(path, text.encode())
        except OSError as error:
            say(screen(), f"{path} cannot be written: {error.strerror}", "red")
            return
        say(screen(), f"written to {path}")
