"""The real app on a pseudo terminal, taken away or killed in the middle of its work: the training must not mind."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cli.given import gone, until
from tests.engine.given import data_folder, model_folder, recipe_text
from tests.tui.terminal import Terminal, python
from tests.tui.test_guardian import PROMPT, environment, left_in, restored
from tuitune.run import RunDir, State

pytestmark = pytest.mark.slow

STEP = '"kind":"StepLogged"'
PHASES = {
    "tokenize": ('"phase":"tokenize"', {}),
    "load": ('"phase":"load"', {}),
    "train": (STEP, {}),
    "evaluate": ('"phase":"evaluate"', {"val_size": 0.2, "eval_strategy": "steps", "eval_steps": 20}),
    "save": ('"kind":"CheckpointSaved"', {"save_strategy": "steps", "save_steps": 1}),
    "chat": ('"kind":"ReplyStarted"', {"max_steps": 400, "max_new_tokens": 400}),
}  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A folder with a tiny model, rows enough to take a while, and a home."""
    model_folder(tmp_path)
    data_folder(tmp_path, count=1500)
    (tmp_path / "home").mkdir()
    yield tmp_path
    for process in left_in(tmp_path / "home"):
        process.kill()


def write_recipe(root: Path, **more: object) -> None:
    (root / "recipe.yaml").write_text(recipe_text(root, **({"max_steps": 60} | more)))


def shell(root: Path) -> Terminal:
    terminal = Terminal(["sh", "-i"], cwd=root, env=real(root), columns=120, lines=40)
    terminal.until(PROMPT)
    return terminal


def real(root: Path) -> dict[str, str]:
    return environment(root / "home") | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def app(root: Path, *words: str) -> Terminal:
    return Terminal(python("-m", "tuitune", *words), cwd=root, env=real(root), columns=120, lines=40)


def start(terminal: Terminal) -> None:
    terminal.until("^r start")
    terminal.send("\x12")


def ask(terminal: Terminal, question: str) -> None:
    """Ask the live weights."""
    terminal.send("c")
    until(lambda: "› Ask" in terminal.cursor_line())
    terminal.send(f"{question}\r")


def the_run(root: Path) -> RunDir:
    runs = root / "home" / "runs"
    until(lambda: runs.is_dir() and any((each / "events.jsonl").exists() for each in runs.iterdir()), 300)
    return RunDir(next(runs.iterdir()))


def reached(run: RunDir, marker: str) -> None:
    until(lambda: marker in run.events.read_text(), 300)


def ended(run: RunDir) -> bool:
    return '"kind":"RunFinished"' in run.events.read_text()


@pytest.mark.parametrize("how", ["HUP", "closed"])
@pytest.mark.parametrize("phase", list(PHASES))
def test_a_terminal_lost_in_any_phase_leaves_a_run_that_finishes(root: Path, phase: str, how: str) -> None:
    marker, more = PHASES[phase]
    write_recipe(root, **more)
    with app(root, "recipe.yaml") as terminal:
        start(terminal)
        run = the_run(root)
        if phase == "chat":
            reached(run, STEP)
            ask(terminal, "what is ice?")
        reached(run, marker)
        state = State.read(run.state)
        assert state is not None
        if how == "HUP":
            os.kill(state.pid, signal.SIGHUP)
            assert terminal.wait() == 0
            until(lambda: restored(terminal))
        terminal.hang_up()
        terminal.wait()
    until(lambda: ended(run), 600)
    assert '"reason":"finished"' in run.events.read_text()
    until(lambda: gone(state.pid), 300)
    assert "\x1b[" not in run.console.read_text()
    with app(root, "attach", run.name) as terminal:
        terminal.until("finished")
    done = subprocess.run(python("-m", "tuitune", "attach", run.name), cwd=root, env=os.environ | real(root),
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert "finished: " in done.stdout


def test_detach_gives_the_prompt_back_and_attach_finds_the_run_at_work(root: Path) -> None:
    write_recipe(root, max_steps=100_000)
    with shell(root) as terminal:
        terminal.send("tuitune recipe.yaml; echo en''ded $?\r")
        start(terminal)
        run = the_run(root)
        reached(run, STEP)
        terminal.until("● training")
        terminal.send("\x11")
        terminal.until("Quit while it trains?")
        terminal.send("k")
        shown = terminal.until("ended 0")
        assert f"tuitune attach {run.name}" in shown
        assert restored(terminal)
        terminal.send(f"tuitune attach {run.name}; echo le''ft $?\r")
        terminal.until("● training")
        state = State.read(run.state)
        assert state is not None
        terminal.send("\x11")
        assert "Quit while" not in terminal.until("left 0")
        assert psutil.pid_exists(state.pid)
        terminal.send(f"tuitune stop {run.name}; echo sto''pped $?\r")
        terminal.until("stopped 0", 300)
    assert ended(run)


def test_a_killed_app_leaves_a_terminal_a_word_and_a_run_to_go_on_with(root: Path) -> None:
    write_recipe(root, save_strategy="steps", save_steps=5, max_steps=2_000)
    with shell(root) as terminal:
        terminal.send("tuitune recipe.yaml; echo en''ded $?\r")
        start(terminal)
        run = the_run(root)
        reached(run, '"kind":"CheckpointSaved"')
        state = State.read(run.state)
        assert state is not None
        os.kill(state.pid, signal.SIGKILL)
        shown = terminal.until("ended 137")
        assert "killed (SIGKILL)" in shown
        assert f"tuitune resume {run.name}" in shown
        assert restored(terminal)
        terminal.send(f"tuitune resume {run.name} max_steps=40 --json >resumed.txt; echo resu''med $?\r")
        terminal.until("resumed 0", 300)
    assert '"reason":"finished"' in run.events.read_text()
    assert '"resumed_from"' in run.events.read_text()
