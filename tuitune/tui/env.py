"""What the environment says about the terminal, settled before Textual is imported, because it reads it only then."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

from tuitune.errors import UsageError

_DUMB = ("dumb", "unknown", "emacs")
_BROWSER = "TUITUNE_BROWSER"  # set by `tuitune web` for the apps that it starts
_ELSEWHERE = "`tuitune train RECIPE` trains without a screen, `tuitune attach RUN --plain` follows a run"


def on_terminal() -> bool:
    """Tell whether somebody reads and types here."""
    return in_browser() or (os.isatty(0) and os.isatty(1))


def in_browser() -> bool:
    """Tell whether a browser stands where a terminal would."""
    return os.environ.get(_BROWSER) == "1"


def for_browser(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of an app in a browser."""
    return {**environ, _BROWSER: "1"}


def refuse_without_screen(environ: Mapping[str, str]) -> None:
    """Raise UsageError where the app cannot draw or cannot be given keys."""
    if in_browser():
        return
    if not on_terminal():
        raise UsageError("the app needs a terminal to draw on and to read keys from", _ELSEWHERE)
    term = environ.get("TERM", "")
    if term in _DUMB:
        raise UsageError(f"the terminal calls itself {term} (TERM): it cannot show a screen", _ELSEWHERE)
    if not _in_foreground():
        raise UsageError("the app was started in the background, where it gets no keys", "leave out the `&`")


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return True  # a terminal that is not this session's own has no such notion


def prepare_environment(environ: MutableMapping[str, str]) -> None:
    """Set Textual up for the line it draws on; what the user has set stays."""
    if environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"):
        environ.setdefault("TEXTUAL_FPS", "15")
    else:
        # The parts of a key arrive together here; over a network they may not, and Textual's own 100 ms are right.
        environ.setdefault("ESCDELAY", "40")
    environ.setdefault("TEXTUAL_ANIMATIONS", "none")
