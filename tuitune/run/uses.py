"""Which commands are at work on this machine, from any terminal, and what they were told to work on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

import orjson
import psutil

from tuitune.run import places
from tuitune.run.files import private_dir, write_atomic
from tuitune.run.packing import pack
from tuitune.run.process import lives


@contextlib.contextmanager
def at_work(words: Sequence[str]) -> Iterator[None]:
    """Let others see, while open, that this process works on what these words of its command line name."""
    path = private_dir(places.home() / "uses") / f"{os.getpid()}.json"
    about = {"pid": os.getpid(), "born": psutil.Process().create_time(), "words": list(words), "cwd": os.getcwd()}
    with contextlib.suppress(OSError):
        write_atomic(path, pack(about) + b"\n")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def all_at_work() -> list[tuple[list[str], str]]:
    """Return words and current directory of every command at work; what a killed one left is removed."""
    found = []
    for path in private_dir(places.home() / "uses").glob("*.json"):
        try:
            about = orjson.loads(path.read_bytes())
            if lives(int(about["pid"]), float(about["born"])):
                found.append(([str(word) for word in about["words"]], str(about["cwd"])))
                continue
        except (OSError, ValueError, KeyError, TypeError):
            pass
        path.unlink(missing_ok=True)
    return found
