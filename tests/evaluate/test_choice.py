"""Multiple-choice benchmarks: the files in all their shapes, and scores against a computation of a few lines."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from tests.tiny import tiny_model, tiny_tokenizer
from tuitune.data.conversation import Message
from tuitune.data.templates import choose
from tuitune.errors import DataError, ModelError, UsageError
from tuitune.evaluate.choice import Choice
from tuitune.evaluate.choice_files import files_of, split_name
from tuitune.evaluate.choice_prompts import Letters
from tuitune.evaluate.choice_rows import questions_of
from tuitune.evaluate.choice_sets import QuestionSet
from tuitune.evaluate.scores import Around, Kept, Series
from tuitune.models.head import HeadTap
from tuitune.models.paths import Head, PaddedPath
from tuitune.recipe import Document
from tuitune.run.evaluation import Item
from tuitune.stages.scorer import path_of

MMLU = {
    "test/anatomy_test.csv": 'How many ribs?,12,24,"36, or so",48,B\nWhich is a bone?,a,b,c,d,A\n'
    "Which is none?,w,x,y,z,D\n",
    "test/astronomy_test.csv": "What is a star?,hot,cold,wet,dry,A\nAnd the moon?,hot,cold,wet,dry,B\n",
    "dev/anatomy_dev.csv": "Where is the heart?,head,chest,foot,hand,B\nAnd the brain?,head,chest,foot,hand,A\n",
    "dev/astronomy_dev.csv": "Which is a planet?,Mars,Paris,a pear,ice,A\n",
}


def planted(folder: Path, files: dict[str, str | bytes]) -> Path:
    """Write files below a folder and return it."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def recipe(task_dir: Path, **more: Any) -> Any:
    """Return an evaluation's recipe."""
    document = Document.parse("model_name_or_path: m\n", None)
    for key, value in {"task_dir": str(task_dir), "n_shot": 2, "batch_size": 3, **more}.items():
        document.set(key, value)
    return document.recipe(purpose="evaluate")


class Partner:
    """A tiny model as the core hands it over."""

    key, title = "tuned", "tiny"

    def __init__(self, template: str | None = None, context: int | None = 2048, **config: Any) -> None:
        self.model, self.tokenizer = tiny_model(max_position_embeddings=2048, **config).eval(), tiny_tokenizer()
        self.template, self.context = choose(template, self.tokenizer), context

    @cached_property
    def path(self) -> Any:
        """The way through it."""
        return path_of(self.model, 0)


class Found(NamedTuple):
    """What came of a benchmark."""

    series: list[Series]
    items: list[Item]


def run(
    task_dir: Path, partner: Any, name: str = "mmlu_test", *, before: list[Item] | None = None, **more: Any
) -> tuple[Found, list[str]]:
    """Ask a benchmark; return its scores and what was noted."""
    notes: list[str] = []
    asked = recipe(task_dir, **more)
    around = Around(asked, note=notes.append)
    around.begin("cpu")
    items: list[Item] = []
    series = Choice(name, asked).run(partner, around, Kept({item.id: item for item in before or ()}, items.append))
    return Found(series, items), notes


def likeliest(partner: Any, turns: list[str], letters: str = "ABCD") -> tuple[str, list[float]]:
    """The independent computation: one prompt alone, the whole table of logits, softmax over the letters."""
    messages = [Message("assistant" if n % 2 else "user", text) for n, text in enumerate(turns)]
    ids = torch.tensor([partner.template.prompt_ids(messages, partner.tokenizer)])
    with torch.no_grad():
        logits = partner.model(input_ids=ids).logits[0, -1]
    chosen = [partner.tokenizer.convert_tokens_to_ids(letter) for letter in letters]
    shares = logits[chosen].softmax(-1).tolist()
    return letters[max(range(len(letters)), key=lambda n: shares[n])], shares


def asked(question: str, *options: str) -> str:
    """A question as LLaMA-Factory words it."""
    return question + "".join(f"\n{letter}. {text}" for letter, text in zip("ABCD", options, strict=True)) + "\nAnswer:"


