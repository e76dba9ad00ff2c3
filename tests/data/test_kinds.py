"""What every kind of data becomes: pairs with one prompt, kto's neighbours, prompts, documents, marked answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.data.given import Given, folder, trained_text
from tests.tiny import tiny_tokenizer
from tuitune.data import Examples, Prepared, build
from tuitune.data.templates import choose
from tuitune.data.truncate import shares
from tuitune.errors import DataError

END = "<|im_end|>\n"


def pairs(count: int) -> list[dict[str, Any]]:
    return [
        {"instruction": f"Question {n}?", "chosen": f"Good {'word ' * (n * 3)}", "rejected": f"Bad {'thing ' * n}"}
        for n in range(1, count + 1)
    ]


def votes(count: int) -> list[dict[str, Any]]:
    return [
        {"instruction": f"Question {n}{'!' * n}", "output": f"Answer {n} {'and more ' * n}", "good": n % 3 != 0}
        for n in range(1, count + 1)
    ]


CATALOG = {
    "pairs": {
        "file_name": "pairs.json",
        "ranking": True,
        "columns": {"prompt": "instruction", "chosen": "chosen", "rejected": "rejected"},
    },
    "votes": {
        "file_name": "votes.json",
        "columns": {"prompt": "instruction", "response": "output", "kto_tag": "good"},
    },
    "texts": {"file_name": "texts.json", "columns": {"prompt": "text"}},
    "talk": {"file_name": "talk.json", "formatting": "openai"},
    "asked": {"file_name": "asked.json"},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "pairs.json": pairs(6),
        "votes.json": votes(9),
        "texts.json": [{"text": f"This is text {n}. " * n} for n in range(1, 8)],
        "asked.json": [{"instruction": f"Add {n}.", "output": str(n + 1)} for n in range(5)],
        "talk.json": [
            {
                "messages": [
                    {"role": "user", "content": "One?"},
                    {"role": "assistant", "content": "first", "weight": 0},
                    {"role": "user", "content": "Two?"},
                    {"role": "assistant", "content": "second"},
                ]
            },
            {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "no", "weight": 0}]},
        ],
    }
    folder(tmp_path, files, CATALOG)
    return tmp_path


def alpaca_talks() -> list[dict[str, Any]]:
    return [{"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "yes"}]}]


def built(root: Path, stage: str, dataset: str, **changes: Any) -> Prepared:
    return build(Given(root=root, stage=stage, dataset=dataset, **changes), tiny_tokenizer())


def train_of(prepared: Prepared) -> Examples:
    assert isinstance(prepared.train, Examples)
    return prepared.train


def prompt_ids(row: Any) -> list[int]:
    """Return the ids before the first labelled one."""
    first = next((n for n, label in enumerate(row["labels"]) if label != -100), len(row["labels"]))
    return list(row["input_ids"][:first])


# Pairs


@pytest.mark.parametrize("stage", ["rm", "dpo", "orpo", "simpo"])
def test_a_pair_has_one_prompt_and_two_learnt_answers(stage: str, root: Path) -> None:
    tokenizer = tiny_tokenizer()
    example = train_of(built(root, stage, "pairs"))[1]
    chosen, rejected = example.sequences
    assert tokenizer.decode(prompt_ids(chosen)) == "<|im_start|>user\nQuestion 2?<|im_end|>\n<|im_start|>assistant\n"
    assert prompt_ids(chosen) == prompt_ids(rejected)
    assert trained_text(tokenizer, chosen) == "Good " + "word " * 6 + END
    assert trained_text(tokenizer, rejected) == "Bad thing thing " + END


def test_a_too_long_pair_is_cut_with_the_longer_answer_as_in_llamafactory(root: Path) -> None:
    whole = train_of(built(root, "dpo", "pairs"))
    cut = built(root, "dpo", "pairs", cutoff_len=20)
    train = train_of(cut)
    lost = 0
    for place in range(len(whole)):
        (chosen, rejected), prompt = whole[place].sequences, prompt_ids(whole[place].sequences[0])
        answers = [row["input_ids"][len(prompt) :] for row in (chosen, rejected)]
        source, target = shares(len(prompt), max(map(len, answers)), 20)
        expected = [prompt[:source] + answer[:target] for answer in answers]
        assert [row["input_ids"] for row in train[place].sequences] == expected
        missing = sum(len(row["input_ids"]) for row in (chosen, rejected)) - sum(map(len, expected))
        assert train.origins is not None
        assert train.origins.lost[place] == missing
        lost += missing
    assert cut.report.truncated == sum(train.origins.lost > 0) > 0
    assert cut.report.lost_tokens == lost


@pytest.mark.parametrize(("truncation", "keeps_end"), [("left", True), ("right", False)])
def test_the_prompt_of_a_pair_loses_its_beginning_or_the_answer_its_end(
    truncation: str, keeps_end: bool, root: Path
) -> None:
    whole = train_of(built(root, "dpo", "pairs"))[3]
    short = train_of(built(root, "dpo", "pairs", cutoff_len=40, truncation=truncation))[3]
    prompt, cut = prompt_ids(whole.sequences[0]), prompt_ids(short.sequences[0])
    assert prompt_ids(short.sequences[1]) == cut
    assert max(len(row["input_ids"]) for row in short.sequences) == 40
    if keeps_end:
        assert 0 < len(cut) < len(prompt)
        assert prompt[-len(cut) :] == cut
        assert short.sequences[0]["input_ids"][-3:] == whole.sequences[0]["input_ids"][-3:]
    else:
        assert short.sequences[0]["input_ids"] == whole.sequences[0]["input_ids"][:40]


def test_a_pair_of_which_no_answer_is_left_is_a_bad_row(root: Path) -> None:
    with pytest.raises(DataError, match="none of the 6 rows of pairs") as error:
        built(root, "dpo", "pairs", cutoff_len=6, truncation="right")
    assert error.value.hint == "Raise cutoff_len."


# kto


@pytest.mark.parametrize("cutoff_len", [256, 25])
@pytest.mark.parametrize("val_size", [0.0, 3])
def test_the_kl_sequence_is_the_prompt_with_the_next_answer(cutoff_len: int, val_size: float, root: Path) -> None:
    """Computed anew from the rows' own text, with the share rule; the last example takes the first one's answer."""
    tokenizer = tiny_tokenizer()
    prepared = built(root, "kto", "votes", cutoff_len=cutoff_len, val_size=val_size)
    rows = {row["instruction"]: row for row in votes(9)}
    sets = [train_of(prepared)] + ([prepared.evaluation] if prepared.evaluation else [])
    for examples in sets:
        assert examples.origins is not None
        told = [rows[f"Question {n}{'!' * n}"] for n in examples.origins.number.tolist()]
        for place, example in enumerate(examples):
            opening = f"<|im_start|>user\n{told[place]['instruction']}<|im_end|>\n<|im_start|>assistant\n"
            prompt = tokenizer(opening)["input_ids"]
            for sequence, other in zip(example.sequences, (place, (place + 1) % len(told)), strict=True):
                answer = tokenizer(told[other]["output"] + END)["input_ids"]
                source, target = shares(len(prompt), len(answer), cutoff_len)
                assert sequence["input_ids"] == prompt[:source] + answer[:target]
                assert sequence["labels"] == [-100] * source + answer[:target]
            assert example.desirable == told[place]["good"]
    assert sum(map(len, sets)) == 9
    indices = [example.index for examples in sets for example in examples]
    assert len(set(indices)) == 9


# Prompts


def test_a_prompt_ends_with_the_opening_of_its_answer_and_has_nothing_to_learn(root: Path) -> None:
    tokenizer = tiny_tokenizer()
    example = train_of(built(root, "grpo", "asked"))[2]
    (row,) = example.sequences
    assert tokenizer.decode(row["input_ids"]) == "<|im_start|>user\nAdd 2.<|im_end|>\n<|im_start|>assistant\n"
    assert set(row["labels"]) == {-100}
    assert example.columns["answer"] == "3"


def test_columns_follow_their_prompts_through_a_split(root: Path) -> None:
    tokenizer = tiny_tokenizer()
    prepared = built(root, "ppo", "asked", val_size=2)
    assert prepared.evaluation is not None
    for examples in (train_of(prepared), prepared.evaluation):
        for example in examples:
            text = tokenizer.decode(example.sequences[0]["input_ids"])
            assert f"Add {int(example.columns['answer']) - 1}." in text


def test_a_too_long_prompt_loses_its_beginning_and_is_counted(root: Path) -> None:
    whole = train_of(built(root, "ppo", "asked"))[0].sequences[0]["input_ids"]
    prepared = built(root, "ppo", "asked", cutoff_len=6)
    train = train_of(prepared)
    assert train[0].sequences[0]["input_ids"] == whole[-6:]
    assert prepared.report.truncated == 5
    assert train.origins is not None
    assert train.origins.lost[0] == len(whole) - 6


# Documents


@pytest.mark.parametrize("packing", [None, True])
def test_documents_follow_one_another_and_the_tail_is_kept(packing: bool | None, root: Path) -> None:
    tokenizer = tiny_tokenizer()
    prepared = built(root, "pt", "texts", packing=packing, cutoff_len=32)
    texts = [f"This is text {n}. " * n for n in range(1, 8)]
    stream = [token for text in texts for token in [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]]
    pieces = [example.sequences[0] for example in train_of(prepared)]
    assert [token for piece in pieces for token in piece["input_ids"]] == stream
    assert [len(piece["input_ids"]) for piece in pieces[:-1]] == [32] * (len(pieces) - 1)
    assert all(piece["labels"] == piece["input_ids"] for piece in pieces)
    assert (prepared.report.rows, prepared.report.examples) == (7, len(pieces))


def test_without_packing_no_piece_has_two_documents_and_nothing_is_lost(root: Path) -> None:
    tokenizer = tiny_tokenizer()
    train = train_of(built(root, "pt", "texts", packing=False, cutoff_len=16))
    texts = [f"This is text {n}. " * n for n in range(1, 8)]
    assert train.origins is not None
    again: dict[int, list[int]] = {}
    for place, example in enumerate(train):
        again.setdefault(int(train.origins.number[place]), []).extend(example.sequences[0]["input_ids"])
        assert len(example.sequences[0]["input_ids"]) <= 16
    for number, text in enumerate(texts, 1):
        assert again[number] == [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]


def test_a_piece_names_the_document_that_it_begins_in(root: Path) -> None:
    train = train_of(built(root, "pt", "texts", cutoff_len=32))
    lengths = [len(tiny_tokenizer()(f"This is text {n}. " * n)["input_ids"]) + 1 for n in range(1, 8)]
    ends = [sum(lengths[: n + 1]) for n in range(7)]
    assert train.origins is not None
    expected = [1 + next(n for n, end in enumerate(ends) if 32 * place < end) for place in range(len(train))]
    assert train.origins.number.tolist() == expected


def test_a_tokenizer_that_begins_texts_begins_documents(root: Path) -> None:
    from tokenizers import processors

    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", pair="<|endoftext|> $A $B", special_tokens=[("<|endoftext|>", 0)]
    )
    train = build(Given(root=root, stage="pt", dataset="texts", packing=False), tokenizer).train
    assert isinstance(train, Examples)
    for example in train:
        ids = example.sequences[0]["input_ids"]
        assert (ids[0], ids.count(0), ids[-1]) == (0, 1, tokenizer.eos_token_id)


# Answers


def test_an_answer_marked_not_to_be_learnt_is_not(root: Path) -> None:
    tokenizer = tiny_tokenizer()
    prepared = built(root, "sft", "talk")
    assert [trained_text(tokenizer, row) for row in train_of(prepared).rows] == ["second" + END]
    assert [bad.row for bad in prepared.report.bad] == [2]


def test_the_last_answer_alone_is_of_no_use_when_it_is_not_to_be_learnt(root: Path) -> None:
    said = (("user", "1?", 1), ("assistant", "first", 1), ("user", "2?", 1), ("assistant", "second", 0))
    talk = {"messages": [{"role": role, "content": text, "weight": weight} for role, text, weight in said]}
    folder(root, {"talk.json": [talk, *alpaca_talks()]}, CATALOG)
    assert built(root, "sft", "talk").report.bad == []
    (bad,) = built(root, "sft", "talk", mask_history=True).report.bad
    assert (bad.row, bad.reason) == (1, "no answer in it is marked to be learnt")


@pytest.mark.parametrize(("truncation", "kept"), [("left", slice(-20, None)), ("right", slice(0, 20))])
def test_a_dialogue_loses_its_beginning_or_its_end(truncation: str, kept: slice, root: Path) -> None:
    whole = train_of(built(root, "sft", "talk", train_on_prompt=True)).rows[0]
    short = train_of(built(root, "sft", "talk", train_on_prompt=True, truncation=truncation, cutoff_len=20)).rows[0]
    assert len(whole["input_ids"]) > 20
    assert short["input_ids"] == whole["input_ids"][kept]


class Late:
    """A template whose answers hold no end: token 2 ends them, late."""

    name = "late"
    warning = ""

    def __init__(self, tokenizer: Any) -> None:
        self._plain = choose("chatml", tokenizer)

    def pieces(self, talks: Any, tokenizer: Any) -> Any:
        return self._plain.pieces(talks, tokenizer)

    def late_end(self, tokenizer: Any) -> int:
        return 7


@pytest.mark.parametrize("cutoff_len", [256, 12])
def test_a_late_end_is_the_label_where_the_next_question_begins(cutoff_len: int, root: Path) -> None:
    tokenizer = tiny_tokenizer()
    talk = {
        "messages": [
            {"role": role, "content": text}
            for role, text in (("user", "One?"), ("assistant", "1"), ("user", "Two?"), ("assistant", "2"))
        ]
    }
    folder(root, {"talk.json": [talk]}, CATALOG)
    plain = build(Given(root=root, dataset="talk", template="chatml", cutoff_len=cutoff_len - 1), tokenizer)
    late = build(Given(root=root, dataset="talk", cutoff_len=cutoff_len), tokenizer, template=Late(tokenizer))  # type: ignore[arg-type]
    assert isinstance(plain.train, Examples)
    assert isinstance(late.train, Examples)
    expected, row = plain.train.rows[0], late.train.rows[0]
    assert row["input_ids"] == [*expected["input_ids"], 7]
    labels = [*expected["labels"], 7]
    if cutoff_len == 256:
        second = [n for n, token in enumerate(expected["input_ids"]) if token == 1][2]  # the third <|im_start|>
        assert labels[second] == -100
        labels[second] = 7
        assert row["input_ids"][second] != 7
    assert row["labels"] == labels
    assert late.report.labelled_tokens == sum(label != -100 for label in labels)
    # The same through a selection and in pieces.
    assert late.train.rows.select([0, 0])[1] == row
    ((piece, first),) = late.train.rows.select([0, 0]).pieces()
    assert (piece[0], piece[1], first) == (row, row, 0)


def test_prompts_cannot_be_learnt_where_answers_end_late(root: Path) -> None:
    tokenizer = tiny_tokenizer()
    with pytest.raises(DataError, match="ends answers late"):
        build(Given(root=root, dataset="talk", train_on_prompt=True), tokenizer, template=Late(tokenizer))  # type: ignore[arg-type]


# Duplicates and empty rows


def test_duplicates_and_empty_rows_are_told(tmp_path: Path) -> None:
    row = {"instruction": "Same?", "output": "Yes."}
    blank: dict[str, str] = {"instruction": " ", "output": ""}
    rows = [row, {"instruction": "Other?", "output": "No."}, row, blank, {}, {"instruction": "?", "output": ""}, row]
    folder(tmp_path, {"rows.json": rows}, {"rows": {"file_name": "rows.json"}})
    report = built(tmp_path, "sft", "rows").report
    assert (report.rows, report.bad_count, report.empty) == (4, 3, 2)
    assert report.duplicates == 2
    assert [(each.row, each.same_row) for each in report.duplicate_rows] == [(3, 1), (7, 1)]
    assert str(report.duplicate_rows[0]).endswith("rows.json, row 3: the same as row 1")
