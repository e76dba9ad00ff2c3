from __future__ import annotations

from pathlib import Path

import pytest

from tuitune import resources
from tuitune.errors import TuiTuneError, UsageError
from tuitune.recipe import load


def test_presets_are_found_by_name() -> None:
    assert (
        resources.preset("quickstart") == resources.preset("quickstart.yaml") == resources.presets() / "quickstart.yaml"
    )
    assert load(resources.preset("quickstart")).max_steps > 0
    with pytest.raises(UsageError, match="quikstart") as caught:
        resources.preset("quikstart")
    assert caught.value.hint == "did you mean quickstart?"


@pytest.mark.parametrize("place", ["package", "checkout"])
def test_a_wheel_and_a_checkout_hold_them_in_different_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    package = tmp_path / "tuitune"
    folder = (package if place == "package" else tmp_path) / "themes"
    folder.mkdir(parents=True)
    monkeypatch.setattr(resources, "_PACKAGE", package)
    assert resources.themes() == folder
    with pytest.raises(TuiTuneError, match="presets"):
        resources.presets()


def test_a_word_is_a_file_first_and_a_preset_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resources.recipe_file("dpo") == resources.preset("dpo")
    assert resources.recipe_file("dpo.yaml") == resources.recipe_file("./dpo.yaml") == Path("dpo.yaml")
    assert resources.recipe_file("folder/dpo") == Path("folder/dpo")
    assert resources.recipe_file("no_such_thing") == Path("no_such_thing")
    Path("dpo").write_text("stage: sft\n")
    assert resources.recipe_file("dpo") == Path("dpo")
