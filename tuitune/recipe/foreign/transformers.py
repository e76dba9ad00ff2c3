"""Keys of transformers' (Seq2Seq)TrainingArguments that are not fields here, of this version and the one before."""

from __future__ import annotations

# feature -> key -> the value (or values, as a tuple) that asks for nothing
ABSENT: dict[str, dict[str, object]] = {
    "choosing modules for the optimizer": {"optim_target_modules": None},
    "label smoothing": {"label_smoothing_factor": 0.0},
    "evaluating in another precision": {"bf16_full_eval": False, "fp16_full_eval": False},
    "compiling the model": {"torch_compile": False, "torch_compile_backend": None, "torch_compile_mode": None},
    "the Liger kernel": {"use_liger_kernel": False, "liger_kernel_config": None},
    "emptying CUDA's cache every few steps": {"torch_empty_cache_steps": None},
    "buckets and static copies of trackio's Spaces": {"trackio_bucket_id": None, "trackio_static_space_id": None},
    "delayed or first evaluation": {"eval_delay": 0, "eval_on_start": False},
    "generating while evaluating": {
        "generation_max_length": None,
        "generation_num_beams": None,
        "generation_config": None,
        "eval_num_beams": None,
    },
    "predicting in the same command (`tuitune evaluate RUN` does it afterwards)": {"do_predict": False},
    "evaluation without training (`tuitune evaluate` does it)": {"do_eval": False},
    "tuning of the evaluation loop": {
        "eval_accumulation_steps": None,
        "include_for_metrics": None,
        "include_inputs_for_metrics": False,
        "batch_eval_metrics": False,
        "eval_use_gather_object": False,
        "eval_do_concat_batches": True,
    },
    "checkpoints at a signal of the cluster": {"enable_jit_checkpoint": False},
    "uploading to a hub": {
        "push_to_hub": False,
        "hub_private_repo": None,
        "hub_model_id": None,
        "hub_strategy": "every_save",
        "hub_always_push": False,
        "hub_revision": None,
        "push_to_hub_model_id": None,
        "push_to_hub_organization": None,
    },
    "resuming without its exact state": {
        "ignore_data_skip": False,
        "restore_callback_states_from_checkpoint": False,
    },
    "forcing deterministic kernels": {"full_determinism": False},
    "an accelerator configuration": {"accelerator_config": None, "parallelism_config": None},
    "dropping the last, smaller step": {"dataloader_drop_last": False},
    "sampling by length": {
        "group_by_length": False,
        "train_sampling_strategy": "random",
        "length_column_name": "length",
        "sortish_sampler": False,
    },
    "FSDP": {
        "fsdp": None,
        "fsdp_config": None,
        "fsdp_transformer_layer_cls_to_wrap": None,
        "fsdp_min_num_params": 0,
    },
    "DeepSpeed": {"deepspeed": None},
    "training on several devices": {"local_rank": -1, "ddp_backend": None, "tpu_num_cores": None},
    "debugging of transformers": {"debug": (None, "", []), "skip_memory_metrics": True},
    "recomputation of some layers only": {"activation_checkpointing_kwargs": None},
    "another device": {"use_mps_device": False},
    "older kinds of mixed precision": {
        "half_precision_backend": "auto",
        "fp16_backend": "auto",
        "fp16_opt_level": "O1",
        "use_ipex": False,
        "torchdynamo": None,
        "jit_mode_eval": False,
    },
    "mixing losses over past states": {"past_index": -1, "use_cache": False},
    "checkpoints in the old binary format": {"save_safetensors": True},
    "model parallelism by transformers": {"mp_parameters": ""},
    "hyper-parameter search": {"ray_scope": "last"},
}

# why -> key -> the value that asks for nothing
INERT: dict[str, dict[str, object]] = {
    "the loss is always averaged over the tokens of the whole step": {"average_tokens_across_devices": True},
    "after running out of memory TuiTune always cuts the step smaller, with the same gradient": {
        "auto_find_batch_size": False
    },
    "loss values that are not finite are always shown as what they are": {"logging_nan_inf_filter": True},
    "TuiTune shows its own progress and log": {
        "log_level": "passive",
        "log_level_replica": "warning",
        "disable_tqdm": None,
        "log_on_each_node": True,
    },
    "everything a run writes lies in its own folder": {"save_on_each_node": False},
    "tokens per second are always logged": {"include_tokens_per_second": False},
    "an evaluation computes losses only": {"prediction_loss_only": False},
    "rows hold token ids and labels and nothing else": {"remove_unused_columns": True, "label_names": None},
    "rows lie in memory as token ids, so there is nothing to fetch": {
        "dataloader_pin_memory": True,
        "dataloader_persistent_workers": False,
        "dataloader_prefetch_factor": None,
        "dataloader_multiprocessing_context": None,
        "dataloader_in_order": True,
    },
    "a run uses one device so far": {
        "ddp_find_unused_parameters": None,
        "ddp_bucket_cap_mb": None,
        "ddp_broadcast_buffers": None,
        "ddp_static_graph": None,
    },
    "activations are always computed again without re-entering autograd": {"gradient_checkpointing_kwargs": None},
}
