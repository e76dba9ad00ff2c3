"""Every wrong recipe is refused in words of ours: the key, the reason, what to do, and the line."""

from __future__ import annotations

import pytest

from tests.recipe.asked import LEAST, errors, problems, warnings
from tuitune.errors import RecipeError
from tuitune.recipe import Document
from tuitune.recipe.fields import RULES

JARGON = ("Traceback", "Input should be", "pydantic", "validation error", "type=", "ruamel", "Error:", "NoneType")

# lines behind the shortest recipe; the key blamed; what the reason says; what the hint says
WRONG = [
    ("lora_rnak: 8", "lora_rnak", "no such key", "lora_rank"),
    ("Learning-Rate: 1e-4", "Learning-Rate", "no such key", "learning_rate"),
    ("zzz: 1", "zzz", "no such key", ""),
    ("lora_rank: 0", "lora_rank", "at least 1", ""),
    ("lora_rank: eight", "lora_rank", "whole number, found 'eight'", ""),
    ("lora_rank: 8.5", "lora_rank", "whole number, found 8.5", ""),
    ("lora_rank: true", "lora_rank", "whole number, found true", ""),
    ("lora_rank:\n  value: 8", "lora_rank", "found a mapping", "top level"),
    ("lora_rank: [8]", "lora_rank", "found a list", ""),
    ("learning_rate: fast", "learning_rate", "expected a number", ""),
    ("learning_rate: .nan", "learning_rate", "expected a number", ""),
    ("learning_rate: 0", "learning_rate", "more than 0", ""),
    ("learning_rate: -1e-4", "learning_rate", "more than 0", ""),
    ("lora_dropout: 1", "lora_dropout", "at least 0 and less than 1", ""),
    ("top_p: 1.5", "top_p", "at most 1", ""),
    ("seed: -1", "seed", "at least 0", ""),
    ("bf16: maybe", "bf16", "true or false", ""),
    ("bf16: 2", "bf16", "true or false", ""),
    ("finetuning_type: loar", "finetuning_type", "not one of: lora, full", "lora"),
    ("stage: sfft", "stage", "not one of", "sft"),
    ("lr_scheduler_type: cosin", "lr_scheduler_type", "not one of", "cosine"),
    ("optim: adamw_torch_fusd", "optim", "not one of", "adamw_torch_fused"),
    ("optim: galore_adamw", "optim", "'galore_adamw' is not supported yet", "adamw_torch_fused"),
    ("optim: adamw_hf", "optim", "not supported yet", "adamw_torch"),
    ("eval_strategy: sometimes", "eval_strategy", "not one of: no, steps, epoch", ""),
    ("flash_attn: fa3", "flash_attn", "not supported yet", "auto"),
    ("use_fast_tokenizer: false", "use_fast_tokenizer", "not supported yet", "remove"),
    ("do_train: false", "do_train", "not supported yet", "remove"),
    ("neat_packing: true\npacking: false", "neat_packing", "neat_packing packs", "keep one"),
    ("pref_loss: sigmoyd\nstage: dpo", "pref_loss", "not one of", "sigmoid"),
    ("stage: dpo\npref_loss: ipo\ndpo_label_smoothing: 0.1", "dpo_label_smoothing", "sigmoid and robust", "sigmoid"),
    ("stage: orpo\npref_bco_weight: 1", "pref_bco_weight", "needs a reference", "pref_loss: sigmoid"),
    ("stage: dpo\npref_loss: simpo\nld_alpha: 0.5", "ld_alpha", "losses with a reference", "remove"),
    ("stage: dpo\npref_loss: orpo\npref_ftx: 1", "pref_ftx", "do not take it", "remove"),
    ("stage: dpo\nref_model: x\nref_model_quantization_bit: 3", "ref_model_quantization_bit", "4 or 8", ""),
    ("stage: dpo\nref_model_adapters: x", "ref_model_adapters", "no such model", "ref_model"),
    (
        "stage: dpo\nprecompute_ref_log_probs: true\nstreaming: true\nmax_steps: 5",
        "precompute_ref_log_probs",
        "cannot be asked beforehand",
        "keep one",
    ),
    (
        "stage: dpo\nfinetuning_type: full\nmixture_of_depths: convert",
        "stage",
        "learns its routers",
        "remove",
    ),
    (
        "mix_strategy: interleave_over\ninterleave_probs: 0.5, 0.5",
        "interleave_probs",
        "one probability for each data set",
        "0.7, 0.3",
    ),
    ("streaming: true", "streaming", "how many steps an epoch has", "max_steps"),
    ("streaming: true\nmax_steps: 5\nmax_samples: 9", "streaming", "ends at max_steps", "remove max_samples"),
    ("streaming: true\nmax_steps: 5\ntokenized_path: x", "streaming", "keeps no tokenised rows", "keep one"),
    (
        "streaming: true\nmax_steps: 5\nval_size: 0.1\neval_strategy: steps",
        "streaming",
        "a share of rows that nobody has counted",
        "number of rows",
    ),
    ("streaming: true\nmax_steps: 5\nsave_strategy: epoch", "streaming", "has no epochs", "save_strategy: steps"),
    (
        "stage: grpo\nreward_functions: length\nstreaming: true\nmax_steps: 5",
        "streaming",
        "write their own",
        "remove streaming",
    ),
    ("interleave_probs: 1.0", "interleave_probs", "one after another", "interleave_over"),
    ("deepspeed: z3.json", "deepspeed", "DeepSpeed is not supported yet", "remove"),
    ("do_predict: true", "do_predict", "not supported yet", "remove"),
    ("kt_config: {kt_backend: auto}", "kt_config", "KTransformers is not supported yet", "remove"),
    ("dist_config: {name: fsdp2}", "dist_config", "v1 engine is not supported yet", "remove"),
    ("report_to: neptune", "report_to", "no tracker 'neptune'", "tensorboard, wandb"),
    ("report_to: [tensorboard, comet_ml]", "report_to", "no tracker 'comet_ml'", "all or none"),
    ("report_to: wandb, all", "report_to", "'all' here (alone)", "all or none"),
    ("trackio_bucket_id: me/b", "trackio_bucket_id", "not supported yet", "remove"),
    ("num_beams: 4", "num_beams", "not supported yet", "num_beams: 1"),
    ("hf_hub_token: hf_abc", "hf_hub_token", "secrets never go into recipes", "HF_TOKEN"),
    ("swanlab_api_key: abc", "swanlab_api_key", "secrets never go into recipes", "HF_TOKEN"),
    ("train_on_prompt: true\nmask_history: true", "train_on_prompt", "exclude each other", "keep one"),
    ("bf16: true\nfp16: true", "bf16", "exclude each other", "keep one"),
    ("pure_bf16: true\nbf16: true", "pure_bf16", "mixed precision", "keep one"),
    ("fp16: true\ndevice: cpu", "fp16", "needs a GPU", "device"),
    ("tf32: true\ndevice: cpu", "tf32", "CUDA", "device"),
    ("val_size: 0.1\neval_dataset: x\neval_strategy: steps", "val_size", "names some already", "keep one"),
    ("val_size: 1.5", "val_size", "neither a whole number nor a share", "0.1"),
    ("eval_strategy: steps", "eval_strategy", "rows that are not trained on", "val_size"),
    ("load_best_model_at_end: true", "load_best_model_at_end", "nothing is evaluated", "eval_strategy"),
    (
        "load_best_model_at_end: true\neval_strategy: epoch\nval_size: 9",
        "load_best_model_at_end",
        "save_strategy and eval_strategy differ",
        "same value",
    ),
    (
        "load_best_model_at_end: true\neval_strategy: steps\nval_size: 9\neval_steps: 3\nsave_steps: 10",
        "load_best_model_at_end",
        "not a multiple",
        "same value",
    ),
    ("save_strategy: best", "save_strategy", "nothing is evaluated", "eval_strategy"),
    (
        "stage: grpo\nreward_functions: length\nload_best_model_at_end: true\neval_strategy: epoch\nval_size: 9\n"
        "save_strategy: epoch",
        "load_best_model_at_end",
        "says nothing about which model",
        "metric_for_best_model: reward",
    ),
    ("metric_for_best_model: rouge", "metric_for_best_model", "not a figure", "loss"),
    *[
        (f"stage: {stage}\nmetric_for_best_model: some/figure{more}", "metric_for_best_model", "not a figure", "loss")
        for stage, more in {
            **dict.fromkeys(("pt", "rm", "dpo", "orpo", "simpo", "kto"), ""),
            **dict.fromkeys(("ppo", "grpo", "rloo"), "\nreward_functions: exact"),
        }.items()
    ],
    ("stage: kto\nmetric_for_best_model: rewards/accuracies", "metric_for_best_model", "not a figure", "kl"),
    ("metric_for_best_model: bleu-4", "metric_for_best_model", "none are asked for", "predict_with_generate"),
    (
        "predict_with_generate: true\ntrain_on_prompt: true\neval_strategy: epoch\nval_size: 9",
        "predict_with_generate",
        "prompts end where",
        "leave one",
    ),
    ("metric_for_best_model: accuracy", "metric_for_best_model", "not computed", "compute_accuracy"),
    ("early_stopping_steps: 3", "early_stopping_steps", "nothing is evaluated", "eval_strategy"),
    (
        "early_stopping_steps: 3\neval_strategy: epoch\nval_size: 9",
        "early_stopping_steps",
        "what better means",
        "metric_for_best_model",
    ),
    ("lr_scheduler_type: reduce_lr_on_plateau", "lr_scheduler_type", "nothing is evaluated", "eval_strategy"),
    ("lr_scheduler_type: cosine_with_min_lr", "lr_scheduler_type", "needs min_lr", "lr_scheduler_kwargs"),
    (
        "lr_scheduler_type: cosine_warmup_with_min_lr",
        "lr_scheduler_type",
        "needs min_lr or min_lr_rate",
        "lr_scheduler_kwargs",
    ),
    (
        "lr_scheduler_type: cosine_with_min_lr\nlr_scheduler_kwargs: {min_lr: 1e-6, min_lr_rate: 0.1}",
        "lr_scheduler_kwargs",
        "twice",
        "keep one",
    ),
    ("lr_scheduler_type: greedy", "lr_scheduler_type", "nothing is evaluated", "eval_strategy"),
    ("lr_scheduler_type: warmup_stable_decay", "lr_scheduler_type", "needs num_decay_steps", "lr_scheduler_kwargs"),
    ("lr_scheduler_kwargs: {min_lr: 1e-6}", "lr_scheduler_kwargs", "does not have", "cosine_with_min_lr: min_lr"),
    ("lr_scheduler_kwargs: {min_lr: [1]}", "lr_scheduler_kwargs", "plain value for 'min_lr'", ""),
    ("lr_scheduler_kwargs: fast", "lr_scheduler_kwargs", "a mapping such as", ""),
    ("warmup_ratio: 0.1\nwarmup_steps: 10", "warmup_ratio", "twice", "keep one"),
    ("warmup_ratio: 1.5", "warmup_ratio", "less than 1", ""),
    ("max_steps: 0", "max_steps", "train nothing", "-1"),
    ("optim_args: momentum=0.9", "optim_args", "does not have", "sgd: "),
    ("optim: sgd\noptim_args: momentum", "optim_args", "name=value", "momentum=0.9"),
    ("device: gpu", "device", "not a device", "cuda:0"),
    ("tokens_per_batch: 0", "tokens_per_batch", "at least 1 (tokens)", ""),
    (
        "disable_gradient_checkpointing: true\ngradient_checkpointing: true",
        "disable_gradient_checkpointing",
        "contradict",
        "keep one",
    ),
    ("optim: adamw", "optim", "not one of", "did you mean adamw_torch?"),
    ("eval_dataset: a,a", "eval_dataset", "twice", "once"),
    ("eval_dataset: {a: 1}", "eval_dataset", "a name", "top level"),
    ("template: true", "template", "expected a text, found true", "quotes"),
    ("resume_from_checkpoint: x\noverwrite_output_dir: true", "resume_from_checkpoint", "move aside", "keep one"),
    ("per_gpu_eval_batch_size: 0", "per_gpu_eval_batch_size", "at least 1", ""),
    ("evaluation_strategy: no\neval_strategy: no", "evaluation_strategy", "given too", "keep one"),
    ("no_cuda: perhaps", "no_cuda", "true or false", ""),
    ("logging_steps: 2.5", "logging_steps", "neither a whole number nor a share", "0.1"),
    ("lr_scheduler_type: polynomial\nlr_scheduler_kwargs: {lr_end: 1}", "lr_scheduler_kwargs", "less than", "lower"),
    ("export_adapter_weights: a, b", "export_adapter_weights", "must be numbers", ""),
    ("export_adapter_weights: 1, 0.5", "export_adapter_weights", "one number for each", ""),
    ("export_quantization_bit: 3\nexport_quantization_method: awq", "export_quantization_bit", "so many bits", ""),
    ("export_quantization_bit: 4", "export_quantization_bit", "to calibrate on", ""),
]

