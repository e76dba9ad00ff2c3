"""From a recipe's words to token rows: labels, order, counts, evaluation, progress and cancelling."""

from __future__ import annotations

import gc
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from tests.data.given import Given, alpaca, folder, trained_text
from tests.tiny import tiny_tokenizer
from tuitune.data import Prepared, build
from tuitune.errors import DataError

TALK = {
    "messages": [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "Two?"},
        {"role": "assistant", "content": "2"},
    ]
}
CATALOG = {
    "rows": {"file_name": "rows.json"},
    "more": {"file_name": "more.jsonl"},
    "talk": {"file_name": "talk.json", "formatting": "openai"},
    "some": {"file_name": "rows.json", "num_samples": 4},
    "many": {"file_name": "rows.json", "num_samples": 25},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    more = "\n".join(json.dumps({"instruction": f"More {n}?", "output": f"m{n}"}) for n in range(5))
    folder(tmp_path, {"rows.json": alpaca(10), "more.jsonl": more, "talk.json": [TALK]}, CATALOG)
    return tmp_path


def built(root: Path, tokenizer: Any = None, **changes: Any) -> Prepared:
    return build(Given(root=root, **changes), tokenizer or tiny_tokenizer())


def answers(rows: Any) -> list[str]:
    """Return the trained text of every row, without the closing."""
    tokenizer = tiny_tokenizer()
    return [trained_text(tokenizer, row).removesuffix("<|im_end|>\n") for row in rows]


def test_answers_with_their_end_are_trained_and_nothing_else(root: Path) -> None:
    tokenizer = tiny_tokenizer()
    row = built(root, tokenizer).train.rows[3]
    assert tokenizer.decode(row["input_ids"]) == (
        "<|im_start|>user\nSay 3.<|im_end|>\n<|im_start|>assistant\nIt is 3.<|im_end|>\n"
    )
    assert trained_text(tokenizer, row) == "It is 3.<|im_end|>\n"


def test_every_answer_of_a_dialogue_is_trained_or_the_last_alone(root: Path) -> None:
    tokenizer = tiny_tokenizer()
    both = built(root, tokenizer, dataset="talk").train.rows[0]
    last = built(root, tokenizer, dataset="talk", mask_history=True).train.rows[0]
    assert trained_text(tokenizer, both) == "1<|im_end|>\n2<|im_end|>\n"
    assert trained_text(tokenizer, last) == "2<|im_end|>\n"
    assert both["input_ids"] == last["input_ids"]


def test_train_on_prompt_trains_all_of_it(root: Path) -> None:
    row = built(root, dataset="talk", train_on_prompt=True).train.rows[0]
    assert row["labels"] == row["input_ids"]


def test_default_system_is_in_the_ids(root: Path) -> None:
    tokenizer = tiny_tokenizer()
    row = built(root, tokenizer, default_system="Be brief.").train.rows[0]
    assert tokenizer.decode(row["input_ids"]).startswith("<|im_start|>system\nBe brief.<|im_end|>\n")


def test_data_sets_follow_each_other_each_with_its_first_rows(root: Path) -> None:
    prepared = built(root, dataset="more,rows", max_samples=2)
    assert answers(prepared.train.rows) == ["m0", "m1", "It is 0.", "It is 1."]
    assert built(root, dataset=("more", "rows")).report.rows == 15


def test_num_samples_draws_without_repetition_while_it_can(root: Path) -> None:
    some = answers(built(root, dataset="some").train.rows)
    assert len(set(some)) == len(some) == 4
    assert some == answers(built(root, dataset="some").train.rows)
    assert some != answers(built(root, dataset="some", seed=7).train.rows)
    many = answers(built(root, dataset="many").train.rows)
    assert len(many) == 25
    assert set(many) == set(answers(built(root).train.rows))


@pytest.mark.parametrize("val_size", [0.25, 0.1, 3, 9])
@pytest.mark.parametrize("seed", [0, 42])
def test_val_size_splits_like_datasets(root: Path, val_size: float, seed: int) -> None:
    from datasets import Dataset

    expected = Dataset.from_dict({"row": list(range(10))}).train_test_split(
        test_size=val_size if val_size < 1 else int(val_size), seed=seed
    )
    prepared = built(root, val_size=val_size, seed=seed)
    assert answers(prepared.train.rows) == [f"It is {n}." for n in expected["train"]["row"]]
    assert prepared.evaluation is not None
    assert answers(prepared.evaluation.rows) == [f"It is {n}." for n in expected["test"]["row"]]
    assert prepared.report.rows + prepared.report.evaluation_rows == 10


def test_val_size_must_leave_rows(root: Path) -> None:
    with pytest.raises(DataError, match="hold back 10 of 10"):
        built(root, val_size=10)


def test_eval_dataset_is_read_apart(root: Path) -> None:
    prepared = built(root, eval_dataset="more", max_samples=3)
    assert prepared.evaluation is not None
    assert answers(prepared.evaluation.rows) == ["m0", "m1", "m2"]
    assert (prepared.report.rows, prepared.report.evaluation_rows) == (3, 3)


def test_an_unusable_eval_dataset_is_named(root: Path) -> None:
    (root / "data" / "more.jsonl").write_text("[]")
    with pytest.raises(DataError, match="eval_dataset: none of the 1 rows of more"):
        built(root, eval_dataset="more")


def test_eval_dataset_and_val_size_exclude_each_other(root: Path) -> None:
    with pytest.raises(DataError, match="exclude"):
        built(root, eval_dataset="more", val_size=0.1)


def test_the_report_counts_what_is_trained(root: Path) -> None:
    prepared = built(root, dataset="rows,talk")
    report, rows = prepared.report, list(prepared.train.rows)
    assert report.rows == len(rows) == 11
    assert report.tokens == sum(len(row["input_ids"]) for row in rows) == prepared.train.rows.lengths.sum()
    assert report.labelled_tokens == sum(label != -100 for row in rows for label in row["labels"])
    assert report.longest == max(len(row["input_ids"]) for row in rows)
    assert (report.truncated, report.bad_count, report.notes) == (0, 0, [])
    assert prepared.template_name == "tokenizer"


def test_cut_rows_are_counted(root: Path) -> None:
    report = built(root, dataset="rows,talk", cutoff_len=14).report
    assert report.longest == 14
    assert report.truncated == 11
    assert report.dropped_turns == 1


def test_rows_with_nothing_left_are_bad_rows(tmp_path: Path) -> None:
    rows = [*alpaca(1), {"instruction": "long words " * 100, "output": "x"}]
    folder(tmp_path, {"rows.json": rows}, {"rows": {"file_name": "rows.json"}})
    report = built(tmp_path, cutoff_len=6).report
    assert report.rows == 1
    assert [(bad.row, bad.reason) for bad in report.bad] == [
        (2, "nothing is left to train on after cutting to cutoff_len 6")
    ]
    with pytest.raises(DataError, match="none of the 2 rows") as error:
        built(tmp_path, cutoff_len=1)
    assert error.value.hint == "Raise cutoff_len."


def test_the_lack_of_a_template_is_noted(root: Path) -> None:
    prepared = built(root, tiny_tokenizer(chat_template=None))
    assert prepared.template_name == "default"
    assert "no chat template" in prepared.report.notes[0]


def test_a_template_that_cannot_be_split_names_the_row(root: Path) -> None:
    only_two = (
        "{{ messages | length if messages | length > 2 else '' }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
    )
    with pytest.raises(DataError, match=r"talk\.json, row 1: the tokenizer's chat template cannot be split"):
        built(root, tiny_tokenizer(only_two), dataset="rows,talk")


def test_a_template_may_be_handed_in(root: Path) -> None:
    from tuitune.data.templates import choose

    tokenizer = tiny_tokenizer()
    prepared = build(Given(root=root), tokenizer, template=choose("alpaca", tokenizer))
    assert prepared.template_name == "alpaca"
    assert "### Response:" in tokenizer.decode(prepared.train.rows[0]["input_ids"])


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.json", alpaca(2), ["It is 0.", "It is 1."]),
        ("a.jsonl", json.dumps({"prompt": "One?", "response": "1"}), ["1"]),
        ("a.jsonl", json.dumps({"prompt": "One?", "completion": "1"}), ["1"]),
        ("a.json", [{"question": "One?", "answer": "1"}], ["1"]),
        ("a.json", [TALK], ["1<|im_end|>\n2"]),
        ("a.json", [{"conversations": [{"from": "human", "value": "?"}, {"from": "gpt", "value": "1"}]}], ["1"]),
    ],
)
def test_a_file_may_be_named_without_a_catalog(name: str, content: object, expected: list[str], tmp_path: Path) -> None:
    folder(tmp_path, {name: content})
    assert answers(built(tmp_path, dataset=f"data/{name}").train.rows) == expected


