"""`tuitune chat`: one reply, or a conversation, with one partner or with two."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from tuitune.chat import weights
from tuitune.chat.base import Chat, Options, judge_of
from tuitune.chat.compare import Comparison
from tuitune.chat.comparefile import whose
from tuitune.chat.conversation import Conversation
from tuitune.chat.dialogues import dialogues
from tuitune.chat.kept import Kept
from tuitune.chat.live import LiveChat
from tuitune.chat.saved import read_file
from tuitune.chat.server import ServerChat
from tuitune.chat.tools import read_file as read_tools
from tuitune.chat.weights import Weights
from tuitune.cli.bars import bars
from tuitune.cli.comparing import Comparing, lasting
from tuitune.cli.console import say, screen
from tuitune.cli.replies import answer, printed, tell
from tuitune.cli.talk import Talk
from tuitune.engine.asked import asked
from tuitune.errors import UsageError
from tuitune.face import served, whom
from tuitune.face.find import find, is_live
from tuitune.face.meant import of_names
from tuitune.fit import embedded
from tuitune.recipe import load as load_recipe
from tuitune.run import RunDir, places
from tuitune.run.inbox import check_option
from tuitune.run.streams import guard
from tuitune.tui.opening import is_setting


@dataclass(frozen=True)
class Wish:
    """What the command line says; `words`: a recipe with KEY=VALUE, or the name of a run, folder or model."""

    words: Sequence[str] = ()
    model: str | None = None
    adapter: str | None = None
    run: str | None = None
    server: str | None = None
    compare: str | None = None
    system: str | None = None
    tools: Path | None = None
    load: Path | None = None
    once: str | None = None
    score: bool = False
    options: Options = field(default_factory=dict)


Two = tuple[tuple[whom.Meant, whom.Meant], tuple[str, str]]
"""Both who are compared, and the words that name them."""


def chat(wish: Wish) -> int:
    """Talk to a model or a run; return the exit code."""
    for name, value in wish.options.items():
        check_option(name, value)
    _refuse_both(wish)
    tools = read_tools(wish.tools) if wish.tools is not None else ""
    if wish.score:
        return _score(wish)
    text = sys.stdin.read() if wish.once == "-" else wish.once
    if text is not None and not text.strip():
        raise UsageError("--once has nothing to say", "give a text, or `-` and a text on standard input")
    if (two := _two(wish)) is not None:
        return _compared(wish, two, text, tools)
    talk = Kept(Conversation(system=wish.system, tools=tools), on_disk=text is None)
    if wish.load is not None:
        found = read_file(wish.load)
        talk.replace(found.turns, wish.system or found.system, tools or found.tools)
    partner = _partner(wish)
    if text is not None:
        return _once(partner, talk, text, wish.options)
    return Talk(partner, talk, wish.options).run()


def _refuse_both(wish: Wish) -> None:
    """Raise UsageError where two things say who is asked."""
    if wish.run is not None and (wish.model is not None or wish.adapter is not None):
        raise UsageError("--run says which model and adapter it is", "leave --model and --adapter out")
    named = [bool(wish.words), wish.run is not None, wish.server is not None]
    named.append(wish.server is None and (wish.model is not None or wish.adapter is not None))
    if sum(named) > 1:
        raise UsageError("there is more than one who could be asked", "name a recipe, a run, a model or a server, once")


def _score(wish: Wish) -> int:
    """Print what the conversations on standard input are worth, one number a line."""
    who = _meant(wish)
    if not isinstance(who, Weights):
        raise UsageError(f"{who.title} can be asked, but gives no scores here", "name the saved result of a run of rm")
    judge = judge_of(load(who, sys.stderr))
    if judge is None:
        raise UsageError("this is no reward model, so it has no score to give", "name the result of a run of stage rm")
    talks = [(own if own is not None else wish.system, turns) for own, turns in dialogues(sys.stdin.read())]
    with guard(places.home() / "chat.log") as real:
        for own, turns in talks:
            print(f"{judge.score(turns, system=own):.6g}", file=real.out, flush=True)
    return 0


def _partner(wish: Wish) -> Chat:
    who = _meant(wish)
    return load(who, sys.stderr) if isinstance(who, Weights) else who


def _meant(wish: Wish) -> whom.Meant:
    if wish.server is not None:
        return served.found(wish.server, wish.model)
    if wish.run is not None:
        run = find(wish.run)
        return LiveChat(run) if is_live(run) else weights_of(run)
    if not wish.words:
        return of_names(wish.model, None if wish.adapter is None else Path(wish.adapter))
    if _is_recipe(wish.words):
        return weights.of_infer(load_recipe(wish.words[0], wish.words[1:], "serve"))
    if len(wish.words) > 1:
        raise UsageError(f"{wish.words[0]!r:.80} is no recipe file, so no values can follow it", "name one thing")
    return whom.whom(wish.words[0])


def _word(wish: Wish, who: whom.Meant) -> str:
    """Return what names the one who is asked, so that it can be found again; nothing for what one word cannot name."""
    if isinstance(who, ServerChat):
        return who.word
    if wish.words:
        return "" if _is_recipe(wish.words) else lasting(wish.words[0])
    if wish.adapter is not None:
        word = str(Path(wish.adapter).expanduser().absolute())
        return word if wish.model is None or whom.whom(word) == who else ""
    return lasting(wish.run or wish.model or embedded.NAME)


def _is_recipe(words: Sequence[str]) -> bool:
    return is_setting(words[0]) or Path(words[0]).suffix.lower() in (".yaml", ".yml", ".json")


def weights_of(run: RunDir) -> Weights:
    """Return the newest weights of a run that has ended."""
    folder = weights.newest(run)  # before the recipe: that of an imported run without weights may lack its model
    recipe, _ = asked(run)
    return weights.of_run(run, recipe, folder)


def load(chosen: Weights, stream: TextIO) -> Chat:
    """Load weights, telling on `stream` how far it is; what libraries print goes to a log."""
    return _loaded([chosen], stream)[0]


def _loaded(people: Sequence[whom.Meant], stream: TextIO) -> list[Chat]:
    notes: list[str] = []
    with guard(places.home() / "chat.log") as real, bars(real.err) as progress:
        partners = whom.loaded(people, progress=progress, note=notes.append)
    for note in dict.fromkeys(notes):
        say(screen(stream), f"warning: {note}", "yellow")
    return partners


def _once(partner: Chat, talk: Kept, text: str, options: Options) -> int:
    talk.ask(text)
    with guard(places.home() / "chat.log") as real, printed(real.out, real.err) as out:
        done = answer(partner, talk, options, out)
    tell(done, sys.stderr, counts=False)
    return 0


def _two(wish: Wish) -> Two | None:
    """Return whom to compare; where nobody is named, those of the comparison that is loaded. None for no comparison."""
    if wish.compare is not None:
        first = _meant(wish)
        other = whom.whom(wish.compare, first)
        if isinstance(other, ServerChat):
            return (first, other), (_word(wish, first), other.word)
        return (first, other), (_word(wish, first), whom.BASE if wish.compare == whom.BASE else lasting(wish.compare))
    if wish.load is None or wish.words or wish.run or wish.server or wish.model or wish.adapter:
        return None
    words = whose(wish.load)
    return None if words is None else (whom.both(*words), (words[0], words[1]))


def _compared(wish: Wish, two: Two, text: str | None, tools: str) -> int:
    people, words = two
    with contextlib.closing(_comparison(wish.load, kept=text is None)) as talk:
        if wish.load is None or wish.system is not None:
            talk.instruct(wish.system)
        if tools:
            talk.offer(tools)
        both = Comparing(_loaded(people, sys.stderr), words, talk, {**(talk.sampling or {}), **wish.options})
        if text is None:
            both.went_on(wish.load)
            return both.run()
        both.said(text)
    return 0


def _comparison(loaded: Path | None, *, kept: bool) -> Comparison:
    """Return a new one, or what is loaded: a folder where it is, a file in a folder of its own."""
    if kept and loaded is not None and loaded.is_dir():
        return Comparison.load(loaded)
    talk = Comparison.begin() if kept else Comparison()
    if loaded is not None:
        talk.take(loaded)
    return talk