HEART = asked("Where is the heart?", "head", "chest", "foot", "hand")
BRAIN = asked("And the brain?", "head", "chest", "foot", "hand")
OPENING = "The following are multiple choice questions (with answers) about {}.\n\n"


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_scores_are_those_of_single_questions_with_all_logits(tmp_path: Path, batch: int) -> None:
    planted(tmp_path / "mmlu", MMLU)
    partner = Partner()
    scores, notes = run(tmp_path, partner, batch_size=batch)
    about = OPENING.format("anatomy")
    questions = [
        (asked("How many ribs?", "12", "24", "36, or so", "48"), "B"),
        (asked("Which is a bone?", "a", "b", "c", "d"), "A"),
        (asked("Which is none?", "w", "x", "y", "z"), "D"),
    ]
    expected = [likeliest(partner, [about + HEART, "B", BRAIN, "A", text]) for text, _ in questions]
    mars = asked("Which is a planet?", "Mars", "Paris", "a pear", "ice")
    for text in ("What is a star?", "And the moon?"):
        star = asked(text, "hot", "cold", "wet", "dry")
        expected.append(likeliest(partner, [OPENING.format("astronomy") + mars, "A", star]))
    answers = [*(answer for _, answer in questions), "A", "B"]
    assert [item.answers["tuned"].text for item in scores.items] == [said for said, _ in expected]
    for item, answer, (said, shares) in zip(scores.items, answers, expected, strict=True):
        assert item.answers["tuned"].scores["right"] == float(said == answer)
        assert item.answers["tuned"].scores["share"] == pytest.approx(shares["ABCD".index(answer)], abs=1e-6)
    by_key = {series.key: series for series in scores.series}
    assert list(by_key) == ["average", "STEM", "Other", "anatomy", "astronomy"]
    assert list(by_key["average"].values) == [
        float(said == answer) for (said, _), answer in zip(expected, answers, strict=True)
    ]
    assert by_key["STEM"].ids == ["astronomy:1", "astronomy:2"]
    assert by_key["anatomy"].values == by_key["Other"].values == by_key["average"].values[:3]
    assert notes == [
        "mmlu_test: fewer than 2 examples (at least 1) stand before questions of astronomy: there are no more, "
        "or no more fit into the model's context"
    ]


def test_without_examples_and_in_chinese(tmp_path: Path) -> None:
    header = "id,question,A,B,C,D,answer,explanation\n"
    files = {
        "val/law_val.csv": "\ufeff" + header + "0,法律是什么？,甲,乙,丙,丁,C,因为\n1,问题,甲,乙,丙,丁,A,\n",
        "dev/law_dev.csv": "\ufeff" + header + "0,例子？,甲,乙,丙,丁,D,\n",
        "mapping.json": json.dumps({"law": {"name": "法学", "category": "Social Sciences"}}),
    }
    planted(tmp_path / "ceval", files)
    partner = Partner()
    scores, notes = run(tmp_path, partner, "ceval_validation", lang="zh", n_shot=0)
    opening = "以下是中国关于法学考试的单项选择题，请选出其中的正确答案。\n\n"
    said, _ = likeliest(partner, [opening + "法律是什么？\nA. 甲\nB. 乙\nC. 丙\nD. 丁\n答案："])
    assert scores.items[0].answers["tuned"].text == said
    assert [series.key for series in scores.series] == ["average", "Social Sciences"]
    assert (scores.items[0].id, scores.items[0].reference, notes) == ("law:1", "C", [])
    # One example where it is asked for.
    scores, _ = run(tmp_path, partner, "ceval_validation", lang="zh", n_shot=1)
    example = "例子？\nA. 甲\nB. 乙\nC. 丙\nD. 丁\n答案："
    turns = [opening + example, "D", "法律是什么？\nA. 甲\nB. 乙\nC. 丙\nD. 丁\n答案："]
    assert scores.items[0].answers["tuned"].text == likeliest(partner, turns)[0]


def test_a_model_that_needs_padding_gives_the_same(tmp_path: Path) -> None:
    planted(tmp_path / "mmlu", MMLU)
    flat = Partner()
    padded = Partner()
    padded.model.load_state_dict(flat.model.state_dict())
    padded.path = PaddedPath(Head(HeadTap.on(padded.model), None), torch.device("cpu"), 0)
    a, _ = run(tmp_path, flat)
    assert flat.path.name == "flat"
    b, _ = run(tmp_path, padded)
    assert [item.answers["tuned"].text for item in a.items] == [item.answers["tuned"].text for item in b.items]
    for one, other in zip(a.items, b.items, strict=True):
        assert one.answers["tuned"].scores["share"] == pytest.approx(other.answers["tuned"].scores["share"], abs=1e-6)


