"""What happens to a process of this user when the login ends: logind, lingering, Slurm."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from tuitune.fit.files import read_text

_KEYS = ("KillUserProcesses", "KillOnlyUsers", "KillExcludeUsers")
# Later places win over earlier ones, as in logind.conf(5).
_PLACES = ("usr/lib/systemd", "run/systemd", "etc/systemd")
_TRUE = ("yes", "true", "on", "1")


def kills_at_logout(user: str, root: Path = Path("/")) -> bool | None:
    """Tell whether logind kills what `user` leaves running; None when there is no logind."""
    if not (root / "run/systemd/system").exists():
        return None
    settings = {"KillExcludeUsers": "root"}
    main = [root / place / "logind.conf" for place in _PLACES]
    parts = {part.name: part for place in _PLACES for part in sorted((root / place / "logind.conf.d").glob("*.conf"))}
    for file in (*main, *(parts[name] for name in sorted(parts))):
        for line in (read_text(file, 1 << 20) or "").splitlines():
            key, equals, setting = line.partition("=")
            if equals and key.strip() in _KEYS:
                settings[key.strip()] = setting.strip()
    only, spared = settings.get("KillOnlyUsers", "").split(), settings["KillExcludeUsers"].split()
    concerned = user not in spared and (not only or user in only)
    return concerned and settings.get("KillUserProcesses", "").lower() in _TRUE


def lingers(user: str, root: Path = Path("/")) -> bool:
    """Tell whether the user's own services outlive the login."""
    return bool(user) and "/" not in user and (root / "var/lib/systemd/linger" / user).exists()


def slurm_job(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the number of the Slurm job this process belongs to."""
    return environment.get("SLURM_JOB_ID") or None


def place(own: Path = Path("/proc/self/cgroup")) -> Literal["session", "user", "elsewhere"]:
    """Tell what this process belongs to: a login session, the user's own services, or neither."""
    try:
        text = own.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "elsewhere"
    return "session" if "/session-" in text else "user" if "/user@" in text else "elsewhere"
