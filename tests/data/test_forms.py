"""What each stage reads out of each form: pairs, labels, prompts, text, tools, weights and media."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.sources_given import only, read, source
from tuitune.data.conversation import BETWEEN_REPLIES, Conversation, Document, Message, calls_of
from tuitune.errors import DataError

ONE, GOOD, WORSE = Message("user", "One?"), Message("assistant", "1"), Message("assistant", "2")
PAIR = Conversation((ONE, GOOD), rejected=WORSE)


def said(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


USER, ANSWER, BAD = said("user", "One?"), said("assistant", "1"), said("assistant", "2")
HUMAN, GPT, WRONG = {"from": "human", "value": "One?"}, {"from": "gpt", "value": "1"}, {"from": "gpt", "value": "2"}
RANKED = {"ranking": True}
CHOICE = {"chosen": "chosen", "rejected": "rejected"}
PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "alpaca": ({"instruction": "One?", "input": "", "chosen": "1", "rejected": "2"}, RANKED),
    "alpaca with columns": (
        {"q": "One?", "good": "1", "bad": "2"},
        RANKED | {"columns": {"prompt": "q", "chosen": "good", "rejected": "bad"}},
    ),
    "sharegpt": ({"conversations": [HUMAN], "chosen": GPT, "rejected": WRONG}, RANKED | {"formatting": "sharegpt"}),
    "openai": ({"messages": [USER], "chosen": ANSWER, "rejected": BAD}, RANKED | {"formatting": "openai"}),
    "text after messages": ({"messages": [USER], "chosen": "1", "rejected": "2"}, RANKED | {"formatting": "openai"}),
    "bare": ({"prompt": "One?", "chosen": "1", "rejected": "2"}, {"guessed": True}),
    "trl, whole": ({"chosen": [USER, ANSWER], "rejected": [USER, BAD]}, {"guessed": True}),
    "trl, whole with prompt": (
        {
            "prompt": "One?",
            "prompt_id": "x",
            "messages": [USER, ANSWER],
            "chosen": [USER, ANSWER],
            "rejected": [USER, BAD],
        },
        {"guessed": True},
    ),
    "trl, prompt of messages": ({"prompt": [USER], "chosen": [ANSWER], "rejected": [BAD]}, {"guessed": True}),
    "trl by the catalog": (
        {"prompt": [USER], "chosen": [ANSWER], "rejected": [BAD]},
        RANKED | {"columns": {"prompt": "prompt"} | CHOICE},
    ),
    "sharegpt lists": ({"chosen": [HUMAN, GPT], "rejected": [HUMAN, WRONG]}, RANKED | {"columns": CHOICE}),
    "guessed alpaca": ({"instruction": "One?", "chosen": "1", "rejected": "2"}, {"guessed": True}),
    "guessed sharegpt": ({"conversations": [HUMAN], "chosen": GPT, "rejected": WRONG}, {"guessed": True}),
}


@pytest.mark.parametrize("case", PAIRS)
@pytest.mark.parametrize("stage", ["dpo", "rm"])
def test_pairs(case: str, stage: str, tmp_path: Path) -> None:
    row, entry = PAIRS[case]
    assert only(tmp_path, row, stage, **dict(entry)) == PAIR


def test_a_pair_after_several_turns_keeps_them_and_the_system_message(tmp_path: Path) -> None:
    start = [said("system", "Be brief."), said("user", "Zero?"), said("assistant", "0"), USER]
    row = {"chosen": [*start, ANSWER], "rejected": [*start, BAD]}
    talk = only(tmp_path, row, "dpo", guessed=True)
    assert talk == Conversation(
        (Message("user", "Zero?"), Message("assistant", "0"), ONE, GOOD), "Be brief.", rejected=WORSE
    )


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"instruction": "One?", "chosen": "1", "rejected": "1"}, "are the same answer"),
        ({"instruction": "One?", "chosen": "1", "rejected": ""}, "column 'rejected' is empty"),
        ({"instruction": "One?", "chosen": "1", "rejected": None}, "column 'rejected' is null"),
        ({"instruction": "One?", "chosen": "1"}, "no column 'rejected'"),
        ({"instruction": "One?", "chosen": 3, "rejected": "1"}, "column 'chosen' is a number"),
        ({"instruction": "One?", "chosen": ["1"], "rejected": "1"}, "column 'chosen' is a list, not text or messages"),
        ({"instruction": "", "chosen": "1", "rejected": "2"}, "the prompt is empty"),
        ({"instruction": "One?", "chosen": USER, "rejected": BAD}, "column 'chosen' is a message from the user"),
        ({"instruction": "Two?", "chosen": [USER, ANSWER], "rejected": [USER, BAD]}, "the row's own prompt"),
        ({"instruction": "One?", "chosen": [USER], "rejected": [BAD]}, "'chosen' is a message from the user"),
        ({"instruction": "One?", "chosen": [USER, ANSWER, USER], "rejected": [BAD]}, "does not end with an answer"),
        ({"instruction": "One?", "chosen": [], "rejected": "2"}, "column 'chosen' is empty"),
    ],
)
def test_pairs_that_cannot_be_learnt(row: dict[str, Any], reason: str, tmp_path: Path) -> None:
    good = {"instruction": "One?", "chosen": "1", "rejected": "2"}
    talks, bad = read(source(tmp_path, [good, row, good], "dpo", ranking=True))
    assert talks == [PAIR, PAIR]
    ((number, said),) = bad
    assert number == 2
    assert reason in said


def test_whole_conversations_must_differ_in_the_last_answer_only(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"chosen": [USER, ANSWER], "rejected": [USER, BAD]},
        {"chosen": [USER, ANSWER], "rejected": [said("user", "Two?"), BAD]},
        {"chosen": [ANSWER], "rejected": [BAD]},
        {"chosen": [USER, ANSWER, USER, ANSWER], "rejected": [USER, BAD, USER, BAD]},
    ]
    talks, bad = read(source(tmp_path, rows, "dpo", guessed=True))
    assert talks == [PAIR]
    assert ["differ in more" in reason for _, reason in bad] == [True, False, True]


LABELS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "alpaca": (
        {"instruction": "One?", "output": "1", "good": True},
        {"columns": {"prompt": "instruction", "response": "output", "kto_tag": "good"}},
    ),
    "messages": (
        {"messages": [USER, ANSWER], "label": True},
        {"formatting": "openai", "columns": {"messages": "messages", "kto_tag": "label"}},
    ),
    "trl": ({"prompt": "One?", "completion": "1", "label": True}, {"guessed": True}),
    "trl, messages": ({"prompt": [USER], "completion": [ANSWER], "label": True}, {"guessed": True}),
    "guessed messages": ({"messages": [USER, ANSWER], "label": 1}, {"guessed": True}),
}


@pytest.mark.parametrize("case", LABELS)
@pytest.mark.parametrize("desirable", [True, False])
def test_labels(case: str, desirable: bool, tmp_path: Path) -> None:
    row, entry = LABELS[case]
    column = "good" if "good" in row else "label"
    talk = only(tmp_path, row | {column: desirable}, "kto", **dict(entry))
    assert talk == Conversation((ONE, GOOD), desirable=desirable)


@pytest.mark.parametrize("value", [None, "maybe", 2, 0.5, [], {}])
def test_a_label_that_is_none(value: object, tmp_path: Path) -> None:
    rows = [{"prompt": "One?", "completion": "1", "label": label} for label in (True, value, False)]
    talks, bad = read(source(tmp_path, rows, "kto", guessed=True))
    assert [talk.desirable for talk in talks if isinstance(talk, Conversation)] == [True, False]
    assert bad[0][0] == 2
    assert "not true or false" in bad[0][1]


def test_csv_says_true_and_false_in_words(tmp_path: Path) -> None:
    content = "prompt,completion,label\nOne?,1,True\nOne?,2,false\nOne?,3,1\n"
    talks, _ = read(source(tmp_path, content, "kto", "rows.csv", guessed=True))
    assert [talk.desirable for talk in talks if isinstance(talk, Conversation)] == [True, False, True]


@pytest.mark.parametrize(
    ("row", "entry", "columns"),
    [
        ({"prompt": "One?", "answer": "1", "level": 3}, {"guessed": True}, {"answer": "1", "level": 3}),
        ({"instruction": "One?", "output": "1"}, {}, {"output": "1", "answer": "1"}),
        ({"prompt": [USER], "solution": "1"}, {"guessed": True}, {"solution": "1", "answer": "1"}),
        ({"messages": [USER, ANSWER], "id": 7}, {"formatting": "openai"}, {"id": 7, "answer": "1"}),
        ({"messages": [USER]}, {"formatting": "openai"}, {}),
        ({"prompt": "One?", "tests": ["a", "b"]}, {"guessed": True}, {"tests": ["a", "b"]}),
        ({"prompt": "One?", "chosen": "1", "rejected": "2"}, {"guessed": True}, {"chosen": "1", "rejected": "2"}),
        (
            {"chosen": [USER, ANSWER], "rejected": [USER, BAD]},
            {"guessed": True},
            {"chosen": [USER, ANSWER], "rejected": [USER, BAD], "answer": "1"},
        ),
        ({"question": "One?", "answer": 42}, {"guessed": True}, {"answer": 42}),
    ],
)
@pytest.mark.parametrize("stage", ["grpo", "ppo"])
def test_prompts_end_with_the_user_and_keep_the_other_columns(
    row: dict[str, Any], entry: dict[str, Any], columns: dict[str, Any], stage: str, tmp_path: Path
) -> None:
    assert only(tmp_path, row, stage, **dict(entry)) == Conversation((ONE,), columns=columns)


@pytest.mark.parametrize(
    ("row", "entry"),
    [
        ({"text": "Once."}, {}),
        ({"text": "Once."}, {"columns": {"prompt": "text"}}),
        ({"text": "Once.", "url": "x"}, {"guessed": True}),
        ({"content": "Once.", "id": "x"}, {"guessed": True}),
        ({"story": "Once.", "year": 1}, {"guessed": True}),
        (
            {"instruction": "Once.", "output": "never read"},
            {"columns": {"prompt": "instruction", "response": "output"}},
        ),
    ],
)
def test_plain_text(row: dict[str, Any], entry: dict[str, Any], tmp_path: Path) -> None:
    found = source(tmp_path, [row], "pt", **dict(entry))
    assert read(found) == ([Document("Once.")], [])
    if "output" in row:
        assert found.notes == ("rows: stage pt learns instruction alone, not output",)


# stage, row, entry, words: one error for the whole data set.
UNFIT: dict[str, tuple[str, dict[str, Any], dict[str, Any], list[str]]] = {
    "no pairs": ("dpo", {"instruction": "a", "output": "b"}, {}, ["stage dpo learns from pairs", '"ranking": true']),
    "pairs not said": (
        "simpo",
        {"instruction": "a", "chosen": "b", "rejected": "c"},
        {},
        ["stage simpo learns from pairs", 'add "ranking": true'],
    ),
    "no chosen": ("dpo", {"instruction": "a", "output": "b"}, RANKED, ["rows have no 'chosen'", "stage dpo"]),
    "no chosen, guessed": (
        "rm",
        {"instruction": "a", "output": "b"},
        {"guessed": True},
        ["rows have no `chosen`: its rows hold answers", "stage rm learns from pairs", "Set stage: sft"],
    ),
    "no prompt, guessed": (
        "dpo",
        {"chosen": "Human: a Assistant: b", "rejected": "c"},
        {"guessed": True},
        ["of no known format"],
    ),
    "pairs for sft": ("sft", {"instruction": "a", "chosen": "b", "rejected": "c"}, RANKED, ["has pairs", "stage sft"]),
    "pairs for kto": ("kto", {"instruction": "a", "chosen": "b", "rejected": "c"}, RANKED, ["no column of labels"]),
    "pairs for pt": ("pt", {"instruction": "a", "chosen": "b", "rejected": "c"}, RANKED, ["stage pt", "plain text"]),
    "labels for sft": (
        "sft",
        {"q": "a", "a": "b", "l": True},
        {"columns": {"prompt": "q", "response": "a", "kto_tag": "l"}},
        ["labelled good or bad; stage sft"],
    ),
    "no labels": ("kto", {"instruction": "a", "output": "b"}, {}, ["no column of labels", "kto_tag"]),
    "no labels, guessed": (
        "kto",
        {"prompt": "a", "completion": "b"},
        {"guessed": True},
        ["rows have no `label`", "Set stage: sft"],
    ),
    "text for sft": ("sft", {"text": "a"}, {"columns": {"prompt": "text"}}, ["does not name response", "stage pt"]),
    "text for sft, guessed": ("sft", {"text": "a"}, {"guessed": True}, ["rows hold plain text", "Set stage: pt"]),
    "talk for pt": ("pt", {"messages": [USER, ANSWER]}, {"formatting": "openai"}, ["conversations", "stage pt"]),
    "answers for pt": ("pt", {"instruction": "a", "output": "b"}, {}, ["questions and answers", "stage sft"]),
    "answers for pt, guessed": (
        "pt",
        {"prompt": "a", "response": "b"},
        {"guessed": True},
        ["rows hold answers", "Set stage: sft"],
    ),
    "pairs for sft, guessed": (
        "sft",
        {"prompt": "a", "chosen": "b", "rejected": "c"},
        {"guessed": True},
        ["rows hold pairs", "Set stage: rm or dpo"],
    ),
    "text for grpo": ("grpo", {"text": "a"}, {"guessed": True}, ["stage grpo learns from prompts"]),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_data_set_of_another_kind_is_refused_as_a_whole(case: str, tmp_path: Path) -> None:
    stage, row, entry, words = UNFIT[case]
    with pytest.raises(DataError) as error:
        source(tmp_path, [row] * 3, stage, **dict(entry))
    said = f"{error.value.message} | {error.value.hint}"
    for word in words:
        assert word in said


CALL = {"name": "add", "arguments": {"a": 1}}
TOOLS = json.dumps([{"name": "add", "parameters": {"type": "object"}}])


def test_tool_calls_of_openai_become_function_messages(tmp_path: Path) -> None:
    wrapped = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    messages = [
        said("developer", "Be brief."),
        USER,
        said("assistant", None, tool_calls=[wrapped, wrapped]),
        said("tool", "1", tool_call_id="c1"),
        said("tool", "2", tool_call_id="c1"),
        said("assistant", "Let me look.", reasoning_content="Hm.", tool_calls=[wrapped]),
        said("tool", ""),
        ANSWER,
    ]
    tools = [{"type": "function", "function": {"name": "add", "description": None}}]
    talk = only(tmp_path, {"messages": messages, "tools": tools}, formatting="openai")
    roles = ["user", "function", "observation", "function", "observation", "assistant"]
    assert [message.role for message in talk.messages] == roles
    assert calls_of(talk.messages[1].content) == ("", [CALL, CALL])
    assert talk.messages[2].content == f"1{BETWEEN_REPLIES}2"
    assert calls_of(talk.messages[3].content) == ("<think>\nHm.\n</think>\n\nLet me look.\n", [CALL])
    assert talk.messages[4].content == ""
    assert talk.system == "Be brief."
    assert json.loads(talk.tools) == [{"type": "function", "function": {"name": "add"}}]


def test_openais_former_function_messages(tmp_path: Path) -> None:
    messages = [
        USER,
        said("assistant", None, function_call={"name": "add", "arguments": '{"a": 1}'}),
        said("function", "1", name="add"),
        ANSWER,
    ]
    talk = only(tmp_path, {"messages": messages}, formatting="openai")
    assert [message.role for message in talk.messages] == ["user", "function", "observation", "assistant"]
    assert calls_of(talk.messages[1].content) == ("", [CALL])


def test_tools_of_sharegpt(tmp_path: Path) -> None:
    talk = [
        HUMAN,
        {"from": "function_call", "value": json.dumps(CALL)},
        {"from": "observation", "value": "1"},
        {"from": "observation", "value": "2"},
        GPT,
    ]
    entry = {"formatting": "sharegpt", "columns": {"messages": "conversations", "tools": "tools"}}
    found = only(tmp_path, {"conversations": talk, "tools": TOOLS}, **entry)
    assert found.tools == TOOLS
    assert found.messages[1] == Message("function", json.dumps(CALL))
    assert found.messages[2].content == f"1{BETWEEN_REPLIES}2"
    assert only(tmp_path, {"conversations": [HUMAN, GPT], "tools": "[]"}, **entry).tools == ""
    assert only(tmp_path, {"conversations": [HUMAN, GPT], "tools": json.loads(TOOLS)[0]}, **entry).tools == TOOLS


@pytest.mark.parametrize(
    ("tools", "reason"),
    [
        ("{", "column 'tools' is not valid JSON"),
        ("add", "column 'tools' is not valid JSON"),
        (7, "column 'tools' is a number"),
        (["add"], "tool 1 of 'tools' is text"),
        ([{}], "tool 1 of 'tools' has no name"),
        ([{"type": "function", "function": 3}], "a function that is a number"),
        ([{"name": "add", "parameters": "none"}], "parameters that are text"),
    ],
)
def test_tools_that_are_none(tools: object, reason: str, tmp_path: Path) -> None:
    entry = {"formatting": "openai", "columns": {"messages": "messages", "tools": "tools"}}
    rows = [{"messages": [USER, ANSWER], "tools": value} for value in (None, tools, "")]
    talks, bad = read(source(tmp_path, rows, **entry))
    assert len(talks) == 2
    assert reason in bad[0][1]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("add(1)", "it holds no JSON"),
        ("[]", "the list of calls is empty"),
        ('{"arguments": {}}', "a call has no name"),
        ('{"name": "add", "arguments": [1]}', "the arguments of 'add' are a list"),
        ('{"name": "add", "arguments": "x"}', "the arguments of 'add' are text"),
        ('{"name": "add"', "it holds no JSON"),
    ],
)
def test_calls_that_are_none(content: str, reason: str, tmp_path: Path) -> None:
    rows = [{"conversations": talk} for talk in ([HUMAN, GPT], [HUMAN, {"from": "function_call", "value": content}])]
    talks, bad = read(source(tmp_path, rows, formatting="sharegpt"))
    assert len(talks) == 1
    assert reason in bad[0][1]


def test_a_message_may_be_left_out_of_the_loss(tmp_path: Path) -> None:
    talk = [
        USER,
        said("assistant", "1", weight=0),
        USER,
        said("assistant", "2", weight=1),
        USER,
        said("assistant", "3"),
    ]
    assert [m.trained for m in only(tmp_path, {"messages": talk}, formatting="openai").messages[1::2]] == [
        False, True, True,
    ]  # fmt: skip
    talk = [HUMAN, GPT | {"train": False}, HUMAN, GPT]
    assert [m.trained for m in only(tmp_path, {"conversations": talk}, formatting="sharegpt").messages[1::2]] == [
        False, True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("weight", "reason"), [(0, "every answer has weight 0"), (0.5, "it may be 0 or 1"), ("1", "text")]
)
def test_weights_that_cannot_be(weight: object, reason: str, tmp_path: Path) -> None:
    rows = [{"messages": [USER, said("assistant", "1", weight=value)]} for value in (1, weight, None)]
    talks, bad = read(source(tmp_path, rows, formatting="openai"))
    assert len(talks) == 2
    assert reason in bad[0][1]


SEEN = {"formatting": "openai", "columns": {"messages": "messages", "images": "images"}}


def test_images_are_found_in_media_dir_then_beside(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(b"x")
    for name in ("a.png", "b.png"):
        (tmp_path / "data" / name).write_bytes(b"x")
    row = {
        "messages": [said("user", "<image>One?<image>"), ANSWER],
        "images": ["a.png", {"path": "b.png", "bytes": None}],
    }
    talk = only(tmp_path, row, media_dir="pictures", **SEEN)
    assert talk.images == (str(tmp_path / "pictures" / "a.png"), str(tmp_path / "data" / "b.png"))
    assert only(tmp_path, row, **SEEN).images[0] == str(tmp_path / "data" / "a.png")
    parts = [{"type": "image"}, {"type": "text", "text": "One?"}, {"type": "image"}]
    assert only(tmp_path, row | {"messages": [said("user", parts), ANSWER]}, **SEEN) == only(tmp_path, row, **SEEN)
    named = [{"type": "image_url", "image_url": {"url": "a.png"}}, {"type": "text", "text": "One?"}]
    talk = only(tmp_path, {"messages": [said("user", named), ANSWER]}, formatting="openai")
    assert (talk.messages[0].content, talk.images) == ("<image>One?", (str(tmp_path / "data" / "a.png"),))


@pytest.mark.parametrize(
    ("text", "images", "reason"),
    [
        ("<image>", [], "have 1 <image>, and the row names 0"),
        ("none", ["a.png"], "have 0 <image>, and the row names 1"),
        ("<image>", ["gone.png"], "'gone.png', is not in"),
        ("<image>", "gone.png", "'gone.png', is not in"),
        ("<image>", [7], "image 1 is a number"),
        ("<image>", 7, "column 'images' is a number"),
        ("<image>", [{"bytes": "x", "path": None}], "stored in the row itself"),
        ("<image>", ["https://example.org/a.png"], "is an address"),
        ("<image>", ["a\0.png"], "is not in"),
        ("<image>", ["x" * 5000], "is not in"),
    ],
)
def test_images_that_cannot_be(text: str, images: object, reason: str, tmp_path: Path) -> None:
    good = {"messages": [USER, ANSWER], "images": None}
    rows = [good, {"messages": [said("user", text), ANSWER], "images": images}]
    talks, bad = read(source(tmp_path, rows, **SEEN))
    assert len(talks) == 1
    assert reason in bad[0][1]


def test_a_csv_cell_may_hold_messages_as_json(tmp_path: Path) -> None:
    cell = json.dumps([USER, ANSWER]).replace('"', '""')
    (talk,), bad = read(source(tmp_path, f'messages\n"{cell}"\n', name="rows.csv", guessed=True))
    assert talk == Conversation((ONE, GOOD))
    assert not bad


def test_text_that_is_json_stays_text(tmp_path: Path) -> None:
    text = '[{"role": 1}]'
    row = {"instruction": '[{"a": 1}]', "output": text}
    assert only(tmp_path, row).messages == (Message("user", '[{"a": 1}]'), Message("assistant", text))
