"""An export pushed to a hub: shown before, never over other files without a word, and repeatable when it breaks off."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tuitune.amounts import size
from tuitune.errors import ModelError, TuiTuneError, UsageError
from tuitune.export.hubs import Held, Hub, State, chosen, ready, state
from tuitune.export.usage import plain
from tuitune.text import clean_line

Progress = Callable[[str, int, int | None], None]
Note = Callable[[str], None]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
T = TypeVar("T")
_SHOWN = 12
EXPORT = "export.json"


@dataclass(frozen=True)
class Push:
    """What a push would do. files: (name, bytes, how it compares with the repository's file of that name).

    private: of the repository as it is or would be made; others: files of the repository that stay as they are.
    trouble: why the hub could not be asked, and what helps; then it is not known what the repository holds.
    """

    folder: Path
    repo: str
    where: str
    exists: bool | None
    private: bool
    files: tuple[tuple[str, int, State | None], ...]
    others: tuple[str, ...] = ()
    trouble: tuple[str, ...] = ()

    @property
    def overwritten(self) -> tuple[str, ...]:
        """The repository's files that would change."""
        return tuple(name for name, _, how in self.files if how == "changed")

    @property
    def sent(self) -> tuple[str, ...]:
        """The files that would be sent."""
        return tuple(name for name, _, how in self.files if how != "same")

    def sentences(self) -> list[str]:
        """Say it for people."""
        if self.trouble:
            return _unasked(self.repo, self.trouble, [(name, count) for name, count, _ in self.files])
        shade = "private" if self.private else "public"
        made = f"exists and is {shade}" if self.exists else f"would be made, {shade}"
        told = [f"{self.repo} on {self.where} {made}"]
        told += [f"{name}: {size(count)}, {how}" for name, count, how in self.files]
        if self.others:
            told.append(f"also in the repository, and left there: {_listed(self.others)}")
        return told


def check_name(repo: str) -> None:
    """Raise UsageError where this cannot name a repository."""
    if not _NAME.fullmatch(repo) or "--" in repo or ".." in repo:
        suggestion = f"your-name/{plain(repo.rsplit('/', 1)[-1])}"
        raise UsageError(f"{clean_line(repo)!r} is no name for a repository", f"write organisation/name: {suggestion}")


def refuse_impossible(repo: str) -> None:
    """Raise UsageError or ModelError where nothing can be pushed to `repo` from here. Nobody is asked."""
    check_name(repo)
    try:
        ready()
    except (ModelError, UsageError) as error:
        hint = f"{error.hint}; or leave export_hub_model_id out and push later: tuitune push"
        raise type(error)(error.message, hint) from error


def plan(repo: str, private: bool, files: Sequence[tuple[str, int]]) -> tuple[str, ...]:
    """Return sentences about a push of `files` (name, bytes) that are not written yet. Raises UsageError for a name."""
    check_name(repo)
    try:
        held = _asked(chosen(), repo)
    except TuiTuneError as error:
        return tuple(_unasked(repo, (error.message, error.hint), files))
    kept = () if held is None else tuple(name for name, _ in files if name in held.files)
    shade = "private" if (private if held is None else held.private) else "public"
    told = [f"{repo} {'exists and is' if held else 'would be made,'} {shade}"]
    told += _lines(files)
    told += [f"in the repository already: {_listed(kept)}"] if kept else []
    return tuple(told)


def _unasked(repo: str, trouble: Sequence[str], files: Sequence[tuple[str, int]]) -> list[str]:
    """Return what is said of a push where the hub could not be asked."""
    told = [f"what {repo} holds is not known: {trouble[0]}", *_lines(files)]
    return [*told, f"a push would be refused; {trouble[1]}"]


def _lines(files: Sequence[tuple[str, int]]) -> list[str]:
    """Return the files with their sizes; of small ones that are not written yet it is not known."""
    return [f"{name}: {size(count)}" if count else name for name, count in files]


def survey(folder: Path, repo: str, *, private: bool = True) -> Push:
    """Compare a folder with a repository, as far as the hub can be asked. Raises UsageError for a wrong name."""
    check_name(repo)
    try:
        hub = chosen()
        held = _asked(hub, repo)
    except TuiTuneError as error:
        files = tuple((name, path.stat().st_size, None) for name, path in _some(folder))
        return Push(folder, repo, "", None, private, files, trouble=(error.message, error.hint))
    return _compared(folder, repo, hub, held, private)


def _some(folder: Path) -> list[tuple[str, Path]]:
    paths = list(_files(folder))
    if not paths:
        raise UsageError(f"{folder} holds no files", "name the folder of an export")
    return paths


def _compared(folder: Path, repo: str, hub: Hub, held: Held | None, private: bool) -> Push:
    found, paths = held or Held(private), _some(folder)
    files = tuple((name, path.stat().st_size, state(path, found.files.get(name))) for name, path in paths)
    others = tuple(sorted(set(found.files) - {name for name, _ in paths} - {".gitattributes"}))
    return Push(folder, repo, hub.name, held is not None, found.private, files, others)


def push(
    out: Path,
    repo: str,
    *,
    private: bool = True,
    overwrite: bool = False,
    progress: Progress = lambda stage, done, total: None,
    note: Note = lambda text: None,
) -> str:
    """Send the files in `out` to the repository, which is made where there is none; return its address.

    Raises UsageError where files would be overwritten that were not to be, or what shall be private would be public;
    ModelError for what the hub or the network refuses. The folder stays as it is.
    """
    check_name(repo)
    try:
        return _pushed(out, repo, private, overwrite, progress, note)
    except ModelError as error:
        again = f"tuitune push {out} {repo}{'' if private else ' --public'}"
        raise ModelError(
            error.message, f"{error.hint}; the export is whole on the disk, push it later with: {again}"
        ) from None  # what a library raised may hold the request's headers


def _pushed(out: Path, repo: str, private: bool, overwrite: bool, progress: Progress, note: Note) -> str:
    hub = chosen()
    progress("push", 0, None)
    planned = _compared(out, repo, hub, _asked(hub, repo), private)
    _refuse(planned, private, overwrite)
    if planned.exists and not planned.private:
        note(f"{repo} is public: everybody can read it")
    if planned.others:
        note(f"left as they are in {repo}: {_listed(planned.others)}")
    if not planned.sent:
        note(f"{repo} has these very files already: nothing is sent")
    return _tried(hub, repo, lambda: hub.send(repo, out, planned.sent, private, progress))


def _refuse(planned: Push, private: bool, overwrite: bool) -> None:
    if planned.exists and private and not planned.private:
        raise UsageError(
            f"{planned.repo} is public, and the export was to be private",
            "make it private on the hub, push to another name, or allow it: --public (export_hub_private: false)",
        )
    if planned.overwritten and not overwrite:
        raise UsageError(
            f"{planned.repo} has other files of these names: {_listed(planned.overwritten)}",
            f"push to another name, or replace them: tuitune push {planned.folder} {planned.repo} --overwrite",
        )


def _asked(hub: Hub, repo: str) -> Held | None:
    return _tried(hub, repo, lambda: hub.look(repo))


def _tried(hub: Hub, repo: str, work: Callable[[], T]) -> T:
    try:
        return work()
    except TuiTuneError:
        raise
    except Exception as error:  # the network has too many ways to fail to name; each becomes words
        message, hint = hub.words(error, repo)
    raise ModelError(message, hint)  # outside, so that a traceback does not lead into the library's requests


def _files(folder: Path) -> Iterable[tuple[str, Path]]:
    """Return the files to push by name; hidden ones and links are none of the export."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not path.is_symlink() and not any(part.startswith(".") for part in name.parts):
            yield name.as_posix(), path


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return clean_line(", ".join(names[:_SHOWN])) + more
