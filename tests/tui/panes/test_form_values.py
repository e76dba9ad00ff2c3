"""The recipe form without a screen: values in words, what typing means, steps, which fields there are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuitune.recipe import FIELDS, Document
from tuitune.recipe.check import examine
from tuitune.tui.kit.rows import width_of
from tuitune.tui.panes.form import window
from tuitune.tui.panes.form_lines import SECTIONS, Line, View, form_lines, settled
from tuitune.tui.panes.form_rows import field_row
from tuitune.tui.panes.form_steps import complaint, cycled, meant, stepped, toggled
from tuitune.tui.panes.form_words import UNSET, number_words, range_words, value_words, written

FULL = {"model_name_or_path": "m", "dataset": "identity", "finetuning_type": "full", "lora_rank": 4}


def keys(values: dict[str, object], view: View = View()) -> list[str]:  # noqa: B008
    """Return the keys that the form shows."""
    return [line.key for line in form_lines(values, examine(values)[1], frozenset(), view) if line.key]


def text(line: Line, width: int) -> str:
    return "".join(part for part, _ in field_row(line, width, here=False))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (16, "16"),
        (0.05, "0.05"),
        (5.5e-4, "5.5e-4"),
        (1e-4, "1.0e-4"),
        (3.0, "3"),
        (-1, "-1"),
        (0.0, "0"),
        (1e-8, "1.0e-8"),
        (-2e-7, "-2.0e-7"),
        (float("nan"), "nan"),
        (10**400, "a huge number"),
    ],
)
def test_numbers_as_a_recipe_writes_them(value: float, words: str) -> None:
    assert number_words(value) == words


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_in_words_is_the_same_number(value: float) -> None:
    assert float(number_words(value)) == value


def test_words_of_values() -> None:
    assert value_words("use_dora", "yes") == "on"
    assert value_words("lora_target", ["q_proj", "v_proj"]) == "q_proj, v_proj"
    assert value_words("template", None) == "the model's own"
    assert value_words("lr_scheduler_kwargs", {"min_lr": 1e-6}) == "{min_lr: 1.0e-6}"
    assert value_words("lora_rank", {"a": 1}) == "a mapping (nested keys)"
    assert value_words("author", "\x1b]52;c;x\x07[red]\nB") == "[red] B"
    assert value_words("hub_token", "hf_secret") == "hidden"


def test_every_unset_word_is_about_a_field_that_may_be_unset() -> None:
    assert all(FIELDS[key].default in (None, (), "") for key in UNSET)


@pytest.mark.parametrize("value", ["a\nb", "x\x1by", "plain", 'say "hi"', "null", "1e3", "[x", "两个字"])
def test_a_text_comes_back_from_the_editor_as_it_was(value: str) -> None:
    assert meant("default_system", written("default_system", value)) == value
    assert "\n" not in written("default_system", value)


@pytest.mark.parametrize(
    ("key", "typed", "value"),
    [
        ("lora_rank", "16", 16),
        ("learning_rate", " 2e-4 ", 2e-4),
        ("lora_rank", "1O", "1O"),
        ("template", "  ", None),
        ("lr_scheduler_kwargs", "{min_lr: 1}", {"min_lr": 1}),
        ("lr_scheduler_kwargs", "{oops", "{oops"),
        ("lora_target", "q_proj, v_proj", "q_proj, v_proj"),
        ("dataset", '["a,b"]', ["a,b"]),
    ],
)
def test_what_typing_means(key: str, typed: str, value: object) -> None:
    assert meant(key, typed) == value


def test_a_mistake_is_explained_at_once() -> None:
    problem = complaint("lora_rank", 0, {"model_name_or_path": "m", "dataset": "identity"})
    assert problem is not None
    assert problem.level == "error"
    assert "at least 1" in problem.reason


@pytest.mark.parametrize(
    ("key", "value", "up", "down"),
    [
        ("lora_rank", 8, 16, 4),
        ("lora_rank", 1, 2, None),
        ("lora_rank", 12, 16, 8),
        ("seed", 42, 43, 41),
        ("learning_rate", 5.5e-4, 1e-3, 5e-4),
        ("learning_rate", 1e-3, 2e-3, 5e-4),
        ("max_steps", 56, 66, 46),
        ("max_steps", -1, 1, None),
        ("max_steps", 1, 2, -1),
        ("val_size", 0, 0.01, None),
        ("val_size", 1, 2, None),
        ("lora_dropout", 0.05, 0.1, 0.04),
        ("adam_beta2", 0.999, None, 0.998),
        ("top_p", 1, None, 0.99),
        ("num_train_epochs", 3.0, 3.5, 2.5),
        ("temperature", 1.0, 1.1, 0.95),
        ("weight_decay", 0.01, 0.02, 0),
        ("lora_rank", "1O", None, None),
        ("max_samples", None, None, None),
    ],
)
def test_steps_are_sensible_and_stay_in_range(key: str, value: object, up: object, down: object) -> None:
    assert (stepped(FIELDS[key], value, 1), stepped(FIELDS[key], value, -1)) == (up, down)


@pytest.mark.parametrize("key", [key for key, field in FIELDS.items() if field.kind in ("number", "whole", "share")])
@pytest.mark.parametrize("direction", [1, -1])
def test_no_step_leads_out_of_the_range(key: str, direction: int) -> None:
    value: object = FIELDS[key].default
    for _ in range(40):
        value = stepped(FIELDS[key], value, direction)
        if value is None:
            return
        problem = complaint(key, value, {"model_name_or_path": "m", "dataset": "identity"})
        assert problem is None or "out of range" not in problem.reason


def test_flags_turn_over_and_choices_go_round() -> None:
    assert toggled(FIELDS["use_dora"], None) is True
    assert toggled(FIELDS["use_dora"], "yes") is False
    assert [toggled(FIELDS["tf32"], value) for value in (None, True, False)] == [True, False, None]
    assert cycled(FIELDS["finetuning_type"], "lora", 1) == "full"
    assert cycled(FIELDS["finetuning_type"], "bottleneck", 1) == "lora"
    assert cycled(FIELDS["finetuning_type"], "nonsense", -1) == "bottleneck"
    rope: object = None
    seen = []
    for _ in range(5):
        rope = cycled(FIELDS["rope_scaling"], rope, 1)
        seen.append(rope)
    assert seen == ["linear", "dynamic", "yarn", "llama3", None]


def test_only_what_applies_is_shown() -> None:
    assert not [key for key in keys(FULL, View(everything=True)) if key.startswith("lora_")]
    assert "lora_rank" in keys({**FULL, "finetuning_type": "lora"})
    assert "num_train_epochs" not in keys({**FULL, "max_steps": 10})


def test_what_is_set_is_shown_and_what_has_no_effect_only_then() -> None:
    assert "ddp_timeout" not in keys(FULL, View(everything=True))
    assert "ddp_timeout" in keys({**FULL, "ddp_timeout": 5})
    assert "swanlab_mode" not in keys(FULL, View(everything=True))
    assert "swanlab_mode" in keys({**FULL, "use_swanlab": True}, View(everything=True))
    assert "adam_beta1" not in keys(FULL)
    assert "adam_beta1" in keys(FULL, View(everything=True))


def test_errors_and_unknown_keys_are_always_shown() -> None:
    assert "lora_rank" in keys({**FULL, "lora_rank": "x"})
    assert keys({**FULL, "lora_rnak": 8})[-1] == "lora_rnak"
    assert "lora_rank" in keys(FULL, View(revealed=frozenset({"lora_rank"})))


def test_a_search_looks_at_names_and_help() -> None:
    assert "warmup_steps" in keys(FULL, View(query="warm"))
    assert "adam_beta2" in keys(FULL, View(query="squared gradient"))
    assert keys(FULL, View(query="no such words")) == []


def test_every_field_has_a_section_and_the_form_is_not_endless() -> None:
    groups = {group for _, names in SECTIONS for group in names}
    assert groups == {field.group for field in FIELDS.values()}
    assert len(keys({"model_name_or_path": "m", "dataset": "d"})) <= 24
    assert not [field.name for field in FIELDS.values() if field.essential and settled(field)]


@pytest.mark.parametrize("width", [24, 36, 40, 78])
def test_rows_fill_their_width_and_numbers_are_whole(width: int) -> None:
    values = Document.parse("model_name_or_path: m\ndataset: identity\nseed: 4294967294\n").recipe().model_dump()
    for line in form_lines(values, [], frozenset(FIELDS), View(everything=True)):
        if line.key:
            assert width_of(field_row(line, width, here=True)) == width
        if line.value[-1:].isdigit() and FIELDS[line.key].kind in ("whole", "number", "share"):
            assert line.value in text(line, width)


@pytest.mark.parametrize("width", [36, 60])
def test_names_are_whole_from_36_cells_on(width: int) -> None:
    for key, field in FIELDS.items():
        if len(key) < 29:
            assert key in text(Line(key, key, value_words(key, field.default)), width)


def test_wide_characters_are_measured_in_cells() -> None:
    assert width_of(field_row(Line("author", "author", "两个字" * 9, given=True), 36, here=False)) == 36


def test_the_help_says_what_a_field_takes() -> None:
    assert range_words(FIELDS["lora_rank"]) == "at least 1"
    assert range_words(FIELDS["finetuning_type"]) == "one of 13"
    assert range_words(FIELDS["badam_mode"]) == "layer or ratio"
    assert range_words(FIELDS["use_dora"]) == "on or off"


@given(st.integers(1, 60), st.integers(1, 30), st.integers(0, 80))
def test_a_window_fills_its_height_and_never_hides_a_single_line(total: int, height: int, offset: int) -> None:
    first, last, above, below = window(total, height, offset)
    assert 0 <= first <= last <= total
    assert last - first + above + below == min(total, height)
    assert above == (first > 0) or height < 3
    assert first != 1 or height < 3
    assert total - last != 1 or height < 3
