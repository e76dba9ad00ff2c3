"""What the user likes, kept between sessions in `settings.yaml`. Every setting has a default; the file may be missing.

Only what was changed is written, into the text as it stands: comments, order and unknown keys stay.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from tuitune.errors import RecipeError, UsageError
from tuitune.recipe.yamltext import dump, entries
from tuitune.run import places
from tuitune.run.files import write_atomic
from tuitune.run.inbox import check_option
from tuitune.text import clean_line
from tuitune.tui.yamlfile import read_mapping

NAME = "settings.yaml"
_DELAY = 0.3  # seconds: several changes in a row are one write
_HEADER = "# What you like in TuiTune. The app writes here what you change; remove a line to get its default back.\n"

Check = Callable[[object], str]


def _one_of(*words: str) -> Check:
    return lambda value: "" if value in words else f"must be {', '.join(words[:-1])} or {words[-1]}"


def _flag(value: object) -> str:
    return "" if isinstance(value, bool) else "must be true or false"


def _word(value: object) -> str:
    return "" if isinstance(value, str) and value.strip() else "must be a name"


def _text(value: object) -> str:
    return "" if isinstance(value, str) else "must be a text"


def _share(value: object) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return "" if number and 0 <= float(value) < 1 else "must be a number from 0 up to, but not, 1"  # type: ignore[arg-type]


def _keymap(value: object) -> str:
    if not isinstance(value, Mapping):
        return "must name keys, such as {run.toggle: ctrl+r}"
    bad = [key for key, keys in value.items() if not isinstance(key, str) or not isinstance(keys, str) or not keys]
    return f"{clean_line(str(bad[0]))}: write its keys as a text, such as 'ctrl+r,f12'" if bad else ""


def _sampling(value: object) -> str:
    if not isinstance(value, Mapping):
        return "must name options, such as {temperature: 0.7}"
    for name, option in value.items():
        try:
            check_option(str(name), option)
        except UsageError as error:
            return f"{clean_line(error.message)}; {error.hint}"
    return ""


_CHECKS: dict[str, Check] = {
    "theme": _word,
    "glyphs": _one_of("auto", "unicode", "ascii"),
    "mouse": _flag,
    "smoothing": _share,
    "chart_scale": _one_of("linear", "log"),
    "chart_axis": _one_of("steps", "time", "tokens"),
    "on_disconnect": _one_of("continue", "stop"),
    "system": _text,
    "sampling": _sampling,
    "keymap": _keymap,
}


@dataclass(eq=False)
class Settings:
    """What the user likes. Set an attribute, then `save_soon`; `flush` before the end."""

    theme: str = "night"
    glyphs: str = "auto"  # auto, unicode, ascii
    mouse: bool = True
    smoothing: float = 0.9
    chart_scale: str = "linear"  # linear, log
    chart_axis: str = "steps"  # steps, time, tokens
    on_disconnect: str = "continue"  # what a run does when the terminal is lost: continue, stop
    system: str = ""  # of the chat; empty: the model's own
    sampling: dict[str, float | int | bool] = field(default_factory=dict)
    keymap: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Remember what need not be written."""
        self.path: Path | None = None
        self.problems: list[str] = []
        self.trouble: Callable[[str], None] = lambda words: None
        self._written = self.values()
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    @classmethod
    def load(cls, path: Path | None = None) -> Settings:
        """Return the settings in `path` (default: the user's); what there is to be mended is in `problems`."""
        settings = cls()
        settings.path = path or places.home() / NAME
        try:
            given = read_mapping(settings.path) if settings.path.exists() else {}
        except ValueError as error:
            settings.problems.append(f"{error}. Until it is mended, defaults are used")
            given = {}
        for key, value in given.items():
            settings._take(key, value)
        settings._written = settings.values()
        return settings

    def _take(self, key: str, value: object) -> None:
        problem = _CHECKS[key](value) if key in _CHECKS else "is no setting"
        if problem:
            self.problems.append(f"{NAME}: {clean_line(key)} {problem}")
        else:
            setattr(self, key, dict(value) if isinstance(value, dict) else value)

    def values(self) -> dict[str, object]:
        """Return every setting by name."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: dict(value) if isinstance(value, dict) else value for name, value in found.items()}

    def save_soon(self) -> None:
        """Write what has changed, a moment later and in a thread."""
        with self._lock:
            if self._timer is None:
                timer = threading.Timer(_DELAY, self.flush)
                timer.daemon = True
                self._timer = timer
                timer.start()

    def flush(self) -> None:
        """Write what has changed now; a failure goes to `trouble`, for nobody can wait for it."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            try:
                self._save()
            except OSError as error:
                self.trouble(f"{NAME} cannot be written: {error.strerror or type(error).__name__}")

    def _save(self) -> None:
        values = self.values()
        changed = {key: value for key, value in values.items() if value != self._written[key]}
        if not changed:
            return
        path = self.path or places.home() / NAME
        # Read again: another window may have written since, and the user's editor too.
        text = path.read_bytes().decode("utf-8", "replace") if path.exists() else _HEADER
        write_atomic(path, _updated(text, changed, path).encode())
        self._written = values


def _updated(text: str, changed: Mapping[str, object], path: Path) -> str:
    """Return the text with these settings in it, everything else as it was."""
    try:
        found, braces = entries(text)
    except RecipeError:
        # Nobody can write into a broken text, and it is the user's: it stays beside the new one.
        with contextlib.suppress(OSError):
            write_atomic(path.with_name(f"{path.name}.broken"), text.encode())
        found, braces, text = [], False, _HEADER
    if braces:
        return _HEADER + _block({**{entry.key: entry.value for entry in found}, **changed})
    for entry in sorted(found, key=lambda entry: entry.spot.colon, reverse=True):
        if entry.key in changed:
            text = f"{text[: entry.spot.colon + 1]} {dump(changed[entry.key])}{text[entry.spot.end :]}"
    new = {key: value for key, value in changed.items() if key not in {entry.key for entry in found}}
    return text + ("\n" if text and not text.endswith("\n") and new else "") + _block(new)


def _block(values: Mapping[str, object]) -> str:
    return "".join(f"{key}: {dump(value)}\n" for key, value in values.items())
