"""What is imported when: the first paint waits for nothing that it does not show."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from tuitune.tui.screens.table import PLACES

HEAVY = ("torch", "transformers", "peft", "trl", "datasets", "accelerate", "numpy", "markdown_it")
SCREENS = [place.where.partition(":")[0] for place in PLACES]
LATER = (
    *SCREENS, "tuitune.tui.screens.yaml", "tuitune.tui.help", "tuitune.tui.files", "tuitune.tui.picture",
    "tuitune.chat.saved", "tuitune.data.prepared", "tuitune.data.templates", "tuitune.models.load",
    "tuitune.evaluate.answers", "tuitune.export.merge", "tuitune.serve.server",
)  # fmt: skip
FIRST_PAINT = """
import sys
from tuitune.tui import opening
from tuitune.tui.app import TuiTune
from tuitune.tui.leave import Start

def painted(self):
    print("paint", *sys.modules)
    self.exit()

TuiTune._begin = painted
opening.make(Start(), lambda run: None).app.run(headless=True, size=(120, 40))
from tuitune.recipe import GROUPS, Recipe
print("validators", *(kind.__name__ for kind in (Recipe, *GROUPS) if kind.__pydantic_complete__))
"""
KEYS = """
import importlib, pkgutil
import tuitune.tui
from tuitune.tui.actions import keymap_problems
from tuitune.tui.views import with_keys

def ids():
    return {binding.id for kind in with_keys() for _, binding in kind._merge_bindings()}

print(keymap_problems({"runs.note": "ctrl+y", "help.close": "q", "yaml.back": "f12", "runs.nothing": "x"}, with_keys()))
known = ids()
for each in pkgutil.walk_packages(tuitune.tui.__path__, "tuitune.tui."):
    importlib.import_module(each.name)
print(sorted(map(str, ids() - known)))
"""


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path))

    def run(code: str) -> list[str]:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    return run


def test_every_module_that_is_to_wait_is_there() -> None:
    assert [name for name in (*HEAVY, *LATER) if find_spec(name) is None] == []


def test_the_first_paint_waits_for_nothing_that_it_does_not_show(python: Callable[[str], list[str]]) -> None:
    lines = python(FIRST_PAINT)
    painted = {name for line in lines for name in line.split() if line.startswith("paint ")}
    assert {"tuitune.tui.workbench", "tuitune.tui.panes.chat", "tuitune.recipe"} <= painted
    assert painted & {*HEAVY, *LATER} == set()
    assert lines[-1] == "validators Recipe"  # a group is a part of it, and needs none of its own


def test_keys_of_what_was_not_opened_yet_are_known(python: Callable[[str], list[str]]) -> None:
    problems, forgotten = python(KEYS)
    assert problems == "['runs.nothing is no id of a key']"
    assert forgotten == "[]"
