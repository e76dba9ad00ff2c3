"""`tuitune doctor`: what this machine has, what is missing, what to do about it. No torch, no network."""

from __future__ import annotations

import getpass
import os
import re
import resource
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from tuitune.errors import TuiTuneError
from tuitune.fit import embedded, machine, packages, session, terminal
from tuitune.fit.files import regular_size
from tuitune.fit.hubcache import hub_cache, hub_home
from tuitune.run.places import cache, home
from tuitune.text import clean_line

Status = Literal["ok", "warn", "fail"]

_GIB = 1 << 30
_LEAST_FILES = 1024
_LEAST_DISK = 2 * _GIB


@dataclass(frozen=True)
class Check:
    """One line of the report; `hint` says what to do where the status is not ok."""

    name: str
    status: Status
    detail: str
    hint: str = ""


def run_checks() -> list[Check]:
    """Look at the machine; a look that fails is itself a line of the report."""
    checks: list[Check] = []
    for look in _LOOKS:
        try:
            checks += list(look())
        except (OSError, ValueError, RuntimeError, KeyError, TuiTuneError) as error:
            name = look.__name__.strip("_").replace("_", " ")
            hint = error.hint if isinstance(error, TuiTuneError) else "The other lines are not affected."
            checks.append(Check(name, "warn", f"could not be looked at: {clean_line(str(error))}", hint))
    return checks


def _python() -> Iterator[Check]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    fits = sys.version_info >= (3, 11)
    yield Check(
        "python", "ok" if fits else "fail", f"{version} ({sys.executable})", "" if fits else "Use Python 3.11 or newer."
    )


def _packages() -> Iterator[Check]:
    wanted = packages.requirements()
    if wanted is None:
        yield Check(
            "packages", "warn", "tuitune itself is not installed", "Install it: pip install -e . in its folder."
        )
        return
    met, problems = packages.compare(wanted)
    if problems:
        hint = "Install the versions TuiTune was tested with: pip install tuitune"
        yield Check("packages", "fail", "; ".join(problems), hint)
    else:
        yield Check("packages", "ok", f"{met} packages as required")


def _torch() -> Iterator[Check]:
    """Read torch's build from its version: "+cpu" and "+cu130" name it, without importing torch."""
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        yield Check("torch", "fail", "torch is not installed", "pip install tuitune")
        return
    build = version.partition("+")[2]
    has_gpu = bool(machine.gpus().devices)
    if build == "cpu" and has_gpu:
        hint = "Install a CUDA build of torch: see the selector on its website."
        yield Check("torch", "warn", f"{version} cannot use the GPU of this machine", hint)
    else:
        yield Check("torch", "ok", version)


def _processor() -> Iterator[Check]:
    found = machine.cpu()
    flags = ", ".join(found.half_flags) or "no bf16 instructions: fp32 is faster than bf16"
    quota = f", limited to {found.quota:.1f} processors" if found.quota is not None else ""
    cores = f"{found.physical} cores, {found.usable} usable threads{quota}"
    yield Check("processor", "ok", f"{found.name}, {cores}, {flags}")


def _memory() -> Iterator[Check]:
    found = machine.memory()
    limit = " (limit of the container or job)" if found.limit is not None else ""
    detail = f"{_size(found.available)} free of {_size(found.total)}{limit}"
    low = found.available < 2 * _GIB
    yield Check(
        "memory", "warn" if low else "ok", detail, "The embedded model needs about 2 GiB to train." if low else ""
    )


def _disks() -> Iterator[Check]:
    places = {"runs": (home, "TUITUNE_HOME"), "cache": (cache, "TUITUNE_CACHE"), "hub cache": (hub_cache, "HF_HOME")}
    for name, (place, variable) in places.items():
        yield _disk(f"disk: {name}", place, variable)


def _disk(name: str, place: Callable[[], Path], variable: str) -> Check:
    try:
        path = place()
    except TuiTuneError as error:
        return Check(name, "fail", clean_line(error.message), error.hint)
    free, writable = machine.disk_free(path), _writable(path)
    status: Status = "fail" if not writable else "warn" if free is None or free < _LEAST_DISK else "ok"
    hint = "" if status == "ok" else f"Set {variable} to a folder with space that you may write to."
    return Check(name, status, f"{path}: {_size(free)} free" + ("" if writable else ", not writable"), hint)


def _writable(path: Path) -> bool:
    nearest = next((place for place in (path, *path.parents) if place.exists()), path)
    return os.access(nearest, os.W_OK | os.X_OK)


