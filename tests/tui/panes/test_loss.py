from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.tui.given import bench, screen_text
from tests.tui.runs import T0, append, logged, opening, run_with, steps, tell
from tuitune.recipe import Recipe
from tuitune.run import RunDir, events
from tuitune.tui.panes.loss import LossPane
from tuitune.tui.runview import RunView

CSS = "LossPane { height: 1fr; padding: 0 1; background: $surface; }"
GONE = 2**22 + 7
Check = Callable[[Pilot[object], LossPane], Awaitable[None]]


def polled(run: RunDir) -> RunView:
    view = RunView(run)
    view.poll()
    return view


def shown(view: RunView | None, check: Check | None = None, size: tuple[int, int] = (92, 27), keys: str = "") -> str:
    """Show a run in a terminal of this size, press keys, check, and return the screen."""

    async def go() -> str:
        pane = LossPane()
        app = bench(pane, css=CSS)
        async with app.run_test(size=size, notifications=True) as pilot:
            pane.show(view, None)
            pane.focus()
            await pilot.pause()
            await pilot.press(*keys.split())
            await pilot.pause()
            if check is not None:
                await check(pilot, pane)
            return screen_text(app)

    return asyncio.run(go())


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return run_with(tmp_path, [*opening(), *steps(1, 120)], step=120)


def test_without_a_run_it_says_how_to_get_one() -> None:
    text = shown(None)
    assert "No run yet" in text
    assert "^r" in text


@pytest.mark.parametrize("size", [(80, 21), (92, 27), (88, 29), (160, 50), (60, 14), (80, 11), (40, 9)])
def test_every_size_has_a_curve_and_a_progress_line(run: RunDir, size: tuple[int, int]) -> None:
    text = shown(polled(run), size=size)
    lines = text.split("\n")
    assert re.search(r"run ━+─+ 40 % +3 m 00 s", text)
    assert any("\u2801" <= sign <= "\u28ff" for sign in text)
    assert max(len(line) for line in lines) <= size[0]


def test_the_figures_of_the_last_step_stand_beside_their_curves(run: RunDir) -> None:
    text = shown(polled(run))
    assert "epoch 1.20 of 3" in text
    assert re.search(r"0\.624 +loss", text)
    assert re.search(r"0\.755 +eval", text)
    assert re.search(r"0\.\d+ +smooth", text)
    assert re.search(r"lr ▁.*▇ 1\.0e-4 cosine", text)
    assert re.search(r"grad ▇+ 1\.00 +clip 1\.0", text)
    assert re.search(r"tok/s ▇+ 5,000", text)
    assert "MFU" not in text
    assert "┏━┓" in text
    assert re.search(r"smooth loss\n(.*\n)?.*▾ \d\.\d+\n.*in 100 steps", text)
    assert text.count("◆") == 2


def test_use_of_the_device_shows_when_it_is_logged(run: RunDir) -> None:
    append(run, [logged(121, mfu=0.384)])
    assert "MFU 38 %" in shown(polled(run))


def test_columns_are_the_same_steps_in_chart_sparklines_and_bar(run: RunDir) -> None:
    lines = shown(polled(run)).split("\n")
    starts = [re.search(pattern, line) for line in lines for pattern in (r"(?<=lr )▁", r"(?<=run )━", r"(?<=0\.0 )┈")]
    assert {match.start() for match in starts if match} == {7}
    assert len([match for match in starts if match]) == 3


def test_it_draws_only_when_there_is_something_new(run: RunDir) -> None:
    view = polled(run)
    tell(run, "finished", step=120)
    view.poll()

    async def check(pilot: Pilot[object], pane: LossPane) -> None:
        drawn: list[int] = []
        pane.redraw = lambda: drawn.append(1)  # type: ignore[method-assign]
        pane.show(view, None)
        pane.show(view, None)
        assert not drawn
        append(run, [logged(121)])
        view.poll()
        pane.show(view, None)
        assert len(drawn) == 1

    shown(view, check)


def test_keys_change_scale_axis_smoothing_and_range(run: RunDir) -> None:
    view = polled(run)

    async def check(pilot: Pilot[object], pane: LossPane) -> None:
        def meta() -> str:
            return "".join(text for text, _ in pane.meta)

        assert meta().endswith("smooth .9  linear")
        await pilot.press("l")
        assert meta().endswith("log")
        await pilot.press("l", "x")
        assert "time" in meta()
        await pilot.press("x")
        assert "tokens" in meta()
        await pilot.press("x", "s")
        assert "smooth .97" in meta()
        assert view.curves.smoothing == 0.97
        await pilot.press("s")
        assert "smooth 0 " in meta()
        await pilot.press("e")
        assert "late" in meta()

    shown(view, check)


