"""Export: what is written answers as the tuned model did, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from tests.export.conftest import write
from tests.methods.cycle import loaded_logits, logits, train
from tuitune.chat import weights
from tuitune.chat.weights import Weights
from tuitune.errors import ModelError, UsageError
from tuitune.export import merge
from tuitune.recipe import load
from tuitune.run.directory import RunDir

KINDS: dict[str, dict[str, Any]] = {
    "lora": {"lora_dropout": 0.1},
    "dora": {"use_dora": True},
    "rslora on everything": {"use_rslora": True, "lora_target": "all", "additional_target": "lm_head"},
    "embedding": {"lora_target": "embed_tokens,q_proj"},
    "pissa": {"pissa_init": True},
    "oft": {"finetuning_type": "oft", "oft_block_size": 16},
    "vera": {"finetuning_type": "vera", "learning_rate": 5e-2},
    "ia3": {"finetuning_type": "ia3"},
    "loha": {"finetuning_type": "loha"},
    "lokr": {"finetuning_type": "lokr"},
    "adalora": {"finetuning_type": "adalora"},
    "stretched": {"rope_scaling": "linear", "cutoff_len": 1024},
    "inserted blocks": {"use_llama_pro": True, "expand_blocks": 2},
    "full": {"finetuning_type": "full"},
}


def of_run(made: RunDir) -> Weights:
    return weights.of_run(made, load(made.recipe))


@torch.no_grad()
def difference(folder: Path, made: RunDir) -> float:
    """Return how far an exported model, loaded by transformers alone, is from the result of a run."""
    return float((logits(AutoModelForCausalLM.from_pretrained(folder)) - loaded_logits(made)).abs().max())


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_answers_as_the_tuned_model(root: Path, kind: str) -> None:
    made = train(root, "run", max_steps=5, **KINDS[kind])
    done = write(of_run(made), root / "out", dtype="float32")
    assert (done.path, done.dtype) == (root / "out", "float32")
    assert difference(root / "out", made) < 1e-5
    assert not [path for path in (root / "out").iterdir() if "adapter" in path.name or "tuitune" in path.name]
    assert [path.name for path in root.iterdir() if "partial" in path.name] == []


def test_earlier_adapters_are_merged_too(root: Path) -> None:
    first = train(root, "first", max_steps=4)
    second = train(root, "second", max_steps=4, adapter_name_or_path=str(first.path), create_new_adapter=True)
    write(of_run(second), root / "out", dtype="float32")
    assert difference(root / "out", second) < 1e-5
    assert difference(root / "out", first) > 1e-3


def test_an_adapter_trained_beside_few_bits_is_merged_into_whole_weights(root: Path) -> None:
    made = train(root, "run", max_steps=5, quantization_bit=4)
    notes: list[str] = []
    write(of_run(made), root / "out", dtype="float32", note=notes.append)
    assert any("4-bit" in note for note in notes)
    base = LlamaForCausalLM.from_pretrained(root / "tiny")
    from tuitune.methods.adapters import load_adapter

    truth = logits(load_adapter(base, made.final))
    assert (logits(AutoModelForCausalLM.from_pretrained(root / "out")) - truth).abs().max() < 1e-5
    assert "quantization_config" not in json.loads((root / "out" / "config.json").read_text())


def test_the_number_format_is_that_asked_for(root: Path) -> None:
    made = train(root, "run", max_steps=5)
    write(of_run(made), root / "out", dtype="bfloat16")
    model = AutoModelForCausalLM.from_pretrained(root / "out", dtype="auto")
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert (root / "out" / "model.safetensors").stat().st_size < 2.5 * sum(p.numel() for p in model.parameters())
    assert difference(root / "out", made) < 0.1


@pytest.mark.parametrize("template", [None, "alpaca", "default", "chatml", "smollm2"])
def test_the_chat_template_is_that_of_the_training(root: Path, template: str | None) -> None:
    more = {} if template is None else {"template": template}
    made = train(root, "run", max_steps=2, **more)
    write(of_run(made), root / "out")
    tokenizer = AutoTokenizer.from_pretrained(root / "out")
    from tuitune.data.templates import Message, choose

    talk = [("user", "Who are {you}?\n"), ("assistant", 'A "model".'), ("user", "Whose?")]
    for system in ([], [("system", "Be {brief}.")]):
        said = [*system, *talk]
        told = [{"role": role, "content": text} for role, text in said]
        text = tokenizer.apply_chat_template(told, tokenize=False, add_generation_prompt=True)
        truth = choose(template, tokenizer).prompt_ids([Message(*each) for each in said], tokenizer)
        assert text == tokenizer.decode(truth)
    config = AutoModelForCausalLM.from_pretrained(root / "out").generation_config
    stops = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    assert set(stops) == set(choose(template, tokenizer).stop_ids(tokenizer))


def test_nothing_is_overwritten(root: Path) -> None:
    made = train(root, "run", max_steps=2)
    (root / "out").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        write(of_run(made), root / "out")
    assert list((root / "out").iterdir()) == []


def test_a_merge_that_answers_otherwise_is_not_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = train(root, "run", max_steps=5)

    def wrong(loaded: Any) -> Any:
        return loaded.unload()  # the model without its adapter

    monkeypatch.setattr(merge, "into_weights", wrong)
    with pytest.raises(ModelError, match="does not answer as it should"):
        write(of_run(made), root / "out")
    assert not (root / "out").exists()


def test_files_that_read_otherwise_are_not_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = train(root, "run", max_steps=2)
    plain = LlamaForCausalLM.save_pretrained

    def spoilt(model: Any, folder: Path, **more: Any) -> None:
        with torch.no_grad():
            model.model.norm.weight.mul_(2)
        plain(model, folder, **more)

    monkeypatch.setattr(LlamaForCausalLM, "save_pretrained", spoilt)
    with pytest.raises(ModelError, match="in the files, read again, does not answer"):
        write(of_run(made), root / "out")
    assert sorted(path.name for path in root.iterdir()) == ["data", "run", "tiny"]


def test_a_full_disk_is_said_before(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = train(root, "run", max_steps=2)
    monkeypatch.setattr("tuitune.export.folder.disk_free", lambda path: 1 << 20)
    with pytest.raises(ModelError, match=r"B free") as caught:
        write(of_run(made), root / "out")
    assert caught.value.hint == "free some space, or name a folder on another disk"  # no other form takes less
    with pytest.raises(ModelError, match=r"B free") as caught:
        write(of_run(made), root / "out", form="gguf")
    assert "or write bfloat16" in caught.value.hint
    assert not (root / "out").exists()


@pytest.mark.parametrize("kind", ["prompt_tuning", "p_tuning", "prefix_tuning"])
def test_what_stands_before_the_text_cannot_be_merged(root: Path, kind: str) -> None:
    made = train(root, "run", max_steps=2, finetuning_type=kind)
    with pytest.raises(ModelError, match="stands before the text"):
        write(of_run(made), root / "out")


def test_bottleneck_adapters_cannot_be_merged(root: Path) -> None:
    made = train(root, "run", max_steps=2, finetuning_type="bottleneck")
    with pytest.raises(ModelError, match="no change of a weight"):
        write(of_run(made), root / "out")


def test_a_model_of_few_bits_is_no_base(root: Path) -> None:
    made = train(root, "run", max_steps=2)
    config = json.loads((root / "tiny" / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (root / "tiny" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="rounded away") as caught:
        write(of_run(made), root / "out")
    assert "--model" in caught.value.hint