def test_what_prompts_begin_with_goes_through_the_model_once_and_one_position_through_the_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted(tmp_path / "mmlu", MMLU)
    partner = Partner()
    plain, seen = partner.path.read, []

    def read(model: Any, groups: Any) -> Any:
        reading = plain(model, groups)
        alone = sum(len(row["input_ids"]) - 1 for group in groups for row in group)
        seen.append((reading.tokens, alone, len(reading.rows), sum(map(len, groups))))
        return reading

    monkeypatch.setattr(partner.path, "read", read)
    run(tmp_path, partner, batch_size=16)
    assert len(seen) == 2  # a batch for each subject
    for tokens, alone, positions, questions in seen:
        assert tokens < 0.75 * alone
        assert positions == questions


def test_examples_that_do_not_fit_are_left_out_and_said(tmp_path: Path) -> None:
    planted(tmp_path / "mmlu", MMLU)
    partner = Partner(context=100)
    scores, notes = run(tmp_path, partner)
    about = OPENING.format("anatomy")
    alone = about + asked("Which is a bone?", "a", "b", "c", "d")
    assert scores.items[1].answers["tuned"].text == likeliest(partner, [alone])[0]
    assert any("fewer than 2 examples (at least 0)" in note for note in notes)
    with pytest.raises(DataError, match="fits into the 20 tokens"):
        run(tmp_path, Partner(context=20))


def test_questions_that_were_answered_before_a_break_are_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted(tmp_path / "mmlu", MMLU)
    partner = Partner()
    whole, _ = run(tmp_path, partner, batch_size=1)
    plain, read = partner.path.read, []
    monkeypatch.setattr(partner.path, "read", lambda *rows: read.append(1) or plain(*rows))
    rest, _ = run(tmp_path, partner, batch_size=1, before=[whole.items[1], whole.items[3]])
    assert len(read) == 3
    assert [item.id for item in rest.items] == [whole.items[place].id for place in (0, 2, 4)]
    assert rest.series == whole.series


def test_memory_that_runs_out_halves_the_batch_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted(tmp_path / "mmlu", MMLU)
    partner = Partner()
    whole, _ = run(tmp_path, partner)
    plain, failures = partner.path.read, iter([True])

    def read(model: Any, groups: Any) -> Any:
        if next(failures, False):
            raise torch.OutOfMemoryError("out of memory")
        return plain(model, groups)

    monkeypatch.setattr(partner.path, "read", read)
    again, notes = run(tmp_path, partner)
    assert [item.answers for item in again.items] == [item.answers for item in whole.items]
    assert any("memory ran out" in note for note in notes)


# The letters


def test_letters_are_the_tokens_that_begin_an_answer() -> None:
    tokenizer = tiny_tokenizer()
    letters = Letters.of(choose(None, tokenizer), tokenizer, 4)
    assert letters.ids == tuple(tokenizer.convert_tokens_to_ids(letter) for letter in "ABCD")
    # This template puts a blank before an answer: in a byte-level vocabulary it is one token with the letter, or apart.
    vicuna = Letters.of(choose("vicuna", tokenizer), tokenizer, 4)
    told = tokenizer.decode([*vicuna.before, vicuna.ids[0]])
    assert told.strip() == "A"


