"""A run that is begun in the app takes the name that its recipe was given."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuitune.recipe import Document
from tuitune.tui.control import Control

TEXT = "model_name_or_path: smollm2-135m\ndataset: identity\nname: Nova\nauthor: Iris\ntemplate: smollm2\n"


def test_the_run_of_a_clone_is_called_as_the_header_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))
    told: list[str] = []
    control = Control(lambda text, level: told.append(text), lambda run: None)
    document = Document.parse(TEXT)
    assert control.begin(document, "tuned-2").name == "tuned-2"
    assert control.begin(document, "tuned-2").name.endswith("smollm2-135m-sft-lora")  # the name is taken now
    assert "smollm2-135m-sft-lora" in control.begin(document).name
