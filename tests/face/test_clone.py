from __future__ import annotations

from pathlib import Path

import pytest

from tuitune.face.clone import cloned, free_name, usable_name
from tuitune.recipe import Recipe
from tuitune.run import RunDir, places
from tuitune.run.origin import Origin


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))


def test_a_clone_has_no_place_of_the_old_run_and_finds_its_data_again(tmp_path: Path) -> None:
    (tmp_path / "there" / "data").mkdir(parents=True)
    text = (
        "# why\nmodel_name_or_path: smollm2-135m\nstage: sft\ndataset: identity\ndataset_dir: data\n"
        "template: chatml\noutput_dir: /somewhere\noverwrite_output_dir: true\n"
    )
    run = RunDir.create(places.runs() / "one", text)
    Origin(str(tmp_path / "there")).keep(run)
    document, notes = cloned(run)
    values = document.values()
    assert "output_dir" not in values
    assert "overwrite_output_dir" not in values
    assert values["dataset_dir"] == str(tmp_path / "there" / "data")
    assert document.text().startswith("# why\n")
    assert any("output_dir is left out" in note for note in notes)
    assert any("dataset_dir is an absolute path" in note for note in notes)
    assert run.recipe.read_text() == text


def test_names_go_on_counting(tmp_path: Path) -> None:
    one = RunDir.create(places.runs() / "one", "")
    assert free_name(one) == "one-2"
    two = RunDir.create(places.runs() / "one-2", "")
    assert free_name(one) == free_name(two) == "one-3"


def test_a_new_run_takes_the_name_where_it_can() -> None:
    RunDir.create(places.runs() / "one", "")
    recipe = Recipe.of({"model_name_or_path": "smollm2-135m", "dataset": "identity"})
    assert usable_name("one-2", recipe) == "one-2"
    assert usable_name("one", recipe) is None
    assert usable_name("not a/name", recipe) is None
    assert usable_name("one-2", recipe.model_copy(update={"output_dir": "elsewhere"})) is None
    assert usable_name(None, recipe) is None
