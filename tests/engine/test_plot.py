"""Pictures of the curves: which there are, what they show, and that a run never fails because of them."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from tests.engine.given import journal, start
from tests.engine.trackers_given import began, written
from tuitune.engine import plot as plots
from tuitune.engine.plot import figures_of, plot, smooth
from tuitune.engine.run import run as train
from tuitune.errors import RunError
from tuitune.run import events
from tuitune.run.directory import RunDir
from tuitune.run.inbox import Stop

STORY = [
    began(1),
    events.StepLogged(1, loss=3.0, metrics={"rewards/accuracies": 0.5, "rewards_accuracies": 1.0}),
    events.StepLogged(2, loss=math.nan, metrics={"rewards/accuracies": 0.6}),
    events.EvalLogged(2, loss=2.5, metrics={"eval_accuracy": 0.25, "eval_rewards/accuracies": 0.5}),
    events.StepLogged(3, loss=9.0),
    began(2, 2),
    events.StepLogged(3, loss=1.0, metrics={"rewards/accuracies": 0.9}),
    events.StepLogged(4, loss=math.inf),
]


def told(tmp_path: Path, name: str = "run") -> RunDir:
    """A run of that story."""
    return written(tmp_path, name, STORY)


def test_every_figure_has_a_picture_by_llamafactorys_names(tmp_path: Path) -> None:
    run = told(tmp_path)
    made = plot(run)
    stems = [
        "loss",
        "rewards_accuracies",
        "rewards_accuracies_2",
        "eval_loss",
        "eval_accuracy",
        "eval_rewards_accuracies",
    ]
    assert {path.name for path in made} == {f"training_{stem}.{kind}" for stem in stems for kind in ("png", "svg")}
    for path in made:
        assert path.parent == run.path
        assert path.stat().st_mode & 0o777 == 0o600
        if path.suffix == ".png":
            head = path.read_bytes()[:24]
            assert head[:8] == b"\x89PNG\r\n\x1a\n"
            assert (int.from_bytes(head[16:20]), int.from_bytes(head[20:24])) == (960, 540)
        else:
            assert ET.fromstring(path.read_text()).tag.endswith("svg")


def test_what_an_attempt_has_taken_back_is_not_shown(tmp_path: Path) -> None:
    found = figures_of(told(tmp_path))
    assert next(iter(found)) == "loss"
    assert [step for step, _ in found["loss"].training] == [1, 2, 3, 4]
    assert [loss for step, loss in found["loss"].training if step == 3] == [1.0]
    assert found["loss"].evaluations == [(2, 2.5)]
    assert found["rewards/accuracies"].evaluations == [(2, 0.5)]
    assert found["eval_accuracy"].training == [(2, 0.25)]


def test_lines_are_smoothed_as_llamafactory_does() -> None:
    values = [3.0, 1.0, 2.0, 0.5]
    weight = 1.8 * (1 / (1 + math.exp(-0.05 * 4)) - 0.5)
    expected, last = [], values[0]
    for value in values:
        last = last * weight + (1 - weight) * value
        expected.append(last)
    assert smooth(values) == pytest.approx(expected)
    assert smooth([]) == []
    gaps = smooth([math.nan, 1.0, math.inf, 3.0])
    assert math.isnan(gaps[0])
    assert math.isinf(gaps[2])
    assert 1.0 < gaps[3] < 3.0


def test_pictures_of_another_folder_of_a_long_run_and_of_a_strange_name(tmp_path: Path) -> None:
    long = [events.StepLogged(step, loss=1 / step, metrics={"$x_": 1.0}) for step in range(1, 12_001)]
    run = written(tmp_path, "a $b$ {", [began(1), *long])
    made = plot(run, tmp_path / "out")
    assert {path.name for path in made} == {
        f"training_{stem}.{kind}" for stem in ("loss", "_x_") for kind in ("png", "svg")
    }
    assert max(path.stat().st_size for path in made) < 500_000
    assert not list(run.path.glob("*.png"))


def test_without_figures_there_is_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="has logged nothing yet"):
        plot(written(tmp_path, "run", [began(1)]))
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        plot(told(tmp_path, "other"), tmp_path / "file" / "below")


def test_plot_loss_draws_at_the_end_and_at_a_stop(root: Path) -> None:
    run = start(root, plot_loss=True, max_steps=3)

    def stop(session: Any) -> None:
        stepped = session.stepped

        def ask(step: int, total: int | None) -> None:
            stepped(step, total)
            if step == 2 and total:
                session.ask(Stop())

        session.stepped = ask

    assert train(run, on_session=stop).status == "stopped"
    assert (run.path / "training_loss.png").is_file()
    early = (run.path / "training_loss.svg").read_bytes()
    assert train(run).status == "finished"
    assert (run.path / "training_loss.svg").read_bytes() != early
    said = [event.text for event in journal(run, events.Noted) if "pictures" in event.text]
    assert said == ["pictures of the curves, as png and svg: training_loss.png"] * 2


def test_a_picture_that_fails_fails_no_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(run: RunDir) -> None:
        raise ValueError("no fonts\x1b[2J")

    monkeypatch.setattr(plots, "plot", broken)
    run = start(root, plot_loss=True, max_steps=1)
    assert train(run).status == "finished"
    [warned] = [event for event in journal(run, events.Warned) if "pictures" in event.message]
    assert warned.message == "the pictures of the curves could not be drawn: no fonts"
