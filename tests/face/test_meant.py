"""What one word means: runs, folders, adapters, models."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.given import data_folder, model_folder, start
from tuitune.engine.run import run as engine
from tuitune.errors import UsageError
from tuitune.face.meant import base_of, of_name
from tuitune.run import RunDir, index


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    root = tmp_path_factory.mktemp("meant")
    model_folder(root)
    data_folder(root)
    run = start(root, max_steps=2, save_strategy="steps", save_steps=1)
    assert engine(run).status == "finished"
    return run


def test_a_run_its_folders_and_its_adapter_are_asked_as_they_were_trained(trained: RunDir) -> None:
    run, base = of_name(str(trained.path)), str(trained.path.parent / "tiny")
    assert (run.model, run.adapters) == (base, (trained.final,))
    checkpoint = of_name(str(trained.checkpoint(1)))
    assert checkpoint.adapters == (trained.checkpoint(1),)
    assert (checkpoint.template, checkpoint.options) == (run.template, run.options)
    assert base_of(run).adapters == ()
    assert base_of(run).template == run.template


def test_a_run_in_the_list_and_its_checkpoints_go_by_name(trained: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    index.register(trained.path)
    assert of_name("run/checkpoint-1").adapters == (trained.checkpoint(1),)
    assert of_name("run/final").adapters == (trained.final,)
    with pytest.raises(UsageError, match="run has no checkpoint-7") as refused:
        of_name("run/checkpoint-7")
    assert "run/checkpoint-1" in refused.value.hint
    assert of_name("other/checkpoint-7").model == "other/checkpoint-7"  # a name on a hub, as far as anybody knows


def test_models_are_folders_files_and_names(trained: RunDir, tmp_path: Path) -> None:
    folder = trained.path.parent / "tiny"
    assert of_name(str(folder)).model == str(folder)
    assert of_name("smollm2-135m").adapters == ()
    assert of_name("organisation/name").model == "organisation/name"
    (tmp_path / "m.gguf").touch()
    assert of_name(str(tmp_path / "m.gguf")).model == str(tmp_path / "m.gguf")


def test_another_model_may_be_named_for_an_adapter(trained: RunDir) -> None:
    assert of_name(str(trained.path), model="other/one").model == "other/one"
    assert of_name(str(trained.path), model="other/one").adapters == (trained.final,)


def test_a_word_that_means_nothing_is_refused_with_what_is_near() -> None:
    with pytest.raises(UsageError, match="no run 'nosuch'"):
        of_name("nosuch")


def test_a_whole_model_has_no_base_in_it(trained: RunDir) -> None:
    with pytest.raises(UsageError, match="whole model"):
        base_of(of_name(str(trained.path.parent / "tiny")))
