from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fit.asked import recipe, shape_of_model
from tests.fit.planted import LLAMA, model
from tests.models.ggufs import write_gguf
from tuitune.fit import embedded
from tuitune.fit.estimate import estimate
from tuitune.fit.layers import elements, whole
from tuitune.fit.resolve import ModelSource, resolve
from tuitune.fit.shapes import ModelShape
from tuitune.fit.sizes import shape_of


def test_the_model_that_comes_along_is_known_before_it_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUITUNE_CACHE", str(tmp_path))
    shape = shape_of(resolve(embedded.NAME))
    assert shape is not None
    assert elements(whole(shape) or ()) == shape.parameters == embedded.PARAMETERS
    found = estimate(recipe(), shape).parts
    assert found is not None
    assert found["weights"] == embedded.PARAMETERS * 4


@pytest.mark.parametrize("tied", [True, False])
def test_a_gguf_file_is_what_it_becomes(tmp_path: Path, tied: bool) -> None:
    built = write_gguf(tmp_path / "m.gguf", tie_word_embeddings=tied)
    shape = shape_of(ModelSource("gguf", "m", tmp_path / "m.gguf"))
    wanted = shape_of_model(built)
    assert shape is not None
    assert whole(shape) == whole(wanted)
    assert estimate(recipe(), shape).parts == estimate(recipe(), wanted).parts


def test_a_broken_gguf_file_gives_words(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    shape = shape_of(ModelSource("gguf", "m", tmp_path / "m.gguf"))
    assert estimate(recipe(), shape).parts is None


def test_a_folder_and_what_must_be_fetched(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", weights=None)
    assert shape_of(ModelSource("local", "m", folder)) == ModelShape.of(LLAMA)
    assert shape_of(ModelSource("hub", "a/b")) is None


def test_weights_that_are_not_the_ones_described_give_no_number(tmp_path: Path) -> None:
    folder = model(tmp_path / "m")  # eleven weights, and a configuration of a few hundred
    assert "not those" in estimate(recipe(), shape_of(ModelSource("local", "m", folder))).notes[0]
    (folder / "config.json").write_text(json.dumps(LLAMA | {"quantization_config": {"bits": 4}}))
    assert "packed" in estimate(recipe(), shape_of(ModelSource("local", "m", folder))).notes[0]
