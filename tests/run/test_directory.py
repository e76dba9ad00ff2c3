from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tuitune.errors import RunError
from tuitune.run.directory import RunDir, default_name, move_aside, slug

RECIPE = "model_name_or_path: smollm2-135m  # a comment\n"
HOLD = (
    "import sys, time; from pathlib import Path; from tuitune.run.directory import RunDir\n"
    "with RunDir(Path(sys.argv[1])).lock():\n    print('held', flush=True); time.sleep(60)"
)


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_run_is_private_and_holds_its_recipe_word_for_word(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path / "deep" / "run", RECIPE)
    assert run.is_run()
    assert run.name == "run"
    assert run.recipe.read_text() == RECIPE
    assert {path.name for path in run.path.iterdir()} == {"recipe.yaml", "events.jsonl", "inbox", "replies"}
    assert [mode(path) for path in (run.path, run.inbox, run.replies)] == [0o700] * 3
    assert [mode(path) for path in (run.recipe, run.events)] == [0o600] * 2


def test_an_empty_directory_becomes_a_private_run(tmp_path: Path) -> None:
    place = tmp_path / "out"
    place.mkdir(mode=0o755)
    assert mode(RunDir.create(place, RECIPE).path) == 0o700


def test_the_same_run_is_met_again_and_keeps_its_journal(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path / "run", RECIPE)
    run.events.write_text("{}\n")
    assert RunDir.create(tmp_path / "run", RECIPE) == run
    assert run.events.read_text() == "{}\n"


def test_a_run_with_another_recipe_is_not_touched(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path / "run", RECIPE)
    with pytest.raises(RunError, match="another recipe") as caught:
        RunDir.create(tmp_path / "run", "seed: 1\n")
    assert "overwrite_output_dir" in caught.value.hint
    assert run.recipe.read_text() == RECIPE


def test_a_directory_of_something_else_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "thesis"
    place.mkdir()
    (place / "chapter-1.tex").write_text("x")
    with pytest.raises(RunError, match=r"not a run and not empty .*chapter-1\.tex") as caught:
        RunDir.create(place, RECIPE)
    assert "output_dir" in caught.value.hint
    assert [path.name for path in place.iterdir()] == ["chapter-1.tex"]
    with pytest.raises(RunError, match="is a file"):
        RunDir.create(place / "chapter-1.tex", RECIPE)


def test_a_place_that_cannot_be_is_refused_with_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot hold a run"):
        RunDir.create(tmp_path / "file" / "run", RECIPE)
    with pytest.raises(RunError, match="home directory of nobody"):
        RunDir(Path("~nobody-of-this-name/run"))


def test_a_run_that_was_being_made_when_it_crashed_is_made_again(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    run.inbox.mkdir(parents=True)
    run.events.write_bytes(b"")
    assert not run.is_run()
    assert RunDir.create(run.path, RECIPE).is_run()


def test_another_recipe_for_the_next_attempt_keeps_the_former(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path / "run", RECIPE)
    assert run.replace_recipe(RECIPE) is None
    kept = run.replace_recipe("seed: 1\n")
    assert kept is not None
    assert (kept.name, kept.read_text()) == ("recipe.yaml.old-1", RECIPE)
    assert run.recipe.read_text() == "seed: 1\n"


def test_checkpoints_are_in_the_order_of_their_steps(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    for name in (
        "checkpoint-10",
        "checkpoint-9",
        "checkpoint-100",
        "checkpoint-010",
        "checkpoint-x",
        "final",
        ".tmp-checkpoint-3",
    ):
        (tmp_path / name).mkdir()
    (tmp_path / "checkpoint-50").write_text("a file")
    assert [path.name for path in run.checkpoints] == ["checkpoint-9", "checkpoint-10", "checkpoint-100"]
    assert RunDir(tmp_path / "nothing").checkpoints == []
    assert run.checkpoint(7) == tmp_path / "checkpoint-7"


def test_a_reply_never_leaves_its_folder(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    assert run.reply("0000-abc") == tmp_path / "replies" / "0000-abc.txt"
    for identifier in ("", "../x", "a/b", ".", "a\nb", "a\n"):
        with pytest.raises(RunError):
            run.reply(identifier)


def test_a_relative_path_means_the_same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert RunDir(Path("out")).path == tmp_path / "out"


def test_one_engine_at_a_time_across_processes(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path / "run", RECIPE)
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(run.path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(RunError, match=f"process {holder.pid}"), run.lock():
        pytest.fail("two engines")
    with pytest.raises(RunError, match="in use"):
        move_aside(run.path)
    assert run.is_run()
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    # The lock goes with its holder, however that died.
    with run.lock():
        assert (run.path / ".lock").read_text().startswith(f"{os.getpid()} ")


def test_one_engine_at_a_time_within_a_process(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path / "run", RECIPE)
    with run.lock(), pytest.raises(RunError, match=str(os.getpid())), run.lock():
        pytest.fail("two engines")
    with run.lock():
        assert mode(run.path / ".lock") == 0o600


def test_moving_aside_deletes_nothing_and_counts(tmp_path: Path) -> None:
    moved = []
    for number in range(3):
        run = RunDir.create(tmp_path / "run", f"seed: {number}\n")
        moved.append(move_aside(run.path))
        assert not run.path.exists()
    assert [path.name for path in moved] == ["run.old-1", "run.old-2", "run.old-3"]
    assert [RunDir(path).recipe.read_text() for path in moved] == ["seed: 0\n", "seed: 1\n", "seed: 2\n"]


def test_moving_aside_takes_what_is_no_run_but_nothing_one_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "old" / "deep")
    for place in (tmp_path / "old", tmp_path / "old" / "deep", tmp_path):
        with pytest.raises(RunError, match="current or home"):
            move_aside(place)
    monkeypatch.chdir(tmp_path)
    assert move_aside("old") == tmp_path / "old.old-1"
    with pytest.raises(RunError, match="cannot be moved aside"):
        move_aside(tmp_path / "nothing")
    assert {path.name for path in tmp_path.iterdir()} == {"old.old-1"}


def test_names_tell_what_and_when_and_are_free(tmp_path: Path) -> None:
    now = datetime(2026, 11, 22, 16, 12)
    name = default_name("smollm2-135m", "sft", "lora", now, folder=tmp_path)
    assert name == "20261122-161200-smollm2-135m-sft-lora"
    (tmp_path / name).mkdir()
    assert default_name("smollm2-135m", "sft", "lora", now, folder=tmp_path) == f"{name}-2"
    assert (
        default_name("/models/My Model Q8.gguf", "sft", "full", now, folder=tmp_path)
        == "20261122-161200-my-model-q8-sft-full"
    )
    assert default_name("/", "sft", "full", now, folder=tmp_path) == "20261122-161200-sft-full"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("../../etc", "etc"),
        ("A/B", "a-b"),
        ("x" * 99, "x" * 40),
        ("..", ""),
        ("Qwen2.5-0.5B", "qwen2.5-0.5b"),
        ("日本", ""),
    ],
)
def test_slugs_are_harmless(text: str, expected: str) -> None:
    assert slug(text) == expected
