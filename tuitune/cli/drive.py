"""Start an engine on a run directory and show it until it ends."""

from __future__ import annotations

import os
import sys

from tuitune.cli.console import json_line, say, screen
from tuitune.cli.host import Signals
from tuitune.cli.views import view_for
from tuitune.cli.watch import Face, Failed, exit_code, tell_end, watch
from tuitune.engine.asked import asked
from tuitune.errors import Stopped
from tuitune.face import words
from tuitune.face.host import ProcessHost, ThreadHost, prepare_for
from tuitune.run import JournalReader, RunDir
from tuitune.run.streams import guard


def drive(run: RunDir, *, detached: bool = False, as_json: bool = False) -> int:
    """Train in `run`, in the host that is asked for; return the exit code. Raises TuiTuneError."""
    recipe, _ = asked(run)
    if detached:
        return _leave(run, as_json=as_json)
    reader = JournalReader(run.events)
    reader.read()  # earlier attempts are no news
    if recipe.host == "process":
        return _in_process(run, reader, as_json=as_json)
    prepare_for(recipe.device, recipe.threads)
    return _in_thread(run, reader, as_json=as_json)


def _leave(run: RunDir, *, as_json: bool) -> int:
    pid = ProcessHost.start(run).pid
    if as_json:
        json_line({"name": run.name, "path": run.path, "pid": pid})
        return 0
    console, name = screen(), words.called(run)
    say(console, f"{run.name} trains in the background, process {pid}")
    say(console, f"watch it: tuitune attach {name}")
    say(console, f"end it: tuitune stop {name}")
    return 0


def _in_thread(run: RunDir, reader: JournalReader, *, as_json: bool) -> int:
    host = ThreadHost(run)
    # Whatever libraries print goes to the run's log: only the view writes to the real streams.
    with guard(run.console) as real, Signals(host.ask) as signals:
        face = Face(view_for(run, real.out, as_json=as_json))
        host.start()
        try:
            ended = watch(run, face, reader, host, signals, stop_if_lost=True)
        except BaseException:
            # A fault in a face must not leave a training that nobody sees, nor lose its steps.
            face.close()
            signals.stop()
            while not host.wait(1.0):
                pass
            raise
        if not ended:
            face.say(f"left at once; go on: tuitune resume {words.called(run)}", "yellow")
            os._exit(Stopped.exit_code)
        tell_end(run, face)
    outcome = host.outcome
    if outcome.status == "failed":
        raise Failed(outcome.message, outcome.hint, outcome.exit_code)
    return outcome.exit_code


def _in_process(run: RunDir, reader: JournalReader, *, as_json: bool) -> int:
    host = ProcessHost.start(run)
    # A lost terminal does not end it: that is what a process of its own is for.
    with Signals(host.ask, hangup=False) as signals:
        face = Face(view_for(run, sys.stdout, as_json=as_json))
        if not watch(run, face, reader, host, signals, stop_if_lost=False):
            return Stopped.exit_code if signals.leave else 0
        tell_end(run, face)
    return exit_code(run, face.picture.end)
