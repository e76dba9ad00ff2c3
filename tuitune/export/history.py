"""The exports that were made here, as TuiTune's home remembers them. No torch."""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tuitune.fit.files import read_object
from tuitune.run import places
from tuitune.run.files import PRIVATE_FILE
from tuitune.run.packing import pack, restore

FILE = "export.json"
_LIST = "exports.jsonl"
JUDGES = "value_head.safetensors"


@dataclass(frozen=True)
class Done:
    """One export that was made here; subject: where the weights lay that were exported (see `Order.source`)."""

    path: str
    subject: str
    title: str
    form: str
    number: str
    size: int
    made: float = field(default_factory=time.time)

    @property
    def there(self) -> bool:
        """Whether it still lies there."""
        return (Path(self.path) / FILE).is_file()


def remember(done: Done) -> None:
    """Add an export to the list; a home that cannot be written loses nothing but the line."""
    with contextlib.suppress(OSError):
        fd = os.open(places.home() / _LIST, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
        with os.fdopen(fd, "wb") as stream:
            stream.write(pack(asdict(done)) + b"\n")


def known() -> list[Done]:
    """Return the exports that still lie where they were made, the newest first."""
    try:
        lines = (places.home() / _LIST).read_bytes().splitlines()
    except OSError:
        return []
    found: dict[str, Done] = {}
    for line in reversed(lines):
        with contextlib.suppress(ValueError):
            values: Mapping[str, object] = orjson.loads(line)
            done = restore(Done, values)
            found.setdefault(done.path, done)
    return [done for done in found.values() if done.there]


def told(folder: Path) -> dict[str, Any]:
    """Return what export.json says, nothing where it cannot be read."""
    return read_object(folder / FILE)


def commands(folder: Path) -> Iterator[str]:
    """Yield commands that use what lies in the folder of an export."""
    place = shlex.quote(str(folder))
    modelfile = (folder / "Modelfile").is_file()
    ollama = f"ollama create {shlex.quote(folder.name)} -f {shlex.quote(str(folder / 'Modelfile'))}"
    file = next(iter(sorted(folder.glob("*.gguf"))), None)
    if file is not None:
        yield f"tuitune chat --model {shlex.quote(str(file))}"
        if modelfile:
            yield ollama
        yield f"llama-server -m {shlex.quote(str(file))}"
        return
    if (folder / JUDGES).is_file():  # a reward model gives scores, no answers
        yield f"tuitune serve {place}"
        return
    yield f"tuitune chat --model {place}"
    if read_object(folder / "config.json").get("model_type") == "tuitune_mixture_of_depths":
        return
    yield f"vllm serve {place}"
    if modelfile:
        yield ollama
