"""The scenes of scenes.py, each in a process that finds our fake of NVIDIA's library before any other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.monitor import scenes

_HERE = Path(__file__).parent
_OLD = {scenes.an_old_driver: 1, scenes.an_older_driver: 2}


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Build the fake: of today, of an old driver, of an older one."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here (gcc or cc): the fake NVML cannot be built")
    built = {}
    for old in (0, 1, 2):
        built[old] = tmp_path_factory.mktemp(f"nvml{old}")
        library = built[old] / "libnvidia-ml.so.1"
        command = [
            compiler,
            "-shared",
            "-fPIC",
            f"-DOLD={old}",
            f"-Wl,-soname,{library.name}",
        ]
        subprocess.run([*command, "-o", library, _HERE / "fake_nvml.c"], check=True)
    return built


def _play(name: str, library: Path, tmp_path: Path) -> str:
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library), "FAKE_NVML_STATE": str(tmp_path / "state")}
    for given in ("CUDA_VISIBLE_DEVICES", "TUITUNE_GIVEN_DEVICES"):
        environment.pop(given, None)
    done = subprocess.run(
        [sys.executable, "-m", "tests.monitor.scenes", name],
        env=environment, cwd=_HERE.parents[1], capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "scene",
    [
        scenes.two_cards, scenes.memory_changes_live, scenes.mig_refuses_utilisation, scenes.a_card_is_lost_and_returns,
        scenes.a_card_is_listed_no_more, scenes.a_card_that_never_answered, scenes.own_and_other_memory,
        scenes.a_child_of_the_run_is_the_run, scenes.memory_of_the_run_is_not_told, scenes.reasons_in_words,
        scenes.an_old_driver, scenes.an_older_driver, scenes.a_driver_that_does_not_fit_its_library,
        scenes.no_driver_is_no_problem, scenes.nothing_is_asked_while_paused, scenes.the_scheduler_gave_one_card,
    ],
    ids=lambda scene: scene.__name__,
)  # fmt: skip
def test_a_scene(scene: object, libraries: dict[int, Path], tmp_path: Path) -> None:
    _play(scene.__name__, libraries[_OLD.get(scene, 0)], tmp_path)  # type: ignore[attr-defined,call-overload]


def test_the_pane_shows_what_the_driver_says(libraries: dict[int, Path], tmp_path: Path) -> None:
    shown = json.loads(_play("the_pane_follows", libraries[0], tmp_path))
    start = shown["start"].splitlines()
    assert start[0].endswith("driver 580.95")
    assert start[1].split() == ["0", "H200", "●", "45.0", "of", "140", "GiB"]
    assert start[3].split() == ["▪", "run", "38.0", "▪", "others", "7.0"]
    assert start[4].endswith("87 %")
    assert start[5].split() == ["412", "W", "61", "°C", "1980", "MHz"]
    assert start[11].split() == ["412", "W", "88", "°C", "power", "cap", "1980"]
    assert shown["grown"].splitlines()[3].split() == ["▪", "run", "38.0", "▪", "others", "22.0"]
    mig = shown["mig"].splitlines()
    assert mig[4].rstrip().endswith("n/a")
    assert mig[5].split()[:2] == ["n/a", "W"]
    gone = shown["gone"].splitlines()
    assert gone[7].endswith("gone")
    assert gone[9] == "GPU is lost"
    assert gone[1].endswith("60.0 of 140 GiB"), "the other card goes on"
    assert shown["back"].splitlines()[7].endswith("91.0 of 140 GiB")
