from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.data.given import Given, folder
from tests.data.looking import END, TOKENIZER, asked, encoded, examples, look, turn
from tests.tui.corpus import CORPUS
from tuitune.data import DataReport, Examples, build
from tuitune.data.look import Look, Pieces, Setting
from tuitune.data.look_figures import histogram, padded
from tuitune.data.look_pieces import PART
from tuitune.data.look_side import Side
from tuitune.data.rows import RowsBuilder
from tuitune.text import clean

PIECES = Pieces(TOKENIZER)


def tokens_of(text: str):
    ids = np.array(TOKENIZER(text, add_special_tokens=False)["input_ids"], np.int32)
    return PIECES.tokens(ids, np.zeros(len(ids), bool), 0, len(ids))


# -- tokens ------------------------------------------------------------------------------------------------------------


def test_trained_flags_are_the_labels_and_pieces_make_the_text() -> None:
    found = look(examples([asked("Who are you?", "I am Ada.\nAnd you?")]))
    view, row = found.train.view(0), found.train.examples[0].sequences[0]
    tokens = view.strands[0].tokens()
    assert [token.trained for token in tokens] == [label != -100 for label in row["labels"]]
    assert [token.id for token in tokens] == row["input_ids"]
    assert b"".join(token.raw for token in tokens).decode() == TOKENIZER.decode(row["input_ids"])
    shown = "".join(token.text for token in tokens)
    assert shown == "<|im_start|>user↵Who are you?<|im_end|>↵<|im_start|>assistant↵I am Ada.↵And you?<|im_end|>↵"
    assert {token.text for token in tokens if token.special} == {"<|im_start|>", "<|im_end|>"}
    assert "".join(token.text for token in tokens if token.trained) == "I am Ada.↵And you?<|im_end|>"


def test_rows_of_the_builder_show_the_labels_that_the_engine_gets(tmp_path) -> None:
    rows = [
        {"messages": [{"role": "user", "content": "Name three fruits."}, {"role": "assistant", "content": "An apple."},
                      {"role": "user", "content": "And two?"}, {"role": "assistant", "content": "A pear."}]}
    ]  # fmt: skip
    catalog = {"rows": {"file_name": "rows.json", "formatting": "openai"}}
    folder(tmp_path, {"rows.json": rows}, catalog)
    prepared = build(Given(root=tmp_path), TOKENIZER)
    found = Look(prepared, PIECES, Setting("answer", 256, stop=(END,)))
    row = prepared.train[0].sequences[0]
    tokens = found.train.view(0).strands[0].tokens()
    assert [token.id if token.trained else -100 for token in tokens] == row["labels"]
    assert (found.train.rows_closed, found.train.rows_answered, int(found.train.answers[0])) == (1, 1, 2)


def test_a_character_of_several_tokens_shows_once_and_only_whole() -> None:
    tokens = tokens_of("a€b")
    assert [token.text for token in tokens] == ["a", PART, PART, "€", "b"]
    assert [token.partial for token in tokens] == [False, True, True, False, False]
    assert tokens[1].words == "bytes E2"
    # A window that begins in the middle of the character shows the same.
    ids = np.array([token.id for token in tokens], np.int32)
    for start in range(5):
        some = PIECES.tokens(ids, np.zeros(5, bool), start, 5)
        assert [token.text for token in some] == [token.text for token in tokens[start:]]


def test_what_is_no_text_at_all_is_said_and_not_hidden() -> None:
    ids = np.array([TOKENIZER.convert_tokens_to_ids("â"), 10_000, *TOKENIZER("x")["input_ids"]], np.int32)
    tokens = PIECES.tokens(ids, np.zeros(3, bool), 0, 3)
    assert [token.text for token in tokens] == [PART, "<10000?>", "\ufffdx"]


@pytest.mark.parametrize(
    ("text", "seen"),
    [("a\tb", "a⇥b"), ("\x1b]0;x\x07", "␛]0;x␇"), ("a\u202eb", "a<U+202E>b"), ("\x9b2J", "<U+009B>2J"), ("\x7f", "␡"),
     ("a\u200bb", "a<U+200B>b"), ("\ufeff", "<U+FEFF>")],
)  # fmt: skip
def test_what_cannot_be_seen_is_shown_by_name(text: str, seen: str) -> None:
    assert "".join(token.text for token in tokens_of(text)).replace(PART, "") == seen


