"""The first line of a narrow screen: what it says, and what gives way where it is full."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.tui.runs import T0, logged, opening, run_with
from tuitune.monitor import DeviceSample
from tuitune.tui.draft import Draft
from tuitune.tui.runview import RunView
from tuitune.tui.status import Status


@pytest.fixture
def view(tmp_path: Path) -> RunView:
    found = [*opening(), replace(logged(12_345), t=T0 + 60)]
    view = RunView(run_with(tmp_path, found, step=12_345, total=100_000))
    view.poll()
    return view


def line(view: RunView, width: int) -> str:
    status = Status(Draft())
    status._view, status._device = view, DeviceSample(0, None, "card", utilisation=97, used=45 << 30, total=140 << 30)
    return "".join(text for text, _ in status.rows(width, 1)[0])


def test_a_smoothed_value_is_named_so(view: RunView) -> None:
    assert view.curves.smoothing
    assert "smooth loss 0." in line(view, 98)


def test_the_memory_gives_way_before_what_the_run_says(view: RunView) -> None:
    wide, narrow = line(view, 98), line(view, 72)
    assert wide.endswith("gpu 97 %  45/140 GiB")
    assert narrow.endswith("gpu 97 %")
    assert wide.split()[:7] == narrow.split()[:7]
    assert "left" in narrow
