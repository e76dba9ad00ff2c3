"""One picture of several runs: which lines are in it, what they show, and who is left out."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Page

from tests.engine.trackers_given import began, written
from tests.tui.runs import online
from tuitune.engine.plot import saved
from tuitune.errors import RunError, UsageError
from tuitune.face.curve import Average
from tuitune.face.overlaid import Wish, is_picture, overlaid
from tuitune.run import RunDir, events

Line = tuple[list[float], list[float]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TUITUNE_CACHE", str(tmp_path / "cache"))


def told(tmp_path: Path, name: str, level: float = 1.0, steps: int = 40) -> RunDir:
    """A run whose loss falls to `level`; a step takes 60 seconds and 500 tokens, each tenth is evaluated."""
    found: list[events.Event] = [replace(began(1), t=0.0), events.PhaseStarted("train", t=0.0)]
    for step in range(1, steps + 1):
        metrics = {"rewards/accuracies": step / steps} if name == "pairs" else {}
        found.append(events.StepLogged(step, loss=level + 1 / step, tokens=500, metrics=metrics, t=60.0 * step))
        if step % 10 == 0 and name != "bare":
            found.append(events.EvalLogged(step, loss=level + 0.5, t=60.0 * step))
    return written(tmp_path, name, found)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> dict[str, Line]:
    """What each picture's lines hold, by the words of the legend; evaluations beside a training are `run ◆`."""
    found: dict[str, Line] = {}

    def keep(sheet: Page, kind: str) -> bytes:
        [axes] = sheet.get_axes()
        assert isinstance(axes, Axes)
        name = ""
        for line in axes.get_lines():
            label = str(line.get_label())
            name = name if label.startswith("_") else label
            points = np.asarray(line.get_xydata()).reshape(-1, 2)
            found[f"{name} ◆" if label.startswith("_") else name] = points[:, 0].tolist(), points[:, 1].tolist()
        found[axes.get_xlabel()] = found[axes.get_yscale()] = found[str(axes.get_title("left"))] = ([], [])
        return saved(sheet, kind)

    monkeypatch.setattr("tuitune.face.overlaid.saved", keep)
    return found


def test_each_run_is_a_line_with_its_letter_and_its_evaluations(tmp_path: Path, lines: dict[str, Line]) -> None:
    runs = [told(tmp_path, "one"), told(tmp_path, "_two $x$", 0.5), told(tmp_path, "bare", 0.2)]
    out = tmp_path / "all.png"
    assert overlaid(runs, out, Wish()) == []
    assert out.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert out.stat().st_mode & 0o777 == 0o600
    xs, values = lines["a  one"]
    assert xs == list(range(1, 41))
    assert values == pytest.approx(list(Average(0.9).of([1 + 1 / step for step in range(1, 41)])))
    assert lines["a  one ◆"] == ([10, 20, 30, 40], [1.5] * 4)
    assert lines["b  _two $x$"][1][-1] < lines["a  one"][1][-1]
    assert lines["c  bare ◆"] == ([], [])
    assert {"optimizer step", "linear", "loss, smoothed 0.9", "evaluations"} <= lines.keys()


def test_the_axis_the_scale_and_the_smoothing_are_those_asked_for(tmp_path: Path, lines: dict[str, Line]) -> None:
    runs, out = [told(tmp_path, "one"), told(tmp_path, "two", 0.5)], tmp_path / "all.svg"
    overlaid(runs, out, Wish(across="time", smoothing=0.0, log=True))
    xs, values = lines["a  one"]
    assert xs == pytest.approx(range(1, 41))
    assert values == pytest.approx([1 + 1 / step for step in range(1, 41)])
    assert {"minutes of training", "log", "loss, as logged"} <= lines.keys()
    overlaid(runs, out, Wish(across="tokens", kinds="evaluation"))
    assert lines["b  two"] == ([5000, 10_000, 15_000, 20_000], [1.0] * 4)
    assert {"tokens", "loss, at evaluations"} <= lines.keys()
    assert ET.fromstring(out.read_text()).tag.endswith("svg")


def test_a_figure_is_drawn_by_its_name_or_its_word_and_who_lacks_it_is_said(
    tmp_path: Path, lines: dict[str, Line]
) -> None:
    runs, out = [told(tmp_path, "one"), told(tmp_path, "pairs")], tmp_path / "all.svg"
    for name in ("rewards/accuracies", "acc"):
        lines.clear()
        assert overlaid(runs, out, Wish(name, smoothing=0.0)) == ["without acc: one"]
        assert lines["b  pairs"][1][-1] == 1.0
        assert "a  one" not in lines
    assert overlaid([*runs, told(tmp_path, "bare")], out, Wish(kinds="evaluation")) == ["not evaluated: bare"]


def test_runs_that_learn_from_rewards_show_the_reward_unless_the_loss_is_asked_for(
    tmp_path: Path, lines: dict[str, Line]
) -> None:
    runs, out = [told(tmp_path, "one"), written(tmp_path, "rewarded", online(1, 20))], tmp_path / "all.svg"
    assert overlaid(runs, out, Wish()) == ["learns from rewards: rewarded"]
    assert overlaid(runs[::-1], out, Wish()) == ["without reward: one"]
    assert "a  rewarded" in lines
    assert overlaid(runs, out, Wish("loss")) == []
    assert "b  rewarded" in lines


def test_what_cannot_be_drawn_is_refused_in_words(tmp_path: Path) -> None:
    runs, out = [told(tmp_path, "one"), told(tmp_path, "pairs")], tmp_path / "all.png"
    with pytest.raises(UsageError, match="log no figure 'nonsense'") as refused:
        overlaid(runs, out, Wish("nonsense"))
    assert refused.value.hint == "they log loss, rewards/accuracies"
    with pytest.raises(UsageError, match="only the loss has a logarithmic scale"):
        overlaid(runs, out, Wish("acc", log=True))
    with pytest.raises(UsageError, match="9 curves cannot be told apart"):
        overlaid([runs[0]] * 9, out, Wish())
    with pytest.raises(RunError, match="nothing to draw: not evaluated: bare"):
        overlaid([told(tmp_path, "bare")], out, Wish(kinds="evaluation"))
    with pytest.raises(RunError, match="no value is above zero"):
        overlaid([told(tmp_path, "below", -5.0)], out, Wish(log=True))
    with pytest.raises(RunError, match="cannot be written"):
        overlaid(runs, tmp_path / "nowhere" / "all.png", Wish())
    assert not out.exists()


def test_a_name_tells_a_picture_from_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    found = [is_picture(tmp_path / name) for name in ("a.PNG", "a.svg", "a", "a.b", "folder.png")]
    assert found == [True, True, False, False, False]
    with pytest.raises(UsageError, match="no picture that can be drawn"):
        is_picture(tmp_path / "a.pdf")
