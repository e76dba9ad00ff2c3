from __future__ import annotations

import json
from pathlib import Path

import pytest

from tuitune.engine.asked import asked
from tuitune.run import RunDir
from tuitune.run.origin import Origin

TEXT = "model_name_or_path: smollm2-135m\ndataset: rows\n"


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three folders: where the run was started, where its recipe lay, where it is resumed; we stand in the last."""
    for name in ("started", "recipes", "elsewhere"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


def made(places: Path, text: str, origin: bool = True) -> RunDir:
    run = RunDir.create(places / "run", TEXT + text)
    if origin:
        Origin(str(places / "started"), str(places / "recipes")).keep(run)
    return run


def test_paths_mean_what_they_meant_where_the_run_was_started(places: Path) -> None:
    for name in ("started", "recipes", "elsewhere"):
        (places / name / "data").mkdir()
    recipe, notes = asked(made(places, ""))
    assert recipe.dataset_dir == str(places / "started" / "data")
    assert len(notes) == 1
    assert "dataset_dir" in notes[0]


def test_a_file_of_rewards_is_found_beside_the_recipe(places: Path) -> None:
    (places / "recipes" / "own.py").write_text("")
    recipe, notes = asked(made(places, "stage: grpo\nreward_file: own.py\n"))
    assert recipe.reward_file == str(places / "recipes" / "own.py")
    assert "reward_file" in notes[0]


def test_then_the_recipes_own_folder_has_them(places: Path) -> None:
    for name in ("recipes", "elsewhere"):
        (places / name / "data").mkdir()
    assert asked(made(places, ""))[0].dataset_dir == str(places / "recipes" / "data")


def test_where_neither_has_them_the_present_directory_may(places: Path) -> None:
    (places / "elsewhere" / "data").mkdir()
    recipe, notes = asked(made(places, ""))
    assert (recipe.dataset_dir, notes) == ("data", [])


def test_at_home_nothing_is_changed(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(places / "started")
    (places / "started" / "data").mkdir()
    recipe, notes = asked(made(places, ""))
    assert (recipe.dataset_dir, notes) == ("data", [])
    assert "dataset_dir" not in recipe.asked


def test_a_run_without_an_origin_is_read_as_it_is(places: Path) -> None:
    assert asked(made(places, "", origin=False))[0].dataset_dir == "data"


def test_models_adapters_and_files_move_but_names_stay(places: Path) -> None:
    started = places / "started"
    (started / "org" / "model").mkdir(parents=True)
    (started / "org" / "model" / "config.json").write_text(json.dumps({}))
    (started / "one").mkdir()
    (started / "rows.json").write_text("[]")
    (started / "identity").mkdir()  # a name in a catalog, however the folder is called
    text = (
        "dataset: rows.json,identity,/abs/x.json\nadapter_name_or_path: one,org/other\nname: A\nauthor: B\n"
        "model_name_or_path: org/model\n"
    )
    run = RunDir.create(places / "run", text)
    Origin(str(started)).keep(run)
    recipe, _ = asked(run)
    assert recipe.model_name_or_path == str(started / "org" / "model")
    assert recipe.dataset == (str(started / "rows.json"), "identity", "/abs/x.json")
    assert recipe.adapter_name_or_path == (str(started / "one"), "org/other")


def test_a_folder_that_is_no_model_does_not_hide_one_on_a_hub(places: Path) -> None:
    (places / "started" / "org" / "model").mkdir(parents=True)
    run = RunDir.create(places / "run", "model_name_or_path: org/model\ndataset: rows\n")
    Origin(str(places / "started")).keep(run)
    assert asked(run)[0].model_name_or_path == "org/model"
