"""Adapters on weights of few bits: QLoRA and its kin, and models that come quantised."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.given import journal, start
from tests.methods.cycle import PROBE, learns_and_reloads, logits, resumes_exactly, train
from tests.tiny import tiny_model, tiny_tokenizer
from tuitune.engine.run import run
from tuitune.errors import ModelError
from tuitune.methods.lora import Lora
from tuitune.models import probe, quantise
from tuitune.models.shaping import Shaping, load_shaped
from tuitune.recipe import Recipe
from tuitune.run import events

CASES: dict[str, dict[str, Any]] = {
    "nf4": {"quantization_bit": 4},
    "fp4": {"quantization_bit": 4, "quantization_type": "fp4", "double_quantization": False},
    "8 bits": {"quantization_bit": 8},
    "dora": {"quantization_bit": 4, "use_dora": True},
    "qoft": {"quantization_bit": 4, "finetuning_type": "oft", "oft_block_size": 16, "lora_dropout": 0.0},
}
KIN: dict[str, dict[str, Any]] = {
    "adalora": {},
    "vera": {"lora_rank": 64, "learning_rate": 5e-2},
    "ia3": {"learning_rate": 5e-2},
    "prefix_tuning": {"learning_rate": 3e-2},
    "bottleneck": {"learning_rate": 1e-3},
}


@pytest.mark.parametrize("case", CASES)
def test_learns_and_reloads(root: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """The same weights are quantised again when the result is loaded, so nothing differs at all."""
    learns_and_reloads(root, monkeypatch, within=0.0, **{"lora_dropout": 0.2} | CASES[case])


@pytest.mark.parametrize("case", ["nf4", "8 bits", "qoft"])
def test_resumes_exactly(root: Path, case: str) -> None:
    resumes_exactly(root, **{"lora_dropout": 0.2} | CASES[case])


@pytest.mark.parametrize(("name", "bits"), [*((name, 4) for name in KIN), ("adalora", 8), ("ia3", 8)])
def test_the_kin_learns_on_quantised_weights(root: Path, monkeypatch: pytest.MonkeyPatch, name: str, bits: int) -> None:
    learns_and_reloads(root, monkeypatch, finetuning_type=name, quantization_bit=bits, **KIN[name])


def quantised(folder: Path, *, dtype: torch.dtype = torch.float32, note: Any = lambda text: None, **asked: Any) -> Any:
    """Return the model of `folder` as a run quantises it."""
    shaping = Shaping.of(Recipe(**({"quantization_bit": 4} | asked)))
    return load_shaped(folder, shaping, dtype=dtype, device="cpu", attention="sdpa", note=note)


@pytest.mark.parametrize("bits", [4, 8])
def test_every_linear_layer_but_the_head_is_quantised(tmp_path: Path, bits: int) -> None:
    tiny_model(tie_word_embeddings=False).save_pretrained(tmp_path / "untied")
    model = quantised(tmp_path / "untied", quantization_bit=bits)
    few = {name for name, module in model.named_modules() if quantise.is_quantised(module)}
    linear = {name for name, module in tiny_model().named_modules() if type(module) is torch.nn.Linear}
    assert few == linear - {"lm_head"}
    assert type(model.lm_head) is torch.nn.Linear
    assert model.lm_head.weight.dtype == model.model.embed_tokens.weight.dtype == torch.float32
    layer = model.model.layers[0].mlp.up_proj
    assert layer.weight.numel() * layer.weight.element_size() == 64 * 128 * bits // 8


def test_the_recipe_decides_how_four_bits_are_made(root: Path) -> None:
    states = {}
    for kind in ("nf4", "fp4"):
        for double in (True, False):
            model = quantised(root / "tiny", quantization_type=kind, double_quantization=double)
            states[kind, double] = model.model.layers[0].mlp.up_proj.weight.quant_state
    for (kind, double), state in states.items():
        assert (state.quant_type, state.nested) == (kind, double)


def test_weights_become_the_nearest_of_their_sixteen_numbers(root: Path) -> None:
    """An independent computation of NF4 (Dettmers et al., section 3): blocks of 64, scaled by their largest."""
    from bitsandbytes.functional import get_4bit_type

    weight = tiny_model(num_hidden_layers=4).model.layers[0].mlp.up_proj.weight.detach()
    model = quantised(root / "tiny", double_quantization=False)
    code = get_4bit_type("nf4", device="cpu").double()
    blocks = weight.double().reshape(-1, 64)
    scale = blocks.abs().amax(1, keepdim=True)
    nearest = (blocks[..., None] / scale[..., None] - code).abs().argmin(-1)
    wanted = (code[nearest] * scale).reshape(weight.shape)
    from tuitune.methods.loftq import dequantised

    found = dequantised(model.model.layers[0].mlp.up_proj.weight).double()
    assert ((found - wanted).abs() < 1e-6).double().mean() > 0.999  # ties may fall either way


@pytest.mark.parametrize("bits", [4, 8])
def test_evaluation_computes_as_training_does_and_leaves_the_weights_alone(root: Path, bits: int) -> None:
    """On CPUs with bf16 instructions bitsandbytes would repack them, and no gradient would pass from then on."""
    model = quantised(root / "tiny", quantization_bit=bits)
    inputs = torch.tensor(PROBE)
    model.train()
    training = model(input_ids=inputs, use_cache=False).logits
    assert torch.equal(logits(model), training.detach())
    model.train()
    embedded = model.get_input_embeddings()(inputs).detach().requires_grad_()
    model(inputs_embeds=embedded, use_cache=False).logits.sum().backward()
    assert embedded.grad is not None
    assert embedded.grad.abs().sum() > 0


@pytest.mark.parametrize("bits", [4, 8])
def test_rows_in_one_flat_row_give_what_each_gives_alone(root: Path, bits: int) -> None:
    from tuitune.models.attention import register

    register()
    model = quantised(root / "tiny", quantization_bit=bits)
    truth = probe.rows_alone(model)
    assert probe.flat_agrees(model, truth)
    made = train(root, "run", quantization_bit=bits)
    assert not any("padded" in event.message for event in journal(made, events.Warned))


def test_adapters_are_fp32_beside_weights_that_compute_in_bf16(root: Path) -> None:
    recipe = Recipe(quantization_bit=4)
    model = quantised(root / "tiny", dtype=torch.bfloat16)
    assert model.model.layers[0].mlp.up_proj.compute_dtype == torch.bfloat16
    learns = [p for p in Lora().prepare(model, recipe).parameters() if p.requires_grad]
    assert learns
    assert {p.dtype for p in learns} == {torch.float32}


def test_a_half_precision_file_gives_the_same_bits_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.engine.given import data_folder

    tiny_model(num_hidden_layers=4).to(torch.bfloat16).save_pretrained(tmp_path / "tiny")
    tiny_tokenizer().save_pretrained(tmp_path / "tiny")
    data_folder(tmp_path)
    learns_and_reloads(tmp_path, monkeypatch, within=0.0, quantization_bit=4)


def test_a_model_of_experts_says_how_little_is_quantised(tmp_path: Path) -> None:
    from transformers import MixtralConfig, MixtralForCausalLM

    config = MixtralConfig(
        vocab_size=512, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, num_local_experts=4, max_position_embeddings=256, pad_token_id=0, eos_token_id=2,
    )  # fmt: skip
    MixtralForCausalLM(config).save_pretrained(tmp_path / "experts")
    notes: list[str] = []
    quantised(tmp_path / "experts", note=notes.append)
    assert "only 11% of the weights" in notes[0]


# Models that come quantised


@pytest.fixture
def ready(root: Path) -> Path:
    """Quantise the tiny model with bitsandbytes and put it where the recipe looks for it."""
    model = quantised(root / "tiny")
    shutil.rmtree(root / "tiny")
    model.save_pretrained(root / "tiny")
    tiny_tokenizer().save_pretrained(root / "tiny")
    return root


def test_adapters_learn_on_a_model_that_comes_quantised(ready: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert quantise.stored_method(ready / "tiny") == "bitsandbytes"
    learns_and_reloads(ready, monkeypatch, within=0.0, lora_dropout=0.1)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"finetuning_type": "full"}, "cannot learn"),
        ({"finetuning_type": "freeze"}, "cannot learn"),
        ({"quantization_bit": 4}, "quantised already"),
    ],
)
def test_what_a_quantised_model_cannot_do_is_refused(ready: Path, asked: dict[str, Any], reason: str) -> None:
    it = start(ready, **asked)
    assert run(it).status == "failed"
    failed = journal(it, events.RunFailed)[0]
    assert reason in failed.message
    assert failed.hint


@pytest.mark.parametrize(
    ("method", "package"),
    [("gptq", "gptqmodel optimum"), ("awq", "gptqmodel"), ("aqlm", "aqlm"), ("compressed-tensors", "compressed")],
)
def test_a_missing_library_is_named(root: Path, method: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantise, "find_spec", lambda name: None)
    path = root / "tiny" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"quantization_config": {"quant_method": method}}))
    with pytest.raises(ModelError, match=method) as caught:
        load_shaped(root / "tiny", Shaping(), dtype=torch.float32, device="cpu")
    assert f"pip install {package}" in caught.value.hint


@pytest.mark.parametrize(("method", "package"), [("hqq", "hqq"), ("bnb", "bitsandbytes")])
def test_a_missing_quantiser_is_named(root: Path, method: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantise, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=package) as caught:
        quantised(root / "tiny", quantization_method=method)
    assert caught.value.hint == f"pip install {package}"


# hqq, where it is installed


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_hqq_learns_and_reloads(root: Path, monkeypatch: pytest.MonkeyPatch, bits: int) -> None:
    pytest.importorskip("hqq")
    learns_and_reloads(
        root, monkeypatch, within=0.0, quantization_bit=bits, quantization_method="hqq", lora_dropout=0.2
    )


def test_hqq_resumes_exactly_and_leaves_the_head_alone(root: Path) -> None:
    pytest.importorskip("hqq")
    resumes_exactly(root, quantization_bit=4, quantization_method="hqq", lora_dropout=0.2)
    model = quantised(root / "tiny", quantization_method="hqq")
    assert sum(quantise.is_quantised(m) for m in model.modules()) == 28
    assert type(model.lm_head) is torch.nn.Linear


# Silence


def test_nothing_is_printed_and_nothing_is_asked_of_a_hub(root: Path) -> None:
    """Also where a package `kernels` is installed, which would fetch a binary and run it."""
    (root / "kernels.py").write_text("raise RuntimeError('asked for a kernel')\n")
    code = (
        "from tuitune.engine.setup import prepare_process\n"
        "prepare_process(device='cpu', threads=1)\n"
        "import bitsandbytes, sys\n"
        "from bitsandbytes.functional import has_avx512bf16\n"
        "from bitsandbytes.backends.cpu import ops\n"
        "from transformers.utils import is_kernels_available\n"
        "assert sys.modules['kernels'] is None and not is_kernels_available()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=600,
        env={"PATH": "", "PYTHONPATH": f"{root}:{Path(__file__).parents[2]}", "HOME": str(root)},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# On a GPU


@pytest.mark.gpu
@pytest.mark.parametrize("case", [*CASES, "loftq"])
def test_on_a_gpu_it_learns_and_reloads_too(root: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    asked = CASES.get(case, {"quantization_bit": 4, "loftq_init": True, "loftq_iter": 3})
    learns_and_reloads(root, monkeypatch, within=1e-2, device="cuda:0", **asked)