# Which methods fit together, and why others do not.
METHODS = [
    ("use_galore: true", "use_galore", "which an adapter leaves alone", "finetuning_type: full"),
    ("use_apollo: true", "use_apollo", "which an adapter leaves alone", "finetuning_type: full"),
    ("use_badam: true", "use_badam", "the whole model, block by block", "finetuning_type: full"),
    ("finetuning_type: freeze\nuse_badam: true", "use_badam", "the whole model, block by block", "full"),
    ("use_lisa: true", "use_lisa", "a few layers at a time", "finetuning_type: full"),
    ("use_muon: true", "use_muon", "too thin", "remove use_muon"),
    ("use_adam_mini: true", "use_adam_mini", "too thin", "remove use_adam_mini"),
    ("finetuning_type: full\nuse_galore: true\nuse_badam: true", "use_galore", "a run has one", "keep one"),
    ("finetuning_type: full\nuse_lisa: true\nuse_muon: true", "use_lisa", "a run has one", "keep one"),
    (
        "finetuning_type: full\nuse_galore: true\ngalore_layerwise: true\nmax_grad_norm: 1",
        "max_grad_norm",
        "cannot be limited",
        "layerwise_clip",
    ),
    (
        "finetuning_type: full\nuse_apollo: true\napollo_layerwise: true\nmax_grad_norm: 1",
        "max_grad_norm",
        "cannot be limited",
        "max_grad_norm: 0",
    ),
    (
        "finetuning_type: full\nuse_galore: true\ngalore_layerwise: true\nfp16: true",
        "galore_layerwise",
        "loss scaling of fp16",
        "pure_bf16",
    ),
    (
        "finetuning_type: full\nuse_apollo: true\napollo_layerwise: true\nfp16: true",
        "apollo_layerwise",
        "loss scaling of fp16",
        "pure_bf16",
    ),
    ("badam_switch_interval: 0", "badam_switch_interval", "no time to learn", "-1"),
    ("finetuning_type: full\nadapter_name_or_path: a", "adapter_name_or_path", "own weights", "tuitune export"),
    ("finetuning_type: full\nuse_dora: true", "use_dora", "LoRA only", "finetuning_type: lora"),
    ("finetuning_type: oft\nuse_rslora: true", "use_rslora", "LoRA only", "finetuning_type: lora"),
    ("finetuning_type: full\nloraplus_lr_ratio: 16", "loraplus_lr_ratio", "LoRA only", "finetuning_type: lora"),
    ("finetuning_type: adalora\npissa_init: true", "pissa_init", "LoRA only", "finetuning_type: lora"),
    ("finetuning_type: vera\nloftq_init: true", "loftq_init", "LoRA only", "finetuning_type: lora"),
    ("adapter_name_or_path: a\npissa_init: true", "pissa_init", "own weights", "create_new_adapter"),
    ("pissa_init: true\npissa_iter: 0", "pissa_init", "no decomposition", "-1"),
    ("pissa_init: true\nquantization_bit: 4", "quantization_bit", "must not be quantised", "loftq_init"),
    ("use_dora: true\npissa_init: true", "use_dora", "take apart", "keep one"),
    ("loftq_init: true", "loftq_init", "nothing is quantised", "quantization_bit: 4"),
    ("loftq_init: true\nquantization_bit: 4\npissa_init: true", "loftq_init", "two ways", "keep one"),
    ("loftq_init: true\nquantization_bit: 4\nadapter_name_or_path: a", "loftq_init", "own weights", "remove"),
    (
        "loftq_init: true\nquantization_bit: 4\nquantization_method: hqq",
        "loftq_init",
        "bitsandbytes",
        "quantization_method: bnb",
    ),
    ("finetuning_type: full\nquantization_bit: 4", "quantization_bit", "cannot learn", "QLoRA"),
    ("finetuning_type: freeze\nquantization_bit: 8", "quantization_bit", "cannot learn", "QLoRA"),
    ("quantization_bit: 3", "quantization_bit", "4 and 8 bits only", "hqq"),
    ("quantization_bit: 5\nquantization_method: hqq", "quantization_bit", "1, 2, 3, 4 and 8", "one of them"),
    ("quantization_bit: 9", "quantization_bit", "at most 8", ""),
    ("quantization_bit: 4\nquantization_method: eetq", "quantization_method", "not supported yet", "bnb"),
    (
        "quantization_bit: 4\nadapter_name_or_path: a,b",
        "quantization_bit",
        "round it away",
        "tuitune export",
    ),
    ("lora_target: all,q_proj", "lora_target", "already covers", "keep either"),
    ("lora_target: q_proj v_proj", "lora_target", "no spaces", "commas"),
    ("lora_target: ','", "lora_target", "names no module", "all"),
    ("lora_target: '.*(q_proj'", "lora_target", "regular expression that can be read", "_proj"),
    ("lora_target: .*q_proj,.*v_proj", "lora_target", "stands alone", "|"),
    ("additional_target: embed tokens", "additional_target", "no spaces", "commas"),
    ("finetuning_type: freeze\nfreeze_trainable_layers: 0", "freeze_trainable_layers", "learn nothing", "-2"),
    ("finetuning_type: freeze\nfreeze_trainable_modules: ','", "freeze_trainable_modules", "no module", "all"),
    ("finetuning_type: freeze\nfreeze_trainable_modules: all,mlp", "freeze_trainable_modules", "covers", "keep"),
    ("finetuning_type: oft\noft_rank: 4", "oft_rank", "exactly one", "oft_block_size: 0"),
    ("finetuning_type: oft\noft_block_size: 0", "oft_block_size", "exactly one", "oft_block_size: 0"),
    ("finetuning_type: adalora\nadalora_init_rank: 4", "adalora_init_rank", "must begin above it", "raise"),
    ("finetuning_type: full\nuse_llama_pro: true", "use_llama_pro", "keeps the old blocks", "freeze"),
    ("expand_blocks: 2", "expand_blocks", "empty until", "use_llama_pro"),
    ("mixture_of_depths: convert", "mixture_of_depths", "learn anew as a whole", "finetuning_type: full"),
    (
        "finetuning_type: full\nmixture_of_depths: convert\nshift_attn: true",
        "shift_attn",
        "every token",
        "keep one",
    ),
    ("finetuning_type: prompt_tuning\nrope_scaling: yarn", "rope_scaling", "other positions", "lora"),
    ("use_dft_loss: true\nuse_eaft_loss: true", "use_dft_loss", "different losses", "keep one"),
    (
        "finetuning_type: freeze\nuse_llama_pro: true\nfreeze_trainable_layers: -2",
        "freeze_trainable_layers",
        "counts inserted blocks",
        "number of blocks",
    ),
    (
        "use_llama_pro: true\nexpand_blocks: 2\nfreeze_trainable_layers: 4",
        "freeze_trainable_layers",
        "all inserted blocks",
        "value of expand_blocks",
    ),
    ("use_llama_pro: true\nexpand_blocks: 2\nuse_dora: true", "use_llama_pro", "weights of zero", "rsLoRA"),
    ("finetuning_type: loha\nquantization_bit: 4", "finetuning_type", "as large as the weights", "QLoRA"),
    ("finetuning_type: lokr\nquantization_bit: 8", "finetuning_type", "as large as the weights", "QLoRA"),
    (
        "finetuning_type: prefix_tuning\ngradient_checkpointing: true",
        "gradient_checkpointing",
        "computed again forget",
        "p_tuning",
    ),
    ("finetuning_type: p_tuning\nshift_attn: true", "shift_attn", "only the first group", "lora"),
]
WRONG += METHODS

