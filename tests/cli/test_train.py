from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Call
from tests.cli.given import Engine, finished, story
from tuitune.recipe import load
from tuitune.run import Journal, JournalReader, RunDir, State, events, places
from tuitune.run.origin import Origin

GOOD = "model_name_or_path: smollm2-135m\ndataset: identity\nname: Tui\nauthor: us\n"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(GOOD)
    return path


@pytest.fixture
def driven(monkeypatch: pytest.MonkeyPatch) -> list[RunDir]:
    """Where an engine would have been started."""
    found: list[RunDir] = []

    def drive(run: RunDir, **options: Any) -> int:
        found.append(run)
        return 0

    monkeypatch.setattr("tuitune.cli.train.drive", drive)
    monkeypatch.setattr("tuitune.cli.resume.drive", drive)
    return found


def end(run: RunDir, status: Any) -> None:
    with Journal(run.events) as journal:
        for event in [*story(), finished(reason=status)]:
            journal.append(event)
    State(2**22 + 1, 0.0, status=status, step=3, total_steps=3).write(run.state)


def test_a_bad_recipe_makes_no_run(call: Call, recipe: Path, driven: list[RunDir]) -> None:
    code, out, err = call("train", str(recipe), "lora_rnk=3", "stage=x", "--run", "one")
    assert (code, out, driven) == (2, "", [])
    assert "did you mean lora_rank?" in err
    assert "stage" in err
    assert not (places.runs() / "one").exists()


def test_a_run_holds_the_recipe_with_its_overrides_and_where_it_came_from(
    call: Call, recipe: Path, driven: list[RunDir], tmp_path: Path
) -> None:
    assert call("train", str(recipe), "max_steps=7", "--run", "one")[0] == 0
    [run] = driven
    assert run.path == places.runs() / "one"
    assert run.recipe.read_text() == GOOD + "max_steps: 7\n"
    assert Origin.of(run) == Origin(str(tmp_path), str(tmp_path))


def test_a_run_without_a_name_is_called_by_time_model_stage_and_method(
    call: Call, recipe: Path, driven: list[RunDir]
) -> None:
    call("train", str(recipe))
    call("train", str(recipe))
    assert len({run.path for run in driven}) == 2
    assert all(run.name.partition("-smollm2-135m-sft-lora")[1] for run in driven)


def test_an_output_dir_is_the_run_directory_and_is_found_by_name(
    call: Call, recipe: Path, driven: list[RunDir], tmp_path: Path
) -> None:
    assert call("train", str(recipe), "output_dir=out/here")[0] == 0
    assert driven[0].path == tmp_path / "out" / "here"
    assert json.loads(call("runs", "--json")[1])["path"] == str(tmp_path / "out" / "here")
    code, _, err = call("train", str(recipe), "output_dir=out/here", "--run", "other")
    assert code == 2
    assert "output_dir=null" in err


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "", "-x", "a b", "x" * 101, "a\x1b[2J"])
def test_a_name_that_is_no_file_name_is_refused(call: Call, recipe: Path, driven: list[RunDir], name: str) -> None:
    assert call("train", str(recipe), f"--run={name}")[0] == (2 if name else 0)


def test_the_same_recipe_goes_on_where_it_stopped(call: Call, recipe: Path, driven: list[RunDir]) -> None:
    call("train", str(recipe), "--run", "one")
    end(driven[0], "stopped")
    assert call("train", str(recipe), "--run", "one")[0] == 0
    assert driven[0] == driven[1]


def test_a_finished_recipe_is_not_trained_again_and_the_hint_says_what_can_be_done(
    call: Call, recipe: Path, driven: list[RunDir]
) -> None:
    call("train", str(recipe), "max_steps=3", "--run", "one")
    end(driven[0], "finished")
    code, _, err = call("train", str(recipe), "max_steps=3", "--run", "one")
    assert (code, len(driven)) == (2, 1)
    assert "tuitune resume one max_steps=6" in err
    assert "overwrite_output_dir" in err


def test_another_recipe_in_the_same_place_is_refused(call: Call, recipe: Path, driven: list[RunDir]) -> None:
    call("train", str(recipe), "--run", "one")
    code, _, err = call("train", str(recipe), "max_steps=3", "--run", "one")
    assert (code, len(driven)) == (2, 1)
    assert "another recipe" in err


def test_overwriting_moves_the_old_run_aside_and_says_where(
    call: Call, recipe: Path, driven: list[RunDir], tmp_path: Path
) -> None:
    old = tmp_path / "out"
    old.mkdir()
    (old / "precious.txt").write_text("mine")
    code, _, err = call("train", str(recipe), "output_dir=out", "overwrite_output_dir=true")
    assert code == 0
    assert f"moved aside to {tmp_path / 'out.old-1'}" in err
    assert (tmp_path / "out.old-1" / "precious.txt").read_text() == "mine"
    assert driven[0].recipe.exists()


def test_a_run_that_trains_is_neither_trained_nor_resumed_twice(call: Call, recipe: Path, driven: list[RunDir]) -> None:
    call("train", str(recipe), "--run", "one")
    with Engine(driven[0]):
        for arguments in (("train", str(recipe), "--run", "one"), ("resume", "one")):
            code, _, err = call(*arguments)
            assert (code, len(driven)) == (1, 1)
            assert "tuitune attach one" in err


def test_resuming_a_finished_run_says_that_nothing_is_left(call: Call, recipe: Path, driven: list[RunDir]) -> None:
    call("train", str(recipe), "--run", "one")
    end(driven[0], "finished")
    code, out, _ = call("resume", "one")
    assert (code, len(driven)) == (0, 1)
    assert "nothing left to do" in out
    assert "tuitune resume one num_train_epochs=6" in out
    assert json.loads(call("resume", "one", "--json")[1])["status"] == "finished"


def test_resuming_with_other_values_keeps_the_old_recipe_and_says_what_it_means(
    call: Call, recipe: Path, driven: list[RunDir]
) -> None:
    call("train", str(recipe), "--run", "one")
    run = driven[0]
    end(run, "finished")
    code, _, err = call("resume", "one", "num_train_epochs=5")
    assert (code, len(driven)) == (0, 2)
    assert run.recipe.read_text() == GOOD + "num_train_epochs: 5\n"
    assert "not bit-equal to a run without a change: num_train_epochs" in err
    kept = run.path / "recipe.yaml.old-1"
    assert str(kept) in err
    assert kept.read_text() == GOOD
    last = JournalReader(run.events).read()[-1]
    assert isinstance(last, events.Warned)
    assert "num_train_epochs" in last.message


def test_resuming_with_a_wrong_value_changes_nothing(call: Call, recipe: Path, driven: list[RunDir]) -> None:
    call("train", str(recipe), "--run", "one")
    assert call("resume", "one", "max_steps=soon")[0] == 2
    assert driven[0].recipe.read_text() == GOOD
    assert call("resume", "two")[0] == 2
    assert len(driven) == 1


def test_a_relative_path_given_to_resume_is_that_of_the_present_directory(
    call: Call, recipe: Path, driven: list[RunDir], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("train", str(recipe), "--run", "one")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    Path("rows.json").write_text("[]")
    assert call("resume", "one", "dataset=rows.json,identity")[0] == 0
    assert load(driven[0].recipe).dataset == (f"{tmp_path}/elsewhere/rows.json", "identity")
    assert call("resume", "one", "dataset=[rows.json, identity]")[0] == 0
    assert load(driven[0].recipe).dataset == (f"{tmp_path}/elsewhere/rows.json", "identity")
