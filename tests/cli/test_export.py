from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.engine.given import start
from tuitune.engine.run import run
from tuitune.run.directory import RunDir


@pytest.fixture
def trained(root: Path) -> RunDir:
    """A run of three steps with a checkpoint at the second."""
    made = start(root, "run", max_steps=3, save_strategy="steps", save_steps=2, warmup_steps=0)
    assert run(made).status == "finished"
    return made


def test_a_run_an_adapter_and_a_checkpoint_become_models(trained: RunDir, root: Path, call: Call) -> None:
    code, out, _ = call("export", str(trained.path), "a")
    assert code == 0
    assert out.startswith(f"{root / 'a'}: ")
    assert "in bfloat16, logits within" in " ".join(out.split())
    assert call("export", str(trained.final), "b", "--dtype", "float32")[0] == 0
    assert call("export", str(trained.path / "checkpoint-2"), "c", "--json")[0] == 0
    alone = root / "alone"
    trained.final.rename(alone)
    code, out, _ = call("export", str(alone), "d", "--model", str(root / "tiny"), "--json")
    done = json.loads(out)
    assert (code, done["dtype"], done["path"]) == (0, "bfloat16", str(root / "d"))
    assert done["difference"] < 1e-4
    for name in "abcd":
        assert (root / name / "model.safetensors").is_file()
        assert (root / name / "tokenizer.json").is_file()
        assert not (root / name / "adapter_config.json").exists()


def test_what_is_in_the_way_or_no_run_is_refused(trained: RunDir, root: Path, call: Call) -> None:
    (root / "there").mkdir()
    code, out, err = call("export", str(trained.path), "there")
    assert (code, out) == (2, "")
    assert "exists already" in err
    code, _, err = call("export", "nosuchrun", "out")
    assert code == 2
    assert "nosuchrun" in err
    code, _, err = call("export", str(root / "tiny"), "out")
    assert code == 1
    assert "no adapter" in err
    assert not (root / "out").exists()