def test_time_and_tokens_stand_along_the_foot(run: RunDir) -> None:
    assert re.search(r"0:00 +0:30 +1:00 +1:30 +2:00", shown(polled(run), keys="x"))
    assert re.search(r"0 +20k +40k +60k +80k +100k", shown(polled(run), keys="x x"))


def test_zoom_shows_the_end_and_pans(run: RunDir) -> None:
    view = polled(run)
    text = shown(view, keys="plus plus")
    assert "zoom 4" in text
    assert re.search(r"\n +90 +95 +100 +105 +110 +115 +120\n", text)
    assert re.search(r"\n +0 +5 +10 +15 +20 +25 +30\n", shown(view, keys="plus plus home"))
    assert re.search(r"\n +90 +95 +100", shown(view, keys="plus plus home end"))
    assert re.search(r"\n +90 +95", shown(view, keys="up up left right"))
    assert not re.search(r"\n +90 +95 +100", shown(view, keys="up up left left"))
    assert re.search(r"\n +0 +20 +40 +60 +80 +100 +120\n", shown(view, keys="plus plus minus down"))
    assert "zoom" not in shown(view, keys="plus plus 0")


def test_the_whole_run_has_room_for_the_steps_to_come(run: RunDir) -> None:
    text = shown(polled(run), keys="0")
    assert re.search(r"\n +0 +50 +100 +150 +200 +250 +300\n", text)
    assert re.search(r"lr ▁.*▇ {30,}1\.0e-4", text)
    assert re.search(r"\n +0 +20 +40", shown(polled(run), keys="0 0"))


def test_the_cursor_reads_the_values_of_its_step(run: RunDir) -> None:
    text = shown(polled(run), keys="shift+left home")
    assert "step 1 " in text
    assert re.search(r"lr ▁.* 5\.0e-6 cosine", text)
    assert re.search(r"2\.938 +loss", text)
    assert "eval" not in text
    assert "│" in text
    text = shown(polled(run), keys="left left left right")
    assert re.search(r"step 11[5-9] ", text)
    assert "│" not in shown(polled(run), keys="left left 0")


def test_a_click_sets_the_cursor_only_where_the_pane_has_the_keys(run: RunDir) -> None:
    async def check(pilot: Pilot[object], pane: LossPane) -> None:
        await pilot.click(pane, offset=(40, 8))
        assert pane.look.cursor is not None
        assert 40 < pane.look.cursor < 80

    shown(polled(run), check)


def test_another_run_is_seen_whole(run: RunDir, tmp_path: Path) -> None:
    other = polled(run_with(tmp_path / "other", [*opening(), *steps(1, 5)], step=5))

    async def check(pilot: Pilot[object], pane: LossPane) -> None:
        pane.show(other, None)
        assert pane.look.zoom == 0
        assert pane.look.cursor is None

    shown(polled(run), check, keys="plus left shift+left")


def test_epochs_that_follow_from_steps_are_rounded(tmp_path: Path) -> None:
    run = run_with(tmp_path, [*opening(), replace(logged(2), epoch=2 / 3)], step=2, total=4)
    run.recipe.write_text("model_name_or_path: smollm2-135m\ndataset: identity\nmax_steps: 4\n")
    assert "epoch 0.67 of 1.33 " in shown(polled(run))


def test_nan_now_is_said_and_leaves_a_gap(tmp_path: Path) -> None:
    found = [*opening(), *steps(1, 20), logged(21, math.nan, grad_norm=math.inf)]
    text = shown(polled(run_with(tmp_path, found, step=21)))
    assert re.search(r"nan +smooth", text)
    assert re.search(r"nan +loss", text)
    assert re.search(r"grad .* inf ", text)
    assert "┏━┓" not in text


@pytest.mark.parametrize(
    "losses", [[1.0], [0.0, 0.0], [-3.0, 4.0], [1e9, 1.0], [1e-9, 2e-9], [math.nan] * 3, [1e308, -1e308]]
)
@pytest.mark.parametrize("keys", ["", "l", "e", "plus plus plus plus", "x l e 0", "s s"])
def test_odd_values_are_drawn(tmp_path: Path, losses: list[float], keys: str) -> None:
    found = [*opening(), *(logged(step, loss) for step, loss in enumerate(losses, 1))]
    assert "run" in shown(polled(run_with(tmp_path, found, step=len(losses))), keys=keys)


