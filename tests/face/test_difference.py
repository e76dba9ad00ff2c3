from __future__ import annotations

from pathlib import Path

from tuitune.face.difference import differences
from tuitune.run import RunDir

BASE = "model_name_or_path: smollm2-135m\nstage: sft\nfinetuning_type: lora\ndataset: identity\ntemplate: chatml\n"


def made(tmp_path: Path, name: str, text: str) -> RunDir:
    return RunDir.create(tmp_path / name, text)


def rows(tmp_path: Path, *texts: str) -> dict[str, tuple[tuple[str, ...], tuple[bool, ...]]]:
    found = differences([made(tmp_path, str(n), text) for n, text in enumerate(texts)])
    return {each.key: (each.values, each.asked) for each in found.keys}


def test_a_default_is_held_against_what_was_asked(tmp_path: Path) -> None:
    found = rows(tmp_path, BASE, f"{BASE}lora_rank: 16\nnum_train_epochs: 3\n", f"{BASE}num_train_epochs: 3.0\n")
    assert found["lora_rank"] == (("8", "16", "8"), (False, True, False))
    assert "num_train_epochs" not in found
    assert "model_name_or_path" not in found


def test_keys_under_another_condition_show_as_missing(tmp_path: Path) -> None:
    found = rows(tmp_path, f"{BASE}lora_rank: 8\n", BASE.replace("lora", "full"))
    assert found["finetuning_type"][0] == ("lora", "full")
    assert found["lora_rank"] == (("8", ""), (True, False))


def test_places_are_no_difference_and_the_same_recipe_has_none(tmp_path: Path) -> None:
    assert rows(tmp_path, BASE, f"{BASE}output_dir: /x\nrun_name: y\n") == {}


def test_only_what_is_known_of_all_is_the_same(tmp_path: Path) -> None:
    whole, more = made(tmp_path, "a", BASE), made(tmp_path, "b", f"{BASE}lora_rank: 16\nrun_name: y\n")
    unknown = made(tmp_path, "c", "stage: sft\nlora_rank: 16\n")  # no model: no complete recipe
    assert differences([whole, more]).same > 50
    found = differences([more, unknown])
    assert found.same == 2
    assert "no complete one" in found.notes[0]


def test_a_recipe_that_is_none_is_compared_as_far_as_it_goes(tmp_path: Path) -> None:
    found = differences([made(tmp_path, "a", BASE), made(tmp_path, "b", f"{BASE}lora_rank: many\n")])
    assert [each.key for each in found.keys] == ["lora_rank"]
    assert "no complete one" in found.notes[0]
    (tmp_path / "b" / "recipe.yaml").write_text("a: [")
    assert "cannot be read" in differences([RunDir(tmp_path / "a"), RunDir(tmp_path / "b")]).notes[0]
