"""Who is meant in a conversation, live weights among them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.given import Engine, plant
from tests.engine.given import data_folder, model_folder, start
from tuitune.chat.base import Turn
from tuitune.chat.live import LiveChat
from tuitune.chat.weights import Weights
from tuitune.engine.run import run as engine
from tuitune.errors import UsageError
from tuitune.face.meant import base_of, of_name
from tuitune.face.whom import loaded, whom
from tuitune.run import RunDir

GREEDY = {"temperature": 0, "max_new_tokens": 8}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whom")
    model_folder(root, initializer_range=0.2)
    data_folder(root)
    return root


@pytest.fixture(scope="module")
def trained(root: Path) -> RunDir:
    run = start(root, learning_rate=0.05, max_steps=3)
    assert engine(run).status == "finished"
    return run


def test_a_run_and_its_base_are_loaded_with_one_model(trained: RunDir) -> None:
    tuned = whom(str(trained.path))
    people = loaded([tuned, whom("base", tuned)])
    assert people[0].turn is people[1].turn  # type: ignore[attr-defined]
    texts = [each.reply([Turn("user", "the river")], sampling=GREEDY).text for each in people]
    assert texts[0] != texts[1]
    assert [each.title for each in people] == ["run, final", f"{trained.path.parent / 'tiny'}, before training"]


def test_a_whole_model_knows_by_its_run_what_it_was(root: Path) -> None:
    run = start(root, "whole", finetuning_type="full", max_steps=1)
    assert engine(run).status == "finished"
    tuned = of_name(str(run.path))
    assert tuned.adapters == ()
    before = base_of(tuned)
    assert (before.model, before.adapters) == (str(root / "tiny"), ())
    with pytest.raises(UsageError, match="whole model"):
        base_of(before)


def test_a_run_that_trains_is_asked_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path))
    recipe = "model_name_or_path: smollm2-135m\ndataset: identity\nname: A\nauthor: B\n"
    run = plant("live", recipe=recipe)
    with Engine(run):
        found = whom("live")
        assert isinstance(found, LiveChat)
        assert found.title.startswith("live, live at step")
        before = whom("base", found)
    assert isinstance(before, LiveChat)
    assert before.run.path == run.path
    assert before.title == "live, before training"
    assert isinstance(whom("smollm2-135m"), Weights)
    with pytest.raises(UsageError):
        whom("nothing-of-this-name")
