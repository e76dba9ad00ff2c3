"""The mailbox of a run: faces put small files there, the engine takes them between micro-batches.

A command file appears whole or not at all, and is taken once. Whoever may write the directory may steer the run; its
permissions (0700) are the access control.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import secrets
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import orjson

from tuitune.errors import RunError, UsageError
from tuitune.run.files import write_atomic
from tuitune.run.packing import pack, record, restore

_ID = re.compile(r"[0-9a-f]{16}-[0-9a-f]{8}")
_MOST_BYTES = 8 << 20
_clock = threading.Lock()
_last = 0


def new_id() -> str:
    """Return a unique id; later ones sort after earlier ones of this process, and by the clock across processes."""
    global _last
    with _clock:
        _last = max(_last + 1, time.time_ns())
        return f"{_last:016x}-{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class Command:
    """A wish; `attempt` is the attempt it is meant for, None for whichever runs."""

    kind: ClassVar[str] = ""
    id: str = field(default_factory=new_id, kw_only=True)
    attempt: int | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Pause(Command):
    """Wait between two micro-batches."""

    kind: ClassVar[str] = "pause"


@dataclass(frozen=True, slots=True)
class Continue(Command):
    """Go on after a pause."""

    kind: ClassVar[str] = "continue"


@dataclass(frozen=True, slots=True)
class Save(Command):
    """Write a checkpoint at the end of the step."""

    kind: ClassVar[str] = "save"


@dataclass(frozen=True, slots=True)
class Stop(Command):
    """End after this step, with a checkpoint unless `save` is false."""

    kind: ClassVar[str] = "stop"
    save: bool = True


@dataclass(frozen=True, slots=True)
class StopNow(Command):
    """End at once and drop the unfinished step."""

    kind: ClassVar[str] = "stop_now"


@dataclass(frozen=True, slots=True)
class SetLearningRate(Command):
    """Set the peak that the schedule scales."""

    kind: ClassVar[str] = "set_learning_rate"
    value: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and self.value >= 0):
            raise UsageError(f"a learning rate cannot be {self.value}", "give a number from 0 up, such as 2e-5")


@dataclass(frozen=True, slots=True)
class Generate(Command):
    """Answer `messages` with the weights as they are now, or with those before training when `base` is true.

    tools: a JSON list of functions that the model may call.
    """

    kind: ClassVar[str] = "generate"
    messages: list[dict[str, str]]
    system: str | None = None
    options: dict[str, float | int | bool] = field(default_factory=dict)
    base: bool = False
    tools: str = ""

    def __post_init__(self) -> None:
        if not self.messages or any(message.keys() != {"role", "content"} for message in self.messages):
            raise UsageError("a conversation is a list of messages, each with a role and a content")
        for name, value in self.options.items():
            check_option(name, value)


@dataclass(frozen=True, slots=True)
class CancelReply(Command):
    """Break off the reply with the id `reply`."""

    kind: ClassVar[str] = "cancel_reply"
    reply: str


@dataclass(frozen=True, slots=True)
class Broken:
    """A file in the inbox that is no command; it was set aside."""

    id: str
    reason: str


_ALL: tuple[type[Command], ...] = (Pause, Continue, Save, Stop, StopNow, SetLearningRate, Generate, CancelReply)
COMMANDS: dict[str, type[Command]] = {cls.kind: cls for cls in _ALL}

# What may be asked of a reply: the words for the user and the test.
_Test = Callable[[float], bool]
OPTIONS: dict[str, tuple[type, str, _Test]] = {
    "max_new_tokens": (int, "a whole number from 1 up", lambda value: value >= 1),
    "temperature": (float, "a number from 0 up", lambda value: value >= 0),
    "top_p": (float, "a number above 0, at most 1", lambda value: 0 < value <= 1),
    "top_k": (int, "a whole number from 0 up", lambda value: value >= 0),
    "do_sample": (bool, "true or false", lambda value: True),
    "repetition_penalty": (float, "a number above 0", lambda value: value > 0),
    "seed": (int, "a whole number from 0 to 2^63 - 1", lambda value: 0 <= value < 2**63),
}


def check_option(name: str, value: object) -> None:
    """Raise UsageError unless `name` is a sampling option and `value` one it may have."""
    if name not in OPTIONS:
        raise UsageError(f"there is no sampling option {name!r}", f"the options are {', '.join(OPTIONS)}")
    kind, words, test = OPTIONS[name]
    number = isinstance(value, int | float) and isinstance(value, bool) == (kind is bool)
    if not number or (kind is int and not isinstance(value, int)) or not _holds(test, value):
        raise UsageError(f"{name} cannot be {value!r:.80}", f"it must be {words}")


def _holds(test: _Test, value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and test(value)


class Inbox:
    """The commands waiting in the directory `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stuck: set[str] = set()

    def send(self, command: Command) -> str:
        """Put `command` into the inbox and return its id; raises RunError when there is no inbox."""
        data = pack({"kind": command.kind, **record(command)})
        try:
            write_atomic(self.path / f"{command.id}.json", data)
        except OSError as error:
            reason = error.strerror or str(error)
            raise RunError(
                f"the command cannot be put into {self.path}: {reason}", "is this the run's directory?"
            ) from error
        return command.id

    def take(self) -> list[Command | Broken]:
        """Remove and return what waits, oldest first."""
        try:
            with os.scandir(self.path) as entries:
                # Dot-files are commands still being written, and what was set aside.
                names = [entry.name for entry in entries if entry.name[:1] != "."]
        except FileNotFoundError:
            return []
        taken = (self._take_one(name) for name in sorted(names))
        return [item for item in taken if item is not None]

    def _take_one(self, name: str) -> Command | Broken | None:
        # Claimed by name first: of two takers one gets the command, and one that cannot be removed never runs twice.
        claimed = self.path / f".taken-{name}"
        try:
            (self.path / name).rename(claimed)
        except FileNotFoundError:
            return None
        except OSError as error:
            return self._leave(name, error)
        try:
            command = _read(claimed, name.removesuffix(".json"))
        except (OSError, ValueError, UsageError) as error:
            with contextlib.suppress(OSError):
                claimed.rename(self.path / f".rejected-{name}")
            return Broken(name.removesuffix(".json"), str(error))
        claimed.unlink(missing_ok=True)
        return command

    def _leave(self, name: str, error: OSError) -> Broken | None:
        # Told once: the inbox is read many times a second.
        if name in self._stuck:
            return None
        self._stuck.add(name)
        return Broken(name, f"it cannot be taken: {error.strerror}")


def _read(path: Path, name: str) -> Command:
    # The id becomes a file name under replies/, so nothing but our own form may pass.
    if not _ID.fullmatch(name):
        raise ValueError("the file name is no command id")
    try:
        values = orjson.loads(_content(path))
    except orjson.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from error
    if not isinstance(values, dict) or (cls := COMMANDS.get(str(values.get("kind")))) is None:
        raise ValueError("it holds no known command")
    return restore(cls, {**values, "id": name})


def _content(path: Path) -> bytes:
    # Opened without waiting: a named pipe put here must not hold up the training.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as stream:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
            raise ValueError("it is not a small regular file")
        return stream.read(_MOST_BYTES)
