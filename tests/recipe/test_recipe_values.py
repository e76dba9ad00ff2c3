"""What a value means: from YAML, quoted, from an override, from a list."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.recipe.asked import LEAST, errors, recipe, warnings
from tuitune.errors import RecipeError
from tuitune.recipe import Recipe, load


@pytest.mark.parametrize("written", ["2e-5", "'2e-5'", '"2E-5"', "2.0e-5", "0.00002", "'2.0e-05'"])
def test_a_number_is_a_number_however_it_is_written(written: str, tmp_path: Path) -> None:
    assert recipe(f"learning_rate: {written}").learning_rate == 2e-5
    path = tmp_path / "r.yaml"
    path.write_text(LEAST)
    assert load(path, [f"learning_rate={written}"]).learning_rate == 2e-5


@pytest.mark.parametrize(("written", "value"), [("8", 8), ("'8'", 8), ("8.0", 8), ("1e1", 10), ("0x10", 16)])
def test_whole_numbers(written: str, value: int) -> None:
    rank = recipe(f"lora_rank: {written}").lora_rank
    assert rank == value
    assert type(rank) is int


@pytest.mark.parametrize(
    ("written", "value"), [("true", True), ("'yes'", True), ("On", True), ("no", False), ("0", False)]
)
def test_flags(written: str, value: bool) -> None:
    assert recipe(f"bf16: {written}").bf16 is value


@pytest.mark.parametrize(
    "written", ["identity, alpaca_en_demo", "identity,alpaca_en_demo,", "[identity, alpaca_en_demo]"]
)
def test_names_come_as_one_form(written: str) -> None:
    text = LEAST.replace("alpaca_en_demo", written)
    from tuitune.recipe import Document

    assert Document.parse(text).recipe().dataset == ("identity", "alpaca_en_demo")


def test_items_of_a_list_may_hold_commas() -> None:
    assert recipe('eval_dataset: ["a,b", c]').eval_dataset == ("a,b", "c")


@pytest.mark.parametrize("written", ["1.10", "2024-01-01", "0123", "1_000", "'1.10'"])
def test_text_stays_as_written(written: str) -> None:
    assert recipe(f"model_revision: {written}").model_revision == written.strip("'")


@pytest.mark.parametrize("written", ["", "null", "~"])
def test_null_means_not_given(written: str) -> None:
    made = recipe(f"lora_rank: {written}", f"template: {written}")
    assert (made.lora_rank, made.template) == (8, None)
    assert made.asked == {"model_name_or_path", "dataset"}


@pytest.mark.parametrize("written", ["no", "false", "'no'"])
def test_no_is_a_strategy(written: str) -> None:
    assert recipe(f"save_strategy: {written}").save_strategy == "no"


def test_report_to_none_in_every_spelling() -> None:
    for written in ("none", "[]", "null", "['none']", "''"):
        assert recipe(f"report_to: {written}").report_to == ()
        assert errors(f"report_to: {written}") == []


def test_trackers_in_every_spelling() -> None:
    assert recipe("report_to: wandb").report_to == ("wandb",)
    assert recipe("report_to: [tensorboard, WandB, tensorboard]").report_to == ("tensorboard", "wandb")
    assert recipe("report_to: mlflow, trackio").report_to == ("mlflow", "trackio")
    assert recipe("report_to: all").report_to == ("all",)
    swanlab = recipe("use_swanlab: true", "swanlab_project: p", "swanlab_mode: online", "swanlab_logdir: logs")
    assert (swanlab.report_to, swanlab.swanlab_project, swanlab.swanlab_mode) == ((), "p", "cloud")
    assert swanlab.warnings == ()


def test_counted_tokens_were_a_flag_once() -> None:
    assert recipe("include_num_input_tokens_seen: true").include_num_input_tokens_seen == "all"
    assert recipe("include_num_input_tokens_seen: false").include_num_input_tokens_seen == "no"


def test_schedule_settings_from_a_mapping_and_from_json() -> None:
    for written in ("{min_lr: 1e-6}", "{min_lr: '1e-6'}", "'{\"min_lr\": 1e-6}'"):
        made = recipe("lr_scheduler_type: cosine_with_min_lr", f"lr_scheduler_kwargs: {written}")
        assert made.lr_scheduler_kwargs == {"min_lr": 1e-6}
    made = recipe("lr_scheduler_type: warmup_stable_decay", "lr_scheduler_kwargs: {num_decay_steps: '10'}")
    assert made.lr_scheduler_kwargs == {"num_decay_steps": 10}


def test_a_ratio_is_read_as_steps() -> None:
    made = recipe("warmup_ratio: 0.1")
    assert (made.warmup_steps, made.warmup_ratio) == (0.1, 0.1)
    assert "warmup_steps" not in made.asked
    assert math.isclose(Recipe(warmup_ratio=0.25).warmup_steps, 0.25)
    assert recipe("warmup_ratio: 0").warmup_steps == 0
    assert warnings("warmup_ratio: 0") == []


def test_older_names_give_the_newer_keys() -> None:
    made = recipe("evaluation_strategy: epoch", "val_size: 5", "per_gpu_train_batch_size: 3", "use_cpu: true")
    assert (made.eval_strategy, made.per_device_train_batch_size, made.device) == ("epoch", 3, "cpu")
    assert made.asked >= {"eval_strategy", "per_device_train_batch_size", "device"}
    assert recipe("no_cuda: false").device == "auto"
    assert recipe("activation_checkpointing: true").gradient_checkpointing is True


def test_recomputation_is_automatic_unless_said() -> None:
    assert recipe().recompute is None
    assert recipe("disable_gradient_checkpointing: false").recompute is None
    assert recipe("gradient_checkpointing: true").recompute is True
    assert recipe("gradient_checkpointing: false").recompute is False
    assert recipe("disable_gradient_checkpointing: true").recompute is False


def test_figures_made_of_others() -> None:
    made = recipe("lora_rank: 16", "per_device_train_batch_size: 2", "gradient_accumulation_steps: 4")
    assert (made.alpha, made.rows_per_step) == (32, 8)
    assert recipe("lora_alpha: 5").alpha == 5


def test_device_names() -> None:
    assert recipe("device: cuda").device == "cuda:0"
    assert recipe("device: CUDA:3").device == "cuda:3"


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        recipe().lora_rank = 9  # type: ignore[misc]


def test_of_checks_as_a_file_does() -> None:
    assert Recipe.of({"model_name_or_path": "m", "dataset": ["d"], "lora_rank": "4"}).lora_rank == 4
    with pytest.raises(RecipeError) as caught:
        Recipe.of({"model_name_or_path": "m", "lora_rank": 0})
    assert {problem.key for problem in caught.value.problems} == {"dataset", "lora_rank"}


def test_paths_are_found_here_and_beside_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, cwd = tmp_path / "home", tmp_path / "cwd"
    for folder in (home, cwd, home / "data", home / "only", cwd / "data"):
        folder.mkdir(exist_ok=True)
    monkeypatch.chdir(cwd)
    made = recipe(source=home / "r.yaml")
    assert made.source == home / "r.yaml"
    assert made.locate("data").resolve() == cwd / "data"
    assert made.locate("only") == home / "only"
    assert made.locate("nowhere") == Path("nowhere")
    assert made.locate(str(home)) == home
    assert recipe().locate("only") == Path("only")


@pytest.mark.parametrize("written", ["auto", "fa2", "true"])
def test_flash_attention_by_any_name_is_the_one_in_torch(written: str) -> None:
    assert recipe(f"flash_attn: {written}").flash_attn == "auto"
