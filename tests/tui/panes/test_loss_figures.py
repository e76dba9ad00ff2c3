"""The stage's own figures in the Loss pane: sparklines, the large curve, the key that changes it."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.tui.panes.test_loss import polled, shown
from tests.tui.runs import T0, append, logged, loss_at, online, opening, run_with
from tuitune.run import RunDir, events
from tuitune.tui.panes.loss import LossPane

WIDE = (92, 30)


@pytest.fixture
def pairs(tmp_path: Path) -> RunDir:
    begun = [replace(event, stage="dpo") if isinstance(event, events.RunStarted) else event for event in opening()]
    found: list[events.Event] = [*begun]
    for step in range(1, 61):
        figures = {"rewards/margins": step / 10 - 1, "rewards/accuracies": 0.5 + step / 200, "logps/chosen": -120.0}
        found.append(replace(logged(step), metrics=figures))
    figures = {"eval_rewards/accuracies": 0.75, "eval_rewards/margins": 4.0}
    found.append(events.EvalLogged(60, 0.6, loss_at(60), figures, t=T0 + 80))
    return run_with(tmp_path, found, step=60)


@pytest.fixture
def rewarded(tmp_path: Path) -> RunDir:
    return run_with(tmp_path, online(1, 120), step=120)


def names(text: str) -> list[str]:
    return re.findall(r"^ *(\S[\S ]{0,4}) [▁▂▃▄▅▆▇]{9,}", text, re.MULTILINE)


def test_pairs_show_accuracy_and_margin_with_their_evaluation(pairs: RunDir) -> None:
    text = shown(polled(pairs), size=WIDE)
    assert re.search(r"acc [▁-▇]+ 0\.800 +◆ 0\.75", text)
    assert re.search(r"margn [▁-▇]+ 5\.000 +◆ 4\.00", text)
    assert re.search(r"\d\.\d+ loss", text)
    assert names(text)[:5] == ["acc", "margn", "lr", "grad", "tok/s"]


def test_a_figure_that_was_negative_begins_low(pairs: RunDir) -> None:
    (line,) = [line for line in shown(polled(pairs), size=WIDE).split("\n") if "margn" in line]
    bars = re.search(r"[▁-▇]+", line)
    assert bars is not None
    assert bars.group()[0] == "▁"
    assert bars.group()[-1] == "▇"


def test_lesser_figures_show_where_there_is_room_only(pairs: RunDir) -> None:
    assert "lp ch" not in shown(polled(pairs), size=(92, 24))
    assert re.search(r"lp ch [▁-▇]+ -120", shown(polled(pairs), size=(92, 44)))
    small = names(shown(polled(pairs), size=(80, 14)))
    assert small
    assert small[0] == "acc"


def test_m_changes_what_the_large_curve_shows_and_comes_round(pairs: RunDir) -> None:
    view = polled(pairs)
    for keys, name in (("m", "acc"), ("m m", "margin"), ("m m m", "logps"), ("M", "logps")):
        text = shown(view, size=WIDE, keys=keys)
        assert re.search(rf"-?\d\S* {name}", text), keys
        assert "loss" in names(text)
    assert "loss" not in names(shown(view, size=WIDE, keys="m m m m"))


def test_the_evaluations_of_the_shown_figure_are_marked(pairs: RunDir) -> None:
    assert re.search(r"4\.000 eval", shown(polled(pairs), size=WIDE, keys="m m"))
    assert "eval" not in shown(polled(pairs), size=WIDE, keys="M")


def test_rewards_are_the_large_curve_and_the_loss_a_sparkline(rewarded: RunDir) -> None:
    text = shown(polled(rewarded), size=(120, 30))
    assert "Reward ─" in text
    assert re.search(r"1\.065 reward", text)
    assert re.search(r"0\.911 eval", text)
    assert text.count("◆") == 4  # two evaluations on the curve, two figures that have one
    assert names(text)[:4] == ["kl", "entr", "len", "loss"]
    assert "smooth reward" in text
    assert "▴ 0.639" in text
    assert "in 100 steps" in text


def test_a_rising_curve_leaves_its_number_to_the_lower_corner(rewarded: RunDir) -> None:
    lines = shown(polled(rewarded), size=WIDE).split("\n")
    digits = [i for i, line in enumerate(lines) if "┏━┓" in line or "╻" in line]
    assert digits
    assert min(digits) > next(i for i, line in enumerate(lines) if "smooth" in line and "1.0" in line)


def test_only_the_loss_has_a_logarithmic_scale(rewarded: RunDir) -> None:
    async def check(pilot: Pilot[object], pane: LossPane) -> None:
        await pilot.press("l")
        assert not pane.look.log
        await pilot.press("m", "l")
        assert pane.look.log
        assert "".join(text for text, _ in pane.meta).endswith("log")

    shown(polled(rewarded), check, size=WIDE)


@pytest.mark.parametrize("keys", ["", "m", "M", "e", "plus plus left", "shift+left home", "x", "s s", "0"])
@pytest.mark.parametrize("size", [(80, 21), (60, 14), (40, 9), (160, 48)])
def test_any_look_at_any_figure_can_be_drawn(rewarded: RunDir, size: tuple[int, int], keys: str) -> None:
    append(rewarded, [replace(logged(121, math.nan), metrics={"reward": math.inf, "\x1b[2Jevil": -1e9})])
    lines = shown(polled(rewarded), size=size, keys=keys).split("\n")
    assert max(map(len, lines)) <= size[0]
    assert not any("\x1b" in line for line in lines)


def test_a_run_that_is_resumed_forgets_figures_of_steps_that_are_made_again(rewarded: RunDir) -> None:
    append(rewarded, [events.RunStarted(2, 50, None, "r", "m", "grpo", "lora", t=T0 + 200)])
    view = polled(rewarded)
    assert len(view.curves.metrics["reward"]) == len(view.curves) == 50
    assert view.samples.spots()[0].sample.step == 50