# What judges a model's own answers.
REWARDS = [
    ("stage: grpo\nreward_functions: exct", "reward_functions", "'exct' is not one of: exact, format", "exact?"),
    ("stage: grpo\nreward_functions: mine", "reward_functions", "'mine' is not one of", "reward_file"),
    ("stage: grpo\nreward_functions: exact, exact", "reward_functions", "names exact twice", "reward_weights"),
    ("stage: rloo\nreward_functions: pattern", "reward_functions", "nothing to look for", "reward_pattern"),
    ("stage: grpo\nreward_functions: pattern\nreward_pattern: (a", "reward_pattern", "can be read", "brackets"),
    ("stage: ppo\nreward_functions: exact\nreward_weights: 1, much", "reward_weights", "expected numbers", "0.2"),
    ("stage: grpo\nreward_functions: exact\nreward_weights: 1, 2", "reward_weights", "one weight for each", "one for"),
    ("stage: grpo\nreward_functions: exact\nnum_generations: 1", "num_generations", "at least 2", ""),
    ("stage: grpo\nreward_functions: exact\ngrpo_loss: drgrpo", "grpo_loss", "not one of", "dr_grpo"),
]
WRONG += REWARDS

# Who judges them.
_PPO = "stage: ppo\nreward_model: r"
JUDGES = [
    ("stage: ppo", "stage", "nothing says what an answer is worth", "reward_model"),
    ("stage: grpo", "stage", "nothing says what an answer is worth", "reward_functions"),
    ("stage: ppo\nreward_functions: length\ndo_sample: false", "do_sample", "drawn at random", "remove"),
    (f"{_PPO}\nfinetuning_type: full", "reward_model", "finetuning_type is not lora", "reward_model_type: full"),
    (f"{_PPO}\npissa_init: true", "reward_model", "takes a part", "reward_model_type: full"),
    (f"{_PPO}\nreward_model_type: api", "reward_model", "no address", "http://"),
    ("stage: ppo\nreward_model: http://a/b", "reward_model", "address of a server", "reward_model_type: api"),
    (f"{_PPO}\nreward_model_adapters: a", "reward_model_adapters", "whole reward model", "full"),
    (f"{_PPO}\nreward_model_quantization_bit: 4", "reward_model_quantization_bit", "as they are", "full"),
    (
        f"{_PPO}\nreward_model_type: full\nreward_model_quantization_bit: 3",
        "reward_model_quantization_bit",
        "4 or 8",
        "least memory",
    ),
    ("stage: ppo\nreward_functions: length\nshift_attn: true", "shift_attn", "full attention", "remove"),
    ("stage: ppo\nreward_functions: length\nppo_lambda: 1.5", "ppo_lambda", "at most 1", ""),
    ("stage: ppo\nreward_functions: length\nppo_target: 0", "ppo_target", "more than 0", ""),
]
WRONG += JUDGES