def test_a_file_of_unknown_columns_says_what_to_do(tmp_path: Path) -> None:
    folder(tmp_path, {"a.json": [{"title": "x", "body": "y"}]})
    with pytest.raises(DataError, match="columns title, body are of no known format") as error:
        built(tmp_path, dataset="data/a.json")
    assert "dataset_info.json" in error.value.hint


@pytest.mark.parametrize("name", ["identity", "identity_en", "identity_zh"])
def test_identity_is_built_in_and_filled(name: str, tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    prepared = built(tmp_path, tokenizer, dataset=name)
    text = "".join(tokenizer.decode(row["input_ids"]) for row in prepared.train.rows)
    assert "Ada" in text
    assert "the makers" in text
    assert "{{" not in text
    assert prepared.report.bad_count == 0


@pytest.mark.parametrize("missing", ["name", "author"])
def test_identity_needs_name_and_author(missing: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=missing):
        built(tmp_path, dataset="identity", **{missing: None})


def test_a_users_identity_goes_first_and_is_filled(tmp_path: Path) -> None:
    row = {"instruction": "Who are you?", "output": "{{name}} of {{author}}"}
    folder(tmp_path, {"mine.json": [row]}, {"identity": {"file_name": "mine.json"}, "rows": {"file_name": "mine.json"}})
    assert answers(built(tmp_path, dataset="identity").train.rows) == ["Ada of the makers"]
    # Elsewhere the same braces are text like any other.
    assert answers(built(tmp_path, dataset="rows").train.rows) == ["{{name}} of {{author}}"]


def test_names_with_braces_are_put_in_once(tmp_path: Path) -> None:
    folder(
        tmp_path, {"mine.json": [{"instruction": "?", "output": "{{name}}"}]}, {"identity": {"file_name": "mine.json"}}
    )
    assert answers(built(tmp_path, dataset="identity", name="{{author}}").train.rows) == ["{{author}}"]


def test_the_recipe_offers_all_that_is_read() -> None:
    from tuitune.data import DataOptions
    from tuitune.recipe import Recipe

    read = {name for name in vars(DataOptions) if not name.startswith("_")}
    assert {"dataset", "locate", "mask_history"} < read
    assert [name for name in sorted(read) if name not in Recipe.model_fields and not hasattr(Recipe, name)] == []


def test_progress_and_check_are_called_to_the_end(root: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    checks: list[int] = []
    build(
        Given(root=root, dataset="rows,more"),
        tiny_tokenizer(),
        progress=lambda *said: seen.append(said),
        check=lambda: checks.append(1),
    )
    assert [said for said in seen if said[0] == "read"] == [("read", 0, 2), ("read", 1, 2), ("read", 2, 2)]
    assert seen[-1] == ("tokenise", 15, 15)
    assert checks


def spared_while_built(root: Path) -> int:
    spared: list[int] = []
    build(Given(root=root), tiny_tokenizer(), progress=lambda what, *_: spared.append(gc.get_freeze_count()))
    return spared[-1]


def test_no_thread_waits_for_garbage_collection_of_everything(root: Path) -> None:
    gc.unfreeze()  # what the tests themselves spare
    try:
        assert spared_while_built(root) > 100_000
        assert gc.get_freeze_count() < 1000
    finally:
        gc.collect()
        gc.freeze()


def test_what_somebody_else_spares_from_garbage_collection_stays_spared(root: Path) -> None:
    before = gc.get_freeze_count()
    assert before > 100_000
    assert spared_while_built(root) == pytest.approx(before, rel=0.01)  # what is frozen may still be let go
    assert gc.get_freeze_count() == pytest.approx(before, rel=0.01)


def test_cancelling_stops_within_a_batch(tmp_path: Path) -> None:
    class Cancelled(Exception):
        pass

    calls: list[int] = []

    def check() -> None:
        calls.append(1)
        if len(calls) > 8:
            raise Cancelled

    folder(tmp_path, {"rows.json": alpaca(20_000)}, {"rows": {"file_name": "rows.json"}})
    done: list[int] = []
    with pytest.raises(Cancelled):
        build(Given(root=tmp_path), tiny_tokenizer(), progress=lambda _, n, __: done.append(n), check=check)
    assert max(done) < 20_000


def test_each_different_text_is_tokenised_once(root: Path) -> None:
    tokenizer = tiny_tokenizer()
    texts: list[str] = []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(tokenizer, name)

        def __len__(self) -> int:
            return len(tokenizer)

        def __call__(self, given: str | list[str], **more: Any) -> Any:
            texts.extend(given if isinstance(given, list) else ())
            return tokenizer(given, **more)

    rows = built(root, Counting(), template="alpaca").train.rows
    assert len(rows) == 10
    assert len(texts) == len(set(texts))
    assert texts.count("\n\n") == 1


def test_rows_can_be_pickled(root: Path) -> None:
    rows = built(root).train.rows
    assert list(pickle.loads(pickle.dumps(rows))) == list(rows)


def test_the_package_needs_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys, tuitune.data.templates; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
