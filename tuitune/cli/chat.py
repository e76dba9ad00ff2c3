"""`tuitune chat`: one reply, or a conversation."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from tuitune.chat import weights
from tuitune.chat.base import Chat, Options, judge_of
from tuitune.chat.conversation import Conversation
from tuitune.chat.dialogues import dialogues
from tuitune.chat.live import LiveChat
from tuitune.chat.weights import Weights
from tuitune.cli.bars import bars
from tuitune.cli.console import say, screen
from tuitune.cli.replies import answer, printed
from tuitune.cli.talk import Talk
from tuitune.engine.asked import asked
from tuitune.errors import UsageError
from tuitune.face.find import find, is_live
from tuitune.face.host import prepare_for
from tuitune.face.meant import of_names
from tuitune.run import RunDir, places
from tuitune.run.inbox import check_option
from tuitune.run.streams import guard


def chat(
    *,
    model: str | None,
    adapter: str | None,
    run: str | None,
    system: str | None,
    once: str | None,
    options: Mapping[str, float | int],
    score: bool = False,
) -> int:
    """Talk to a model or a run; return the exit code."""
    for name, value in options.items():
        check_option(name, value)
    if run is not None and (model is not None or adapter is not None):
        raise UsageError("--run says which model and adapter it is", "leave --model and --adapter out")
    if score:
        return _score(model, adapter, run, system)
    text = sys.stdin.read() if once == "-" else once
    if text is not None and not text.strip():
        raise UsageError("--once has nothing to say", "give a text, or `-` and a text on standard input")
    partner = _live(run) or load(_weights(model, adapter, run), sys.stderr)
    if text is not None:
        return _once(partner, text, system, options)
    return Talk(partner, Conversation.begin(system=system), options).run()


def _score(model: str | None, adapter: str | None, run: str | None, system: str | None) -> int:
    """Print what the conversations on standard input are worth, one number a line."""
    talks = [(own if own is not None else system, turns) for own, turns in dialogues(sys.stdin.read())]
    judge = judge_of(load(_weights(model, adapter, run), sys.stderr))
    if judge is None:
        raise UsageError("this is no reward model, so it has no score to give", "name the result of a run of stage rm")
    with guard(places.home() / "chat.log") as real:
        for own, turns in talks:
            print(f"{judge.score(turns, system=own):.6g}", file=real.out, flush=True)
    return 0


def _live(name: str | None) -> LiveChat | None:
    if name is None:
        return None
    run = find(name)
    return LiveChat(run) if is_live(run) else None


def _weights(model: str | None, adapter: str | None, run: str | None) -> Weights:
    if run is not None:
        return weights_of(find(run))
    return of_names(model, None if adapter is None else Path(adapter))


def weights_of(run: RunDir) -> Weights:
    """Return the newest weights of a run that has ended."""
    recipe, _ = asked(run)
    return weights.of_run(run, recipe)


def load(chosen: Weights, stream: TextIO) -> Chat:
    """Load weights, telling on `stream` how far it is; what libraries print goes to a log."""
    from tuitune.chat.local import LocalChat

    prepare_for(chosen.device, chosen.threads)
    notes: list[str] = []
    with guard(places.home() / "chat.log") as real, bars(real.err) as progress:
        partner = LocalChat.load(chosen, progress=progress, note=notes.append)
    for note in notes:
        say(screen(stream), f"warning: {note}", "yellow")
    return partner


def _once(partner: Chat, text: str, system: str | None, options: Options) -> int:
    talk = Conversation(system=system)
    talk.ask(text)
    with guard(places.home() / "chat.log") as real, printed(real.out, real.err) as out:
        done = answer(partner, talk, options, out)
    if done.score is not None:
        say(screen(sys.stderr), f"score {done.score:.4g}")
    return 0
