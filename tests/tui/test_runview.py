from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tui.runs import RECIPE, T0, append, logged, opening, run_with, steps, tell
from tuitune.run import RunDir, events
from tuitune.tui.runview import LogLine, RunView

GONE = 2**22 + 7  # above the largest process number


def polled(run: RunDir) -> RunView:
    view = RunView(run)
    view.poll()
    return view


def said(view: RunView) -> list[str]:
    return [" ".join(part for part in (line.text, line.note) if part) for line in view.lines]


def test_a_run_that_has_not_begun(tmp_path: Path) -> None:
    view = polled(run_with(tmp_path, [], status=None))
    assert view.status == "created"
    assert not view.live
    assert len(view.curves) == 0
    assert view.progress is None
    assert view.eta is None


def test_curves_hold_every_figure_of_every_step(tmp_path: Path) -> None:
    view = polled(run_with(tmp_path, [*opening(), *steps(1, 60)], step=60))
    curves = view.curves
    assert list(curves.step) == list(range(1, 61))
    assert curves.tokens[-1] == 60_000
    assert curves.seconds[-1] == pytest.approx(60)  # loading is no training
    assert curves.lr[9] == pytest.approx(0.5e-4)
    assert [point.step for point in curves.evals] == [50]
    assert curves.evals[0].tokens == 50_000
    assert view.status == "training"
    assert view.live
    assert view.progress == 0.2
    assert view.epoch == 0.6
    assert view.epochs == pytest.approx(3.0)
    assert view.eta == pytest.approx(240.0)


def test_only_what_is_new_is_read(tmp_path: Path) -> None:
    run = run_with(tmp_path, [*opening(), *steps(1, 3)], step=3)
    view = polled(run)
    before = view.revision
    assert view.poll() == []
    assert view.revision == before
    append(run, [logged(4)])
    assert view.poll() == [logged(4)]
    assert view.revision > before
    assert len(view.curves) == 4


def test_a_step_that_is_only_in_the_state_changes_the_revision(tmp_path: Path) -> None:
    run = run_with(tmp_path, [*opening(), *steps(1, 3)], step=3)
    view = polled(run)
    before = view.revision
    tell(run, "running", step=9)
    view.poll()
    assert view.revision > before
    assert view.picture.step == 9


def test_a_later_attempt_takes_back_the_steps_after_its_start(tmp_path: Path) -> None:
    run = run_with(tmp_path, [*opening(), *steps(1, 120)], step=120)
    view = polled(run)
    assert len(view.curves.smooth) == 120
    later = T0 + 10_000
    again = [
        events.RunStarted(2, 70, resumed_from="checkpoint-70", t=later),
        events.PhaseStarted("train", t=later + 30),
        replace(logged(71, 9.0), t=later + 31),
    ]
    append(run, again)
    view.poll()
    curves = view.curves
    assert list(curves.step) == list(range(1, 72))
    assert [point.step for point in curves.evals] == [50]
    assert curves.loss[-1] == 9.0
    assert len(curves.smooth) == 71
    assert curves.seconds[-1] == pytest.approx(71)  # the hours between two attempts are no training
    assert "resumed at step 70" in said(view)


def test_a_pause_takes_no_time_of_the_training(tmp_path: Path) -> None:
    pause = [events.Paused(3, t=T0 + 23), events.Resumed(3, t=T0 + 123), replace(logged(4), t=T0 + 124)]
    view = polled(run_with(tmp_path, [*opening(), *steps(1, 3), *pause], step=4))
    assert view.curves.seconds[-1] == pytest.approx(4)
    assert "goes on after 1 m 40 s" in said(view)


def test_nan_is_kept_and_does_not_poison_the_mean(tmp_path: Path) -> None:
    found = [logged(1, 2.0), logged(2, math.nan), logged(3, math.inf), logged(4, 2.0, grad_norm=None)]
    view = polled(run_with(tmp_path, [*opening(), *found], step=4))
    assert [math.isnan(value) for value in view.curves.loss] == [False, True, False, False]
    assert [math.isnan(value) for value in view.curves.smooth] == [False, True, True, False]
    assert view.curves.smooth[-1] == pytest.approx(2.0)
    assert math.isnan(view.curves.grad[-1])
    assert [line.role for line in view.lines if line.text.startswith("loss")] == ["error"]


def test_the_mean_has_no_pull_of_its_start_and_can_be_set(tmp_path: Path) -> None:
    view = polled(run_with(tmp_path, [*opening(), logged(1, 4.0), logged(2, 2.0)], step=2))
    view.curves.smoothing = 0.5
    assert list(view.curves.smooth) == pytest.approx([4.0, (0.25 * 4 + 0.5 * 2) / 0.75])
    view.curves.smoothing = 0.0
    assert list(view.curves.smooth) == [4.0, 2.0]


def test_a_torn_line_waits_for_its_end(tmp_path: Path) -> None:
    run = run_with(tmp_path, [*opening(), logged(1)], step=1)
    with run.events.open("ab") as stream:
        stream.write(b'{"kind":"StepLogged","step":2,"lo')
    view = polled(run)
    assert len(view.curves) == 1
    with run.events.open("ab") as stream:
        stream.write(b'ss":1.5}\n')
    view.poll()
    assert list(view.curves.loss)[1:] == [1.5]


