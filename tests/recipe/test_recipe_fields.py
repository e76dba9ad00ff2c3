"""The declarations: complete, and the same as transformers' where they share a key."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import pytest

from tuitune.recipe import FIELDS, GROUPS, Document, Recipe
from tuitune.recipe.fields.optimizer import OPTIM_ARGS, Optimizer
from tuitune.recipe.fields.schedule import SCHEDULER_KWARGS, Scheduler
from tuitune.recipe.foreign import ABSENT, INERT, RENAMED, is_secret

_SPEC = find_spec("transformers")
assert _SPEC is not None
assert _SPEC.origin is not None
TRANSFORMERS = Path(_SPEC.origin).parent
# Where we differ from transformers on purpose.
OURS = {"do_train", "include_num_input_tokens_seen", "report_to", "warmup_steps", "optim", "project"}
# Where our default is that of the method's authors, or bears our name, and not LLaMA-Factory's; the help names theirs.
AUTHORS = {"galore_scale", "swanlab_project"}


def _class(file: str, name: str) -> ast.ClassDef:
    tree = ast.parse((TRANSFORMERS / file).read_text(encoding="utf-8"))
    return next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name)


def _names(file: str, name: str) -> set[str]:
    return {ast.literal_eval(node.value) for node in _class(file, name).body if isinstance(node, ast.Assign)}


def _arguments() -> dict[str, object]:
    """Return transformers' training arguments with those defaults that are plain values."""
    found: dict[str, object] = {}
    bodies = _class("training_args.py", "TrainingArguments").body
    bodies += _class("training_args_seq2seq.py", "Seq2SeqTrainingArguments").body
    for node in bodies:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(node.value, ast.Call):
            default = next((word.value for word in node.value.keywords if word.arg == "default"), None)
            found[node.target.id] = default.value if isinstance(default, ast.Constant) else ...
    return found


def test_every_schedule_of_transformers() -> None:
    assert set(get_args(Scheduler)) == _names("trainer_utils.py", "SchedulerType") == set(SCHEDULER_KWARGS)


def test_schedule_settings_are_those_of_transformers() -> None:
    tree = ast.parse((TRANSFORMERS / "optimization.py").read_text(encoding="utf-8"))
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    table = next(
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TYPE_TO_SCHEDULER_FUNCTION"
    )
    assert isinstance(table, ast.Dict)
    values = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in _class("trainer_utils.py", "SchedulerType").body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    given_already = {"optimizer", "num_warmup_steps", "num_training_steps", "last_epoch"}
    for key, function in zip(table.keys, table.values, strict=True):
        assert isinstance(key, ast.Attribute)
        name = values[key.attr]
        if name in ("reduce_lr_on_plateau", "greedy"):
            continue  # their settings are those of a class, checked below
        taken = {argument.arg for argument in functions[ast.unparse(function)].args.args} - given_already
        assert SCHEDULER_KWARGS[name] == taken, name
    greedy = next(
        node
        for node in _class("optimization.py", "GreedyLR").body
        if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    )
    assert SCHEDULER_KWARGS["greedy"] == {argument.arg for argument in greedy.args.args} - {"self", "optimizer"}


def test_every_optimizer_of_transformers_is_known() -> None:
    ours = set(get_args(Optimizer))
    planned = set(FIELDS["optim"].planned or {})
    assert ours | planned == _names("training_args.py", "OptimizerNames") | {"adamw_hf"}
    assert not ours & planned
    assert set(OPTIM_ARGS) <= ours


def test_every_training_argument_of_transformers_is_known() -> None:
    known = set(FIELDS) | set(ABSENT) | set(INERT) | set(RENAMED)
    assert {key for key in _arguments() if key not in known and not is_secret(key)} == set()


