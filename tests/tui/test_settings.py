"""Settings: defaults without a file, words for what is wrong, and a save that leaves everything else alone."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from tests.cli.given import EVIL, until
from tuitune.run import places
from tuitune.text import clean
from tuitune.tui.settings import Settings


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))


def written(text: str) -> Path:
    """Write the user's settings."""
    path = places.home() / "settings.yaml"
    path.write_text(text)
    return path


def test_defaults_need_no_file_and_make_none() -> None:
    settings = Settings.load()
    assert (settings.theme, settings.glyphs, settings.mouse, settings.on_disconnect) == (
        "night",
        "auto",
        True,
        "continue",
    )
    assert not settings.problems
    settings.flush()
    assert not (places.home() / "settings.yaml").exists()


def test_what_is_changed_is_there_next_time_and_private() -> None:
    settings = Settings.load()
    settings.theme, settings.smoothing = "paper", 0.5
    settings.sampling["temperature"] = 0.2
    settings.keymap = {"run.toggle": "f12"}
    settings.flush()
    again = Settings.load()
    assert (again.theme, again.smoothing, again.sampling, again.keymap) == (
        "paper", 0.5, {"temperature": 0.2}, {"run.toggle": "f12"},
    )  # fmt: skip
    assert again.problems == []
    assert stat.S_IMODE((places.home() / "settings.yaml").stat().st_mode) == 0o600


def test_a_save_leaves_comments_order_unknown_and_bad_keys() -> None:
    text = "# mine\nsmoothing: 3\nkeymap:\n  run.toggle: f12  # why\nglow: 1\ntheme: night  # dark\n"
    path = written(text)
    settings = Settings.load()
    assert settings.keymap == {"run.toggle": "f12"}
    settings.theme, settings.mouse = "paper", False
    settings.flush()
    assert path.read_text() == text.replace("theme: night", "theme: paper") + "mouse: false\n"


def test_a_nested_value_is_replaced_whole() -> None:
    path = written("keymap:\n  run.toggle: f12\n  run.stop: f5\nmouse: false\n")
    settings = Settings.load()
    settings.keymap = {"app.quit": "ctrl+q"}
    settings.flush()
    assert Settings.load().keymap == {"app.quit": "ctrl+q"}
    assert "mouse: false" in path.read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("glow: 1", "glow is no setting"),
        ("mouse: maybe", "mouse must be true or false"),
        ("smoothing: 1", "smoothing must be a number"),
        ("smoothing: .nan", "smoothing must be a number"),
        ("smoothing: true", "smoothing must be a number"),
        ("glyphs: emoji", "glyphs must be auto, unicode or ascii"),
        ("chart_axis: miles", "chart_axis must be steps, time or tokens"),
        ("on_disconnect: [stop]", "on_disconnect must be continue or stop"),
        ("sampling: {temperature: -1}", "temperature cannot be -1"),
        ("sampling: {heat: 1}", "no sampling option 'heat'"),
        ("keymap: {run.toggle: 5}", "run.toggle: write its keys as a text"),
        ("keymap: f5", "keymap must name keys"),
        ("theme: [", "not valid YAML"),
        ("- theme", "holds no keys"),
    ],
)
def test_what_is_wrong_is_said_and_the_default_holds(text: str, said: str) -> None:
    written(f"{text}\n")
    settings = Settings.load()
    assert len(settings.problems) == 1
    assert said in settings.problems[0]
    assert settings.values() == Settings().values()


def test_a_broken_file_is_kept_beside_the_new_one() -> None:
    path = written("theme: [\n")
    settings = Settings.load()
    settings.theme = "paper"
    settings.flush()
    assert Settings.load().theme == "paper"
    assert path.with_name("settings.yaml.broken").read_text() == "theme: [\n"


def test_two_windows_do_not_undo_each_other() -> None:
    one, other = Settings.load(), Settings.load()
    one.theme = "paper"
    one.flush()
    other.mouse = False
    other.flush()
    found = Settings.load()
    assert (found.theme, found.mouse) == ("paper", False)


def test_a_file_in_braces_can_be_saved() -> None:
    written('{"theme": "paper", "mouse": false}')
    settings = Settings.load()
    settings.theme = "contrast"
    settings.flush()
    found = Settings.load()
    assert (found.theme, found.mouse, found.problems) == ("contrast", False, [])


def test_a_later_save_needs_nobody_to_wait() -> None:
    settings = Settings.load()
    settings.theme = "paper"
    settings.save_soon()
    settings.save_soon()
    until(lambda: (places.home() / "settings.yaml").exists())
    assert Settings.load().theme == "paper"
    until(lambda: not [each for each in threading.enumerate() if getattr(each, "function", None) == settings.flush])


def test_a_failure_to_write_is_told() -> None:
    settings = Settings.load()
    heard: list[str] = []
    settings.trouble = heard.append
    settings.path = Path("/proc/none/settings.yaml")
    settings.theme = "paper"
    settings.flush()
    assert len(heard) == 1
    assert "settings.yaml cannot be written" in heard[0]


def test_words_about_a_foreign_key_are_clean() -> None:
    written('"\\e]0;PWN\\a[red]x": 1\n')
    problem = Settings.load().problems[0]
    assert problem == clean(problem)
    assert clean(EVIL) != EVIL
