from __future__ import annotations

import io
import json
import math

import pytest
from rich.cells import cell_len

from tests.cli.given import EVIL, finished, plant, seen, story
from tuitune.cli.console import Screen, screen
from tuitune.cli.views import JsonView, LiveView, PlainView
from tuitune.run import events

EVENTS = [
    *story(steps=2, total=12345),
    events.Warned(EVIL * 5, EVIL),
    events.CheckpointSaved(2, "/x", 33_000_000, 0.1, True),
    events.EvalLogged(2, loss=1.5, metrics={f"eval_{EVIL}": 0.25}),
    events.StepLogged(3, loss=math.nan, learning_rate=1.25e-5, grad_norm=math.inf, step_seconds=10.0, t=1100.0),
    events.Progress("evaluate", 7, 12),
]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Screen:
    monkeypatch.setenv("TERM", "xterm-256color")
    return Screen(file=io.StringIO(), width=80, height=24, force_terminal=True, markup=False, highlight=False)


def text(console: Screen) -> str:
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_bars_fit_into_80_columns_and_two_lines(terminal: Screen) -> None:
    view = LiveView(plant("run"), terminal)
    for event in [events.PhaseStarted("tokenize", "data/" * 40), events.Progress("tokenize", 5, 10), *EVENTS]:
        view.show([event], None)
        drawn = terminal.render_lines(view._live.get_renderable(), pad=False)
        assert len(drawn) <= 2
        assert all(sum(cell_len(segment.text) for segment in line) <= 80 for line in drawn)
    view.close()
    assert all(cell_len(line) <= 80 for line in seen(text(terminal)).splitlines())


def test_bars_show_the_step_the_figures_and_the_time_that_is_left(terminal: Screen) -> None:
    view = LiveView(plant("run"), terminal)
    view.show(EVENTS[:4], None)
    view.picture.total = 12
    view.show([], None)
    view.close()
    last = seen(text(terminal))
    for words in ("2/12", "1:40 left", "loss 1.0000", "lr 1.00e-03", "grad 0.5", "1,234 tok/s"):
        assert words in last


def test_a_paused_run_says_so(terminal: Screen) -> None:
    view = LiveView(plant("run"), terminal)
    view.show([*story(), events.Paused(3)], None)
    view.close()
    assert "paused at step 3" in seen(text(terminal))
    assert "  paused " in seen(text(terminal)).replace("paused at step", "")


def test_nothing_foreign_reaches_the_terminal(terminal: Screen) -> None:
    view = LiveView(plant("run"), terminal)
    view.show([events.PhaseStarted(EVIL, EVIL), *EVENTS], None)
    view.close()
    shown = text(terminal)
    assert "\x1b]" not in shown
    assert "\x1b[31m" not in shown
    assert not set(shown) & {"\x07", "\x08", "\x9b", "\u202e"}


def test_lines_in_a_pipe_hold_no_control_characters() -> None:
    file = io.StringIO()
    view = PlainView(plant("run"), screen(file))
    view.show([events.PhaseStarted(EVIL, EVIL), *EVENTS], None)
    assert set(file.getvalue()) - {"\n"} <= {chr(code) for code in range(32, 127)}
    assert "step 3  loss nan  lr 1.25e-05  grad inf" in file.getvalue()
    assert "checkpoint 2 saved, 33.0 MB, the best so far\n" in file.getvalue()
    assert "step 2: eval loss 1.5000" in file.getvalue()


def test_the_loss_of_a_step_stands_before_what_follows_it() -> None:
    file = io.StringIO()
    steps = [events.StepLogged(step, loss=float(step), t=1000.0 + step / 100) for step in range(1, 6)]
    after = [
        events.EvalLogged(2, loss=8.5, t=1000.03), events.CheckpointSaved(4, "/x", 1_000_000, 0.1, t=1000.05),
        events.PhaseStarted("save", "the result", t=1000.06),
    ]  # fmt: skip
    told = [*steps[:2], after[0], *steps[2:4], after[1], steps[4], after[2]]
    PlainView(plant("run"), screen(file)).show([events.RunStarted(1, total_steps=5, t=999.0), *told], None)
    lines = [line.split("  ")[:2] for line in file.getvalue().splitlines() if "step" in line or "sav" in line]
    assert lines == [
        ["step 1/5", "loss 1.0000"], ["step 2/5", "loss 2.0000"], ["step 2: eval loss 8.5000"],
        ["step 4/5", "loss 4.0000"], ["checkpoint 4 saved, 1.0 MB"], ["step 5/5", "loss 5.0000"], ["save: the result"],
    ]  # fmt: skip
    assert "eval" not in file.getvalue().splitlines()[1]


def test_of_many_steps_some_are_shown_and_the_last_one_always() -> None:
    file = io.StringIO()
    view = PlainView(plant("run"), screen(file))
    quick = [events.StepLogged(step, loss=1.0, t=1000.0 + step / 100) for step in range(1, 1002)]
    view.show([events.RunStarted(1, t=1000.0), *quick, finished(1001, t=1010.02)], None)
    steps = [int(line.split()[1]) for line in file.getvalue().splitlines() if line.startswith("step")]
    assert steps[0] == 1
    assert steps[-1] == 1001
    assert 8 <= len(steps) <= 13


def test_each_step_of_a_slow_run_has_a_line() -> None:
    file = io.StringIO()
    PlainView(plant("run"), screen(file)).show(story(steps=3), None)
    assert [line.split()[1] for line in file.getvalue().splitlines() if line.startswith("step")] == ["1", "2", "3"]


def test_json_is_the_place_and_then_the_events() -> None:
    file = io.StringIO()
    made = plant("run")
    view = JsonView(made, file)
    view.show(EVENTS, None)
    view.say("something")
    view.close()
    found = [json.loads(line) for line in file.getvalue().splitlines()]
    assert found[0] == {"kind": "Run", "name": "run", "path": str(made.path)}
    assert [one["kind"] for one in found[1:]] == [event.kind for event in EVENTS]
    assert found[8]["loss"] == "NaN"
    assert found[5]["message"] == EVIL * 5
    assert file.getvalue().isascii()
