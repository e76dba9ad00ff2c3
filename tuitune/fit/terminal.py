"""What the terminal says about itself through the environment."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

from tuitune.text import clean_line


def is_real(term: str) -> bool:
    """Tell whether TERM names a terminal that can move its cursor."""
    return term not in ("", "dumb", "unknown")


def colours(environment: Mapping[str, str] = os.environ) -> str:
    """Return how many colours the terminal claims: "no", "8", "256" or "16 million"."""
    term = environment.get("TERM", "")
    if environment.get("NO_COLOR") or not is_real(term):
        return "no"
    if environment.get("COLORTERM", "").lower() in ("truecolor", "24bit") or "direct" in term:
        return "16 million"
    return "256" if "256color" in term else "8"


def tmux_clipboard() -> str | None:
    """Ask tmux for `set-clipboard`: "on" passes on what a program copies; None when tmux does not answer."""
    tmux = shutil.which("tmux")
    if tmux is None:
        return None
    command = [tmux, "show-options", "-sv", "set-clipboard"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=2, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return clean_line(done.stdout) or None
