from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.cli.given import EVIL

GOOD = "model_name_or_path: smollm2-135m\ndataset: identity\nname: Tui\nauthor: us\n"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(GOOD)
    return path


def test_a_good_recipe_is_said_to_be_good(call: Call, recipe: Path) -> None:
    assert call("check", str(recipe)) == (0, "the recipe is good\n", "")
    assert call("check", str(recipe), "--json") == (0, "", "")


def test_every_problem_is_printed_with_its_place_and_errors_come_first(call: Call, recipe: Path) -> None:
    recipe.write_text(GOOD + "preprocessing_num_workers: 4\nlora_rnk: 8\nmax_steps: soon\n")
    code, out, err = call("check", str(recipe), "learning_rate=-1")
    lines = err.splitlines()
    assert (code, out) == (2, "")
    assert lines[0] == f"error: {recipe} has 3 problems"
    assert "  error: line 6: lora_rnk: there is no such key (did you mean lora_rank?)" in lines
    assert any(line.startswith("  error: line 7: max_steps:") for line in lines)
    assert any(line.startswith("  error: learning_rate:") for line in lines)
    assert lines[-1].startswith("  warning: line 5: preprocessing_num_workers:")


def test_warnings_do_not_make_a_recipe_bad(call: Call, recipe: Path) -> None:
    code, out, err = call("check", str(recipe), "preprocessing_num_workers=4")
    assert (code, out) == (0, "the recipe is good\n")
    assert err.startswith("  warning: preprocessing_num_workers: ")


def test_json_is_one_object_per_problem_and_nothing_else(call: Call, recipe: Path) -> None:
    code, out, err = call("check", str(recipe), "lora_rnk=8", "preprocessing_num_workers=4", "nonsense", "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (2, "")
    assert {(one["key"], one["level"]) for one in found} == {
        ("lora_rnk", "error"), ("preprocessing_num_workers", "warning"), ("nonsense", "error"),
    }  # fmt: skip
    assert next(one["hint"] for one in found if one["key"] == "lora_rnk") == "did you mean lora_rank?"


def test_a_recipe_that_cannot_be_read_is_a_bad_recipe(call: Call, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    for name in ("nothing.yaml", "broken.yaml"):
        code, out, err = call("check", name)
        assert (code, out) == (2, "")
        assert f"error: {name} has 1 problem" in err
        code, out, err = call("check", name, "--json")
        assert code == 2
        assert json.loads(out)["level"] == "error"


def test_a_recipe_cannot_write_to_the_terminal(call: Call, recipe: Path) -> None:
    recipe.write_text(GOOD + f'"{EVIL.encode("unicode_escape").decode()}": 1\nstage: "\\x1b]0;T\\x07"\n')
    for arguments in (("check", str(recipe)), ("check", str(recipe), "--json")):
        out = "".join(call(*arguments)[1:])
        assert out.isascii()
        assert not set(out) & {"\x1b", "\x07", "\x08"}


def test_the_schema_is_json(call: Call) -> None:
    code, out, _ = call("schema")
    assert code == 0
    assert "lora_rank" in json.loads(out)["properties"]
