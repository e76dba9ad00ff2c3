"""From the words of `tuitune evaluate` to what is measured: the names of the columns."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.engine.given import model_folder
from tuitune.face.evaluating import request_of
from tuitune.face.subject import Words


@pytest.mark.parametrize(
    ("what", "others", "keys"),
    [
        ("out4", (), ["model"]),
        ("out4", ("tiny",), ["out4", "tiny"]),
        ("model.yaml", ("tiny", "more/out4"), ["model", "tiny", "out4"]),
        ("out4", ("more/out4",), ["out4", "out4-2"]),
    ],
)
def test_plain_folders_beside_each_other_are_called_by_their_own_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, others: tuple[str, ...], keys: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))
    model_folder(tmp_path)
    for copy in ("out4", "more/out4"):
        shutil.copytree("tiny", copy)
    Path("model.yaml").write_text("model_name_or_path: out4\ntemplate: chatml\nstage: sft\n")
    Path("rows.json").write_text(json.dumps([{"instruction": "a", "output": "b"}]))
    words = Words(what, () if "." in what else ("template=chatml",), others, data="rows.json")
    assert [named.key for named in request_of(words, lambda text: None).models] == keys
