"""The commands for a run under way: watch and steer it; each command's work is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from tuitune.cli.options import NoMouse, Plain, RunName


def attach(
    context: typer.Context,
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="The newest live run unless given.")] = None,
    plain: Plain = False,
    no_mouse: NoMouse = False,
) -> int:
    """Open the app on a run, or follow it in plain lines; leaving ends the watching, not the run."""
    from tuitune.cli.open import attach as work

    return work(run, plain=plain, mouse=bool(context.obj) and not no_mouse)


def pause(run: RunName) -> int:
    """Let a run wait."""
    from tuitune.cli.steer import pause as work

    return work(run)


def continue_(run: RunName) -> int:
    """Let a paused run go on."""
    from tuitune.cli.steer import go_on as work

    return work(run)


def save(run: RunName) -> int:
    """Write a checkpoint at the end of the step."""
    from tuitune.cli.steer import save as work

    return work(run)


def stop(
    run: RunName,
    now: Annotated[
        bool, typer.Option("--now", help="Without a checkpoint: lose what came after the last one.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the run has ended.")] = True,
) -> int:
    """Write a checkpoint of the last whole step and end a run."""
    from tuitune.cli.steer import stop as work

    return work(run, now=now, wait=wait)


def lr(run: RunName, value: Annotated[float, typer.Argument(metavar="VALUE", help="Such as 2e-5.")]) -> int:
    """Set the peak of the learning rate's schedule while a run is training."""
    from tuitune.cli.steer import learning_rate as work

    return work(run, value)


COMMANDS: dict[str, Callable[..., int]] = {
    "attach": attach, "pause": pause, "continue": continue_, "save": save, "stop": stop, "lr": lr,
}  # fmt: skip