def test_defaults_are_those_of_transformers() -> None:
    theirs = _arguments()
    shared = [key for key in FIELDS if key in theirs and key not in OURS and theirs[key] is not ...]
    assert len(shared) > 30
    assert {key: FIELDS[key].default for key in shared} == {key: theirs[key] for key in shared}


def test_llamafactory_defaults_ask_for_nothing_and_are_ours() -> None:
    document = Document.read(Path(__file__).parent / "llamafactory_defaults.yaml")
    assert len(document.keys()) > 260
    theirs = document.values()
    document.set("model_name_or_path", "m")
    document.set("dataset", "d")
    made = document.recipe()
    # Their setting of a feature that is off is said to be without effect; nothing else is worth a word.
    assert {problem.key for problem in made.warnings} == AUTHORS
    for key, value in theirs.items():
        if key in FIELDS and value is not None and key not in AUTHORS:
            assert getattr(made, key) == FIELDS[key].default, key
    for key in AUTHORS:
        assert f"LLaMA-Factory's own default is {theirs[key]}" in FIELDS[key].help


def test_no_key_is_declared_twice() -> None:
    tables = [set(FIELDS), set(ABSENT), set(INERT), set(RENAMED)]
    assert sum(map(len, tables)) == len(set.union(*tables))
    assert len(FIELDS) == sum(len(group.model_fields) for group in GROUPS) == len(Recipe.model_fields)
    assert {renamed.key for renamed in RENAMED.values()} <= set(FIELDS)


def test_every_key_has_a_help_of_its_own_and_a_group() -> None:
    helps = [field.help for field in FIELDS.values()]
    assert len(set(helps)) == len(helps)
    groups = {group.GROUP for group in GROUPS}
    for field in FIELDS.values():
        assert field.help[0].isupper() or field.help[0] == "`", field.name
        assert field.help.endswith("."), field.name
        assert len(field.help) < 260, field.name
        assert field.group in groups


def test_conditions_name_keys_that_exist() -> None:
    for field in FIELDS.values():
        for condition in field.when:
            assert condition.key in FIELDS
            assert condition.words()


def test_applies_looks_at_the_values_and_at_defaults() -> None:
    assert FIELDS["lora_rank"].applies({})
    assert not FIELDS["lora_rank"].applies({"finetuning_type": "full"})
    assert not FIELDS["pissa_iter"].applies({"finetuning_type": "lora"})
    assert FIELDS["pissa_iter"].applies({"pissa_init": True})
    assert FIELDS["loraplus_lr_embedding"].applies({"loraplus_lr_ratio": 16.0})
    assert FIELDS["seed"].applies({"finetuning_type": "full"})
    assert FIELDS["eval_steps"].condition() == "eval_strategy: steps"


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("lora_rank", "whole", "at least 1"),
        ("top_p", "number", "more than 0 and at most 1"),
        ("seed", "whole", "at least"),
    ],
)
def test_kinds_and_ranges(name: str, kind: str, words: str) -> None:
    assert FIELDS[name].kind == kind
    assert FIELDS[name].range.words().startswith(words)


def test_ranges_of_optional_keys_are_kept_too() -> None:
    assert FIELDS["max_samples"].range.low == 1
    assert FIELDS["max_samples"].nullable
    assert not FIELDS["lora_rank"].nullable


def test_recipes_import_nothing_heavy() -> None:
    code = (
        "import sys, tuitune.recipe; "
        "bad = {'torch', 'textual', 'transformers', 'rich', 'trl', 'peft', 'datasets', 'numpy'} & set(sys.modules); "
        "print(bad); sys.exit(len(bad))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_key_of_another_command_is_said_to_be_unless_this_one_reads_it_too() -> None:
    document = Document.parse("model_name_or_path: m\ninfer_dtype: float32\nn_shot: 2\n")
    assert {each.key for each in document.problems("export")} == {"n_shot"}
    assert {each.key for each in document.problems("evaluate")} == set()
    assert {each.key for each in document.problems("serve")} == {"n_shot"}
