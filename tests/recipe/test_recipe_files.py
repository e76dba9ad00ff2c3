"""Files that are no recipe, overrides, JSON: clear words and exit code 2."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from tests.recipe.asked import LEAST
from tuitune.errors import RecipeError
from tuitune.recipe import Document, load

BROKEN = [
    ("a: b: c\n", "second ': '", 1),
    ("lora_rank: 8\n\tseed: 1\n", "tab", 2),
    ("name: 'open\n", "quote is opened", None),
    ("seed: 1\nname: 'open\nlora_rank: 8\n", "quote is opened", 2),
    ("dataset: [a, b\n", "never closed", None),
    ("{lora_rank: 8, seed: 1\n", "never closed", None),
    ("lora_rank: 8\nseed: 1\nlora_rank: 4\n", "'lora_rank' is given twice", 3),
    ("- lora_rank\n- 8\n", "a list instead of keys", None),
    ("just words\n", "a single value instead of keys", None),
    ("lora_rank: 8\n---\nseed: 1\n", "second document", 2),
    ("name: @home\n", "keeps for itself", 1),
    ("name: %home\n", "keeps for itself", 1),
    ("name: *home\n", "reference", 1),
    ("name: !!python/object:os.system x\n", "tag", 1),
    ("lora_rank: 8\n seed: 1\n", "indented", 2),
    ("lora_rank: 8\nnonsense\nseed: 1\n", "YAML", None),
    ("? [a, b]\n: 1\n", "one word", 1),
    ("base: &b {x: 1}\n<<: *b\n", "merging", 2),
    ("name: \x07\n", "control character", None),
    ("a: " + "[" * 20000, "not valid YAML", None),
    ("name: 2024-99-99\n", "", None),
]


@pytest.mark.parametrize(("text", "reason", "line"), BROKEN, ids=[repr(case[0][:20]) for case in BROKEN])
def test_what_is_no_yaml_mapping_is_said_with_its_line(
    text: str, reason: str, line: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        load(path)
    assert caught.value.exit_code == 2
    assert str(path) in caught.value.message
    first = caught.value.problems[0]
    assert reason in first.reason
    assert line is None or first.line == line
    assert "while " not in str(first)
    assert "token" not in str(first)


def test_missing_folder_binary_large(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"seed: 1\nname: caf\xe9\n")
    (tmp_path / "large.yaml").write_bytes(b"#" * (1 << 20) + b"\n")
    cases = {"none.yaml": "no such file", "latin.yaml": "not UTF-8", "large.yaml": "1 MiB", ".": "folder"}
    for name, reason in cases.items():
        with pytest.raises(RecipeError) as caught:
            load(tmp_path / name)
        assert reason in caught.value.problems[0].reason
    with pytest.raises(RecipeError) as caught:
        load(tmp_path / "latin.yaml")
    assert caught.value.problems[0].line == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(LEAST)
    path.chmod(0)
    with pytest.raises(RecipeError) as caught:
        load(path)
    assert "cannot be read" in caught.value.problems[0].reason


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "null\n", "{}"])
def test_an_empty_file_lacks_model_and_data(text: str, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        load(path)
    assert {problem.key for problem in caught.value.problems} == {"model_name_or_path", "dataset"}


def test_json_is_yaml_too(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text('{"model_name_or_path": "m", "dataset": ["a", "b"], "learning_rate": 2e-5, "template": null}')
    made = load(path, ["lora_rank=4", "dataset=c"])
    assert (made.dataset, made.learning_rate, made.lora_rank) == (("c",), 2e-5, 4)


def test_json_with_tabs_and_a_wrong_value(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text('{\n\t"model_name_or_path": "m",\n\t"dataset": "d",\n\t"lora_rank": 0\n}')
    with pytest.raises(RecipeError) as caught:
        load(path)
    assert [(problem.key, problem.line) for problem in caught.value.problems] == [("lora_rank", 4)]
    path.write_text('{"seed": 1, "seed": 2}')
    with pytest.raises(RecipeError) as caught:
        load(path)
    assert "'seed' is given twice" in caught.value.problems[0].reason


def test_references_within_references_cost_nothing() -> None:
    names = "abcdefghijklmno"
    lines = ["a: &a [x, x, x, x, x, x, x, x]"]
    lines += [f"{new}: &{new} [{', '.join([f'*{old}'] * 8)}]" for old, new in itertools.pairwise(names)]
    lines += [f"{key}: *o" for key in ("lora_rank", "stage", "kt_config", "dataset", "label_names", "galore_rank")]
    found = Document.parse("\n".join(lines)).problems()
    assert all(len(str(problem)) < 300 for problem in found)


def test_the_file_is_remembered_from_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _file(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert load("r.yaml").source == path
    path.write_text("seed: x")
    with pytest.raises(RecipeError, match=r"^r\.yaml has 3 problems"):
        load("r.yaml")


def test_bom_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + LEAST.replace("\n", "\r\n").encode() + b"seed: 7\r\n")
    assert load(path, ["lora_rank=4"]).seed == 7


def _file(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "r.yaml"
    path.write_text(LEAST + "\n".join(lines) + "\n")
    return path


def test_overrides_of_every_shape(tmp_path: Path) -> None:
    overrides = """lora_rank=16;bf16=true;template=null;dataset=[a, b];learning_rate=1e-4;eval_dataset=c, d;val_size=0;
        default_system=You are: short #1;name=1.10;eval_strategy=epoch;lora_rank=4"""
    path = _file(tmp_path, "lora_rank: 8", "template: smollm2")
    made = load(path, [override.strip() for override in overrides.split(";")])
    assert (made.lora_rank, made.bf16, made.template) == (4, True, None)
    assert (made.dataset, made.eval_dataset, made.learning_rate) == (("a", "b"), ("c", "d"), 1e-4)
    assert (made.default_system, made.name) == ("You are: short #1", "1.10")


def test_wrong_overrides_come_all_at_once_with_exit_code_2(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        load(_file(tmp_path, "colour: red"), ["lora_rnak=8", "lora_rank", "=5", "seed=x", "dataset=null"])
    found = {problem.key: problem for problem in caught.value.problems}
    assert caught.value.exit_code == 2
    assert set(found) == {"colour", "lora_rnak", "lora_rank", "=5", "seed", "dataset"}
    assert "key=value" in found["lora_rank"].reason
    assert found["lora_rnak"].hint == "did you mean lora_rank?"
    assert found["colour"].line == 3


def test_an_overridden_value_is_not_blamed_on_a_line(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        load(_file(tmp_path, "seed: 1"), ["seed=x"])
    assert caught.value.problems[0].line is None


def test_a_document_of_a_text_has_no_file() -> None:
    assert Document.parse(LEAST).source is None
