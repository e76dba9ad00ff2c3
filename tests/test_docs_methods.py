"""docs/methods.md is true: every method and key is in it, every method has a preset, and what it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from tests.methods.test_families import FAMILIES
from tuitune.cli.app import app
from tuitune.methods.adapters import UNMERGEABLE
from tuitune.recipe import FIELDS, load
from tuitune.recipe.fields.matrix import OWN_OPTIMIZERS

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([^`\s]+)`", TEXT)) | {word.split(":")[0] for word in re.findall(r"`([^`]+: [^`]+)`", TEXT)}
PRESETS = {path.stem: load(path) for path in (ROOT / "presets").glob("*.yaml")}
METHODS = FIELDS["finetuning_type"].choices
SWITCHES = (
    *OWN_OPTIMIZERS,
    *("use_rslora", "use_dora", "pissa_init", "loftq_init", "quantization_bit", "loraplus_lr_ratio"),
    *("use_llama_pro", "mixture_of_depths", "neftune_noise_alpha", "shift_attn", "rope_scaling"),
    *("use_dft_loss", "use_asft_loss", "use_eaft_loss"),
)
# Groups whose every key belongs to one of the methods.
GROUPS = {"lora", "oft", "freeze", "adapter", "quantisation", "structure", "loss", "galore", "apollo", "badam", "muon"}


def _section(title: str) -> str:
    return TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]


def _row(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.startswith("|") and name in line.split("|")[1])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_in_the_docs_and_has_a_preset(method: str) -> None:
    assert re.search(rf"`(finetuning_type: )?{method}`", TEXT)
    assert any(recipe.finetuning_type == method for recipe in PRESETS.values())


@pytest.mark.parametrize("key", SWITCHES)
def test_every_switch_is_in_the_docs_and_has_a_preset(key: str) -> None:
    assert key in NAMED
    assert any(getattr(recipe, key) for recipe in PRESETS.values())


def test_every_key_of_a_method_is_in_the_docs() -> None:
    keys = {name for name, field in FIELDS.items() if field.group in GROUPS and not field.inert}
    assert keys - NAMED == set()


def test_every_key_in_the_docs_exists() -> None:
    tables = "\n".join(line.split("|")[2] for line in _section("What each is for").splitlines() if line.startswith("|"))
    named = {word.split(":")[0] for word in re.findall(r"`([^`]+)`", tables)}
    assert named - set(FIELDS) - set(METHODS) - {"bf16"} == set()


@pytest.mark.parametrize("family", [*FAMILIES, "Baichuan"])
def test_the_layers_of_every_family_are_those_of_the_tests(family: str) -> None:
    told = re.findall(r"`(\w+)`", _row(_section("Which layers get an adapter"), family).split("|")[2])
    if family == "Baichuan":
        assert told == ["W_pack", "o_proj", "gate_proj", "up_proj", "down_proj"]
        return
    wanted = {name.rpartition(".")[2] for name in FAMILIES[family][2]}
    experts = {"gate_up_proj", "down_proj"} if "experts" in wanted else set()
    assert set(told) == (wanted - {"experts"}) | experts


def test_what_cannot_be_merged_is_said() -> None:
    table = _section("Merging and exporting")
    assert len(UNMERGEABLE) == 4
    for name, reason in (("bottleneck adapters", "no change of a weight"), ("prompt tuning", "stands before the text")):
        assert "| no: " in _row(table, name)
        assert reason in _row(table, name)
        assert any(reason in why for why in UNMERGEABLE.values())


def test_its_commands_and_files_exist() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for line in re.findall(r"^    tuitune (\w+)", TEXT, re.MULTILINE):
        assert line in commands
    options = {name for parameter in commands["export"].params for name in parameter.opts}
    assert set(re.findall(r"(--[a-z]+)", TEXT)) <= options
    for path in re.findall(r"(?:tests|docs)/[\w/]+\.(?:py|md)", TEXT) + [
        f"docs/{n}" for n in re.findall(r"\]\((\S+)\)", TEXT)
    ]:
        assert (ROOT / path).is_file(), path
