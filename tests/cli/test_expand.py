from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.cli.conftest import Call
from tuitune.export import expand as module


def test_a_model_with_new_blocks_is_written_and_answers_as_before(root: Path, call: Call) -> None:
    code, out, err = call("expand", str(root / "tiny"), "grown", "--blocks", "2")
    assert (code, err.count("warning")) == (0, 0), err
    assert out.startswith(f"{root / 'grown'}: ")
    assert "4 layers, 2 of them new" in " ".join(out.split())
    plain, grown = (AutoModelForCausalLM.from_pretrained(root / name).eval() for name in ("tiny", "grown"))
    ids = torch.tensor([[3, 17, 41, 5]])
    assert torch.equal(plain(input_ids=ids).logits, grown(input_ids=ids).logits)
    assert grown.config.inserted_blocks == [1, 3]
    assert (root / "grown" / "tokenizer.json").is_file()
    assert sorted(path.name for path in root.iterdir() if "grown" in path.name) == ["grown"]


def test_as_json(root: Path, call: Call) -> None:
    code, out, _ = call("expand", str(root / "tiny"), "grown", "--blocks", "1", "--json")
    done = json.loads(out)
    assert (code, done["path"], done["layers"], done["inserted"]) == (0, str(root / "grown"), 3, [2])


def test_what_cannot_be_is_refused_and_nothing_is_left(root: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "there").mkdir()
    code, _, err = call("expand", str(root / "tiny"), "there", "--blocks", "1")
    assert (code, "exists already" in err) == (2, True)
    code, _, err = call("expand", str(root / "tiny"), "out", "--blocks", "3")
    assert (code, "cannot be spread evenly over 2 layers" in err) == (1, True)
    assert call("expand", str(root / "tiny"), "out", "--blocks", "0")[0] == 2

    def altered(model: object, blocks: int) -> object:
        grown = plain(model, blocks)
        torch.nn.init.ones_(grown.model.layers[1].mlp.down_proj.weight)
        return grown

    plain = module.expand
    monkeypatch.setattr(module, "expand", altered)
    code, _, err = call("expand", str(root / "tiny"), "out", "--blocks", "1")
    assert (code, "does not answer as the model does" in " ".join(err.split())) == (1, True)
    assert not [path for path in root.iterdir() if "out" in path.name]
