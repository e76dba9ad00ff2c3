"""The directory of one run: what lies where, how it comes to be, and who may train in it."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tuitune.errors import RunError
from tuitune.run import places
from tuitune.run.files import PRIVATE_DIR, PRIVATE_FILE, private_dir, write_all, write_atomic

CHECKPOINT = re.compile(r"checkpoint-(0|[1-9][0-9]*)")
_FOLDERS = ("inbox", "replies")
# What `create` itself may have left behind before it wrote the recipe.
_SKELETON = {*_FOLDERS, "events.jsonl", ".lock"}


@dataclass(frozen=True)
class RunDir:
    """The names inside a run directory; `path` need not exist."""

    path: Path

    def __post_init__(self) -> None:
        # Detaching, torchrun and the index all see the same place, whatever their current directory is.
        try:
            object.__setattr__(self, "path", Path(self.path).expanduser().absolute())
        except RuntimeError as error:
            raise RunError(f"{self.path} names the home directory of nobody", "give a path without ~") from error

    @property
    def name(self) -> str:
        """The run's name: that of its directory."""
        return self.path.name

    @property
    def recipe(self) -> Path:
        """What was asked, word for word."""
        return self.path / "recipe.yaml"

    @property
    def resolved(self) -> Path:
        """Every value in force, the plan included."""
        return self.path / "resolved.yaml"

    @property
    def events(self) -> Path:
        """The journal."""
        return self.path / "events.jsonl"

    @property
    def console(self) -> Path:
        """Everything else that was printed."""
        return self.path / "console.log"

    @property
    def state(self) -> Path:
        """Who trains here and how far it is."""
        return self.path / "state.json"

    @property
    def inbox(self) -> Path:
        """The directory of commands."""
        return self.path / "inbox"

    @property
    def replies(self) -> Path:
        """The directory of the live weights' answers."""
        return self.path / "replies"

    @property
    def final(self) -> Path:
        """The result."""
        return self.path / "final"

    @property
    def checkpoints(self) -> list[Path]:
        """Everything named like a checkpoint, by step; `manifest` says which of them are."""
        found = [(int(match[1]), entry) for entry in _entries(self.path) if (match := CHECKPOINT.fullmatch(entry.name))]
        return [entry for _, entry in sorted(found) if entry.is_dir()]

    def checkpoint(self, step: int) -> Path:
        """Return where the checkpoint of `step` belongs."""
        return self.path / f"checkpoint-{step}"

    def reply(self, identifier: str) -> Path:
        """Return where the text of a reply grows; raises RunError for an id that is no plain name."""
        if not re.fullmatch(r"[0-9A-Za-z_-]{1,80}", identifier):
            raise RunError(f"{identifier!r:.100} cannot name a reply")
        return self.replies / f"{identifier}.txt"

    def is_run(self) -> bool:
        """Tell whether a run lives here."""
        return self.recipe.is_file() and self.events.is_file()

    @classmethod
    def create(cls, path: str | Path, recipe_text: str) -> RunDir:
        """Make the directory of a run, or return the run that lies there with the very same recipe.

        Raises RunError when `path` holds a run with another recipe, or something that is not a run.
        """
        run = cls(Path(path))
        try:
            run._refuse_other(recipe_text)
            private_dir(run.path).chmod(PRIVATE_DIR)
            for folder in _FOLDERS:
                private_dir(run.path / folder)
            os.close(os.open(run.events, os.O_WRONLY | os.O_CREAT, PRIVATE_FILE))
            # The recipe comes last: with it the directory is a run.
            if not run.recipe.exists():
                write_atomic(run.recipe, recipe_text.encode(), sync=True)
        except OSError as error:
            raise RunError(f"{run.path} cannot hold a run: {error.strerror}", "choose another output_dir") from error
        return run

    def _refuse_other(self, recipe_text: str) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path} is a file", "choose another output_dir")
        if self.is_run():
            if self.recipe.read_bytes() != recipe_text.encode():
                raise RunError(
                    f"{self.path} holds a run with another recipe",
                    "resume that run, choose another output_dir, or set overwrite_output_dir: true to move it aside",
                )
            return
        foreign = sorted(entry.name for entry in _entries(self.path) if entry.name not in _SKELETON)
        if foreign:
            shown = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
            raise RunError(
                f"{self.path} is not a run and not empty (it holds {shown})",
                "choose another output_dir, or set overwrite_output_dir: true to move it aside",
            )

    def replace_recipe(self, recipe_text: str) -> Path | None:
        """Write another recipe for the next attempt; return where the former one was kept, None when it is the same."""
        former = self.recipe.read_bytes()
        if former == recipe_text.encode():
            return None
        kept = _free_name(self.path, "recipe.yaml.old")
        write_atomic(kept, former)
        write_atomic(self.recipe, recipe_text.encode(), sync=True)
        return kept

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for one engine; raises RunError that names the process when another one has it."""
        fd = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, PRIVATE_FILE)
        try:
            _lock_or_refuse(fd, self.path)
            os.ftruncate(fd, 0)
            write_all(fd, f"{os.getpid()} {socket.gethostname()}\n".encode())
            yield
        finally:
            os.close(fd)


def _lock_or_refuse(fd: int, path: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid, _, host = os.pread(fd, 200, 0).decode(errors="replace").strip().partition(" ")
        holder = f"process {pid or '?'}" + (f" on {host}" if host and host != socket.gethostname() else "")
        raise RunError(
            f"{path} is in use: {holder} trains there", f"look at it with `tuitune attach {path.name}`"
        ) from error
    except OSError as error:
        reason = f"{path} cannot be locked: {error.strerror}"
        raise RunError(reason, "put the run on a file system that knows locks, such as a local disk") from error


def move_aside(path: str | Path) -> Path:
    """Rename a directory to `<name>.old-<n>` next to it and return the new path; nothing is deleted.

    Raises RunError when an engine trains in it, or when it is where the user stands or lives.
    """
    run = RunDir(Path(path))
    real = run.path.resolve()
    if any(place == real or real in place.parents for place in (Path.cwd().resolve(), Path.home().resolve())):
        raise RunError(
            f"{run.path} holds your current or home directory and is not moved aside", "choose another output_dir"
        )
    try:
        with run.lock() if run.is_run() else contextlib.nullcontext():
            return _rename_free(run.path)
    except OSError as error:
        raise RunError(f"{run.path} cannot be moved aside: {error.strerror}", "choose another output_dir") from error


def _rename_free(path: Path) -> Path:
    # An empty directory reserves the new name; renaming a directory onto it replaces it in one step.
    while True:
        target = _free_name(path.parent, f"{path.name}.old")
        with contextlib.suppress(FileExistsError):
            if path.is_dir() and not path.is_symlink():
                target.mkdir()
            break
    try:
        return path.rename(target)
    except OSError:
        with contextlib.suppress(OSError):
            target.rmdir()
        raise


def _free_name(folder: Path, stem: str) -> Path:
    numbered = (folder / f"{stem}-{number}" for number in itertools.count(1))
    return next(path for path in numbered if not os.path.lexists(path))


def default_name(
    model: str, stage: str, method: str, now: datetime | None = None, *, folder: Path | None = None
) -> str:
    """Return a name such as `20261122-161200-smollm2-135m-sft-lora`, free in `folder` (default: the user's runs)."""
    folder = places.runs() if folder is None else folder
    parts = [
        f"{now or datetime.now():%Y%m%d-%H%M%S}",
        slug(Path(model).name.removesuffix(".gguf")),
        slug(stage),
        slug(method),
    ]
    stem = "-".join(part for part in parts if part)
    name, number = stem, 2
    while os.path.lexists(folder / name):
        name, number = f"{stem}-{number}", number + 1
    return name


def slug(text: str) -> str:
    """Return `text` as a piece of a file name: small letters, digits, dots and hyphens, at most 40 of them."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")[:40].rstrip("-.")


def _entries(path: Path) -> list[Path]:
    try:
        return list(path.iterdir())
    except FileNotFoundError:
        return []
