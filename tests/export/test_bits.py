"""Exports with few bits: loaded again by transformers alone, near the whole model, refused where a fault shows."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.engine.given import model_folder
from tests.export.conftest import write
from tests.tiny import CORPUS
from tuitune.chat.weights import Weights
from tuitune.errors import DataError, ModelError
from tuitune.export import bits, calibration
from tuitune.export.agree import logits
from tuitune.export.calibrated import group_size
from tuitune.export.order import Order, Quantised
from tuitune.models import child
from tuitune.recipe import Recipe

BNB = [Quantised(4, "bnb"), Quantised(4, "bnb", type="fp4", double=False), Quantised(8, "bnb")]


def whole(root: Path) -> Weights:
    return Weights(str(root / "tiny"), title="tiny")


@pytest.mark.parametrize("asked", BNB, ids=lambda each: each.words)
def test_bitsandbytes_is_loaded_again_by_transformers(root: Path, asked: Quantised) -> None:
    done = write(whole(root), root / "out", dtype="float32", quantised=asked)
    model = AutoModelForCausalLM.from_pretrained(root / "out", device_map={"": "cpu"})
    assert model.config.quantization_config.load_in_4bit is (asked.bits == 4)
    layers = [
        type(layer).__name__ for layer in model.modules() if type(layer).__name__ in ("Linear4bit", "Linear8bitLt")
    ]
    assert len(layers) == 4 * 7
    plain = AutoModelForCausalLM.from_pretrained(root / "tiny")
    far = (logits(model) - logits(plain)).norm() / logits(plain).norm()
    assert 1e-4 < float(far) < 0.2
    assert AutoTokenizer.from_pretrained(root / "out").chat_template
    # Against the very matrix: half a step of 16 levels, of the largest of a block; of 255 levels of a row.
    tensor = next(layer for layer in model.modules() if type(layer).__name__ in ("Linear4bit", "Linear8bitLt"))
    weight = plain.model.layers[0].self_attn.q_proj.weight
    made = tensor(torch.eye(64)).float().T
    assert (made - weight).abs().max() < weight.abs().max() * (0.2 if asked.bits == 4 else 0.02)
    told = json.loads((root / "out" / "export.json").read_text())
    assert [check["what"] for check in told["checks"]][-2] == f"the {asked.words} model"
    assert told["checks"][-1]["what"].startswith("the worst matrix, model.layers.")
    assert done.number == asked.words


@pytest.mark.parametrize("asked", [BNB[0], BNB[2]], ids=lambda each: each.words)
def test_one_wrong_matrix_is_not_kept(root: Path, asked: Quantised, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = bits.with_bitsandbytes

    def spoilt(order: Order, merged: Path, folder: Path, note: Any) -> Any:
        other = folder / ".other"
        other.mkdir()
        for path in merged.iterdir():
            (other / path.name).write_bytes(path.read_bytes())
        tensors = load_file(other / "model.safetensors")
        tensors["model.layers.2.mlp.up_proj.weight"] *= 1.4
        save_file(tensors, other / "model.safetensors", {"format": "pt"})
        return plain(order, other, folder, note)

    monkeypatch.setattr(bits, "with_bitsandbytes", spoilt)
    with pytest.raises(ModelError, match=r"the matrix model.layers.2.mlp.up_proj does not answer"):
        write(whole(root), root / "out", quantised=asked)
    assert sorted(path.name for path in root.iterdir()) == ["data", "tiny"]


def test_a_wrong_embedding_is_not_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = bits.read

    def spoilt(order: Order, folder: Path, note: Any) -> Any:
        model = plain(order, folder, note)
        table = model.get_input_embeddings()
        table.weight = nn.Parameter(table.weight[torch.randperm(len(table.weight))])
        return model

    monkeypatch.setattr(bits, "read", spoilt)
    with pytest.raises(ModelError, match="does not answer as it should"):
        write(whole(root), root / "out", quantised=Quantised(4, "bnb"))
    assert not (root / "out").exists()


def test_a_library_that_is_not_there_is_named_before_anything(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bits, "find_spec", lambda name: None)
    for library, said in (("gptq", "pip install --no-deps gptqmodel optimum"), ("bnb", "pip install bitsandbytes")):
        with pytest.raises(ModelError, match="not installed") as caught:
            write(whole(root), root / "out", quantised=Quantised(4, library, texts="rows"))
        assert said in caught.value.hint


# Calibration


def rows_file(root: Path) -> Path:
    return root / "data" / "rows.json"


def calibrated(length: int, samples: int, texts: str = "rows") -> Quantised:
    return Quantised(4, "gptq", texts=texts, samples=samples, length=length)


def test_short_rows_are_joined_to_samples_of_one_length() -> None:
    rows = [[n] * (1 + n % 5) for n in range(60)]
    notes: list[str] = []
    found = calibration.cut(rows, calibrated(16, 100), notes.append)
    assert [len(sample) for sample in found] == [16] * (sum(map(len, rows)) // 16)
    assert notes[0].startswith("rows gives 11 calibration samples of 16 tokens, not 100")
    assert len(calibration.cut(rows, calibrated(16, 3))) == 3
    assert calibration.cut(rows, calibrated(16, 3)) == calibration.cut(rows, calibrated(16, 3))


def test_too_little_text_is_refused_with_numbers() -> None:
    with pytest.raises(DataError, match=r"rows has 30 tokens in all, fewer than the 1,024") as caught:
        calibration.cut([[1] * 10] * 3, calibrated(1024, 128))
    assert "at most 30" in caught.value.hint


@pytest.mark.parametrize("texts", ["rows", "plain.txt", "plain.jsonl"])
def test_texts_are_a_data_set_or_a_file(root: Path, texts: str) -> None:
    (root / "plain.txt").write_text("\n".join(CORPUS * 20))
    (root / "plain.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in CORPUS * 20))
    name = texts if texts == "rows" else str(root / texts)
    tokenizer = AutoTokenizer.from_pretrained(root / "tiny")
    recipe = Recipe.of({"model_name_or_path": "x", "dataset": "other", "dataset_dir": str(root / "data")})
    order = Order(whole(root), root / "out", quantised=calibrated(32, 4, name), recipe=recipe)
    calibration.check(order)
    from tuitune.data.templates import choose

    found = calibration.samples(order, tokenizer, choose(None, tokenizer))
    assert [len(sample) for sample in found] == [32] * 4
    said = tokenizer.decode(found[0])
    assert ("<|im_start|>user" in said) is (texts == "rows")


def test_texts_that_are_not_there_are_said_before_the_model_is_loaded(root: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(bits, "find_spec", find_spec if find_spec("gptqmodel") else lambda name: True)
    with pytest.raises(DataError, match="nowhere"):
        write(whole(root), root / "out", quantised=calibrated(32, 4, str(root / "nowhere.jsonl")))


def test_groups_divide_every_layer(root: Path) -> None:
    assert group_size(root / "tiny") == 64


def test_a_quantising_process_that_dies_is_said_in_words(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package ends its whole process when a thread of it fails."""
    monkeypatch.setattr(bits, "find_spec", lambda name: True)
    monkeypatch.setattr(child, "run_command", lambda *told, **more: (1, "Traceback\n  of it\nAssertionError: 3 % 2"))
    with pytest.raises(ModelError, match="gptqmodel cannot quantise this model: AssertionError: 3 % 2") as caught:
        write(whole(root), root / "out", quantised=calibrated(32, 4, str(rows_file(root))))
    assert "bnb" in caught.value.hint
    assert sorted(path.name for path in root.iterdir()) == ["data", "tiny"]


