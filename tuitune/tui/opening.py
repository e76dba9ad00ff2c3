"""What a command line wants to see in the app, found and read, and the app with it in hand."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.errors import RecipeError, TuiTuneError, UsageError
from tuitune.tui.leave import Request, Start

if TYPE_CHECKING:
    from tuitune.run import RunDir
    from tuitune.tui.draft import Draft
    from tuitune.tui.launch import Made

ENDINGS = (".yaml", ".yml", ".json")
_PRESET = "quickstart"


def is_recipe(word: str) -> bool:
    """Tell whether a first word that is no command means a recipe, or a setting of one."""
    if word.endswith(ENDINGS) or is_setting(word) or Path(word).is_file():
        return True
    from tuitune import resources

    return word in resources.all_presets()


def is_setting(word: str) -> bool:
    """Tell whether a word is of the form key=value."""
    key, equals, _ = word.partition("=")
    return bool(equals) and key.strip().isidentifier()


def resolve(request: Request) -> Start:
    """Find what is asked for. Raises TuiTuneError when it is not there."""
    if request.attach is not None:
        from tuitune.face.find import find, newest_live

        run = find(request.attach) if request.attach else newest_live()
        return Start(run=run, mouse=request.mouse)
    for word in request.settings:
        if not is_setting(word):
            raise UsageError(f"{word!r:.100} is not of the form key=value", "for example lora_rank=16")
    path, preset = _recipe(request.recipe)
    return Start(path=path, preset=preset, settings=request.settings, mouse=request.mouse)


def _recipe(word: str | None) -> tuple[Path | None, str | None]:
    if word is None:
        return None, None
    path = Path(word).expanduser()
    if path.is_file():
        return path, None
    from tuitune import resources

    known = resources.all_presets()
    if word in known or word.removesuffix(".yaml") in known:
        return None, word.removesuffix(".yaml")
    near = difflib.get_close_matches(path.stem, list(known), n=1) or sorted(known)[:4]
    raise UsageError(f"there is no recipe {word!r:.200}", f"presets: {', '.join(near)}; `tuitune` alone opens one")


def make(start: Start, log_to: Callable[[RunDir | None], None]) -> Made:
    """Build the app. Only here the parts of the screen are imported."""
    from tuitune.tui.app import TuiTune
    from tuitune.tui.draft import Draft
    from tuitune.tui.kit.glyphs import wants_ascii
    from tuitune.tui.launch import Made
    from tuitune.tui.settings import Settings

    settings, draft = Settings.load(), Draft()
    notes = [*settings.problems, *_fill(draft, start)]
    stream = sys.__stdout__
    app = TuiTune(
        draft, settings, run=start.run, log_to=log_to, notes=notes,
        ascii_glyphs=wants_ascii(settings.glyphs, os.environ, stream.encoding if stream is not None else None),
        busy=start.path is not None or start.preset is not None or bool(start.settings),
    )  # fmt: skip
    return Made(app, start.mouse and settings.mouse, stop_if_lost=settings.on_disconnect == "stop")


def _fill(draft: Draft, start: Start) -> list[str]:
    """Put the recipe that is asked for into the draft; return what there is to say about it."""
    if start.path is not None:
        draft.open(start.path)
    elif start.preset is not None or start.settings or start.run is not None:
        draft.use_preset(start.preset or _PRESET)  # that of a run comes with the run; what was left waits for its turn
    else:
        return _go_on(draft)
    return _set(draft, start.settings)


def _go_on(draft: Draft) -> list[str]:
    """Open the draft that was left last, or the first preset."""
    for left in draft.recovered():
        try:
            draft.recover(left)
        except TuiTuneError:
            continue  # another app took it meanwhile
        how = "as you left it" if left.closed else "recovered: its app had ended without a word"
        return [f"{left.title}, {how}"]
    draft.use_preset(_PRESET)
    return []


def _set(draft: Draft, settings: tuple[str, ...]) -> list[str]:
    for setting in settings:
        key, _, text = setting.partition("=")
        try:
            draft.set_text(key.strip(), text)
        except RecipeError as error:
            return [str(problem) for problem in error.problems]
        except TuiTuneError as error:
            return [f"{setting}: {error.message}", error.hint]
    return []
