"""LLaMA-Factory's own example recipes for training: each checks clean, or is refused with the reason.

Only model, data and output are ours; every other key is the example's (commit ff6d4d12 of LLaMA-Factory).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tuitune.errors import RecipeError
from tuitune.recipe import Document, Problem, load

# What all examples have in common, model, data and output aside.
COMMON = """\
model_name_or_path: smollm2-135m
dataset: identity, alpaca_en_demo
name: Ada
author: Bo
output_dir: out
trust_remote_code: true
do_train: true
cutoff_len: 2048
max_samples: 1000
overwrite_cache: true
preprocessing_num_workers: 16
dataloader_num_workers: 4
logging_steps: 10
save_steps: 500
plot_loss: true
overwrite_output_dir: true
save_only_model: false
report_to: none
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
ddp_timeout: 180000000
resume_from_checkpoint: null
stage: sft
"""
METHOD = {
    "lora": "finetuning_type: lora\nlora_rank: 8\nlora_target: all\nlearning_rate: 1.0e-4\n",
    "full": "finetuning_type: full\nlearning_rate: 1.0e-5\n",
    "freeze": "finetuning_type: freeze\nlearning_rate: 1.0e-4\n",
    "oft": "finetuning_type: oft\nlearning_rate: 1.0e-4\n",
}
# Keys of COMMON that do nothing here, which is said.
SAID = {
    "preprocessing_num_workers",
    "dataloader_num_workers",
    "warmup_ratio",
    "ddp_timeout",
    "trust_remote_code",
}
QWEN, LLAMA = "template: qwen3_nothink\n", "template: llama3\n"
PURE = "pure_bf16: true\n"  # in place of bf16
OFT = "oft_block_size: 32\noft_target: all\n"
PICTURES = "image_max_pixels: 262144\nvideo_max_pixels: 16384\n"
FROZEN = "freeze_vision_tower: true\nfreeze_multi_modal_projector: true\nfreeze_language_model: false\n"
MOSS = "template: moss_vl\nvideo_fps: 1.0\nvideo_maxlen: 256\npacking: false\n" + PICTURES + FROZEN
RECOMPUTED = (
    "use_reentrant_gc: false\ngradient_checkpointing: true\ngradient_checkpointing_kwargs: {use_reentrant: false}\n"
)
PREDICT = (
    "template: llama3\nadapter_name_or_path: saves/llama3-8b/lora/sft\ndo_predict: true\n"
    "eval_dataset: identity,alpaca_en_demo\nper_device_eval_batch_size: 1\npredict_with_generate: true\n"
)
Z0, Z3 = (f"deepspeed: examples/deepspeed/ds_z{n}_config.json\n" for n in (0, 3))
FP8 = LLAMA + "fp8: true\nfp8_backend: torchao\n"
FSDP = (
    FP8
    + "fp8_enable_fsdp_float8_all_gather: true\nfsdp: [full_shard, auto_wrap]\n"
    + "fsdp_transformer_layer_cls_to_wrap: LlamaDecoderLayer\nrun_name: llama3_fp8_fsdp_sft\n"
)
GALORE = "use_galore: true\ngalore_layerwise: true\ngalore_target: all\ngalore_rank: 128\ngalore_scale: 2.0\n"
APOLLO = (
    "use_apollo: true\napollo_layerwise: true\napollo_target: all\napollo_rank: 128\napollo_scale: 32.0\n"
    "apollo_scale_type: channel\n"
)
BADAM = (
    "use_badam: true\nbadam_mode: layer\nbadam_switch_mode: ascending\nbadam_switch_interval: 50\nbadam_verbose: 2\n"
)
BNB = "quantization_bit: 4\nquantization_method: bnb\n"
ASFT = "use_asft_loss: true\nasft_alpha: "

# file: method, its keys, and further keys that something is said about though it runs
RUNS: dict[str, tuple[str, str, set[str]]] = {
    "extras/adam_mini/qwen2_full_sft": ("full", "template: qwen\nuse_adam_mini: true\n", set()),
    "extras/apollo/llama3_full_sft": ("full", LLAMA + APOLLO + PURE, {"apollo_layerwise"}),
    "extras/badam/llama3_full_sft": ("full", LLAMA + BADAM, {"use_badam"}),
    "extras/dft/qwen2_full_sft": ("full", "template: qwen\nuse_dft_loss: true\n", set()),
    "extras/eaft/qwen25_05b_eaft_full": ("full", "template: qwen\nuse_eaft_loss: true\n", set()),
    "extras/fsdp_qlora/llama3_lora_sft": ("lora", LLAMA + "quantization_bit: 4\n", set()),
    "extras/galore/llama3_full_sft": ("full", LLAMA + GALORE + PURE, {"galore_layerwise"}),
    "extras/llama_pro/llama3_freeze_sft": (
        "freeze",
        LLAMA + "freeze_trainable_layers: 8\nfreeze_trainable_modules: all\nuse_llama_pro: true\n",
        set(),
    ),
    "extras/loraplus/llama3_lora_sft": ("lora", LLAMA + "loraplus_lr_ratio: 16.0\n", set()),
    "extras/mod/llama3_full_sft": (
        "full",
        LLAMA + "mixture_of_depths: convert\noptim: paged_adamw_8bit\n" + PURE,
        set(),
    ),
    "extras/muon/qwen2_full_sft": ("full", "template: qwen\nuse_muon: true\n", set()),
    "extras/oft/llama3_oft_sft": ("oft", LLAMA + OFT, set()),
    "extras/pissa/llama3_lora_sft": (
        "lora",
        LLAMA + "pissa_init: true\npissa_iter: 16\npissa_convert: true\n",
        set(),
    ),
    "extras/qoft/llama3_oft_sft_awq": ("oft", LLAMA + OFT, set()),
    "extras/qoft/llama3_oft_sft_bnb_npu": ("oft", LLAMA + BNB + "double_quantization: false\n" + OFT, set()),
    "extras/qoft/llama3_oft_sft_gptq": ("oft", LLAMA + OFT, set()),
    "train_lora/qwen3_lora_sft": ("lora", QWEN, set()),
    "train_lora/qwen3_lora_dpo": ("lora", QWEN + "stage: dpo\npref_beta: 0.1\npref_loss: sigmoid\n", set()),
    "train_lora/qwen3_lora_kto": ("lora", QWEN + "stage: kto\npref_beta: 0.1\n", set()),
    "train_lora/qwen3_lora_pretrain": ("lora", "stage: pt\n", set()),
    "train_lora/qwen3_lora_reward": ("lora", QWEN + "stage: rm\n", set()),
    "train_lora/qwen3_preprocess": ("lora", QWEN + "tokenized_path: saves/qwen3-4b/dataset/sft\n", set()),
    "train_qlora/llama3_lora_sft_aqlm": ("lora", LLAMA, set()),
    "train_qlora/llama3_lora_sft_awq": ("lora", LLAMA, set()),
    "train_qlora/llama3_lora_sft_gptq": ("lora", LLAMA, set()),
    "train_qlora/qwen3_lora_sft_bnb_npu": ("lora", QWEN + BNB + "double_quantization: false\n", set()),
    "train_qlora/qwen3_lora_sft_otfq": ("lora", QWEN + BNB, set()),
}
# file: method, its keys, and what is not built yet, by key
REFUSED: dict[str, tuple[str, str, dict[str, str]]] = {
    "extras/asft/llama2_full_asft": (
        "full",
        "template: llama2\n" + ASFT + "0.1\n" + Z0,
        {"deepspeed": "DeepSpeed"},
    ),
    "extras/asft/qwen2_full_asft": ("full", "template: qwen\n" + ASFT + "0.05\n" + Z0, {"deepspeed": "DeepSpeed"}),
    "extras/fp8/llama3_fp8_deepspeed_sft": (
        "full",
        FP8 + "fp8_enable_fsdp_float8_all_gather: false\n" + Z3 + "run_name: llama3_fp8_deepspeed_sft\n",
        {"fp8": "FP8 training", "fp8_backend": "FP8 training", "deepspeed": "DeepSpeed"},
    ),
    "extras/fp8/llama3_fp8_fsdp_sft": (
        "full",
        FSDP,
        {
            **dict.fromkeys(("fp8", "fp8_backend", "fp8_enable_fsdp_float8_all_gather"), "FP8 training"),
            **dict.fromkeys(("fsdp", "fsdp_transformer_layer_cls_to_wrap"), "FSDP"),
        },
    ),
    "extras/nlg_eval/llama3_lora_predict": (
        "lora",
        PREDICT,
        {"do_predict": "predicting in the same command"},
    ),
    "extras/oft/qwen2_5vl_oft_sft": (
        "oft",
        "template: qwen2_vl\n" + PICTURES + OFT,
        dict.fromkeys(("image_max_pixels", "video_max_pixels"), "training on images"),
    ),
    "train_full/mossvl_full_sft": (
        "full",
        MOSS + RECOMPUTED + Z3,
        {
            **dict.fromkeys(
                ("image_max_pixels", "video_max_pixels", "video_fps", "video_maxlen"), "training on images"
            ),
            "deepspeed": "DeepSpeed",
        },
    ),
    "train_full/qwen3_full_sft": ("full", QWEN + Z3, {"deepspeed": "DeepSpeed"}),
    "train_full/qwen3vl_full_sft": (
        "full",
        "template: qwen3_vl_nothink\n" + PICTURES + FROZEN + Z3,
        {**dict.fromkeys(("image_max_pixels", "video_max_pixels"), "training on images"), "deepspeed": "DeepSpeed"},
    ),
    "train_lora/mossvl_lora_sft": (
        "lora",
        MOSS,
        dict.fromkeys(("image_max_pixels", "video_max_pixels", "video_fps", "video_maxlen"), "training on images"),
    ),
    "train_lora/qwen3_lora_sft_ds3": ("lora", QWEN + Z3, {"deepspeed": "DeepSpeed"}),
    "train_lora/qwen3_lora_sft_ray": (
        "lora",
        QWEN + "dataset_dir: REMOTE:llamafactory/demo_data\nray_num_workers: 4\n",
        {"ray_num_workers": "Ray"},
    ),
    "train_lora/qwen3vl_lora_sft": (
        "lora",
        "template: qwen3_vl_nothink\n" + PICTURES,
        dict.fromkeys(("image_max_pixels", "video_max_pixels"), "training on images"),
    ),
}


def _problems(method: str, keys: str) -> list[Problem]:
    precision = "" if PURE in keys else "bf16: true\n"
    common = COMMON.replace("stage: sft\n", "") if "stage:" in keys else COMMON
    return Document.parse(common + METHOD[method] + precision + keys).problems()


@pytest.mark.parametrize("file", RUNS)
def test_the_example_checks_clean(file: str) -> None:
    method, keys, more = RUNS[file]
    found = _problems(method, keys)
    assert [str(problem) for problem in found if problem.level == "error"] == []
    assert {problem.key for problem in found} == SAID | more


@pytest.mark.parametrize("file", REFUSED)
def test_the_example_is_refused_for_what_is_not_built(file: str) -> None:
    method, keys, reasons = REFUSED[file]
    found = [problem for problem in _problems(method, keys) if problem.level == "error"]
    assert {problem.key for problem in found} == set(reasons)
    for problem in found:
        assert problem.reason.startswith(reasons[problem.key])
        assert "not supported yet" in problem.reason


@pytest.mark.parametrize(
    ("written", "command"),
    [
        (PREDICT, "evaluate"),
        ("adapter_name_or_path: saves/x\nexport_dir: out\nexport_size: 5\n", "export"),
        ("task: mmlu_test\nn_shot: 5\nlang: en\n", "evaluate"),
        ("template: llama3\ninfer_backend: huggingface\n", "serve"),
    ],
)
def test_a_recipe_of_another_command_given_to_train_is_told_where_it_belongs(
    tmp_path: Path, written: str, command: str
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("model_name_or_path: m\n" + written)
    with pytest.raises(RecipeError) as caught:
        load(path)
    (problem,) = caught.value.problems
    assert f"`tuitune {command}`" in problem.reason
    assert "give it to that command" in problem.hint
    with pytest.raises(RecipeError) as caught:
        load(path, ["lora_rnk=8"])  # what is wrong for every command is said too
    assert {each.key for each in caught.value.problems} == {"dataset", "lora_rnk"}
    assert load(path, ["dataset=rows.json", "do_predict=false", "eval_dataset="]).dataset
