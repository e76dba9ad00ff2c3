"""Run long work (downloads, conversions) in a process of its own, with progress, and with an end at any moment.

A conversion keeps the interpreter's lock for seconds and a download cannot be interrupted from outside, so neither may
run in a process that also draws a screen. The child dies with the caller: it watches its standard input, which closes
when the caller is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import tuitune
from tuitune.errors import ModelError
from tuitune.text import clean

Progress = Callable[[str, int, int | None], None]
Check = Callable[[], None]

_POLL_SECONDS = 0.1
_OFFLINE = ("convert", "quantise")
_PATIENCE_SECONDS = 3.0
_TAIL_CHARACTERS = 1500


def run_task(
    task: str, arguments: Mapping[str, str | bool | None], *, progress: Progress, check: Check, gpu: bool = False
) -> str:
    """Run `task` of tuitune.models.work in a child and return its result; raise ModelError with the child's words.

    gpu: it may see the devices that this process sees.
    """
    command = [sys.executable, "-m", "tuitune.models.work", task, json.dumps(dict(arguments))]
    answers: list[str] = []

    def line(text: str) -> None:
        message = _message(text)
        if message is None:
            return
        if "stage" in message:
            total = message.get("total")
            progress(str(message["stage"]), int(message.get("done") or 0), int(total) if total else None)
        elif "error" in message:
            raise ModelError(str(message["error"]), str(message.get("hint", "")))
        elif "result" in message:
            answers.append(str(message["result"]))

    environment = _environment(offline=task in _OFFLINE, gpu=gpu)
    code, tail = run_command(command, line=line, check=check, environment=environment)
    if answers and code == 0:
        return answers[-1]
    raise ModelError(f"the helper process for '{task}' ended without a result ({_how(code)})", _hint(code, tail))


def run_command(
    command: Sequence[str], *, line: Callable[[str], None], check: Check, environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run `command` without a shell, each line of its output to `line`; return its status and the end of its errors.

    `line` and `check` may raise: the process and what it started are ended first.
    """
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=dict(environment) if environment is not None else None,
            start_new_session=True,
        )
        try:
            _pump(process, line, check)
            code = process.wait()
        finally:
            _end(process)
        errors.seek(0, os.SEEK_END)
        errors.seek(max(0, errors.tell() - 4 * _TAIL_CHARACTERS))
        tail = clean(errors.read().decode("utf-8", "replace"))[-_TAIL_CHARACTERS:].strip()
    return code, tail


def _pump(process: subprocess.Popen[bytes], line: Callable[[str], None], check: Check) -> None:
    lines: queue.Queue[str | None] = queue.Queue()
    assert process.stdout is not None
    threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
    while True:
        check()
        try:
            text = lines.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            continue
        if text is None:
            return
        line(text)


def _read(stream: IO[bytes], lines: queue.Queue[str | None]) -> None:
    # A closed pipe while the process is being ended is the expected end of this thread.
    with contextlib.suppress(OSError, ValueError):
        for raw in stream:
            lines.put(raw.decode("utf-8", "replace"))
    lines.put(None)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _message(text: str) -> dict[str, str | int | None] | None:
    try:
        message = json.loads(text)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


def _environment(*, offline: bool, gpu: bool = False) -> dict[str, str]:
    # The child must find this very package, and has no business with a GPU or with telemetry.
    package_parent = str(Path(tuitune.__file__).resolve().parent.parent)
    path = os.pathsep.join(p for p in (package_parent, os.environ.get("PYTHONPATH", "")) if p)
    return {
        **os.environ,
        **({"HF_HUB_OFFLINE": "1"} if offline else {}),
        "PYTHONPATH": path,
        **({} if gpu else {"CUDA_VISIBLE_DEVICES": ""}),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def _how(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit status {code}"


def _hint(code: int, tail: str) -> str:
    if code == -9:
        return "The system most likely ran out of memory: free some, or use a smaller model."
    return tail or "It wrote nothing before it ended."