def test_shapes_that_awq_cannot_take_are_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bits, "find_spec", lambda name: True)
    with pytest.raises(ModelError, match="a layer has 32 outputs"):
        write(whole(root), root / "out", quantised=replace(calibrated(32, 4, str(rows_file(root))), library="awq"))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("gptqmodel") is None, reason="gptqmodel is not installed")
@pytest.mark.parametrize("asked", [("gptq", 4), ("gptq", 8), ("awq", 4)], ids=str)
def test_gptq_and_awq_by_their_library(root: Path, asked: tuple[Any, int]) -> None:
    shutil.rmtree(root / "tiny")
    model_folder(root, num_hidden_layers=4, num_key_value_heads=4)  # awq takes multiples of 64
    texts = root / "plain.jsonl"
    texts.write_text("\n".join(json.dumps({"text": text}) for text in CORPUS * 40))
    quantised = Quantised(asked[1], asked[0], texts=str(texts), samples=16, length=64)
    done = write(whole(root), root / "out", dtype="float32", quantised=quantised)
    config = json.loads((root / "out" / "config.json").read_text())["quantization_config"]
    assert (config["quant_method"], config["bits"]) == asked
    assert str(root) not in (root / "out" / "config.json").read_text()
    assert done.checks[-1].relative > 1e-4
    assert not [path for path in (root / "out").iterdir() if path.name.startswith(".")]
