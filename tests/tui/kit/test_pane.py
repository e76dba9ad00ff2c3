"""The title line of a pane."""

from __future__ import annotations

import pytest

from tuitune.tui.kit.pane import title_row
from tuitune.tui.kit.rows import R, width_of

META = [
    *R("quiet", "epoch 0.46 of 0.46  "),
    *R("quiet", "smooth .9  "),
    *R("quiet", "training time  "),
    *R("quiet", "log"),
]


@pytest.mark.parametrize("width", range(8, 70))
def test_the_name_stands_whole_and_the_last_facts_give_way(width: int) -> None:
    row = title_row("3", "Loss", META, width, focused=False, narrow=False)
    text = "".join(part for part, _ in row)
    assert width_of(row) == width
    assert text.startswith("3 Loss")
    facts = [part.strip() for part, _ in META]
    shown = [fact for fact in facts if fact in text]
    assert shown == facts[: len(shown)]
    assert text.rstrip().endswith(tuple(shown) or "─")
