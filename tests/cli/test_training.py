"""Real processes that train a tiny model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.given import begun, hear_all, journal, run, start, until
from tuitune.run import RunDir, State, events, manifest

pytestmark = pytest.mark.slow


def test_json_is_all_that_standard_output_gets_and_a_resume_from_elsewhere_finds_the_data(root: Path) -> None:
    code, out, err = run(root, "train", "recipe.yaml", "max_steps=3", "--run", "one", "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert found[0] == {"kind": "Run", "name": "one", "path": str(root / "home" / "runs" / "one")}
    assert [one["step"] for one in found if one["kind"] == "StepLogged"] == [1, 2, 3]
    assert found[-1]["kind"] == "RunFinished"
    (root / "elsewhere" / "data").mkdir(parents=True)  # not the one that was meant
    code, out, err = run(root, "resume", "one", "max_steps=5", cwd=root / "elsewhere")
    assert code == 0, err
    assert "step 5/5" in out
    assert "ask it: tuitune chat --run one" in out
    assert "not bit-equal" in err
    assert not set(out) & {"\x1b", "\r"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_the_last_whole_step_and_ends_with_3(root: Path, number: int) -> None:
    path = root / "home" / "runs" / "one"
    process = start(root, "train", "recipe.yaml", "--run", "one", preexec_fn=hear_all)
    begun(path)
    process.send_signal(number)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 3, err
    assert "stopping: saving the last whole step" in out
    assert "tuitune resume one" in out
    [end] = journal(path, events.RunFinished)
    assert end.reason == "stopped"
    assert manifest.verify(path / f"checkpoint-{end.step}").valid


def test_a_closed_pipe_stops_and_saves_quietly(root: Path) -> None:
    path = root / "home" / "runs" / "one"
    process = start(root, "train", "recipe.yaml", "--run", "one")
    assert process.stdout is not None
    begun(path)
    process.stdout.close()
    process.wait(300)
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.returncode == 3
    assert list(path.glob("checkpoint-*"))


def test_a_detached_run_outlives_hangups_saves_at_sigterm_and_takes_commands(root: Path) -> None:
    path = root / "home" / "runs" / "one"
    code, out, _ = run(root, "train", "recipe.yaml", "--run", "one", "--detach", "--json")
    started = json.loads(out)
    assert (code, started["name"], started["path"]) == (0, "one", str(path))
    begun(path)
    os.kill(started["pid"], signal.SIGHUP)
    os.kill(started["pid"], signal.SIGTERM)
    until(lambda: bool(journal(path, events.CheckpointSaved)))
    count = len(journal(path, events.StepLogged))
    begun(path, count + 3)
    state = State.read(path / "state.json")
    assert state is not None
    assert (state.status, state.detached) == ("running", True)
    code, out, _ = run(root, "chat", "--run", "one", "--once", "hello", "--max-new-tokens", "3")
    assert code == 0
    assert out.endswith("\n")
    assert journal(path, events.ReplyFinished)[0].tokens in (1, 2, 3)
    code, out, _ = run(root, "stop", "one")
    assert code == 0
    assert "stopped at step" in out


def test_a_run_in_a_process_is_followed_and_stopped_by_ctrl_c(root: Path) -> None:
    path = root / "home" / "runs" / "one"
    process = start(root, "train", "recipe.yaml", "host=process", "--run", "one", preexec_fn=hear_all)
    begun(path)
    state = State.read(path / "state.json")
    assert state is not None
    assert state.pid != process.pid
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 3
    assert "stopped at step" in out


def test_a_failure_is_words_and_exit_1(root: Path) -> None:
    (root / "data" / "rows.json").write_text("[]")
    code, out, err = run(root, "train", "recipe.yaml", "--run", "one")
    assert code == 1
    assert err.startswith("error: ")
    assert "Traceback" not in out + err
    assert "Traceback" in (root / "home" / "runs" / "one" / "console.log").read_text()


def test_the_demo_trains_and_compares(root: Path) -> None:
    settings = [f"model_name_or_path={root / 'tiny'}", "max_steps=2", "cutoff_len=64", "device=cpu"]
    code, out, err = run(root, "demo", "--name", 'A "B"', *settings)
    assert code == 0, err
    assert "step 2/2" in out
    for words in ("before", "after", "Who am I talking"):
        assert words in out.rpartition("ask it")[2]


def test_nothing_is_left_on_a_terminal_but_words(root: Path) -> None:
    # A real terminal: `script` gives one, 80 columns wide.
    if subprocess.run(["which", "script"], capture_output=True, check=False).returncode:
        pytest.skip("there is no `script` here")
    command = f"stty cols 80 rows 24; {sys.executable} -m tuitune train recipe.yaml max_steps=5 --run one"
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"], cwd=root, capture_output=True, text=True, check=False,
        env={**os.environ, "TUITUNE_HOME": str(root / "home"), "TERM": "xterm-256color"},
    )  # fmt: skip
    assert done.returncode == 0
    assert "finished: 5 steps" in done.stdout
    # The cursor is shown again.
    assert done.stdout.rindex("\x1b[?25h") > done.stdout.rindex("\x1b[?25l")
    assert RunDir(root / "home" / "runs" / "one").final.is_dir()
