"""What comes with TuiTune and is no code, in a checkout and in an installed wheel alike; and presets of the user's."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from tuitune.errors import TuiTuneError, UsageError
from tuitune.run import places

_PACKAGE = Path(__file__).resolve().parent


# What most people begin with; the others follow by name.
_USUAL = ("quickstart", "lora", "qlora", "dora", "full", "freeze", "galore", "badam", "pretrain", "dpo", "kto", "grpo")


def presets() -> Path:
    """Return the folder of recipes that come with TuiTune."""
    return _folder("presets")


def themes() -> Path:
    """Return the folder of colour themes."""
    return _folder("themes")


def own_presets() -> Path:
    """Return the folder of the user's own presets, which need not exist."""
    return places.home() / "presets"


def all_presets() -> dict[str, Path]:
    """Return every preset by name, the user's first, then the usual ones; one of the user's own stands in for a
    shipped one of its name."""
    own = {path.stem: path for path in sorted(own_presets().glob("*.yaml"))}
    shipped = {path.stem: path for path in sorted(presets().glob("*.yaml"))}
    usual = {name: shipped[name] for name in _USUAL if name in shipped}
    return own | {name: path for name, path in (usual | shipped).items() if name not in own}


def preset(name: str) -> Path:
    """Return the recipe called `name`, with or without its ending; raises UsageError when there is none."""
    known = all_presets()
    stem = name.removesuffix(".yaml")
    if stem not in known:
        near = difflib.get_close_matches(stem, list(known), n=1) or sorted(known)
        raise UsageError(f"there is no preset {name!r:.80}", f"did you mean {' or '.join(near)}?")
    return known[stem]


def recipe_file(word: str | Path) -> Path:
    """Return the file of that name; for a bare word without such a file, the preset called so."""
    path = Path(word)
    bare = os.sep not in str(word) and not path.suffix
    return all_presets().get(path.name, path) if bare and not path.exists() else path


def _folder(name: str) -> Path:
    # A wheel holds the folder inside the package; in a checkout it lies beside it.
    for path in (_PACKAGE / name, _PACKAGE.parent / name):
        if path.is_dir():
            return path
    raise TuiTuneError(f"the folder {name} that comes with TuiTune is missing", "install TuiTune again")
