"""Rows read while they are trained on: the same as prepared ones, in an order that repeats, pass after pass."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.data.given import Given, alpaca, folder
from tests.tiny import tiny_tokenizer
from tuitune.data import Example, Examples, Prepared, Stream, build
from tuitune.errors import DataError

CATALOG = {
    "rows": {"file_name": "rows.jsonl"},
    "more": {"file_name": "more.json"},
    "pairs": {
        "file_name": "pairs.json",
        "ranking": True,
        "columns": {"prompt": "instruction", "chosen": "a", "rejected": "b"},
    },
    "votes": {"file_name": "votes.json", "columns": {"prompt": "instruction", "response": "a", "kto_tag": "good"}},
    "texts": {"file_name": "texts.json", "columns": {"prompt": "text"}},
}
BAD = 3  # rows of rows.jsonl that cannot be used


@pytest.fixture
def root(tmp_path: Path) -> Path:
    some = [{"instruction": f"{n}?", "a": f"yes {n}", "b": f"no {n}", "good": n % 2 == 0} for n in range(12)]
    lines = [json.dumps(row) for row in alpaca(30)]
    lines[4:4] = ["{broken", json.dumps({"instruction": "?", "output": ""}), "[]"]
    texts = [{"text": f"Text {n}. " * (n + 1)} for n in range(9)]
    more = [{"instruction": f"More {n}.", "output": f"m{n}"} for n in range(4)]
    files = {
        "rows.jsonl": "\n".join(lines),
        "pairs.json": some,
        "votes.json": some,
        "texts.json": texts,
        "more.json": more,
    }
    folder(tmp_path, files, CATALOG)
    return tmp_path


def prepared(root: Path, **changes: Any) -> Prepared:
    return build(Given(root=root, **changes), tiny_tokenizer())


def stream_of(root: Path, **changes: Any) -> Stream:
    train = prepared(root, **{"dataset": "rows", "streaming": True, "buffer_size": 8} | changes).train
    assert isinstance(train, Stream)
    return train


def whole(root: Path, **changes: Any) -> list[Example]:
    train = prepared(root, **{"dataset": "rows"} | changes).train
    assert isinstance(train, Examples)
    return list(train)


def contents(examples: Any) -> list[tuple[str, bool | None]]:
    return [(str(example.sequences), example.desirable) for example in examples]


KINDS = [
    {"dataset": "rows"},
    {"dataset": "pairs", "stage": "dpo"},
    {"dataset": "votes", "stage": "kto", "cutoff_len": 12},
    {"dataset": "texts", "stage": "pt", "cutoff_len": 8},
    {"dataset": "texts", "stage": "pt", "cutoff_len": 8, "packing": False},
    {"dataset": "rows,more"},
    {"dataset": "rows", "packing": True},
    {"dataset": "rows", "cutoff_len": 12, "truncation": "left", "train_on_prompt": True},
]


@pytest.mark.parametrize("asked", KINDS, ids=str)
def test_a_pass_in_order_is_the_prepared_data_set(asked: dict[str, Any], root: Path) -> None:
    expected = whole(root, **asked)
    stream = stream_of(root, disable_shuffling=True, **asked)
    two = list(islice(stream, 2 * len(expected)))
    assert contents(two) == contents(expected) * 2
    assert [example.index for example in two] == list(range(2 * len(expected)))


@pytest.mark.parametrize("asked", KINDS, ids=str)
def test_every_pass_has_every_example_in_another_order(asked: dict[str, Any], root: Path) -> None:
    expected = sorted(contents(whole(root, **asked)))
    count = len(expected)
    some = contents(islice(stream_of(root, **asked), 3 * count))
    passes = [some[n : n + count] for n in range(0, 3 * count, count)]
    assert [sorted(each) for each in passes] == [expected] * 3
    if count > 3:
        assert passes[0] != passes[1] != passes[2]


def test_the_order_repeats_and_depends_on_the_seed(root: Path) -> None:
    stream = stream_of(root)
    first = contents(islice(stream, 70))
    assert contents(islice(stream, 70)) == first  # begun anew, as for a resumed run
    assert contents(islice(stream_of(root), 70)) == first
    assert contents(islice(stream_of(root, seed=7), 70)) != first
    assert stream_of(root).digest == stream.digest != stream_of(root, seed=7).digest


def test_a_row_waits_for_at_most_the_buffer(root: Path) -> None:
    """What comes out next has been read by then: at most buffer_size rows further on than its turn."""
    order = {words: place for place, (words, _) in enumerate(contents(whole(root)))}
    places = [order[words] for words, _ in contents(islice(stream_of(root, buffer_size=5), 30))]
    assert all(place <= turn + 5 for turn, place in enumerate(places))
    assert places != sorted(places)
    assert [order[words] for words, _ in contents(islice(stream_of(root, buffer_size=1), 30))] == list(range(30))


def test_data_sets_are_mixed_as_they_are_read(root: Path) -> None:
    for strategy in ("interleave_under", "interleave_over"):
        asked = {"dataset": "more,pairs_as_rows", "mix_strategy": strategy, "interleave_probs": "0.4,0.6"}
        (root / "data" / "dataset_info.json").write_text(
            json.dumps(CATALOG | {"pairs_as_rows": {"file_name": "x.json"}})
        )
        (root / "data" / "x.json").write_text(json.dumps(alpaca(9)))
        expected = contents(whole(root, **asked))
        assert contents(islice(stream_of(root, disable_shuffling=True, **asked), len(expected))) == expected


@pytest.mark.parametrize(
    "asked",
    [{"dataset": "rows"}, {"dataset": "votes", "stage": "kto"}, {"dataset": "texts", "stage": "pt", "cutoff_len": 8}],
    ids=str,
)
def test_val_size_holds_the_first_rows_back_in_every_pass(asked: dict[str, Any], root: Path) -> None:
    ready = prepared(root, streaming=True, val_size=3, disable_shuffling=True, **asked)
    assert isinstance(ready.train, Stream)
    assert ready.evaluation is not None
    held = ready.evaluation
    plain = whole(root, **asked)
    if asked.get("stage") is None:
        assert contents(held) == contents(plain[:3])
        assert contents(islice(ready.train, 54)) == contents(plain[3:]) * 2
    else:
        beginnings = {str(example.sequences[0]["input_ids"][:4]) for example in held}
        assert len(held) >= 3
        count = 9 if asked["stage"] == "kto" else 20
        some = list(islice(ready.train, count))
        assert not beginnings & {str(example.sequences[0]["input_ids"][:8]) for example in some}
    assert ready.report.evaluation_examples == len(held)


def test_too_large_a_val_size_is_refused(root: Path) -> None:
    with pytest.raises(DataError, match="hold back all 30"):
        prepared(root, dataset="rows", streaming=True, val_size=30)


def test_eval_dataset_is_prepared_beside_a_stream(root: Path) -> None:
    ready = prepared(root, dataset="rows", eval_dataset="more", streaming=True)
    assert ready.evaluation is not None
    assert len(ready.evaluation) == 4


def test_unusable_rows_are_told_once(root: Path) -> None:
    said: list[str] = []
    train = build(Given(root=root, streaming=True, buffer_size=2), tiny_tokenizer(), warn=said.append).train
    assert isinstance(train, Stream)
    list(islice(train, 95))
    assert len(said) == 2
    assert "rows.jsonl, row 5: not valid JSON" in said[0]
    assert said[1].startswith(f"{BAD} rows of the streamed data cannot be used")


def test_a_stream_without_a_usable_row_ends_in_words(root: Path) -> None:
    (root / "data" / "rows.jsonl").write_text('{"instruction": "?", "output": ""}\n' * 3)
    with pytest.raises(DataError, match="dataset: none of the 3 rows of rows can be used"):
        next(iter(stream_of(root)))


def test_nothing_is_read_before_it_is_wanted(root: Path) -> None:
    read: list[int] = []
    train = build(Given(root=root, streaming=True, buffer_size=1), tiny_tokenizer(), check=lambda: read.append(1)).train
    before = len(read)
    next(iter(train))
    assert len(read) > before


def test_passes_are_counted(root: Path) -> None:
    stream = stream_of(root)
    list(islice(stream, 61))
    assert [stream.epochs(count) for count in (0, 15, 30, 45, 60)] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert 0 < stream_of(root).epochs(15) <= 0.5  # about: the file has bad lines
