"""export.json beside the files of an export: what they are made of, what was checked, and their hashes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import orjson

from tuitune.export.agree import Agreement
from tuitune.export.history import FILE
from tuitune.export.order import Order
from tuitune.methods.adapters import WEIGHTS
from tuitune.run.listing import measure, versions
from tuitune.run.packing import plain

_MORE = ("bitsandbytes", "gptqmodel", "gguf")
Progress = Callable[[str, int, int | None], None]


def write(folder: Path, order: Order, checks: Sequence[Agreement], progress: Progress) -> dict[str, Any]:
    """Write export.json: sources, versions, what was checked, sizes and hashes of all files. Return what it says.

    It goes wherever the model goes, so no path of this machine is in it.
    """
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if _counts(path))
    files = {}
    for done, name in enumerate(names):
        progress("hash", done, len(names))
        files[name] = asdict(measure(folder / name))
    progress("hash", len(names), len(names))
    told = {
        "tuitune": versions().get("tuitune", ""), "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "form": order.form, "number": order.number, **sources(order),
        "checks": [asdict(check) for check in checks], "files": files, "versions": versions() | _installed(),
    }  # fmt: skip
    (folder / FILE).write_bytes(orjson.dumps(plain(told), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return told


def _counts(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and path.name != FILE


def sources(order: Order) -> dict[str, Any]:
    """Return what an export is made of, by name and hash."""
    weights = order.weights
    shares = order.shares or (1.0,) * len(weights.adapters)
    return {
        "model": _name(weights.model), "revision": weights.revision, "template": weights.template,
        "adapters": [
            {"name": _called(path), "weight": share, "sha256": measure(path / WEIGHTS).sha256}
            for path, share in zip(weights.adapters, shares, strict=True)
        ],
    }  # fmt: skip


def _name(model: str) -> str:
    return Path(model).name if Path(model).is_absolute() or Path(model).exists() else model


def _called(path: Path) -> str:
    """The name of an adapter's folder; of one in a run, with the run's name."""
    return f"{path.parent.name}/{path.name}" if path.name == "final" or "checkpoint" in path.name else path.name


def _installed() -> dict[str, str]:
    found = {}
    for package in _MORE:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found
