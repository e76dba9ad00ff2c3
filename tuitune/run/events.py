"""What a run says about itself: one frozen record per event, one JSON line each in `events.jsonl`.

A field is never renamed or removed, and a new one gets a default, so that old journals stay readable.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import orjson

from tuitune.run.packing import pack, record, restore


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at the unix time `t`."""

    kind: ClassVar[str] = "Event"
    t: float = field(default_factory=time.time, kw_only=True)

    def __init_subclass__(cls) -> None:
        cls.kind = cls.__name__


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """An attempt begins; `step` optimizer steps are already done and later ones of former attempts no longer count."""

    attempt: int
    step: int = 0
    total_steps: int | None = None
    recipe_name: str = ""
    model: str = ""
    stage: str = ""
    method: str = ""
    resumed_from: str | None = None
    host: str = ""
    pid: int = 0


@dataclass(frozen=True, slots=True)
class PhaseStarted(Event):
    """A stretch of work begins, such as loading or tokenizing."""

    phase: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Noted(Event):
    """Something worth a line in the log that asks nothing of the user."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class Progress(Event):
    """How far a phase is; `total` is None where nobody knows it."""

    phase: str
    done: int = 0
    total: int | None = None


@dataclass(frozen=True, slots=True)
class StepLogged(Event):
    """The figures of one optimizer step, or of the steps since the last one logged; `memory` is in bytes.

    metrics: the stage's own (`rewards/margins`, `kl`), by trl's names.
    """

    step: int
    epoch: float = 0.0
    loss: float = 0.0
    learning_rate: float = 0.0
    grad_norm: float | None = None
    tokens: int = 0
    labelled_tokens: int = 0
    tokens_per_second: float = 0.0
    labelled_tokens_per_second: float = 0.0
    step_seconds: float = 0.0
    memory: dict[str, int] = field(default_factory=dict)
    mfu: float | None = None
    parts: int = 1
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EvalLogged(Event):
    """An evaluation on held-out rows."""

    step: int
    epoch: float = 0.0
    loss: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Sampled(Event):
    """Answers that the weights gave to one prompt, to learn from (ppo, grpo, rloo) or at an evaluation.

    rewards: of each answer. parts: each reward function's own, by name. reference: what the data says, if anything.
    """

    step: int
    prompt: str = ""
    answers: list[str] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    parts: dict[str, list[float]] = field(default_factory=dict)
    reference: str = ""


@dataclass(frozen=True, slots=True)
class CheckpointSaved(Event):
    """A checkpoint is sealed on disk."""

    step: int
    path: str = ""
    bytes: int = 0
    seconds: float = 0.0
    best: bool = False


@dataclass(frozen=True, slots=True)
class ReplyStarted(Event):
    """The live weights begin to answer; the text grows in `replies/<id>.txt`.

    tool_form: how the model writes calls, by a name of TOOL_FORMATS; "" where no tools were offered.
    """

    id: str
    step: int = 0
    prompt_tokens: int = 0
    tool_form: str = ""


@dataclass(frozen=True, slots=True)
class ReplyFinished(Event):
    """The answer is complete, or why it is not."""

    id: str
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    reason: Literal["end", "length", "stopped", "error"] = "end"
    error: str = ""


@dataclass(frozen=True, slots=True)
class Warned(Event):
    """Something the user should know, and what to do about it."""

    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Paused(Event):
    """Training waits."""

    step: int = 0


@dataclass(frozen=True, slots=True)
class Resumed(Event):
    """Training goes on after a pause."""

    step: int = 0


@dataclass(frozen=True, slots=True)
class CommandDone(Event):
    """The engine's answer to the command with this id."""

    id: str
    command: str = ""
    outcome: Literal["done", "refused", "failed", "deferred"] = "done"
    message: str = ""


@dataclass(frozen=True, slots=True)
class RunFinished(Event):
    """The attempt ended as it should; `final` is where the result lies.

    attempt: its number, also of one that ended before it began; 0 in journals of former versions.
    """

    step: int
    seconds: float = 0.0
    reason: Literal["finished", "stopped", "stopped_now"] = "finished"
    final: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class RunFailed(Event):
    """The attempt broke off; the traceback is in `console.log`. attempt: as that of RunFinished."""

    message: str
    hint: str = ""
    step: int = 0
    exit_code: int = 1
    attempt: int = 0


_ALL: tuple[type[Event], ...] = (
    RunStarted,
    PhaseStarted,
    Noted,
    Progress,
    StepLogged,
    EvalLogged,
    Sampled,
    CheckpointSaved,
    ReplyStarted,
    ReplyFinished,
    Warned,
    Paused,
    Resumed,
    CommandDone,
    RunFinished,
    RunFailed,
)
KINDS: dict[str, type[Event]] = {cls.kind: cls for cls in _ALL}


def encode(event: Event) -> bytes:
    """Return `event` as one JSON line with its line break."""
    return pack({"kind": event.kind, **record(event)}) + b"\n"


def decode(line: bytes | str) -> Event | None:
    """Return the event of a line, or None when it is torn, of an unknown kind, or not an event at all."""
    try:
        values = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(values, dict) or (cls := KINDS.get(str(values.get("kind")))) is None:
        return None
    try:
        return restore(cls, values)
    except ValueError:
        return None
