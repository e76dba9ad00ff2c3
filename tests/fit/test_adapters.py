from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.fit.planted import head, model
from tuitune.fit import adapters as room
from tuitune.fit.adapters import AdapterInfo, adapter_blocks, of_model, scan_adapters
from tuitune.fit.layers import Block
from tuitune.run import RunDir, index, manifest, places
from tuitune.run.origin import Origin

_WEIGHTS = head({"a": ("F32", [2, 3], 24)})


def _adapter(folder: Path, base: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}))
    (folder / "adapter_model.safetensors").write_bytes(_WEIGHTS)
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def _run(path: Path, name: str, *, steps: tuple[int, ...] = (), final: int | None = None) -> RunDir:
    run = RunDir.create(path, f"model_name_or_path: {name}\ndataset: identity\n")
    Origin.here(None).keep(run)
    for step, target in [*((s, run.checkpoint(s)) for s in steps), *([(final, run.final)] if final else [])]:
        folder = _adapter(manifest.temporary(run.path, step), name)
        manifest.seal(folder, target, {"step": step}, step=step, attempt=1)
    return run


def _names(found: list[AdapterInfo]) -> list[tuple[str, str, int | None]]:
    return [(info.name, info.kind, info.step) for info in found]


def test_results_and_checkpoints_of_runs_and_folders(home: Path) -> None:
    _run(places.runs() / "one", "smollm2-135m", steps=(5, 10), final=12)
    elsewhere = _run(home.parent / "elsewhere" / "two", "org/model", steps=(3,))
    index.register(elsewhere.path)
    _adapter(home / "mine", "org/model")
    found = scan_adapters()
    assert set(_names(found)) == {
        ("one/final", "result", 12),
        ("one/checkpoint-10", "checkpoint", 10),
        ("one/checkpoint-5", "checkpoint", 5),
        ("two/checkpoint-3", "checkpoint", 3),
        ("mine", "folder", None),
    }
    assert {info.name for info in of_model(found, "org/model")} == {"two/checkpoint-3", "mine"}
    assert {info.run for info in of_model(found, "SmolLM2-135M")} == {"one"}
    assert of_model(found, "org/other") == []
    assert all(info.bytes == len(_WEIGHTS) and info.changed > 0 for info in found)


def test_a_checkpoint_that_is_not_whole_does_not_exist(home: Path) -> None:
    run = _run(places.runs() / "one", "smollm2-135m", steps=(5, 10))
    (run.checkpoint(10) / "adapter_config.json").unlink()
    _adapter(run.checkpoint(20), "smollm2-135m")  # without a manifest
    assert _names(scan_adapters()) == [("one/checkpoint-5", "checkpoint", 5)]
    assert _names(scan_adapters(places.runs())) == [("one/checkpoint-5", "checkpoint", 5)]


def test_full_results_and_models_are_no_adapters(home: Path) -> None:
    run = _run(places.runs() / "one", "smollm2-135m")
    model(run.final)
    both = _adapter(home / "both", "x")
    model(both)
    assert scan_adapters() == []


def test_a_run_inside_the_current_folder_is_listed_once(home: Path) -> None:
    run = _run(home / "out", "smollm2-135m", final=4)
    index.register(run.path)
    assert _names(scan_adapters()) == [("out/final", "result", 4)]


def test_a_model_is_known_by_its_place_too(home: Path) -> None:
    base = model(home / "base")
    _adapter(home / "a", str(base))
    _adapter(home / "b", "base")
    _run(places.runs() / "one", "./base", final=4)
    os.chdir(home.parent)
    found = scan_adapters(home)
    assert {info.name for info in of_model(found, "work/base", base)} == {"a", "b", "one/final"}
    assert of_model(found, "other", home / "other") == []


def test_the_same_relative_name_elsewhere_is_another_model(home: Path) -> None:
    model(home / "base")
    _run(places.runs() / "one", "base", final=4)
    other = home.parent / "other"
    model(other / "base")
    os.chdir(other)
    assert of_model(scan_adapters(), "base", other / "base") == []


def test_names_are_cleaned_and_damage_is_passed_over(home: Path) -> None:
    run = _run(places.runs() / "one", "smollm2-135m", final=4)
    run.recipe.write_text("[: no yaml")
    _adapter(home / "bad\x1b]52;c;x\x07name", "smollm2-135m")
    found = scan_adapters()
    assert [info.kind for info in found] == ["folder"]
    assert "\x1b" not in found[0].name


def test_bounds(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_MOST_ADAPTERS", 2)
    for name in "abc":
        _adapter(home / name, "m")
    assert len(scan_adapters()) == 2


def test_the_tensors_of_an_adapter(home: Path) -> None:
    folder = _adapter(home / "a", "m")
    assert adapter_blocks(folder) == (Block((2, 3)),)
    (folder / "adapter_model.safetensors").write_bytes(b"no")
    assert adapter_blocks(folder) is None
