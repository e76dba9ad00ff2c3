from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.tui.given import bench, rows_text, screen_text
from tuitune.fit.count import Count, percent
from tuitune.fit.estimate import ROLES, Estimate
from tuitune.tui.kit.rows import width_of
from tuitune.tui.panes.fitbar import FitBar, headline, short

_GIB = 1 << 30
_SIZES = (14.19, 0.08, 0.08, 0.32, 17.62, 4.64, 1.27)
_NOTE = "an estimate, for rows of 2,048 tokens (cutoff_len)"


def _estimate(free: float | None, sizes: tuple[float, ...] = _SIZES, note: str = _NOTE) -> Estimate:
    parts = {role: int(size * _GIB) for role, size in zip(ROLES, sizes, strict=True)}
    return Estimate(parts, None if free is None else int(free * _GIB), notes=(note,))


def _drawn(found: Estimate | None, width: int, height: int, why: str = "") -> list[str]:
    bar = FitBar()
    bar.show(found, "GPU 0", why)
    return rows_text(bar.rows(width, height))


@pytest.mark.parametrize(
    ("free", "words", "role"),
    [(101.4, "fits ✓", "ok"), (40.0, "tight ▲", "warn b"), (24.0, "✗", "error b"), (None, "not known", "quiet")],
)
@pytest.mark.parametrize("width", [28, 34, 36, 60, 100])
def test_the_verdict_is_a_word_and_a_sign_and_no_number_is_cut(
    free: float | None, words: str, role: str, width: int
) -> None:
    row = headline(_estimate(free), "GPU 0", width)
    text = "".join(part for part, _ in row)
    assert width_of(row) == width
    assert "…" not in text
    assert "≈ 38.2" in text
    if width >= 34:
        assert words in text
    assert row[-1][1] == role


def test_how_much_too_big_it_is() -> None:
    assert "too big by 14.2 GiB ✗" in _drawn(_estimate(24.0), 36, 2)[0]
    assert "free on GPU 0" in _drawn(_estimate(101.4), 76, 2)[0]


def test_two_rows_are_the_line_and_the_bar() -> None:
    assert len(_drawn(_estimate(101.4), 36, 2)) == 2
    bar = FitBar()
    bar.show(_estimate(101.4), "GPU 0")
    roles = {word for _, role in bar.rows(60, 2)[1] for word in role.replace(" on ", " ").split()}
    assert roles == {*ROLES, "faint"}


def test_a_bar_of_what_does_not_fit_is_full() -> None:
    assert "░" not in _drawn(_estimate(24.0), 36, 2)[1]
    assert "░" in _drawn(_estimate(101.4), 36, 2)[1]


def test_six_rows_have_the_legend() -> None:
    rows = _drawn(_estimate(101.4), 36, 6)
    assert len(rows) == 6
    assert rows[2] == "▪ weights   14.2  ▪ activations 17.6"
    assert rows[3] == "▪ adapters   82M  ▪ logits       4.6"
    assert rows[5] == "▪ optimizer 0.32  ^g largest batch"


def test_more_rows_have_the_notes() -> None:
    assert _drawn(_estimate(101.4), 60, 7)[6] == _NOTE
    assert len(_drawn(_estimate(101.4), 30, 7)) == 6  # a note is whole or not there


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0"), (1, "1K"), (64 << 10, "64K"), (82 << 20, "82M"), (_GIB // 2, "0.50"), (14 * _GIB, "14.0"),
     (int(99.97 * _GIB), "100"), (1200 * _GIB, "1200")],
)  # fmt: skip
def test_sizes_in_four_cells(size: int, words: str) -> None:
    assert short(size) == words
    assert len(words) <= 4


def test_small_machines_count_in_mebibytes() -> None:
    tiny = _estimate(0.09, sizes=(0.01, 0, 0, 0, 0.02, 0, 0))
    assert "≈ 30.7 of 92.2 MiB" in _drawn(tiny, 40, 2)[0]


def test_without_an_estimate_it_says_why() -> None:
    assert "choose a model" in " ".join(_drawn(None, 60, 2))
    assert "f8 shows them" in " ".join(_drawn(None, 60, 2, "the recipe has problems; f8 shows them"))
    unknown = Estimate(None, notes=("the architecture gpt2 is not one whose memory can be told in advance",))
    rows = _drawn(unknown, 36, 2)
    assert len(rows) == 2
    assert rows[1].endswith("…")
    assert _drawn(unknown, 36, 6)[-1].strip() == "advance"


def test_on_the_screen_it_follows_and_the_legend_can_be_clicked() -> None:
    async def go() -> None:
        bar = FitBar()
        app = bench(bar, css="FitBar { height: 6; width: 36; }")
        filled: list[str] = []

        def fill() -> None:
            filled.append("filled")

        app.action_recipe_fill = fill  # type: ignore[attr-defined]
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            assert "Fit" in screen_text(app)
            bar.show(_estimate(101.4, note="[/nonsense] in brackets"), "GPU 0")
            await pilot.pause()
            assert "fits ✓" in screen_text(app)
            await pilot.hover(bar)
            bar.show(_estimate(24.0), "GPU 0")
            await pilot.pause()
            assert "✗" in screen_text(app)
            await pilot.click(bar, offset=(4, 5))
            assert filled == []
            await pilot.click(bar, offset=(22, 5))
            assert filled == ["filled"]

    asyncio.run(go())


def test_drawing_takes_any_theme() -> None:
    async def go(theme: str) -> None:
        bar = FitBar()
        app: Any = bench(bar, theme=theme)
        async with app.run_test(size=(60, 8), notifications=True) as pilot:
            bar.show(_estimate(101.4), "RAM")
            await pilot.pause()
            assert "in RAM" in screen_text(app)

    for theme in ("night", "paper", "contrast", "terminal"):
        asyncio.run(go(theme))


@pytest.mark.parametrize("width", [20, 28, 34, 36, 60, 100])
def test_how_much_learns_is_told_below_the_bar_and_no_number_is_cut(width: int) -> None:
    found = replace(_estimate(101.4), count=Count(2_442_240, 136_957_248))
    row = _drawn(found, width, 3)[2]
    assert row.startswith("trains")
    assert row.endswith("1.8 %")
    assert "…" not in row
    assert ("2,442,240" in row) == (width >= 28)
    assert ("of 136,957,248" in row) == (width >= 60)
    tall = _drawn(found, width, 7)
    assert tall[6] == row
    assert len(_drawn(found, width, 2)) == 2


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "0 %"), (1.0, "100 %"), (0.99999, "99.9 %"), (0.153, "15.3 %"), (0.018, "1.8 %"), (0.00014, "0.014 %")],
)
def test_shares_keep_two_digits_and_are_never_rounded_to_all_or_nothing(share: float, words: str) -> None:
    assert percent(share) == words


def test_before_the_first_estimate_it_blames_nobody() -> None:
    text = " ".join(rows_text(FitBar().rows(60, 2)))
    assert "looking what it takes" in text
    assert "choose a model" not in text
