"""Train what a run directory asks for, from wherever it stands; every face sees it through the journal alone."""

from __future__ import annotations

import contextlib
import os
import socket
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tuitune.engine.asked import asked
from tuitune.engine.plot import pictures
from tuitune.engine.session import Halt, Session
from tuitune.engine.trackers.reporting import Reporting
from tuitune.errors import Stopped, TuiTuneError
from tuitune.recipe import Recipe
from tuitune.run import events, manifest
from tuitune.run.directory import RunDir
from tuitune.run.imported import refuse_training
from tuitune.run.state import State
from tuitune.text import clean_line


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended; `exit_code` as DESIGN lists them."""

    status: Literal["finished", "stopped", "failed"]
    exit_code: int
    message: str = ""
    hint: str = ""


def run(
    run_dir: RunDir, *, detached: bool = False, on_session: Callable[[Session], None] = lambda session: None
) -> Outcome:
    """Train in `run_dir` until it is done, stopped or failed. Blocks; for a worker thread or a process of its own.

    on_session: gets the session at once, so that a host's signals and keys can ask for a stop. Failures come back as an
    Outcome; only a run directory that another engine holds, or that was imported, raises (RunError).
    """
    refuse_training(run_dir)
    with run_dir.lock():
        former = State.read(run_dir.state)
        manifest.sweep(run_dir.path)
        with (
            Session(run_dir, attempt=(former.attempt if former else 0) + 1, detached=detached) as session,
            contextlib.closing(Reporting(session)) as reporting,
        ):
            on_session(session)
            return _guarded(session, reporting)


def _guarded(session: Session, reporting: Reporting) -> Outcome:
    recipe: Recipe | None = None
    begun = time.monotonic()
    try:
        recipe, notes = asked(session.run)
        final, metrics = _train(session, recipe, notes, reporting)
        pictures(session, recipe)
    except Halt as halt:
        if halt.now:
            reporting.grace = 1.0
        else:
            pictures(session, recipe)
        return _halted(session, halt, time.monotonic() - begun)
    except Exception as error:
        pictures(session, recipe)
        return _failed(session, error)
    except BaseException:  # SystemExit of a library, say: the state must not stay "running"
        session.status("failed")
        raise
    finally:
        _refuse_the_rest(session)
    seconds = time.monotonic() - begun
    session.emit(events.RunFinished(session.step, seconds, "finished", final, metrics, session.attempt))
    session.status("finished")
    return Outcome("finished", 0)


def _train(session: Session, recipe: Recipe, notes: list[str], reporting: Reporting) -> tuple[str, dict[str, float]]:
    from tuitune.engine import changes, checkpoint

    restored, rejected = checkpoint.choose(session.run, recipe.resume_from_checkpoint)
    step = restored.step if restored else 0
    if restored is not None:
        changes.refuse_impossible(restored.own["recipe"], recipe)
    session.emit(
        events.RunStarted(
            session.attempt, step, None, session.run.name, recipe.model_name_or_path, recipe.stage,
            recipe.method_name, str(restored.path) if restored else None, socket.gethostname(), os.getpid(),
            t=session.began,  # what was imported until now is part of how long it takes
        )
    )  # fmt: skip
    reporting.begin(recipe)
    session.stepped(step, None)
    for path, reason in rejected:
        session.warn(f"{path.name} is not used: {reason}", f"the run goes on from step {step}")
    for warning in recipe.warnings:
        session.warn(f"{warning.key}: {warning.reason}", warning.hint)
    for note in notes:
        session.warn(note)
    own = restored is not None and restored.path.parent == session.run.path
    manifest.supersede(session.run.path, step if own else 0)
    from tuitune.engine.build import Build

    return Build(session, recipe, restored).train()


def _halted(session: Session, halt: Halt, seconds: float) -> Outcome:
    reason: Literal["stopped", "stopped_now"] = "stopped_now" if halt.now else "stopped"
    session.emit(events.RunFinished(session.step, seconds, reason, attempt=session.attempt))
    session.status("stopped")
    return Outcome("stopped", Stopped.exit_code)


def _failed(session: Session, error: Exception) -> Outcome:
    with contextlib.suppress(OSError):  # a full disk must not hide why the run ended
        with session.run.console.open("a", encoding="utf-8", errors="backslashreplace") as log:
            traceback.print_exception(error, file=log)
        session.run.console.chmod(0o600)
    message, hint = words(error)
    code = getattr(error, "exit_code", 1)
    session.emit(events.RunFailed(message, hint, session.step, code, session.attempt))
    session.status("failed", message)
    return Outcome("failed", code, message, hint)


def words(error: Exception) -> tuple[str, str]:
    """Return what to tell the user about `error`: our own errors as they are, others by kind and text."""
    if isinstance(error, TuiTuneError):
        problems = [f"{p.key}: {p.reason}" for p in getattr(error, "problems", ()) if p.level == "error"]
        return "; ".join([error.message, *problems]), error.hint
    text = clean_line(str(error))[:500]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__, "the whole story is in console.log"


def _refuse_the_rest(session: Session) -> None:
    for command in session.commands():
        session.done(command, "refused", "the run has ended")
