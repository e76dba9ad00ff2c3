"""Run a command and turn however it ends into words and an exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence

from tuitune.errors import Stopped, TuiTuneError, UsageError

_INTERRUPTED = 130  # what typer makes of ctrl+c


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `tuitune` with `arguments` (default: the command line's) and return the exit code.

    Without `arguments` the process is to end with that code, so after a ctrl+c the next ones are not heard.
    """
    _hear_interrupts()
    try:
        code = _run(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has gone (`| head`); what is still buffered must not complain at the very end.
        _silence_stdout()
        code = 1
    if arguments is None and code == Stopped.exit_code:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return code


def _hear_interrupts() -> None:
    """Hear SIGINT in a session of our own, whoever ignored it: a job is begun so, and told to end by it.

    A shell lets what it runs in the background ignore ctrl+c, which is meant for others; there are none here.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and os.getsid(0) == os.getpid():
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _run(arguments: list[str]) -> int:
    from typer.exceptions import Abort, TyperException

    from tuitune.cli import report
    from tuitune.cli.app import app

    try:
        code = app(arguments, prog_name="tuitune", standalone_mode=False)
    except TuiTuneError as error:
        _as_object(error, arguments)
        return report.failure(error)
    except TyperException as error:
        message, help_ = error.format_message().replace("Value error, ", "", 1), _usage(error)  # pydantic's prefix
        _as_object(UsageError(message, help_), arguments)
        return report.usage(message, help_)
    except (KeyboardInterrupt, Abort) as error:
        _as_object(error, arguments)
        return Stopped.exit_code
    except BrokenPipeError:
        raise
    except Exception as error:  # the border of the program: no traceback ever reaches the terminal
        _as_object(error, arguments)
        return report.fault(error)
    if code == _INTERRUPTED:
        _as_object(KeyboardInterrupt(), arguments)
        return report.failure(Stopped("cancelled"))
    return code if isinstance(code, int) else 0


def _as_object(error: BaseException, arguments: Sequence[str]) -> None:
    """Tell a program that reads JSON of a failure that the command itself has not told it of."""
    if "--json" in arguments and not getattr(error, "told", False):
        from tuitune.cli.console import json_line
        from tuitune.cli.telling import error_object

        json_line(error_object(error))


def _usage(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    return f"see `{context.command_path} --help`" if context is not None else "see `tuitune --help`"


def _silence_stdout() -> None:
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
