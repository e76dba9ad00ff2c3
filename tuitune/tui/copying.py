"""Copying over SSH: OSC 52 through the terminal, tmux's own buffer, and a file where neither is sure to arrive."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textual.app import App

from tuitune.run import places
from tuitune.run.files import write_atomic
from tuitune.text import clean

NAME = "clipboard.txt"
_MOST = 70_000  # bytes: terminals drop longer sequences without a word
_TMUX_SECONDS = 5.0
# These never had OSC 52; of the others nobody can tell, and most have it.
_WITHOUT = ("linux", "vt100", "vt220", "xterm-color")


def copy(app: App[Any], text: str) -> str:
    """Put `text` into the user's clipboard as far as that is possible; return words that say where it went."""
    text = clean(text)  # pasted into a shell, an escape sequence would act there
    data, environ = text.encode(), os.environ
    if not data:
        return "there is nothing to copy"
    size = f"{len(text):,} characters" if len(text) != 1 else "1 character"
    fits = len(data) <= _MOST
    if fits:
        app.copy_to_clipboard(text)
    tmux = bool(environ.get("TMUX")) and shutil.which("tmux") is not None
    if tmux:
        threading.Thread(target=_to_tmux, args=(data,), name="copy-to-tmux", daemon=True).start()
    if fits and (tmux or arrives(environ)):
        return f"copied {size}" + (", also for tmux to paste (prefix ])" if tmux else "")
    why = "it is too long for a terminal's clipboard" if not fits else "this terminal may not take it"
    return _to_file(data, f"copied {size}", why, tmux)


def arrives(environ: Mapping[str, str]) -> bool:
    """Return whether the terminal is likely to take OSC 52."""
    if environ.get("TERM_PROGRAM") == "Apple_Terminal" or environ.get("TERM", "") in _WITHOUT:
        return False
    # GNOME Terminal and its relatives learned it late; GNU screen passes it on only when told to.
    vte = environ.get("VTE_VERSION", "")
    return not (vte.isdigit() and int(vte) < 7600) and not environ.get("STY")


def clipboard_file() -> Path:
    """Return the file that holds what was copied last."""
    return places.home() / NAME


def _to_file(data: bytes, done: str, why: str, tmux: bool) -> str:
    try:
        write_atomic(clipboard_file(), data)
    except OSError as error:
        if tmux:
            return f"{done} for tmux to paste (prefix ])"
        return f"{why}, and {NAME} cannot be written: {error.strerror or type(error).__name__}"
    also = "; tmux has it too (prefix ])" if tmux else ""
    return f"{done}; {why}, so it is also in {clipboard_file()}{also}"


def _to_tmux(data: bytes) -> None:
    # -w passes it on to the outer terminal, which tmux does not do for OSC 52 as it is usually set up.
    for command in (["tmux", "load-buffer", "-w", "-"], ["tmux", "load-buffer", "-"]):
        try:
            done = subprocess.run(
                command, input=data, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=_TMUX_SECONDS
            )
        except (OSError, subprocess.SubprocessError):
            return
        if done.returncode == 0:  # tmux before 3.2 knows no -w
            return