def _gpus() -> Iterator[Check]:
    found = machine.gpus()
    if found.problem is not None:
        yield Check("gpu", "warn", f"NVML: {found.problem}", "Compare with what nvidia-smi says.")
    elif not found.devices:
        yield Check("gpu", "ok", "no NVIDIA driver found: training runs on the CPU")
    for gpu in found.devices:
        free = (
            f"{_size(gpu.free)} free of {_size(gpu.total)}" if gpu.total and gpu.free is not None else "memory unknown"
        )
        busy = bool(gpu.total and gpu.free is not None and gpu.free < gpu.total // 2)
        hint = "Other processes use more than half of it." if busy else ""
        yield Check(f"gpu {gpu.index}", "warn" if busy else "ok", f"{gpu.name}, {free}, driver {found.driver}", hint)


def _embedded_model() -> Iterator[Check]:
    folder = embedded.embedded_dir()
    named = embedded.named_file()
    if named is not None and regular_size(named) is None:
        hint = f"Correct or unset {embedded.VARIABLE}."
        yield Check("embedded model", "fail", f"{embedded.VARIABLE} names {named}, which is not a file", hint)
    elif regular_size(folder / embedded.MARKER) is not None:
        yield Check("embedded model", "ok", f"{embedded.NAME}: ready in {folder}")
    elif named is not None or embedded.installed_file() is not None:
        yield Check("embedded model", "ok", f"{embedded.NAME}: found, converted at its first use")
    else:
        wheel = embedded.WHEEL_SIZE_BYTES / 1e6
        yield Check("embedded model", "ok", f"{embedded.NAME}: not yet fetched ({wheel:.0f} MB at its first use)")


def _hub() -> Iterator[Check]:
    """Show the settings for the hub; the token's presence, never its value."""
    token_file = Path(os.environ.get("HF_TOKEN_PATH") or hub_home() / "token").expanduser()
    token = "set" if os.environ.get("HF_TOKEN") or regular_size(token_file) else "not set"
    settings = [f"{name}={_address(os.environ[name])}" for name in ("HF_ENDPOINT", "HF_HOME") if os.environ.get(name)]
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    detail = ", ".join([*settings, f"token {token}", "offline" if offline else "not asked whether it answers"])
    hint = "HF_HUB_OFFLINE is set: only models on this machine can be used." if offline else ""
    yield Check("hub", "warn" if offline else "ok", detail, hint)


def _address(value: str) -> str:
    # An address may carry a password.
    return clean_line(re.sub(r"//[^/@]*@", "//...@", value))


def _terminal() -> Iterator[Check]:
    term, encoding = os.environ.get("TERM", ""), (sys.stdout.encoding or "").lower()
    problems = [] if terminal.is_real(term) else ["TERM does not name a terminal that can draw a screen."]
    if encoding.replace("-", "") != "utf8":
        problems.append("Set LANG=C.UTF-8: the encoding must be UTF-8.")
    detail = f"TERM={clean_line(term) or 'not set'}, {encoding or 'no encoding'}, {terminal.colours()} colours"
    yield Check("terminal", "warn" if problems else "ok", detail, " ".join(problems))
    if os.environ.get("TMUX"):
        setting = terminal.tmux_clipboard()
        passes = setting == "on"
        hint = "" if passes else "To copy from TuiTune: set -s set-clipboard on, in ~/.tmux.conf."
        yield Check("tmux", "ok" if passes else "warn", f"set-clipboard {setting or 'unknown'}", hint)


def _logout() -> Iterator[Check]:
    """Say whether a run may outlive the login it was started from."""
    job = session.slurm_job()
    if job is not None:
        hint = "A detached run ends with the job: ask for enough time, and resume the run in the next job."
        yield Check("logout", "warn", f"inside Slurm job {clean_line(job)}", hint)
        return
    user = getpass.getuser()
    kills, place = session.kills_at_logout(user), session.place()
    enable = "loginctl enable-linger, and start" if not session.lingers(user) else "start"
    if kills is None:
        yield Check("logout", "ok", "no logind: processes outlive the login")
    elif place == "session" and kills:
        hint = f"To keep detached runs: {enable} TuiTune with systemd-run --user --scope tuitune ..."
        yield Check("logout", "warn", "logind ends a user's processes at logout (KillUserProcesses=yes)", hint)
    elif place == "user" and not session.lingers(user):
        yield Check(
            "logout", "warn", "your services end with your last login", "To keep detached runs: loginctl enable-linger"
        )
    else:
        yield Check("logout", "ok", "processes outlive the login")


def _open_files() -> Iterator[Check]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = soft != resource.RLIM_INFINITY and soft < _LEAST_FILES
    ceiling = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
    yield Check(
        "open files", "warn" if low else "ok", f"{soft} of {ceiling}", f"ulimit -n {_LEAST_FILES}" if low else ""
    )


def _size(value: int | None) -> str:
    return "unknown" if value is None else f"{value / _GIB:.1f} GiB"


_LOOKS: tuple[Callable[[], Iterator[Check]], ...] = (
    _python, _packages, _torch, _processor, _memory, _disks, _gpus, _embedded_model, _hub, _terminal, _logout,
    _open_files,
)  # fmt: skip