def test_before_the_first_step_it_says_what_is_done(tmp_path: Path) -> None:
    found = [*opening()[:3], events.Progress("tokenize", 1200, 5000, t=T0 + 3)]
    text = shown(polled(run_with(tmp_path, found)), size=(80, 21))
    assert "✓ model prepared  2.0 s" in text
    assert "● tokenising the data" in text
    assert re.search(r"━+─+  1,200 of 5,000", text)
    assert "· load the model" in text
    assert re.search(r"f9 +cancel", text)
    assert "The loss" not in text
    assert "learning rate" in text


def test_a_download_is_measured_in_bytes(tmp_path: Path) -> None:
    found = [*opening()[:2], events.Progress("prepare", 300 << 20, 2 << 30, t=T0 + 3)]
    assert "300 MiB of 2.0 GiB" in shown(polled(run_with(tmp_path, found)))


def test_a_failure_is_said_with_its_hint(run: RunDir) -> None:
    append(run, [events.RunFailed("CUDA out of memory on cuda:0", "lower cutoff_len", 120, t=T0 + 200)])
    tell(run, "failed", step=120)
    text = shown(polled(run))
    assert "▲ Failed: CUDA out of memory on cuda:0" in text
    assert "lower cutoff_len" in text
    assert "No checkpoint was saved; ^r starts again." in text


def test_a_failure_before_the_first_step_is_said_too(tmp_path: Path) -> None:
    failed = events.RunFailed("no such dataset", "see datasets", t=T0 + 5)
    text = shown(polled(run_with(tmp_path, [*opening()[:3], failed], "failed")))
    assert "▲ tokenising the data" in text
    assert "▲ Failed: no such dataset" in text
    assert "cancel" not in text


@pytest.mark.parametrize(
    ("status", "said"),
    [("paused", "Paused at step 120.  ^r goes on"), ("stopping", "Stopping."), ("crashed", "Crashed at step 120")],
)
def test_what_stands_still_says_why_and_what_to_do(run: RunDir, status: str, said: str) -> None:
    append(run, [events.CheckpointSaved(100, "/x", 1, 1.0, t=T0 + 150)])
    if status == "crashed":
        tell(run, "running", step=120, pid=GONE)
    else:
        tell(run, status, step=120)  # type: ignore[arg-type]
    text = shown(polled(run))
    assert said in text
    assert status != "crashed" or "^r goes on from checkpoint-100." in text


def test_an_end_says_what_comes_next(run: RunDir) -> None:
    append(run, [events.RunFinished(120, 140.0, final="/x", t=T0 + 160)])
    tell(run, "finished", step=120, total=120)
    text = shown(polled(run))
    assert "✓ Finished: 120 steps in 2 m 40 s." in text
    assert "100 %" in text


def test_a_failure_of_many_words_leaves_the_progress_line(run: RunDir) -> None:
    append(run, [events.RunFailed("word " * 400, "hint " * 100, 120, t=T0 + 200)])
    tell(run, "failed", step=120)
    text = shown(polled(run), size=(80, 12))
    assert re.search(r"run ━+─+ 40 %", text)
    assert "▲ Failed: word" in text


def test_a_live_answer_shows_on_narrow_screens_only(run: RunDir) -> None:
    async def check(pilot: Pilot[object], pane: LossPane) -> None:
        pane.show_live_line([("live @120 I am Zephyrine", "accent")])
        await pilot.pause()

    view = polled(run)
    assert shown(view, check, size=(80, 21)).split("\n")[-1].strip() == "live @120 I am Zephyrine"
    assert "Zephyrine" not in shown(view, check, size=(120, 27))


def test_the_given_recipe_stands_in_for_one_that_cannot_be_read(run: RunDir) -> None:
    run.recipe.write_text("nonsense: 1\n")
    view = polled(run)
    recipe = Recipe.of(
        {"model_name_or_path": "smollm2-135m", "dataset": "identity", "lr_scheduler_type": "inverse_sqrt"}
    )

    async def check(pilot: Pilot[object], pane: LossPane) -> None:
        pane.show(view, recipe)
        await pilot.pause()

    assert "1/√step" in shown(view, check)


def test_every_key_has_an_id_a_tooltip_and_an_action() -> None:
    for binding in LossPane.BINDINGS:
        assert binding.id.startswith("loss.")  # type: ignore[union-attr]
        assert binding.tooltip  # type: ignore[union-attr]
        assert hasattr(LossPane, f"action_{binding.action.partition('(')[0]}")  # type: ignore[union-attr]
