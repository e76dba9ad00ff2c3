"""The recipe of another trainer's run, as far as its files tell; what cannot be run here stays as comments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tuitune.errors import RecipeError
from tuitune.face.importing.files import Output, Values, card
from tuitune.recipe import Document
from tuitune.recipe.document import dump_key
from tuitune.recipe.foreign import is_secret
from tuitune.recipe.yamltext import dump
from tuitune.text import clean_line

_STAGES = {
    "Supervised Fine-Tuning": "sft", "Pre-Training": "pt", "Reward Modeling": "rm", "PPO": "ppo", "DPO": "dpo",
    "KTO": "kto",
}  # fmt: skip
# LlamaBoard's controls whose names are not those of the arguments.
_BOARD = {
    "top.model_path": "model_name_or_path", "top.finetuning_type": "finetuning_type", "top.template": "template",
    "train.batch_size": "per_device_train_batch_size", "train.neftune_alpha": "neftune_noise_alpha",
    "train.train_seed": "seed", "train.use_pissa": "pissa_init",
}  # fmt: skip
_BOARD_SAME = frozenset({
    "dataset_dir", "cutoff_len", "learning_rate", "num_train_epochs", "max_samples", "gradient_accumulation_steps",
    "lr_scheduler_type", "max_grad_norm", "val_size", "logging_steps", "save_steps", "warmup_steps", "packing",
    "neat_packing", "train_on_prompt", "mask_history", "lora_rank", "lora_alpha", "lora_dropout", "lora_target",
    "loraplus_lr_ratio", "use_rslora", "use_dora", "pref_beta", "pref_ftx", "pref_loss", "use_galore", "use_apollo",
    "use_badam", "report_to",
})  # fmt: skip
# Where that run wrote, or went on from: a new run must not do the same.
_ITS_PLACES = frozenset({"output_dir", "overwrite_output_dir", "resume_from_checkpoint", "logging_dir", "run_name"})
_MOST_ROUNDS = 8


def recipe_text(output: Output, given: Mapping[str, object]) -> tuple[str, list[str]]:
    """Return a recipe, and the keys that stand in it as comments.

    given: values that the user names, which count most. Raises RecipeError when a file of the folder is broken.
    """
    values = {**_told(output), **given}
    reasons = {key: reason for key, value in values.items() if (reason := _not_taken(key, value))}
    aside = {key: values.pop(key) for key in reasons}
    refused = _refused(values)
    for key, reason in refused.items():
        aside[key], reasons[key] = values.pop(key), reason
    lines = [f"# imported from {clean_line(str(output.path))} ({output.trainer})"]
    lines += [f"{dump_key(key)}: {dump(value)}" for key, value in values.items()]
    if aside:
        lines += ["", "# left out here:"]
        lines += [f"# {_said(key, value)}  ({reasons[key]})" for key, value in aside.items()]
    return "\n".join(lines) + "\n", sorted(refused)


def _not_taken(key: str, value: object) -> str:
    """Return why a value is not taken over, whatever it is; empty when it is."""
    if key in _ITS_PLACES:
        return "its own place"
    if key == "trust_remote_code" and value:
        return "LlamaBoard always asks for it; add it where the model needs it"
    return "a secret" if is_secret(key) else ""


def _said(key: str, value: object) -> str:
    return key if is_secret(key) else clean_line(f"{key}: {dump(value)}")


def _refused(values: Mapping[str, object]) -> dict[str, str]:
    """Return the keys without which the rest can be read, with the reason against each."""
    left, refused = dict(values), dict[str, str]()
    for _ in range(_MOST_ROUNDS):
        document = Document.parse("".join(f"{dump_key(key)}: {dump(value)}\n" for key, value in left.items()))
        wrong = {each.key: each.reason for each in document.problems() if each.level == "error" and each.key in left}
        if not wrong:
            break
        for key, reason in wrong.items():
            refused[key] = clean_line(reason)
            del left[key]
    return refused


def _told(output: Output) -> dict[str, object]:
    """Return what the files tell of the recipe; the later ones tell it more surely."""
    state = output.state()
    found: dict[str, object] = {}
    for name in ("num_train_epochs", "logging_steps", "save_steps", "eval_steps"):
        if isinstance(value := state.get(name), int | float) and value and name in state:
            found[name] = value
    found |= {key: value for key, value in card(output).items() if value is not None}
    found |= _of_adapter(output)
    found |= _of_board(output.yaml("llamaboard_config.yaml"))
    found |= {key: value for key, value in output.yaml("training_args.yaml").items() if value not in (None, "")}
    return found


def _of_adapter(output: Output) -> dict[str, object]:
    weights = output.weights()
    if weights is None:
        return {}
    folder, is_adapter = weights
    if not is_adapter:
        name = Output(folder).json("config.json").get("_name_or_path")
        return {"finetuning_type": "full", **({"model_name_or_path": name} if isinstance(name, str) and name else {})}
    config = Output(folder).json("adapter_config.json")
    found: dict[str, object] = {}
    if isinstance(name := config.get("base_model_name_or_path"), str) and name:
        found["model_name_or_path"] = name
    if str(config.get("peft_type", "")).upper() == "LORA":
        found |= {"finetuning_type": "lora", **_of_lora(config)}
    return found


def _of_lora(config: Values) -> dict[str, object]:
    names = {"r": "lora_rank", "lora_alpha": "lora_alpha", "lora_dropout": "lora_dropout",
             "use_dora": "use_dora", "use_rslora": "use_rslora"}  # fmt: skip
    found = {ours: value for theirs, ours in names.items() if (value := config.get(theirs)) not in (None, False)}
    targets = config.get("target_modules")
    if isinstance(targets, list) and targets:
        found["lora_target"] = ",".join(sorted(map(str, targets)))
    return found


def _of_board(values: Mapping[str, object]) -> dict[str, object]:
    """Return what LlamaBoard's own file tells: its controls by name, as its `_parse_train_args` reads them."""
    found: dict[str, object] = {}
    for control, value in values.items():
        name = control.partition(".")[2]
        if value in (None, "", [], "none"):
            continue
        if control in _BOARD:
            found[_BOARD[control]] = value
        elif control.startswith("train.") and name in _BOARD_SAME:
            found[name] = value
    if (stage := _STAGES.get(str(values.get("train.training_stage", "")))) is not None:
        found["stage"] = stage
    if isinstance(data := values.get("train.dataset"), list) and data:
        found["dataset"] = ",".join(map(str, data))
    if (bits := values.get("top.quantization_bit")) not in (None, "none", ""):
        found["quantization_bit"] = bits
    if (kind := values.get("train.compute_type")) in ("bf16", "fp16", "pure_bf16"):
        found[str(kind)] = True
    return {key: _number(value) for key, value in found.items()}


def _number(value: object) -> object:
    # LlamaBoard keeps some numbers as text.
    if isinstance(value, str):
        for kind in (int, float):
            try:
                return kind(value)
            except ValueError:
                continue
    return value


def started_in(output: Output) -> Path | None:
    """Return the folder that the trainer was started in, where its output_dir tells: relative paths count from it."""
    try:
        place = output.yaml("training_args.yaml").get("output_dir")
    except RecipeError:
        return None
    if not isinstance(place, str) or Path(place).is_absolute():
        return None
    parts, here = Path(place).parts, output.path.parts
    return Path(*here[: -len(parts)]) if parts and here[-len(parts) :] == parts else None