def test_foreign_sequences_never_reach_the_terminal() -> None:
    for text in CORPUS:
        text = text.encode("utf-8", "replace").decode()
        for token in tokens_of(text):
            for shown in (token.text, token.words):
                assert clean(shown) == shown
                assert all(unicodedata.category(char) not in ("Cc", "Cf", "Cs") or char == "\u200d" for char in shown)


GRAPHEMES = st.sampled_from(
    [
        "日本",
        "e\u0301",
        "👩‍👩‍👧",
        "🇩🇪",
        "❤️",
        "👍🏽",
        "नि",
        "한",
        "ﷺ",
        "a",
        " ",
        "\n",
        "\u0301",
        "\u200d",
        "\ufe0f",
        "🏽",
        "𝄞",
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(GRAPHEMES, max_size=12))
def test_tokens_side_by_side_take_the_cells_that_they_take_alone(graphemes: list[str]) -> None:
    tokens = tokens_of("".join(graphemes))
    assert all(token.text and cell_len(token.text) > 0 for token in tokens)
    assert sum(cell_len(token.text) for token in tokens) == cell_len("".join(token.text for token in tokens))


# -- whose turn --------------------------------------------------------------------------------------------------------


def roles(parts) -> list[str]:
    found = look(examples([parts])).train.view(0).strands[0].turns
    assert found[0].start == 0
    return [turn.role for turn in found]


def test_turns_are_read_from_the_marks() -> None:
    talk = [*turn("system", "Be kind."), *asked("Who?", "Me."), *asked("Why?", "user\nBecause.")]
    assert roles(talk) == ["system", "user", "assistant", "user", "assistant"]


def test_turns_without_marks_are_read_from_the_labels() -> None:
    talk = [("Human: Who?\nAssistant:", False), ("Me.", True), ("\nHuman: Why?\n", False), ("So.", True)]
    assert roles(talk) == ["prompt", "answer", "prompt", "answer"]
    assert roles([("The river runs.", True)]) == ["text"]


def test_the_first_words_of_an_example_are_what_the_user_says() -> None:
    found = look(examples([[*turn("system", "Be kind."), *asked("Who are you?", "Me.")], [("The river", True)]])).train
    assert [found.beginning(0), found.beginning(1)] == ["Who are you?", "The river"]


# -- the end token -----------------------------------------------------------------------------------------------------


def test_an_end_that_is_always_trained() -> None:
    found = look(examples([asked("Who?", "Me."), [*asked("Why?", "So."), *asked("How?", "Well.")]]))
    assert found.end_words(found.train) == "the end token is trained in 2 of 2 rows"
    assert [found.train.view(place).ended for place in (0, 1)] == [True, True]
    assert len(found.train.places("unended")) == 0


def test_an_end_that_is_trained_in_some_rows_only() -> None:
    half = [*asked("Why?", "So."), *asked("How?", "Well.", end=False)]
    found = look(examples([asked("Who?", "Me."), half, turn("user", "Nothing")]))
    assert found.end_words(found.train) == "the end token is trained in 1 of 2 rows"
    assert [found.train.view(place).ended for place in (0, 1, 2)] == [True, False, None]
    assert found.train.places("unended").tolist() == [1]
    # It is there, but not learnt.
    assert found.train.ended.tolist() == [1, 2, 0]
    assert found.train.closed.tolist() == [1, 1, 0]


def test_a_template_that_never_trains_its_end() -> None:
    found = look(examples([asked("Who?", "Me.", end=False), [("Human: Who?", False), ("Me.", True)]]))
    assert found.end_words(found.train) == "this template never trains the end token <|im_end|>"
    assert found.train.ended.tolist() == [1, 0]
    none = look(examples([asked("Who?", "Me.")]), stop=())
    assert "names no end token" in none.end_words(none.train)
    assert none.train.view(0).ended is None


def test_the_end_of_one_row_is_not_that_of_the_next() -> None:
    found = look(examples([[("Who?", False), ("Me.", True)], [("<|im_end|>", True), ("x", True)]]))
    assert found.train.ended.tolist() == [0, 1]
    assert found.train.answers.tolist() == [1, 1]


def test_an_end_that_is_learnt_in_the_place_of_the_next_token() -> None:
    ids, labelled = encoded([("<|im_start|>assistant\n", False), ("Me.", True), ("\n", True)])
    builder = RowsBuilder(late_id=END)
    builder.add(ids, labelled, [len(ids) - 1])  # where the newline stands, the end token is learnt
    found = look(Examples.of(builder.done())).train
    strand = found.view(0).strands[0]
    last = strand.tokens()[-1]
    assert (last.text, last.target, strand.target(last)) == ("↵", END, "<|im_end|>")
    assert strand.target(strand.tokens()[-2]) == ""
    assert found.rows_closed == 1


# -- pairs, packs, votes, prompts --------------------------------------------------------------------------------------


def pair() -> Examples:
    return examples([asked("Who are you?", "I am Ada."), asked("Who are you?", "I am no one.")], 2)


def test_a_pair_shares_its_prompt() -> None:
    found = look(pair(), kind="pair", batch=1).train
    view = found.view(0)
    assert [block.title for block in view.blocks] == ["prompt, computed once", "chosen", "rejected"]
    assert [block.beside for block in view.blocks] == [False, False, True]
    first, second = view.strands
    common = view.shared
    assert first.ids[:common].tolist() == second.ids[:common].tolist()
    assert first.ids[common] != second.ids[common]
    prompt = view.blocks[0]
    assert (prompt.start, prompt.stop) == (0, int(first.labelled.argmax()))
    assert [(block.start, block.stop) for block in view.blocks[1:]] == [
        (prompt.stop, len(first)), (prompt.stop, len(second))
    ]  # fmt: skip
    assert found.computed == found.tokens - common
    assert view.tokens == found.tokens == len(first) + len(second)


def test_pairs_of_every_shape_share_what_they_have_in_common() -> None:
    sequences = [[("ab", True)], [("ab", True)], [("a", False)], [("ab", True)], [("b", True)], [("a", True)]]
    found = look(examples(sequences, 2), kind="pair").train
    expected = []
    for example in found.examples:
        one, other = (row["input_ids"] for row in example.sequences)
        expected.append(
            next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
        )
    assert found.shared.tolist() == expected


def test_of_kto_only_its_own_answer_is_learnt() -> None:
    own, other = asked("Who?", "Me."), asked("Who?", "The river.")
    found = look(examples([own, other, own, own], 2, desirable=[False, True]), kind="label").train
    view = found.view(0)
    assert view.desirable is False
    assert [block.title for block in view.blocks[1:]] == ["undesirable answer", "another answer, for the KL term"]
    assert view.strands[0].trained > 0
    assert view.strands[1].trained == 0
    assert found.trained.tolist() == [view.strands[0].trained] * 2
    # The other answer makes no example a different one.
    assert found.first.tolist() == [0, 0]


def test_a_pack_has_its_sequences_and_says_how_full_it_is() -> None:
    rows = [asked("Who?", "Me."), asked("Why?", "So."), asked("How?", "Well.")]
    found = look(examples(rows, [2, 1]), packing=True, cutoff_len=100).train
    assert [block.title for block in found.view(0).blocks] == ["sequence 1 of 2", "sequence 2 of 2"]
    packs = found.packs
    assert packs is not None
    assert (packs.count, packs.least, packs.most, packs.mean) == (2, 1, 2, 1.5)
    assert packs.fullness == pytest.approx(found.tokens / 200)
    assert look(examples(rows)).train.packs is None


def test_a_prompt_has_its_columns_and_nothing_to_learn() -> None:
    found = look(examples([turn("user", "2+2?")], columns=[{"answer": "4"}]), kind="prompt")
    assert found.train.view(0).columns == {"answer": "4"}
    assert found.train.places("untrained").tolist() == [0]
    assert found.end_words(found.train) == ""


# -- all of them -------------------------------------------------------------------------------------------------------


def many() -> Look:
    rows = [asked("Who?", "Me."), asked("Why?", "So long as it rains."), asked("Who?", "Me."), turn("user", "x")]
    return look(examples(rows, lost=[0, 7, 0, 0]), rows_per_step=3, epochs=2.5)


def test_filters() -> None:
    found = many().train
    assert found.places("all").tolist() == [0, 1, 2, 3]
    assert found.places("cut").tolist() == [1]
    assert found.places("twice").tolist() == [2]
    assert found.places("untrained").tolist() == [3]
    assert found.places("longest").tolist() == [1, 0, 2, 3]
    assert found.view(2).like == 0
    assert found.view(1).lost == 7
    assert found.flags(1) == (True, False, False)


def test_the_same_tokens_in_another_order_are_no_duplicates() -> None:
    found = look(examples([[("ab", True)], [("ba", True)], [("a", True)], [("b", True)]])).train
    assert len(found.places("twice")) == 0


def test_search_finds_text_in_any_case_also_across_tokens_but_not_across_sequences() -> None:
    rows = [asked("Die Straße", "Überall."), asked("The river", "ends"), asked("begins", "The Seine")]
    found = look(examples(rows)).train

    def hits(words: str) -> list[int]:
        return np.concatenate(list(found.search(words, found.places("all")))).tolist()

    assert hits("überALL") == [0]
    assert hits("the r") == [1]
    assert hits("THE") == [1, 2]
    assert hits("nothing here") == []
    packed = look(examples([[("ab", True)], [("cd", True)]], 2)).train
    assert [len(each) for each in packed.search("bc", packed.places("all"))] == [0]


def test_a_row_is_found_by_file_and_number() -> None:
    found = many().train
    assert found.find(2) == 1
    assert found.find(2, "rows.json") == 1
    assert found.find(2, "data/rows.json") == 1
    assert found.find(2, "s.json") is None
    assert found.find(9) is None
    assert found.origin(1) == "data/rows.json, row 2"


def test_steps_and_padding() -> None:
    found = many().train
    assert (found.steps_per_epoch, found.steps) == (2, 5)
    lengths = np.array([10, 1, 1, 1])
    # Whatever the order, one of two batches of two holds the long row.
    assert padded(lengths, np.arange(5), 2, 0) == 2 * 10 + 2 * 1
    assert padded(lengths, np.arange(5), 1, 0) == 13
    assert padded(lengths, np.array([0, 2, 4]), 1, 0) == 22
    assert look(examples([[("abcd", True)], [("a", True)]]), batch=2).train.saved == pytest.approx(3 / 8)


@pytest.mark.parametrize(
    "lengths", [[1], [5, 5, 5], list(range(1, 200)), [3] * 50 + [4000], [1, 100_000], [2047, 2048] * 9, [0, 3]]
)
@pytest.mark.parametrize("bins", [1, 3, 9])
def test_a_histogram_counts_everything_once(lengths: list[int], bins: int) -> None:
    found = histogram(np.array(lengths), bins)
    assert 0 < len(found) <= bins
    assert sum(each.count for each in found) == len(lengths)
    for each in found:
        assert each.count == sum(each.low <= length <= each.high for length in lengths)


def test_where_lengths_vary_much_bins_grow() -> None:
    found = histogram(np.array([3, 5, 9, 17, 4000]), 9)
    assert [each.high - each.low + 1 for each in found][:2] == [found[0].high - found[0].low + 1] * 1 + [
        (found[1].high - found[1].low + 1)
    ]
    assert found[-1].high - found[-1].low > 10 * (found[0].high - found[0].low)


def test_both_splits_are_there() -> None:
    report = DataReport()
    report.add_bad("rows.json", 3, "it is empty")
    found = look(examples([asked("Who?", "Me.")]), examples([asked("Why?", "So.")] * 2), report)
    assert found.evaluation is not None
    assert (len(found.train), len(found.evaluation)) == (1, 2)
    assert str(found.report.bad[0]) == "rows.json, row 3: it is empty"


def calls_of(work: Callable[[], object]) -> int:
    """Return how many functions are called: what Python does for each row shows, on a slow machine as on a fast one."""
    calls = 0

    def count(frame: object, event: str, arg: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


def test_many_rows_are_counted_together_and_decoded_only_where_they_are_seen() -> None:
    from tuitune.data.rows import TokenRows

    ids, labelled = encoded(asked("Who are you?", "I am Ada."))
    count = 300_000
    stored = np.tile(np.array(ids, np.int32), count)
    rows = TokenRows(stored, np.tile(np.array(labelled, bool), count), np.arange(count + 1) * len(ids))
    sides: list[Side] = []
    assert calls_of(lambda: sides.append(look(Examples.of(rows)).train)) < count / 10
    (found,) = sides
    seen: list[object] = []
    assert calls_of(lambda: seen.extend((found.beginning(count - 1), found.view(count // 2).like))) < 5_000
    assert seen == ["Who are you?", 0]


def test_json_can_say_all_of_it() -> None:
    view = many().train.view(1)
    assert json.dumps([token.words for token in view.strands[0].tokens()])
