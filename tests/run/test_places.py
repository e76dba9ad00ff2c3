from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tuitune.errors import RunError
from tuitune.run import places


def test_places_are_made_on_demand_and_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "a" / "home"))
    monkeypatch.setenv("TUITUNE_CACHE", str(tmp_path / "cache"))
    before = os.umask(0o022)
    try:
        made = [places.home(), places.runs(), places.cache()]
    finally:
        os.umask(before)
    assert made == [tmp_path / "a" / "home", tmp_path / "a" / "home" / "runs", tmp_path / "cache"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in made] == [0o700] * 3


def test_the_platform_decides_where_nothing_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUITUNE_HOME", raising=False)
    monkeypatch.setenv("TUITUNE_CACHE", "")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("platformdirs.user_data_path", lambda name: tmp_path / "data" / name)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache" / name)
    assert places.home() == tmp_path / "data" / "tuitune"
    assert places.cache() == tmp_path / "cache" / "tuitune"


def test_a_relative_place_does_not_move_with_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUITUNE_HOME", "mine")
    assert places.home() == tmp_path / "mine"


def test_a_place_that_cannot_be_made_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "deeper"):
        monkeypatch.setenv("TUITUNE_HOME", str(place))
        with pytest.raises(RunError, match="cannot be used") as caught:
            places.home()
        assert "TUITUNE_HOME" in caught.value.hint
