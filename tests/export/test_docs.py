"""docs/export.md is true: every key and option is in it, and what it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from tuitune.cli.app import app
from tuitune.export.bits import _BOUNDS, _ONE
from tuitune.export.gguf import BOUNDS
from tuitune.recipe import FIELDS

TEXT = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
KEYS = [field.name for field in FIELDS.values() if field.purpose == "export"]


def test_every_key_and_option_is_told_and_every_one_told_exists() -> None:
    assert [key for key in KEYS if key not in TEXT] == []
    assert [key for key in re.findall(r"export_[a-z_]+", TEXT) if key not in KEYS] == []
    command = typer.main.get_command(app).commands["export"]  # type: ignore[attr-defined]
    options = {option for each in command.params for option in each.opts if option.startswith("--")}
    assert options - {"--json", "--help"} <= set(re.findall(r"--[a-z-]+", TEXT))


def test_the_bounds_are_those_of_the_code() -> None:
    for bits in (8, 4):
        row = next(line for line in TEXT.splitlines() if re.match(rf"\| {bits} bits", line))
        assert f"relative error {_BOUNDS[bits].relative:g}, KL {_BOUNDS[bits].kl:g}, {_BOUNDS[bits].top1:.0%}".replace(
            "%", " %"
        ).removeprefix("relative error ") in row.replace("relative error ", "")
    row = next(line for line in TEXT.splitlines() if "every matrix of few bits" in line)
    assert all(f"{bound.relative:g}" in row for bound in _ONE.values())
    for kind, bound in BOUNDS.items():
        row = next(line for line in TEXT.splitlines() if line.startswith(f"| {kind} |"))
        assert row.rstrip(" |").endswith(f"{bound.relative:g}")
