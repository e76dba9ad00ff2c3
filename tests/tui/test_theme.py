"""Themes: ours load, the user's replace or join them, and a broken one is explained and left out."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from textual.app import ComposeResult
from textual.widgets import Static

from tests.tui.given import Bench
from tuitune import resources
from tuitune.run import places
from tuitune.tui.theme import ROLES, load_themes, role_defaults


def own(name: str, text: str) -> Path:
    """Write a theme of the user's."""
    folder = places.home() / "themes"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def night(**changes: str | None) -> str:
    """Return night's file with other colours; None takes the role out."""
    lines = (resources.themes() / "night.yaml").read_text().splitlines()
    kept = [line for line in lines if not line.startswith(" ") or line.partition(":")[0].strip() not in changes]
    return "\n".join([*kept, *(f"  {role}: {colour}" for role, colour in changes.items() if colour is not None)])


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))


def test_ours_have_every_role() -> None:
    themes, problems = load_themes()
    assert not problems
    assert {"night", "paper", "contrast", "terminal"} <= {theme.name for theme in themes}
    for theme in themes:
        assert set(ROLES) - {"background", "surface"} <= set(theme.variables)
    assert [theme.dark for theme in themes if theme.name == "paper"] == [False]
    assert [theme.name for theme in themes if theme.ansi] == ["terminal"]


def test_a_theme_of_the_users_joins_or_replaces() -> None:
    own("mine.yaml", night(accent='"#123456"').replace("name: night", "name: mine"))
    own("again.yaml", night(accent='"#654321"'))
    found = {theme.name: theme for theme in load_themes()[0]}
    assert found["mine"].variables["accent"] == "#123456"
    assert found["night"].accent == "#654321"
    assert len([name for name in found if name == "night"]) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (night(eval=None, warn=None), "no colour for eval, warn"),
        (night(accent="no-colour"), "accent is no colour: 'no-colour'"),
        (night(accent="#123456"), "no colour for accent; # begins a comment"),
        (night(accent='"#12345680"'), "accent is no colour"),
        (night(accent="[1, 2]"), "accent is no colour"),
        (night(glow='"#123456"'), "glow is no role"),
        ("name: [", "not valid YAML"),
        ("- a\n", "holds no keys"),
        ("name: x\n", "the colours are missing"),
        (night().replace("dark: true", "dark: often"), "dark must be true or false"),
        (night().replace("name: night", 'name: "[red]x"'), "the name must be a short word"),
    ],
)
def test_a_broken_one_is_explained_and_the_others_load(text: str, said: str) -> None:
    own("mine.yaml", text)
    themes, problems = load_themes()
    assert {"night", "paper", "contrast", "terminal"} <= {theme.name for theme in themes}
    assert len(problems) == 1
    assert "mine.yaml" in problems[0]
    assert said in problems[0]


def test_a_file_that_is_no_text_is_explained() -> None:
    own("mine.yaml", "").write_bytes(b"name: \xff\xfe")
    assert "not UTF-8" in load_themes()[1][0]


def test_every_theme_can_be_used_and_every_role_is_known_to_css() -> None:
    class Shown(Bench):
        CSS = "".join(f".{role} {{ color: ${role}; background: $surface; }}\n" for role in role_defaults())

        def compose(self) -> ComposeResult:
            yield from (Static(role, classes=role) for role in role_defaults())

    async def go() -> None:
        app = Shown()
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            for name in [theme.name for theme in load_themes()[0]]:
                app.theme = name
                await pilot.pause()
                accent = app.query_one(".accent").styles.color
                assert accent.hex.lower() == app.theme_variables["accent"].lower() or app.current_theme.ansi

    asyncio.run(go())
