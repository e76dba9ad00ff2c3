"""Who is meant by a word in a conversation, live weights among them, and several of them in memory at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tuitune.chat.base import Chat
from tuitune.chat.live import LiveChat
from tuitune.chat.loading import Note, Progress, silent, unsaid
from tuitune.chat.server import ServerChat, is_address
from tuitune.chat.several import Several
from tuitune.chat.weights import Weights
from tuitune.engine.asked import asked
from tuitune.errors import RunError, UsageError
from tuitune.face import meant, served
from tuitune.face.find import is_live
from tuitune.face.host import prepare_for
from tuitune.run import RunDir, index

BASE = "base"
Meant = Weights | LiveChat | ServerChat


def whom(word: str, beside: Meant | None = None) -> Meant:
    """Return who is meant: a run that trains is asked live, a server at its address; else what `meant.of_name` finds.

    "base" is what `beside` was before it was trained; of a server another of its models is meant by its name. Raises
    UsageError, ModelError or RunError.
    """
    if isinstance(beside, ServerChat) and (there := beside.beside(word)) is not None:
        return there
    if word == BASE and beside is not None:
        return base_of(beside)
    if is_address(word):
        return served.found(word)
    run = _live(word)
    return LiveChat(run) if run is not None else meant.of_name(word)


def both(left: str, right: str) -> tuple[Meant, Meant]:
    """Return who is meant left and right, one of whom may be the "base" of the other; raises as `whom` does."""
    if left == BASE:
        other = whom(right)
        return whom(left, other), other
    one = whom(left)
    return one, whom(right, one) if right == BASE else whom(right)


def _live(word: str) -> RunDir | None:
    try:
        run = index.find(word)
    except (RunError, OSError, ValueError):
        return None
    return run if is_live(run) else None


def base_of(who: Meant) -> Meant:
    """Return what somebody was before training. Raises UsageError where that is not known."""
    if isinstance(who, ServerChat):
        raise UsageError(
            f"{who.title} does not tell what it was before training, and its server offers no model called base",
            "serve it too: tuitune serve RUN base=MODEL; or name another model",
        )
    if not isinstance(who, LiveChat):
        return meant.base_of(who)
    recipe, _ = asked(who.run)
    trained = meant.of_recipe(recipe)
    if meant.has_base(who.run, trained):
        return LiveChat(who.run, base=True)
    if recipe.adapter_name_or_path:
        raise UsageError(
            f"{who.run.name} goes on with an adapter: what it began with is not one of its own", "name the other too"
        )
    return replace(trained, title=f"{trained.title}, before training")


def loaded(people: Sequence[Meant], *, progress: Progress = silent, note: Note = unsaid) -> list[Chat]:
    """Return them ready to be asked, in the same order; weights of one model are in memory once.

    Raises ModelError or DataError.
    """
    here = [each for each in people if isinstance(each, Weights)]
    if here:
        prepare_for(here[0].device, here[0].threads)
    several = iter(Several.load(here, progress=progress, note=note).partners)
    return [next(several) if isinstance(each, Weights) else each for each in people]
