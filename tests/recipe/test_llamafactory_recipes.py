"""LLaMA-Factory's recipes: what its example files hold loads, or is refused by name."""

from __future__ import annotations

import pytest

from tests.recipe.asked import errors, problems
from tuitune.recipe import Document, Recipe

BOILERPLATE = """\
### model
model_name_or_path: Qwen/Qwen3-4B-Instruct-2507
trust_remote_code: true

### method
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all

### dataset
dataset: identity, alpaca_en_demo
template: qwen3_nothink
cutoff_len: 2048
max_samples: 1000
overwrite_cache: true
preprocessing_num_workers: 16
dataloader_num_workers: 4

### output
output_dir: saves/qwen3-4b/lora/sft
logging_steps: 10
save_steps: 500
plot_loss: true
overwrite_output_dir: true
save_only_model: false
report_to: none  # choices: [none, wandb, tensorboard, swanlab, mlflow]

### train
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
ddp_timeout: 180000000
resume_from_checkpoint: null

### eval
# eval_dataset: alpaca_en_demo
# val_size: 0.1
# per_device_eval_batch_size: 1
# eval_strategy: steps
# eval_steps: 500
"""

REFERENCE = """\
model_name_or_path: smollm2-135m
stage: sft
do_train: true
finetuning_type: lora
dataset: alpaca_en_demo
dataset_dir: ../data/real
template: smollm2
cutoff_len: 512
max_samples: 40
overwrite_cache: true
preprocessing_num_workers: 1
dataloader_num_workers: 0
output_dir: out
overwrite_output_dir: true
logging_steps: 1
save_steps: 500
plot_loss: true
report_to: none
per_device_train_batch_size: 2
gradient_accumulation_steps: 4
learning_rate: 0.0001
num_train_epochs: 1.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: false
fp16: false
include_num_input_tokens_seen: true
seed: 42
lora_rank: 8
lora_target: all
"""


def test_a_llamafactory_recipe_runs_unchanged() -> None:
    made = Document.parse(BOILERPLATE).recipe()
    assert made.dataset == ("identity", "alpaca_en_demo")
    assert (made.learning_rate, made.warmup_steps, made.lora_target) == (1e-4, 0.1, ("all",))
    assert (made.rows_per_step, made.bf16, made.report_to, made.resume_from_checkpoint) == (8, True, (), None)
    said = {problem.key for problem in made.warnings}
    assert said >= {"preprocessing_num_workers", "warmup_ratio", "ddp_timeout"}


def test_its_commented_evaluation_works_when_uncommented() -> None:
    text = BOILERPLATE
    for key in ("val_size", "per_device_eval_batch_size", "eval_strategy", "eval_steps"):
        text = text.replace(f"# {key}", key)
    made = Document.parse(text).recipe()
    assert (made.val_size, made.eval_strategy, made.eval_steps) == (0.1, "steps", 500)


def test_its_full_recipe_differs_in_the_method_only() -> None:
    text = BOILERPLATE.replace("finetuning_type: lora\nlora_rank: 8\nlora_target: all\n", "finetuning_type: full\n")
    made = Document.parse(text.replace("1.0e-4", "1.0e-5")).recipe()
    assert (made.finetuning_type, made.learning_rate) == ("full", 1e-5)
    assert not {problem.key for problem in made.warnings} & {"lora_rank", "lora_target"}


def test_the_reference_recipe_has_exactly_these_values() -> None:
    made = Document.parse(REFERENCE).recipe()
    expected = {
        "model_name_or_path": "smollm2-135m",
        "dataset": ("alpaca_en_demo",),
        "dataset_dir": "../data/real",
        "template": "smollm2",
        "cutoff_len": 512,
        "max_samples": 40,
        "overwrite_cache": True,
        "preprocessing_num_workers": 1,
        "output_dir": "out",
        "overwrite_output_dir": True,
        "logging_steps": 1.0,
        "plot_loss": True,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 4,
        "learning_rate": 1e-4,
        "num_train_epochs": 1.0,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.1,
        "warmup_ratio": 0.1,
        "include_num_input_tokens_seen": "all",
    }
    defaults = Recipe().model_dump()
    assert made.model_dump() == {**defaults, **expected}
    assert len(made.asked) == 30


