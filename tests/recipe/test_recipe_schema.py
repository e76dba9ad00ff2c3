"""The JSON schema for editors, and the recipe of every value in force."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.recipe.asked import LEAST, recipe
from tests.recipe.test_llamafactory_recipes import BOILERPLATE, REFERENCE
from tuitune.recipe import FIELDS, GROUPS, Document, load, resolved, schema

PRESETS = Path(__file__).parents[2] / "presets"


def _valid(text: str) -> bool:
    return Draft202012Validator(schema()).is_valid(Document.parse(text).values())


def test_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("text", [LEAST, BOILERPLATE, REFERENCE])
def test_right_recipes_are_valid(text: str) -> None:
    errors = [error.message for error in Draft202012Validator(schema()).iter_errors(Document.parse(text).values())]
    assert errors == []


@pytest.mark.parametrize(
    "line",
    [
        "lora_rank: 0",
        "lora_rank: x",
        "lora_rnak: 8",
        "stage: dpoo",
        "top_p: 2",
        "packing: maybe",
        "use_fast_tokenizer: false",
        "seed: 1.5",
        "eval_strategy: maybe",
        "report_to: {a: 1}",
        "lora_dropout: 1",
        "do_train: false",
    ],
)
def test_wrong_recipes_are_not_valid(line: str) -> None:
    assert not _valid(LEAST + line + "\n")


@pytest.mark.parametrize("line", ["packing: false", "eval_strategy: false", "lora_rank: null", "galore_scale: 0.25"])
def test_values_that_ask_for_nothing_are_valid(line: str) -> None:
    assert _valid(LEAST + line + "\n")


def test_model_and_data_are_required() -> None:
    assert not _valid("seed: 1\n")
    assert schema()["required"] == ["model_name_or_path", "dataset"]


def test_every_default_is_valid_and_described() -> None:
    properties = schema()["properties"]
    assert isinstance(properties, dict)
    for name, field in FIELDS.items():
        assert field.help in properties[name]["description"]
        if not field.required:
            assert Draft202012Validator(properties[name]).is_valid(properties[name]["default"]), name


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("finetuning_type: full", "optim: sgd", "lr_scheduler_type: constant"),
        ("warmup_ratio: 0.1", "max_steps: 7", "logging_steps: 0.1", "save_strategy: 'no'"),
        ("eval_strategy: steps", "eval_dataset: ['a,b', c]", "load_best_model_at_end: true", "default_system: 'a: b'"),
        ("pissa_init: true", "pissa_iter: -1", "loraplus_lr_ratio: 4", "name: 'no'", "output_dir: 'true'"),
        ("finetuning_type: full", "use_galore: true", "galore_layerwise: true", "max_grad_norm: 0", "pure_bf16: true"),
        ("quantization_bit: 4", "loftq_init: true", "lora_target: ['.*layers.{1,2}_proj']", "rope_scaling: yarn"),
        ("finetuning_type: freeze", "use_llama_pro: true", "expand_blocks: 2", "use_eaft_loss: true"),
        ("finetuning_type: p_tuning", "encoder_hidden_size: 32", "neftune_noise_alpha: 5"),
    ],
)
def test_resolved_gives_the_same_recipe(lines: tuple[str, ...]) -> None:
    made = recipe(*lines)
    again = Document.parse(resolved(made)).recipe()
    assert again.model_copy(update={"warmup_ratio": made.warmup_ratio}).model_dump() == made.model_dump()
    assert again.warnings == ()


def test_resolved_has_every_applicable_key_under_its_group() -> None:
    text = resolved(recipe("finetuning_type: full"))
    assert "lora_rank" not in text
    assert [line[4:] for line in text.splitlines() if line.startswith("### ")] == [
        group.GROUP
        for group in GROUPS
        if group.PURPOSE == "train"
        and group.GROUP not in ("lora", "oft", "freeze", "adapter", "quantisation", "preference", "online")
    ]
    keys = Document.parse(text).keys()
    assert {"seed", "learning_rate", "device", "threads"} <= set(keys)
    assert not {key for key in keys if FIELDS[key].inert}


def test_numbers_are_numbers_for_yaml_1_1_too() -> None:
    assert "adam_epsilon: 1.0e-08" in resolved(recipe())


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_presets_are_right_and_say_nothing_odd(path: Path) -> None:
    assert load(path).warnings == ()


def test_quickstart_learns_a_name_in_eight_rows_a_step() -> None:
    made = load(PRESETS / "quickstart.yaml")
    assert (made.rows_per_step, made.dataset, made.model_name_or_path) == (8, ("identity",), "smollm2-135m")