def test_letters_that_are_several_tokens_are_refused() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordPiece({"[UNK]": 0, "hello": 1}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", eos_token="[UNK]")
    with pytest.raises(ModelError, match="not one token each"):
        Letters.of(choose("default", tokenizer), tokenizer, 4)


# The files


@pytest.mark.parametrize(
    ("name", "task", "split"),
    [
        ("mmlu_test", "mmlu", "test"),
        ("ceval_validation", "ceval", "validation"),
        ("ceval_val", "ceval", "validation"),
        ("cmmlu_dev", "cmmlu", "dev"),
        ("mine", "mine", "test"),
        ("my_own", "my_own", "test"),
        ("_test", "_test", "test"),
    ],
)
def test_a_name_is_a_task_and_a_split(name: str, task: str, split: str) -> None:
    assert split_name(name) == (task, split)


def read(task_dir: Path, name: str = "t_test", lang: str = "en", shots: int = 5) -> QuestionSet:
    """Read a benchmark."""
    return QuestionSet.read(name, task_dir, lang, shots=shots)


def zipped(path: Path, files: dict[str, str]) -> None:
    """Write a zip file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)


def test_a_zip_file_is_read_in_place(tmp_path: Path) -> None:
    zipped(tmp_path / "t" / "t.zip", {f"data/{name}": text for name, text in MMLU.items()})
    found = read(tmp_path)
    assert {key: len(each) for key, each in found.questions.items()} == {"anatomy": 3, "astronomy": 2}
    assert {key: len(each) for key, each in found.examples.items()} == {"anatomy": 2, "astronomy": 1}
    assert found.questions["anatomy"][0].options == ("12", "24", "36, or so", "48")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["t", "t.zip"]


def test_names_in_a_zip_file_lead_nowhere(tmp_path: Path) -> None:
    evil = {"../../test/evil_test.csv": MMLU["test/anatomy_test.csv"], "/abs/test/other_test.csv": "q,a,b,c,d,A\n"}
    zipped(tmp_path / "in" / "t" / "t.zip", evil)
    found = read(tmp_path / "in")
    assert set(found.questions) == {"other"}
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["in", "t", "t.zip"]


def test_cmmlu_has_other_names_and_an_index(tmp_path: Path) -> None:
    rows = ",Question,A,B,C,D,Answer\n0,问,一,二,三,四,C\n1,问,一,二,三,四,D\n"
    planted(tmp_path / "t", {"test/agronomy.csv": rows, "dev/agronomy.csv": rows})
    found = read(tmp_path)
    assert [question.answer for question in found.questions["agronomy"]] == ["C", "D"]
    assert found.questions["agronomy"][0].text == "问"
    assert found.subject("agronomy").name == "agronomy"


def test_jsonl_and_parquet_with_lists_numbers_and_subjects(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {"question": "q", "subject": "law", "choices": ["a", "b", "c"], "answer": 2},
        {"question": "r", "subject": "art", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answer": "B"},
    ]
    planted(tmp_path / "t", {"test.jsonl": "\n".join(json.dumps(row) for row in rows)})
    found = read(tmp_path)
    assert [(key, each[0].answer, each[0].letters) for key, each in found.questions.items()] == [
        ("law", "C", "ABC"),
        ("art", "B", "AB"),
    ]
    for shard in range(2):
        path = tmp_path / "u" / "law" / f"test-0000{shard}-of-00002.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist([{"question": "q", "choices": ["a", "b"], "answer": 1}]), path)
    pq.write_table(pa.Table.from_pylist([rows[0]]), tmp_path / "u" / "test.parquet")
    law = read(tmp_path, "u_test").questions["law"]
    assert [question.number for question in law] == [1, 2, 3]
    assert [question.answer for question in law] == ["B", "B", "C"]


def test_the_hubs_second_copy_of_everything_is_passed_over(tmp_path: Path) -> None:
    row = json.dumps({"question": "q", "subject": "law", "A": "1", "B": "2", "answer": "A"})
    planted(tmp_path / "t", {"law/test.jsonl": row, "all/test.jsonl": row})
    assert {key: len(each) for key, each in read(tmp_path).questions.items()} == {"law": 1}
    planted(tmp_path / "u", {"all/test.jsonl": row})
    assert {key: len(each) for key, each in read(tmp_path, "u_test").questions.items()} == {"law": 1}


def test_the_mapping_says_names_order_and_what_counts(tmp_path: Path) -> None:
    mapping = {key: {"name": key.upper(), "category": "Other"} for key in ("astronomy", "law")}
    planted(tmp_path / "t", {**MMLU, "mapping.json": json.dumps(mapping)})
    found = read(tmp_path)
    assert list(found.questions) == ["astronomy"]
    assert found.subject("astronomy").name == "ASTRONOMY"
    assert found.notes == (
        "t_test: there are no questions for law",
        "t_test: anatomy not in its mapping.json, and left out",
    )
    own = {"astronomy": ["Astronomy", "天文学", "STEM"]}
    planted(tmp_path / "u", {**MMLU, "subject_mapping.json": json.dumps(own)})
    assert read(tmp_path, "u_test").subject("astronomy").name == "Astronomy"
    assert read(tmp_path, "u_test", lang="zh").subject("astronomy").name == "天文学"


def test_what_has_no_answers_is_refused_or_left_out(tmp_path: Path) -> None:
    header = "id,question,A,B,C,D\n"
    planted(tmp_path / "t", {"test/law_test.csv": header + "0,q,a,b,c,d\n"})
    with pytest.raises(UsageError, match="holds no answers") as caught:
        read(tmp_path)
    assert "t_validation" in caught.value.hint
    planted(tmp_path / "u", {"test/law_test.csv": "q,a,b,c,d,\nr,a,b,c,d,B\n"})
    found = read(tmp_path, "u_test")
    assert len(found) == 1
    assert found.notes == ("u_test: 1 of 2 questions have no answer, and are left out",)


BROKEN: list[tuple[str, str | bytes, str]] = [
    ("test/a_test.csv", "q,1,2,3,4,A\nr,1,2,3,A\n", r"a_test\.csv, line 2: the row has 5 cells, the first one has 6"),
    ("test/a_test.csv", "q,1,2,3,4,A\nr,1,2,3,4,E\n", r"line 2: the answer is none of A, B, C, D"),
    ("test/a_test.csv", 'q,1,2,3,4,A\n"r,1,2,3,4,A\n', r"line 2: not valid csv"),
    ("test/a_test.csv", b"q,1,2,3,4,A\n\xff\xfe", r"a_test\.csv: byte 12 is not UTF-8"),
    ("test/a_test.csv", "q,A\n", r"line 1: the row has no question, or fewer than two options"),
    (
        "test.jsonl",
        '{"question": "q", "A": "1", "B": "2", "answer": "A"}\n{"question"',
        r"test\.jsonl, line 2: not valid",
    ),
    ("test.jsonl", '{"question": "q", "choices": ["1", "2"], "answer": 2}', r"line 1: the answer is none of A, B"),
    ("test.jsonl", "[1]", r"line 1: the line is no object"),
    ("test.parquet", b"PAR1 and nothing", r"test\.parquet cannot be read as parquet"),
    ("t.zip", b"PK and nothing", r"t\.zip is no zip file"),
    ("readme.txt", "hello", r"holds no questions"),
    ("mapping.json", "{}", r"holds no questions"),
]


@pytest.mark.parametrize(("name", "content", "words"), BROKEN, ids=[f"{n} {w[-20:]}" for n, _, w in BROKEN])
def test_broken_files_are_refused_with_their_place(tmp_path: Path, name: str, content: str | bytes, words: str) -> None:
    planted(tmp_path / "t", {name: content})
    with pytest.raises(DataError, match=words):
        read(tmp_path)


@pytest.mark.parametrize("content", ["[]", '{"a": 3}', '{"a": {"name": "x"}}', "{", "{}"])
def test_a_broken_mapping_is_refused(tmp_path: Path, content: str) -> None:
    planted(tmp_path / "t", {**MMLU, "mapping.json": content})
    with pytest.raises(DataError, match=r"mapping\.json"):
        read(tmp_path)


def test_what_is_not_there_is_said_with_what_is(tmp_path: Path) -> None:
    planted(tmp_path / "mmlu", MMLU)
    with pytest.raises(UsageError, match="there is no benchmark at") as caught:
        read(tmp_path, "cmmlu_test")
    assert "mmlu" in caught.value.hint
    with pytest.raises(UsageError, match="no questions of the split validation") as caught:
        read(tmp_path, "mmlu_validation")
    assert "dev, test" in caught.value.hint


def test_a_zip_of_a_large_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuitune.evaluate.choice_files._MOST_BYTES", 100)
    zipped(tmp_path / "t" / "t.zip", {"test/a_test.csv": "q,1,2,3,4,A\n" * 100})
    with pytest.raises(DataError, match="larger than"):
        [question for file in files_of(tmp_path / "t") for question in questions_of(file)]


@pytest.mark.parametrize("fill", [lambda i: "", lambda i: str(i)])
def test_options_that_a_question_lacks_are_not_offered(tmp_path: Path, fill: Callable[[int], str]) -> None:
    rows = f"question,A,B,C,D,answer\nq,yes,no,{fill(3)},{fill(4)},A\n"
    planted(tmp_path / "t", {"test/a_test.csv": rows})
    [question] = read(tmp_path).questions["a"]
    assert question.letters == ("ABCD" if fill(1) else "AB")