def test_another_file_in_its_place_begins_anew(tmp_path: Path) -> None:
    run = run_with(tmp_path, [*opening(), *steps(1, 30)], step=30)
    view = polled(run)
    run.events.unlink()
    append(run, [*opening(), logged(1, 7.0)])
    view.poll()
    assert list(view.curves.loss) == [7.0]
    assert sum(line.text == "started" for line in view.lines) == 1


@pytest.mark.parametrize("status", ["paused", "stopping", "finished", "stopped", "failed"])
def test_the_state_tells_the_status(tmp_path: Path, status: str) -> None:
    run = run_with(tmp_path, [*opening(), *steps(1, 5)], step=5)
    tell(run, status, step=5)  # type: ignore[arg-type]
    assert polled(run).status == status


def test_a_run_is_prepared_until_it_trains(tmp_path: Path) -> None:
    run = run_with(tmp_path, [*opening()[:3], events.Progress("tokenize", 40, 91, t=T0 + 3)])
    view = polled(run)
    assert view.status == "preparing"
    assert [(phase.name, phase.ended is None) for phase in view.phases] == [("prepare", False), ("tokenize", True)]
    assert (view.phases[-1].done, view.phases[-1].total) == (40, 91)


def test_a_process_that_is_gone_is_a_crash_and_said_once(tmp_path: Path) -> None:
    run = run_with(tmp_path, [*opening(), *steps(1, 5)], step=5)
    view = polled(run)
    tell(run, "running", step=5, pid=GONE)
    view.poll()
    view.poll()
    assert view.status == "crashed"
    assert not view.live
    assert [line.text for line in view.lines].count("crashed") == 1


def test_a_journal_without_a_state_tells_how_it_ended(tmp_path: Path) -> None:
    end = events.RunFinished(5, 25.0, "stopped", t=T0 + 30)
    run = run_with(tmp_path, [*opening(), *steps(1, 5), end], status=None)
    assert polled(run).status == "stopped"


def test_the_recipe_of_the_run_is_known_and_a_broken_one_is_none(tmp_path: Path) -> None:
    run = run_with(tmp_path, opening())
    view = polled(run)
    assert view.recipe is not None
    assert view.recipe.lr_scheduler_type == "cosine"
    run.recipe.write_text(RECIPE + "nonsense: 1\n")
    assert polled(run).recipe is None


def test_lines_are_short_and_newest_first(tmp_path: Path) -> None:
    found: list[events.Event] = [
        *opening(), *steps(1, 100),
        events.CheckpointSaved(100, "/x/checkpoint-100", 82_000_000, 1.0, t=T0 + 121),
        events.ReplyFinished("a", 100, 20, 1.1, t=T0 + 122),
        events.Warned("2 rows skipped", "see Data", t=T0 + 123),
        events.CommandDone("b", "set_learning_rate", "refused", "it is not a number", t=T0 + 124),
        events.RunFinished(100, 110.0, final="/x/final", t=T0 + 130),
    ]  # fmt: skip
    view = polled(run_with(tmp_path, found, "finished", step=100))
    assert said(view) == [
        "finished in 1 m 50 s",
        "set learning rate refused it is not a number",
        "2 rows skipped",
        "answered @100 1.1 s",
        "checkpoint-100 78 MiB",
        "eval 0.755 best so far",
        "eval 1.266",
        "warm-up over lr 1.0e-4",
        "training 300 steps",
        "model loaded 16 s",
        "91 rows tokenised 2.0 s",
        "model prepared 2.0 s",
        "started smollm2-135m",
    ]
    assert view.lines[2].detail == "2 rows skipped\nsee Data"
    assert view.lines[0].role == "ok"


def test_only_the_best_evaluation_is_called_so(tmp_path: Path) -> None:
    found = [events.EvalLogged(step, loss=loss, t=T0 + step) for step, loss in ((1, 3.0), (2, 2.0), (3, 1.0), (4, 1.5))]
    view = polled(run_with(tmp_path, [*opening(), *found], step=4))
    assert said(view)[:4] == ["eval 1.500", "eval 1.000 best so far", "eval 2.000", "eval 3.000"]


def test_a_gradient_out_of_line_is_remarked_on(tmp_path: Path) -> None:
    found = [logged(step, grad_norm=9.0 if step == 40 else 1.0) for step in range(1, 60)]
    view = polled(run_with(tmp_path, [*opening(), *found], step=59))
    assert "grad 9.00 at step 40" in said(view)


def test_foreign_text_in_lines_is_clean(tmp_path: Path) -> None:
    evil = "\x1b]52;c;aGk=\x07bad\x1b[2J\nsecond"
    found = [events.Warned(evil, evil, t=T0), events.RunFailed(evil, evil, t=T0 + 1)]
    view = polled(run_with(tmp_path, [*opening(), *found], "failed"))
    lines: list[LogLine] = list(view.lines)
    assert not any("\x1b" in text or "\x07" in text for line in lines for text in (line.text, line.note, line.detail))
    assert not any("\n" in line.text + line.note for line in lines)
    assert os.linesep not in lines[0].note