# Keys of the examples beyond the boilerplate, and the values they have there.
HARMLESS = [
    "stage: kto",
    "stage: dpo\npref_loss: orpo",
    "tokenized_path: saves/tokens",
    "dataset_dir: REMOTE:llamafactory/demo_data",
    "neat_packing: true",
    "mix_strategy: interleave_under",
    "packing: false",
    "disable_gradient_checkpointing: true",
    "disable_gradient_checkpointing: false",
    "flash_attn: fa2",
    "use_v1_kernels: false",
    "max_steps: 500",
    "seed: 1234",
    "loraplus_lr_ratio: 16.0",
    "use_reentrant_gc: false",
    "freeze_vision_tower: true",
    "freeze_language_model: false",
    "gradient_checkpointing: true",
    "gradient_checkpointing_kwargs: {use_reentrant: false}",
    "lora_alpha: 16",
    "warmup_steps: 10",
    "adam_beta2: 0.999",
    "weight_decay: 0.0",
    "max_grad_norm: 1.0",
    "run_name: a_run",
    "quantization_method: bnb",
    "double_quantization: false",
    "quantization_bit: 4",
    "neftune_noise_alpha: 5",
    "infer_backend: huggingface",
    "tensor_model_parallel_size: 1",
    "mixed_precision: bf16_mixed",
    "fp8: false",
    "save_only_model: true",
    "pure_bf16: true",
    "optim: paged_adamw_8bit",
    "ray_num_workers: 1",
    "pref_beta: 0.1",
    "shift_attn: true",
    "rope_scaling: linear",
    "use_dft_loss: true",
    "num_layer_trainable: 4",
    "neft_alpha: 5",
]
REFUSED = [
    "use_v1_kernels: true",
    "deepspeed: examples/deepspeed/ds_z0_config.json",
    "fp8: true",
    "fp8_backend: torchao",
    "fsdp: [full_shard, auto_wrap]",
    "fsdp_transformer_layer_cls_to_wrap: LlamaDecoderLayer",
    "image_max_pixels: 262144",
    "video_fps: 1.0",
    "use_kt: true",
    "kt_cpu_activation: retain",
    "tensor_model_parallel_size: 4",
    "sequence_parallel: true",
    "moe_grouped_gemm: true",
    "ray_num_workers: 4",
    "peft_config: {name: lora, r: 16}",
    "resize_vocab: true",
    "add_tokens: a,b",
    "label_smoothing_factor: 0.1",
    "push_to_hub: true",
    "torch_compile: true",
    "use_liger_kernel: true",
    "enable_liger_kernel: true",
    "freeze_vision_tower: false",
    "dataloader_drop_last: true",
    "group_by_length: true",
]


@pytest.mark.parametrize("line", HARMLESS)
def test_keys_of_examples_that_ask_for_nothing_or_work(line: str) -> None:
    assert errors(line) == []


@pytest.mark.parametrize("line", REFUSED)
def test_keys_of_examples_that_are_not_built_are_named(line: str) -> None:
    (problem,) = errors(line)
    assert problem.key == line.split(":")[0]
    assert "not supported yet" in problem.reason
    assert problem.hint


@pytest.mark.parametrize("value", ["false", "null", "none", "'false'", "[]"])
def test_a_feature_switched_off_is_no_problem(value: str) -> None:
    assert errors(f"use_unsloth: {value}", f"use_kt: {value}") == []


@pytest.mark.parametrize("value", ["false", "null", "'false'", "no"])
def test_a_method_switched_off_is_no_problem(value: str) -> None:
    assert problems(f"use_galore: {value}", f"use_badam: {value}") == []
