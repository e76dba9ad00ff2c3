"""A fake tracker, a journal written by hand, and readers of what real trackers leave on the disk."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tuitune.recipe import Document
from tuitune.run import events
from tuitune.run.directory import RunDir
from tuitune.run.journal import Journal

# It writes what it is told into $FAKE_TRACKER/calls.jsonl, and does what $FAKE_TRACKER/mood says.
FAKE = """
import json, os, pathlib, time
folder = pathlib.Path(os.environ["FAKE_TRACKER"])
def wait():
    for _ in range(12_000):  # until the test is over; ten minutes where nobody ends it
        if (folder / "go").exists():
            return
        time.sleep(0.05)
def told(*what):
    with (folder / "calls.jsonl").open("a") as file:
        file.write(json.dumps(what) + "\\n")
mood = (folder / "mood").read_text() if (folder / "mood").exists() else ""
print("a library says hello")
class Settings:
    def __init__(self, **values):
        self.sync_dir = "a folder"
class Run:
    offline, url, settings = False, "https://example.org/\\x1b[31mrun", Settings()
    def __init__(self, id):
        self.id, self.summary = id, {}
    def log(self, figures, step):
        if mood == "raise":
            raise ConnectionError("the network is away")
        if mood == "exit":
            os._exit(7)
        told("log", step, figures)
    def finish(self, exit_code):
        told("finish", exit_code)
        if mood == "slow end":
            wait()
def init(**values):
    told("init", {key: value for key, value in values.items() if key not in ("settings", "dir")})
    if mood == "hang":
        wait()
    if mood == "refuse":
        raise RuntimeError("no such account\\x1b]0;title\\x07")
    return Run(values.get("id") or "fake-1")
"""


class Fake:
    """The fake in the place of wandb."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        site = folder / "site"
        (site / "wandb").mkdir(parents=True)
        (site / "wandb" / "__init__.py").write_text(FAKE)
        (site / "wandb-99.dist-info").mkdir()
        (site / "wandb-99.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: wandb\nVersion: 99\n")
        self.site = site

    def mood(self, mood: str) -> None:
        """Decide what it does."""
        (self.folder / "mood").write_text(mood)

    def go(self) -> None:
        """Let it end that hangs or is slow."""
        (self.folder / "go").touch()

    def ended(self) -> list[Any]:
        """Wait for the end of what it is told, which comes from a process of its own; return the calls of `finish`."""
        until = time.monotonic() + 120
        while not (found := self.calls("finish")) and time.monotonic() < until:
            time.sleep(0.05)
        return found

    def calls(self, kind: str) -> list[Any]:
        """Return what it was told of one kind, in order."""
        path = self.folder / "calls.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [call[1:] for line in lines if (call := json.loads(line))[0] == kind]

    def steps(self) -> list[int]:
        """Return the steps whose loss it was told, in order."""
        return [step for step, figures in self.calls("log") if "train/loss" in figures]


def written(root: Path, name: str, found: Sequence[events.Event], **recipe: Any) -> RunDir:
    """Make a run whose journal holds these events."""
    document = Document.parse("model_name_or_path: m\ndataset: identity\n", None)
    for key, value in recipe.items():
        document.set(key, value)
    run = RunDir.create(root / name, document.text())
    with Journal(run.events) as journal:
        for event in found:
            journal.append(event)
    return run


def began(attempt: int, step: int = 0) -> events.RunStarted:
    """An attempt begins."""
    return events.RunStarted(attempt, step)


def logged(*steps: int) -> list[events.Event]:
    """Steps are logged; the loss is the step's tenth, and two figures are no numbers."""
    strange = {"grad_norm": float("inf"), "metrics": {"kl": float("nan")}}
    return [events.StepLogged(step, loss=step / 10, learning_rate=1e-3, **strange) for step in steps]


def report(run: RunDir, name: str, attempt: int) -> int:
    """Report an attempt whose engine is gone by now; return the exit code."""
    command = [sys.executable, "-P", "-m", "tuitune.engine.trackers", str(run.path), name, str(attempt), "1"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr.decode()
    assert b"trouble" not in done.stdout, done.stdout
    return done.returncode


def records(path: Path) -> Iterator[bytes]:
    """Yield the records of a LevelDB log, in which wandb and swanlab keep their runs: 32 KiB blocks, 7-byte headers."""
    data, at, held = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if (1 << 15) - at % (1 << 15) < 7:
            at += (1 << 15) - at % (1 << 15)
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        held += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield held
            held = b""