@pytest.mark.parametrize(("lines", "key", "reason", "hint"), WRONG, ids=[case[0].split("\n")[0] for case in WRONG])
def test_wrong_recipe_is_refused_in_words(lines: str, key: str, reason: str, hint: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Document.parse(LEAST + lines + "\n").recipe()
    about = [problem for problem in caught.value.problems if problem.level == "error" and problem.key == key]
    assert about, [str(problem) for problem in caught.value.problems]
    assert any(reason in problem.reason and hint in problem.hint for problem in about), [str(p) for p in about]
    place = LEAST.count("\n") + 1 + next(i for i, line in enumerate(lines.split("\n")) if line.startswith(key))
    assert {problem.line for problem in about} == {place}
    for problem in caught.value.problems:
        assert not any(word in str(problem) for word in JARGON)
        assert problem.key in str(problem)


def test_a_large_limit_is_told_with_all_its_digits() -> None:
    [problem] = errors("seed: 4294967296\n")
    assert problem.reason.endswith("must be at least 0 and less than 4294967296")


def test_all_problems_come_at_once_in_the_order_of_the_file() -> None:
    found = errors("lora_rank: 0", "colour: red", "bf16: perhaps", "stage: dpoo", "use_galore: true")
    assert [problem.key for problem in found] == ["lora_rank", "colour", "bf16", "stage", "use_galore"]
    assert [problem.line for problem in found] == [3, 4, 5, 6, 7]


def test_a_secret_is_never_repeated() -> None:
    for problem in problems("hf_hub_token: hf_verysecret", "my_api_key: verysecret"):
        assert "verysecret" not in str(problem)
        assert problem.value is None


def test_model_and_data_must_be_named() -> None:
    found = Document.parse("# nothing\n").problems()
    assert {problem.key for problem in found} == {"model_name_or_path", "dataset"}
    assert all("is missing" in problem.reason and problem.hint for problem in found)
    assert [p.key for p in Document.parse(LEAST + "\n").problems()] == []
    assert [p.key for p in Document.parse(LEAST.replace("alpaca_en_demo", "null")).problems()] == ["dataset"]


def test_a_rule_waits_until_its_keys_are_right() -> None:
    assert [problem.key for problem in errors("bf16: true", "fp16: perhaps")] == ["fp16"]


def test_values_are_shown_short() -> None:
    (problem,) = errors(f"lora_rank: {'x' * 5000}")
    assert len(str(problem)) < 200


WARNED = [
    (
        "lr_scheduler_type: greedy\neval_strategy: epoch\nval_size: 9",
        "lr_scheduler_type",
        "never goes below its min_lr",
    ),
    ("lora_rank: 16\nfinetuning_type: full", "lora_rank", "applies when finetuning_type: lora"),
    ("lora_target: q_proj\nfinetuning_type: full", "lora_target", "applies when finetuning_type: lora"),
    ("galore_rank: 128\nfinetuning_type: full", "galore_rank", "applies when"),
    ("oft_block_size: 64", "oft_block_size", "applies when finetuning_type: oft"),
    ("shift_attn: true\nshift_attn_group: 64\ncutoff_len: 64", "shift_attn_group", "saves nothing"),
    ("pissa_init: true\nlora_dropout: 0.1", "lora_dropout", "missing from them"),
    ("quantization_bit: 4\nquantization_method: bitsandbytes", "quantization_method", "read as bnb"),
    ("quantization_bit: 4\nquantization_device_map: auto", "quantization_device_map", "one device"),
    (
        "finetuning_type: full\nuse_apollo: true\napollo_layerwise: true",
        "apollo_layerwise",
        "gradients are not clipped",
    ),
    (
        "finetuning_type: full\nuse_galore: true\ngalore_layerwise: true",
        "galore_layerwise",
        "have no common norm",
    ),
    ("finetuning_type: full\nuse_badam: true", "use_badam", "weights in bf16"),
    (
        "finetuning_type: full\nuse_badam: true\npure_bf16: true\nbadam_switch_mode: fixed\nbadam_switch_interval: 9",
        "badam_switch_interval",
        "a fixed block never changes",
    ),
    ("finetuning_type: full\nuse_muon: true\noptim: sgd", "optim", "brings its own AdamW"),
    ("num_layer_trainable: 4\nfinetuning_type: freeze", "num_layer_trainable", "another name for"),
    ("save_steps: 10\nsave_strategy: no", "save_steps", "applies when save_strategy: steps"),
    ("eval_steps: 10", "eval_steps", "applies when eval_strategy: steps"),
    ("num_train_epochs: 2\nmax_steps: 5", "num_train_epochs", "applies when max_steps: -1"),
    ("temperature: 0.5\ndo_sample: false", "temperature", "applies when do_sample: true"),
    ("loraplus_lr_embedding: 1e-5", "loraplus_lr_embedding", "loraplus_lr_ratio is set"),
    ("adam_beta1: 0.8\noptim: sgd", "adam_beta1", "applies when optim"),
    ("warmup_steps: 10\nlr_scheduler_type: constant", "warmup_steps", "applies when lr_scheduler_type"),
    ("warmup_ratio: 0.1", "warmup_ratio", "read as warmup_steps"),
    ("evaluation_strategy: no", "evaluation_strategy", "another name for eval_strategy"),
    ("stage: dpo\npref_loss: orpo\nprecompute_ref_log_probs: true", "precompute_ref_log_probs", "ask no reference"),
    ("preprocessing_num_workers: 16", "preprocessing_num_workers", "own threads"),
    ("export_dir: saves/merged", "export_dir", "`tuitune export` reads it"),
    ("task: mmlu_test", "task", "`tuitune evaluate` reads it"),
    ("infer_backend: vllm", "infer_backend", "`tuitune serve` reads it"),
    ("swanlab_mode: local", "swanlab_mode", "applies when report_to is set or use_swanlab is set"),
    ("ddp_timeout: 180000000", "ddp_timeout", "one device"),
    ("low_cpu_mem_usage: false", "low_cpu_mem_usage", "no effect"),
    ("use_reentrant_gc: false", "use_reentrant_gc", "no effect"),
    ("gradient_checkpointing_kwargs: {use_reentrant: false}", "gradient_checkpointing_kwargs", "no effect"),
    ("disable_tqdm: true", "disable_tqdm", "no effect"),
    ("val_size: 0.1", "val_size", "`tuitune evaluate` only"),
    ("create_new_adapter: true", "create_new_adapter", "no effect"),
    ("adapter_name_or_path: a, b", "adapter_name_or_path", "all but the last"),
    ("adapter_name_or_path: a\nlora_rank: 4", "lora_rank", "keeps the rank"),
    ("finetuning_type: bottleneck\nadapter_name_or_path: a\nbottleneck_size: 4", "bottleneck_size", "keep the size"),
    ("tokens_per_batch: 100", "tokens_per_batch", "goes in whole"),
    ("bf16: true\ndevice: cpu", "bf16", "slow on a CPU"),
    ("flash_attn: fa2", "flash_attn", "read as auto"),
    ("trust_remote_code: true", "trust_remote_code", "runs with your permissions"),
    ("eval_dataset: x\ncutoff_len: 64", "eval_dataset", "`tuitune evaluate` only"),
    ("stage: grpo\nreward_functions: exact\nreward_pattern: a", "reward_pattern", "nothing looks for it"),
    ("stage: grpo\nreward_functions: exact\nreward_length: 9", "reward_length", "no reward asks for a length"),
]


@pytest.mark.parametrize(("lines", "key", "reason"), WARNED, ids=[case[0].split("\n")[0] for case in WARNED])
def test_what_has_no_effect_is_said_and_accepted(lines: str, key: str, reason: str) -> None:
    assert errors(*lines.split("\n")) == []
    assert any(problem.key == key and reason in problem.reason for problem in warnings(*lines.split("\n")))


def test_every_rule_is_broken_by_one_of_these() -> None:
    said = {problem.reason for case in (*WRONG, *WARNED) for problem in problems(*case[0].split("\n"))}
    beside = {rule.reason for rule in RULES if rule.keys[0] in ("model_name_or_path", "dataset")}
    assert {rule.reason for rule in RULES} - said - beside == set()


def test_what_is_refused_is_not_also_said_to_have_no_effect() -> None:
    assert [problem.level for problem in problems("use_galore: true")] == ["error"]


def test_identity_data_with_the_built_in_name_is_said() -> None:
    text = LEAST.replace("alpaca_en_demo", "identity")
    (problem,) = Document.parse(text).problems()
    assert (problem.key, problem.level) == ("dataset", "warning")
    assert "'Tui'" in problem.reason
    assert Document.parse(text + "name: Ada\nauthor: Bo\n").problems() == []
