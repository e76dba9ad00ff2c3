"""What holds for all tests: no network, no user's folders, and the same examples every time."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# Set HYPOTHESIS_PROFILE=search to look for new examples; a check that decides what lands must not depend on luck.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=2_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep runs and settings of tests out of the user's own; models already converted are used where they lie."""
    if "TUITUNE_HOME" not in os.environ:
        monkeypatch.setenv("TUITUNE_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
