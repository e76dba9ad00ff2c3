"""Edits change one value and nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tuitune.recipe import Document

TEXT = """\
# my recipe
### model
model_name_or_path: smollm2-135m   # the small one
trust_remote_code: 'no'

### data
dataset:            # two sets
  - identity
  # between
  - "alpaca_en_demo"
default_system: |
  You are
  short.

# how fast
learning_rate: 1.0e-4
template:
lr_scheduler_kwargs: {min_lr: 1.0e-6}
seed: &s 42
data_seed: *s
# the end
"""


def test_an_unchanged_document_is_the_same_text() -> None:
    assert Document.parse(TEXT).text() == TEXT


@pytest.mark.parametrize(
    ("key", "value", "old", "new"),
    [
        ("model_name_or_path", "other", "smollm2-135m   # the small one", "other   # the small one"),
        ("trust_remote_code", True, "'no'", "true"),
        ("learning_rate", 2e-5, "1.0e-4", "2.0e-05"),
        ("template", "smollm2", "template:\n", "template: smollm2\n"),
        ("lr_scheduler_kwargs", {"num_cycles": 2}, "{min_lr: 1.0e-6}", "{num_cycles: 2}"),
        ("data_seed", 7, "*s", "7"),
        ("dataset", "x", '            # two sets\n  - identity\n  # between\n  - "alpaca_en_demo"', " x # two sets"),
        ("default_system", "Hi: you", "|\n  You are\n  short.\n\n", "'Hi: you'\n\n"),
        ("seed", None, "&s 42\ndata_seed: *s", "null\ndata_seed: 1"),
    ],
)
def test_set_replaces_the_value_only(key: str, value: object, old: str, new: str) -> None:
    document = Document.parse(TEXT)
    if key == "seed":
        document.set("data_seed", 1)
    document.set(key, value)
    assert document.text() == TEXT.replace(old, new)
    assert document.values()[key] == value


def test_a_new_key_goes_to_the_end() -> None:
    document = Document.parse(TEXT)
    document.set("lora_rank", 16)
    assert document.text() == TEXT + "lora_rank: 16\n"
    document = Document.parse("seed: 1")
    document.set("lora_rank", 16)
    assert document.text() == "seed: 1\nlora_rank: 16\n"


def test_the_end_mark_stays_last_and_indentation_is_kept() -> None:
    document = Document.parse("---\n  seed: 1\n...\n")
    document.set("lora_rank", 16)
    assert document.text() == "---\n  seed: 1\n  lora_rank: 16\n...\n"


def test_windows_line_ends_are_kept() -> None:
    document = Document.parse("seed: 1\r\nbf16: true\r\n")
    document.set("lora_rank", 16)
    document.set("bf16", False)
    document.remove("seed")
    assert document.text() == "bf16: false\r\nlora_rank: 16\r\n"


def test_remove_leaves_the_comments_of_others() -> None:
    document = Document.parse(TEXT)
    for key in ("dataset", "default_system", "template", "learning_rate"):
        document.remove(key)
    assert "# how fast" in document.text()
    assert "### data" in document.text()
    assert document.keys() == ("model_name_or_path", "trust_remote_code", "lr_scheduler_kwargs", "seed", "data_seed")
    document.remove("not there")


def test_json_stays_json() -> None:
    document = Document.parse('{"seed": 1, "dataset": ["a"]}')
    document.set("lora_rank", 4)
    document.remove("seed")
    assert json.loads(document.text()) == {"dataset": ["a"], "lora_rank": 4}


def test_braces_of_yaml_can_be_edited() -> None:
    document = Document.parse("{seed: 1, dataset: a}")
    document.set("lora_rank", 4)
    assert document.values() == {"seed": 1, "dataset": "a", "lora_rank": 4}


def test_lists_without_indentation() -> None:
    document = Document.parse("dataset:\n- a\n- b\nseed: 1\n")
    document.set("dataset", ["c"])
    assert document.text() == "dataset: [c]\nseed: 1\n"


def test_override_keeps_its_place() -> None:
    document = Document.parse(TEXT)
    document.override("learning_rate=5e-5")
    assert document.text() == TEXT.replace("1.0e-4", "5.0e-05")


def test_problems_carry_the_line_that_they_moved_to() -> None:
    document = Document.parse("seed: 1\nlora_rank: 0\n")
    document.remove("seed")
    assert [problem.line for problem in document.problems() if problem.key == "lora_rank"] == [1]


_PLAIN = st.one_of(
    st.integers(-(10**9), 10**9),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    st.text(st.characters(blacklist_categories=("Cs",)), max_size=20),
)
_VALUES = st.one_of(
    _PLAIN, st.lists(_PLAIN, max_size=3), st.dictionaries(st.text("abc", min_size=1), _PLAIN, max_size=2)
)
_KEYS = st.text("abcdefg_", min_size=1, max_size=6)
_EDITS = st.lists(st.tuples(_KEYS, st.one_of(st.just(...), _VALUES)), max_size=8)


@given(_EDITS)
def test_any_edits_give_the_values_set_and_leave_all_else(edits: list[tuple[str, object]]) -> None:
    document = Document.parse(TEXT)
    expected = dict(Document.parse(TEXT).values())
    for key, value in edits:
        if value is ...:
            document.remove(key)
            expected.pop(key, None)
        else:
            document.set(key, value)
            expected[key] = value
    assert document.values() == expected
    assert list(document.keys()) == list(expected)
    assert document.text().startswith(TEXT)
    assert YAML(typ="safe", pure=True).load(document.text()) == expected


@given(
    st.lists(st.tuples(st.sampled_from(["seed", "dataset", "default_system", "learning_rate", "template"]), _VALUES))
)
def test_comments_survive_edits_of_every_kind_of_value(edits: list[tuple[str, object]]) -> None:
    document = Document.parse(TEXT.replace("data_seed: *s\n", ""))
    for key, value in edits:
        document.set(key, value)
        assert YAML(typ="safe", pure=True).load(document.text())[key] == value
    for comment in ("# my recipe", "### model", "# the small one", "### data", "# two sets", "# how fast", "# the end"):
        assert comment in document.text()
