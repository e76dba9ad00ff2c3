"""`tuitune attach`: watch a run that trains elsewhere, or see how one has ended."""

from __future__ import annotations

import sys

from tuitune.cli.console import say, screen
from tuitune.cli.views import view_for
from tuitune.cli.watch import Face, exit_code, tell_end
from tuitune.errors import RunError
from tuitune.face import words
from tuitune.face.find import find, is_live, newest_live
from tuitune.face.host import ProcessHost
from tuitune.face.picture import Picture
from tuitune.run import JournalReader, RunDir, State, summary
from tuitune.run.journal import supersede

_GAP = 0.2


def attach(name: str | None) -> int:
    """Show a run until it ends or the user has seen enough; return the exit code."""
    run = newest_live() if name is None else find(name)
    reader = JournalReader(run.events)
    past = supersede(reader.read())
    if not is_live(run):
        picture = Picture(run.name)
        picture.take_all(past)
        return _over(run, picture)
    face = Face(view_for(run, sys.stdout))
    face.picture.take_all(past)
    # The end of an earlier attempt is not the end of this one.
    face.picture.end = None
    try:
        face.say(f"{run.name}, in {run.path}; ctrl+c ends the watching, not the run")
        _follow(run, face, reader)
    except KeyboardInterrupt:
        face.close()
        face.say(f"{run.name} goes on; look again: tuitune attach {words.called(run)}")
        return 0
    if face.lost:
        return 0
    tell_end(run, face)
    return exit_code(run, face.picture.end)


def _follow(run: RunDir, face: Face, reader: JournalReader) -> None:
    host, ended = ProcessHost(run), False
    while not ended and not face.lost:
        ended = host.wait(_GAP)
        face.show(reader.read(), State.read(run.state))
    face.close()


def _over(run: RunDir, picture: Picture) -> int:
    found, console, name = summary(run), screen(), words.called(run)
    if found.status == "created":
        raise RunError(f"{run.name} has not begun to train", f"start it: tuitune resume {name}")
    if found.status == "crashed":
        raise RunError(
            f"{run.name} crashed at step {found.step}: its process is gone",
            f"go on from {found.checkpoint.name if found.checkpoint else 'the beginning'}: tuitune resume {name}",
        )
    for line in words.ending(run, picture):
        say(console, line)
    return exit_code(run, picture.end)
