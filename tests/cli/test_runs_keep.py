"""Notes, tags, the trash, filters, differences: what `tuitune runs` does beside listing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Call
from tests.cli.given import EVIL, Engine, finished, plant, story
from tuitune.cli import runs_app
from tuitune.face.runs import ORDERS
from tuitune.run import RunDir, events, index
from tuitune.run.job import Job
from tuitune.run.remarks import Remarks

RECIPE = (
    "model_name_or_path: smollm2-135m\nstage: sft\nfinetuning_type: lora\nlora_rank: {rank}\n"
    "dataset: {data}\ntemplate: chatml\n"
)


def three() -> list[RunDir]:
    """Three runs of two stages; the second has the best evaluation."""
    made = []
    for n, (name, best, stage) in enumerate([("aa", 0.9, "sft"), ("bb", 0.2, "sft"), ("cc", 0.5, "dpo")]):
        start = events.RunStarted(1, 0, None, name, "tiny", stage, "lora", t=1000.0 + n)
        found = [start if isinstance(event, events.RunStarted) else event for event in story()]
        found += [events.EvalLogged(1, 0.1, best, t=1001.0), events.EvalLogged(3, 0.3, best + 1, t=1039.0), finished()]
        made.append(plant(name, found, recipe=RECIPE.format(rank=8 * (n + 1), data=f"d{n}"), status="finished", step=3))
        os.utime(made[-1].events, (1000 + n, 1000 + n))
        os.utime(made[-1].state, (1000 + n, 1000 + n))
    return made


def names(out: str) -> list[str]:
    return [line.split()[0] for line in out.splitlines()[1:]]


def test_a_note_and_tags_are_written_shown_and_taken_away(call: Call) -> None:
    run = plant("one", story())
    assert call("runs", "note", "one", "the", "first", "that works")[1] == "one: the first that works\n"
    assert call("runs", "note", "one")[1] == "the first that works\n"
    assert call("runs", "tag", "one", "best", "#paper")[1] == "one: best paper\n"
    assert Remarks.of(run) == Remarks("the first that works", ("best", "paper"))
    assert "best paper" in call("runs")[1]
    assert call("runs", "untag", "one", "best")[1] == "one: paper\n"
    assert call("runs", "note", "one", "--clear")[0] == 0
    assert Remarks.of(run) == Remarks("", ("paper",))
    code, _, err = call("runs", "tag", "one", "two words")
    assert code == 2
    assert "cannot be a tag" in err


def test_remarks_stay_when_the_run_trains_again(call: Call) -> None:
    run = plant("one")
    call("runs", "tag", "one", "keep")
    with Engine(run):
        assert call("runs", "--tag", "keep", "--state", "live")[1].split()[-3:]
        call("runs", "note", "one", "while it trains")
    assert Remarks.of(run) == Remarks("while it trains", ("keep",))
    assert b"keep" not in run.recipe.read_bytes() + run.events.read_bytes()


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ((), ["cc", "bb", "aa"]),
        (("--stage", "sft"), ["bb", "aa"]),
        (("--tag", "best"), ["bb"]),
        (("--search", "D2 lora"), ["cc"]),
        (("--search", "#best"), ["bb"]),
        (("--state", "finished", "--state", "crashed"), ["cc", "bb", "aa"]),
        (("--sort", "eval"), ["bb", "cc", "aa"]),
        (("--sort", "-eval"), ["aa", "cc", "bb"]),
        (("--sort", "name"), ["aa", "bb", "cc"]),
        (("--sort", "-newest"), ["aa", "bb", "cc"]),
    ],
)
def test_filters_and_orders(call: Call, options: tuple[str, ...], found: list[str]) -> None:
    three()
    call("runs", "tag", "bb", "best")
    assert names(call("runs", *options)[1]) == found
    lines = call("runs", *options, "--json")[1].splitlines()
    assert [json.loads(line)["name"] for line in lines] == found


@pytest.mark.parametrize(
    ("option", "word", "hint"),
    [
        ("--sort", "evl", "did you mean eval? one of newest, name"),
        ("--sort", "nosense", "one of newest, name, loss, eval, steps, tokens, time, speed"),
        ("--state", "done", "finished"),
        ("--stage", "nosense", "one of sft, pt, rm, dpo"),
        ("--stage", "sftt", "did you mean sft?"),
    ],
)
def test_a_wrong_word_is_refused_with_those_that_are_right(call: Call, option: str, word: str, hint: str) -> None:
    code, out, err = call("runs", option, word)
    assert (code, out) == (2, "")
    assert word in err
    assert hint in " ".join(err.split())


def test_the_help_names_every_order() -> None:
    assert tuple(ORDERS) == runs_app._ORDERS


def test_the_list_as_json_has_notes_and_tags_and_agrees_with_show(call: Call) -> None:
    start = events.RunStarted(1, model="tiny", stage="sft", method="lora", t=1000.0)
    plant("one", [start, *story()[1:]], status="stopped", step=2, total_steps=3)
    call("runs", "note", "one", "a note")
    call("runs", "tag", "one", "best")
    found = json.loads(call("runs", "--json")[1])
    assert (found["note"], found["tags"], found["total_steps"]) == ("a note", ["best"], 3)
    shown = json.loads(call("runs", "show", "one", "--json")[1])
    assert {name: shown[name] for name in ("note", "tags", "step", "total_steps")} == {
        name: found[name] for name in ("note", "tags", "step", "total_steps")
    }


def test_nothing_fits_is_said(call: Call) -> None:
    three()
    assert call("runs", "--search", "nowhere")[::2] == (0, "no run fits\n")


def test_deleted_runs_come_back_or_go_for_good(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    three()
    code, out, _ = call("runs", "delete", "aa", "bb")
    assert code == 0
    assert out.count("is in the trash") == 2
    assert names(call("runs")[1]) == ["cc"]
    code, out, err = call("runs", "trash")
    assert names(out) == ["bb", "aa"]
    assert "kB in all" in err
    assert {json.loads(line)["name"] for line in call("runs", "trash", "--json")[1].splitlines()} == {"aa", "bb"}
    assert "aa is back" in call("runs", "restore", "aa")[1]
    assert set(names(call("runs")[1])) == {"aa", "cc"}
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    code, _, err = call("runs", "trash", "--empty")
    assert code == 2
    assert "--yes" in err
    assert "are free again" in call("runs", "trash", "--empty", "--yes")[1]
    assert call("runs", "trash")[2] == "the trash is empty\n"
    assert call("runs", "restore", "bb")[0] == 2


def test_emptying_asks_and_no_is_the_answer_of_silence(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    three()
    call("runs", "delete", "aa")
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return ""

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", answer)
    assert call("runs", "trash", "--empty")[0] == 3
    assert "1 run for good" in asked[0]
    assert "kB" in asked[0]
    assert names(call("runs", "trash")[1]) == ["aa"]


def test_a_run_in_use_is_not_deleted(call: Call) -> None:
    run = plant("live")
    with Engine(run):
        code, _, err = call("runs", "delete", "live")
    assert code == 1
    assert "live" in err
    assert run.is_run()


def test_a_run_that_a_command_works_on_is_not_deleted(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    run = plant("one", story())
    popen = subprocess.Popen

    def sleeping(command: list[str], **more: Any) -> subprocess.Popen[bytes]:
        return popen([sys.executable, "-c", "import time; time.sleep(60)"], **more)

    monkeypatch.setattr(subprocess, "Popen", sleeping)
    job = Job.start("export", "export one", ["export", str(run.path), "out"])
    try:
        code, _, err = call("runs", "delete", "one")
        assert code == 1
        assert "is in use: export one" in err
        assert run.is_run()
    finally:
        os.kill(job.pid, 9)


def test_those_who_use_its_weights_are_named(call: Call) -> None:
    run = plant("base", story())
    plant("basement", story())
    plant("further", story(), recipe=f"dataset: d\nadapter_name_or_path: {run.path}/final\n")
    err = call("runs", "delete", "base")[2]
    assert "its weights are used by further" in err


def test_nothing_is_deleted_when_one_of_several_is_not_there(call: Call) -> None:
    three()
    assert call("runs", "delete", "aa", "nowhere")[0] == 2
    assert len(index.all_runs()) == 3


def test_a_difference_shows_what_was_asked_and_what_was_in_force(call: Call) -> None:
    one, two, _ = three()
    two.resolved.write_text("### lora\nlora_rank: 16\nlearning_rate: 5.0e-05\ndataset: d1\n\n# plan\n#   device: cpu\n")
    one.resolved.write_text(
        "lora_rank: 8\nlearning_rate: 1.0e-04\ndataset: d0\nonly: 1\n\n# plan\n#   device: cuda:0\n"
    )
    code, out, err = call("runs", "diff", "aa", "bb")
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert code == 0
    assert rows["key"] == ["aa", "bb"]
    assert rows["lora_rank"] == ["8", "16", "asked"]
    assert rows["dataset"] == ["d0", "d1", "asked"]
    assert rows["learning_rate"] == ["1.0e-04", "5.0e-05", "default"]
    assert rows["device"] == ["cuda:0", "cpu", "plan"]
    assert "only" not in rows
    assert "model_name_or_path" not in rows
    assert "other keys are the same" in err
    found = json.loads(call("runs", "diff", "aa", "bb", "--json")[1])
    assert {"key": "lora_rank", "values": ["8", "16"], "asked": [True, True], "plan": False} in found["keys"]
    assert call("runs", "diff", "aa", "aa")[0] == 2


def test_show_tells_everything_in_words_and_as_json(call: Call) -> None:
    run = three()[1]
    (run.path / "checkpoint-2").mkdir()
    call("runs", "note", "bb", "good")
    code, out, _ = call("runs", "show", "bb")
    rows = [line.partition("  ") for line in out.splitlines()]
    told = {name.strip(): text.strip() for name, _, text in rows}
    assert code == 0
    assert told["note"] == "good"
    assert told["evaluation"] == "1.2000, best 0.2000 at step 1"
    assert told["data"] == "d1"
    assert told["where"] == str(run.path)
    assert "cannot be used" in told["checkpoint"]
    assert told["lasted"].partition(", ")[2] == "0:30 of it training"
    found = json.loads(call("runs", "show", "bb", "--json")[1])
    assert (found["note"], found["best"]["loss"][0], found["step"]) == ("good", 0.2, 3)
    assert found["lasted"] > found["seconds"] == 30.0
    assert found["checkpoints"][0]["trouble"]


def test_the_hours_between_two_attempts_are_no_part_of_how_long_a_run_lasted(call: Call) -> None:
    again = [events.RunStarted(2, 2, 3, "one", "tiny", "sft", "lora", t=9000.0), events.PhaseStarted("train", t=9005.0),
             events.StepLogged(3, loss=0.5, t=9015.0), finished(t=9020.0)]  # fmt: skip
    plant("one", [*story(), *again], status="finished", step=3, heartbeat=9021.0)
    plant("longer", [*story(), finished(t=1090.0)], status="finished", step=3)
    assert "lasted   0:55 in 2 attempts, 0:30 of it training" in call("runs", "show", "one")[1]
    shown = json.loads(call("runs", "show", "one", "--json")[1])
    listed = {one["name"]: one for one in map(json.loads, call("runs", "--json")[1].splitlines())}
    assert (shown["lasted"], shown["attempts"]) == (55.0, 2)
    assert (listed["one"]["duration"], listed["one"]["attempts"], listed["one"]["active"]) == (55.0, 2, 9021.0)
    assert names(call("runs", "--sort", "time")[1]) == ["longer", "one"]


def test_show_reads_evaluations(call: Call) -> None:
    run = three()[0]
    folder = run.path / "evaluations" / "20261123-050000-mine"
    folder.mkdir(parents=True)
    (folder / "results.json").write_text("{}")
    assert "20261123-050000-mine" in call("runs", "show", "aa")[1]


def test_foreign_words_cannot_write_to_the_terminal(call: Call) -> None:
    plant("evil", [events.RunStarted(1, model=EVIL, t=1.0)], recipe=f"# x\ndataset: '{EVIL[:3]}a'\n")
    call("runs", "note", "evil", EVIL)
    for arguments in (("show", "evil"), ("note", "evil"), ("show", "evil", "--json")):
        assert "\x1b" not in call("runs", *arguments)[1]


def test_plot_draws_into_the_run_or_elsewhere(call: Call, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run = plant("one", [*story(), finished()])
    code, out, err = call("runs", "plot", "one", "--out", str(tmp_path / "pictures"))
    assert code == 0, err
    paths = [Path(line) for line in out.split("\n") if line]
    assert {path.suffix for path in paths} == {".png", ".svg"}
    assert all(path.is_file() and path.parent == tmp_path / "pictures" for path in paths)
    assert not list(run.path.glob("*.png"))


def test_plot_lays_several_over_each_other_in_one_picture(call: Call, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("one", "two"):
        plant(name, [*story(), finished()])
    plant("none", [events.RunStarted(1, t=1.0)])
    out = tmp_path / "all.svg"
    code, said, err = call("runs", "plot", "one", "two", "none", "--out", str(out), "--by", "tokens", "--smooth", "0")
    assert (code, said) == (0, f"{out}\n"), err
    assert "not drawn, no step yet: none" in err
    assert out.is_file()
    code, said, _ = call("runs", "plot", "one", "two", "--out", str(out), "--json")
    assert json.loads(said) == {"kind": "Picture", "path": str(out), "runs": ["one", "two"], "not_drawn": []}
    assert call("runs", "plot", "one", "--by", "epochs", "--out", str(out))[0] == 2
    code, _, err = call("runs", "plot", "one", "two", "--log")
    assert code == 2
    assert "are for one picture of all the runs" in err
