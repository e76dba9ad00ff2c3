from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from tests.tiny import tiny_model, tiny_tokenizer
from tuitune.errors import ModelError
from tuitune.models.load import load_model, load_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "m"
    tiny_model(tie_word_embeddings=False).save_pretrained(path)
    tiny_tokenizer().save_pretrained(path)
    return path


def _load(folder: Path, **options: Any) -> Any:
    return load_model(folder, **({"dtype": "float32", "device": "cpu", "attention": "sdpa"} | options))


def _change_config(folder: Path, **values: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


def _change_weights(folder: Path, drop: str = "", **more: Any) -> None:
    weights = load_file(folder / "model.safetensors")
    weights = {name: value for name, value in weights.items() if name != drop} | more
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_type_and_attention_as_asked(folder: Path) -> None:
    import torch

    model = _load(folder, dtype=torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert model.config._attn_implementation == "sdpa"
    assert not model.training
    assert _load(folder, attention="tuitune").config._attn_implementation == "tuitune"


@pytest.mark.parametrize("name", ["nonsense", "org/kernel"])
def test_an_unknown_attention_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(ModelError) as raised:
        _load(folder, attention=name)
    assert "sdpa" in raised.value.hint


def test_missing_weights_are_refused_and_not_made_up(folder: Path) -> None:
    _change_weights(folder, drop="model.layers.0.mlp.up_proj.weight")
    with pytest.raises(ModelError, match=r"1 tensors are missing \(model\.layers\.0\.mlp\.up_proj\.weight"):
        _load(folder)


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    _change_config(folder, vocab_size=300)
    with pytest.raises(ModelError, match=r"do not fit its config\.json"):
        _load(folder)


def test_weights_that_do_not_belong_are_told(folder: Path) -> None:
    import torch

    notes: list[str] = []
    _change_weights(folder, extra=torch.zeros(2))
    _load(folder, note=notes.append)
    assert len(notes) == 1
    assert "extra" in notes[0]


def test_damaged_weights(folder: Path) -> None:
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(5000)
    with pytest.raises(ModelError, match="damaged"):
        _load(folder)


def test_an_unknown_architecture(folder: Path) -> None:
    _change_config(folder, model_type="never_heard_of")
    with pytest.raises(ModelError, match="never_heard_of"):
        _load(folder)


def test_code_in_the_folder_is_not_run(folder: Path) -> None:
    _change_config(folder, model_type="own", auto_map={"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M"})
    (folder / "code.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\nclass C: pass\nclass M: pass\n")
    with pytest.raises(ModelError) as raised:
        _load(folder)
    assert "trust_remote_code" in raised.value.hint
    assert not (folder / "ran").exists()


def test_pickled_weights_are_refused(folder: Path) -> None:
    import torch

    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="pickle"):
        _load(folder)


def test_a_tokenizer_without_padding_gets_one_and_says_so(folder: Path) -> None:
    values = json.loads((folder / "tokenizer_config.json").read_text())
    values.pop("pad_token")
    (folder / "tokenizer_config.json").write_text(json.dumps(values))
    notes: list[str] = []

    tokenizer = load_tokenizer(folder, note=notes.append)

    assert tokenizer.pad_token == "<|im_end|>"
    assert len(tokenizer) == len(tiny_tokenizer())
    assert "eos_token" in notes[0]
    values.pop("eos_token"), values.pop("bos_token")
    (folder / "tokenizer_config.json").write_text(json.dumps(values))
    with pytest.raises(ModelError, match="neither a padding nor an end token"):
        load_tokenizer(folder)


def test_special_tokens_in_text_can_be_split(folder: Path) -> None:
    text = "<|im_end|>"
    assert load_tokenizer(folder)(text)["input_ids"] == [2]
    assert len(load_tokenizer(folder, split_special_tokens=True)(text)["input_ids"]) > 1


def test_missing_and_damaged_tokenizers(folder: Path, tmp_path: Path) -> None:
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_tokenizer(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="no tokenizer files"):
        load_tokenizer(tmp_path / "empty")
    for file in folder.glob("*token*"):
        file.unlink()
    with pytest.raises(ModelError, match="tokenizer"):
        load_tokenizer(folder)
