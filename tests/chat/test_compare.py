"""Two conversations with shared questions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.chat.test_kept import Counts, texts
from tuitune.chat.compare import Comparison, common_words, earlier, seeded
from tuitune.chat.comparisons import cut_off
from tuitune.chat.kept import answered
from tuitune.chat.tools import Call
from tuitune.errors import DataError, RunError, UsageError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path))
    return tmp_path


def let_answer(talk: Comparison, which: tuple[int, ...], left: Counts | None = None) -> None:
    for place in which:
        answered(left if left is not None and place == 0 else Counts(), talk.sides[place], {})


def spoken(*questions: str) -> Comparison:
    talk = Comparison.begin()
    for text in questions:
        let_answer(talk, talk.ask(text))
    return talk


def both(talk: Comparison) -> list[list[str]]:
    return [texts(side) for side in talk.sides]


def test_every_turn_is_on_disk_for_each_side(home: Path) -> None:
    talk = Comparison.begin()
    assert talk.folder is None
    assert not (home / "comparisons").exists()
    talk.instruct("S")
    let_answer(talk, talk.ask("a"))
    for side, name in zip(talk.sides, ("tuned", "base"), strict=True):
        side.ask_of(name)
    assert talk.folder is not None
    talk.close()
    again = Comparison.load(talk.folder)
    assert both(again) == both(talk) == [["a", "1"]] * 2
    assert [(side.system, side.whom) for side in again.sides] == [("S", "tuned"), ("S", "base")]
    assert earlier() == [talk.folder]
    assert (talk.folder.stat().st_mode & 0o777) == 0o700


def test_a_crash_costs_neither_side_what_it_had_said() -> None:
    talk = spoken("a")
    talk.ask("b")
    talk.sides[0].begin_answer("tuned").add("half")
    assert talk.folder is not None
    assert not cut_off(talk.folder)  # it is still being written
    talk.close()
    assert cut_off(talk.folder)
    again = Comparison.load(talk.folder)
    assert both(again) == [["a", "1", "b", "half"], ["a", "1", "b"]]
    assert (again.folder, again.is_copy, cut_off(talk.folder)) == (talk.folder, False, False)


def test_what_somebody_has_open_is_gone_on_with_as_a_copy(tmp_path: Path) -> None:
    talk = spoken("a")
    assert talk.folder is not None
    other = Comparison.load(talk.folder)
    assert other.is_copy
    let_answer(other, other.ask("b"))
    assert [len(side.turns) for side in Comparison.peek(talk.folder)] == [2, 2]
    assert other.folder is not None
    assert len(earlier()) == 2
    assert Comparison.load(other.folder).is_copy  # a copy is held, too
    other.save(tmp_path / "both.json")
    other.take(tmp_path / "both.json")
    assert not other.is_copy  # nobody is in the way of what was taken
    talk.close()
    back = Comparison.load(talk.folder)
    assert (back.is_copy, both(back)) == (False, [["a", "1"]] * 2)


def test_a_side_that_fails_does_not_stop_the_other() -> None:
    talk = spoken("a")
    which = talk.ask("b")
    with pytest.raises(RunError):
        let_answer(talk, which[:1], Counts(fails=True, says=False))
    let_answer(talk, which[1:])
    let_answer(talk, talk.ask("c"))
    assert both(talk) == [["a", "1", "c", "3"], ["a", "1", "b", "3", "c", "5"]]


def test_a_question_is_changed_in_both_and_an_answer_in_its_own() -> None:
    talk = spoken("a", "b")
    assert talk.rewrite(0, 1, "one") == ()
    assert both(talk) == [["a", "one", "b", "3"], ["a", "1", "b", "3"]]
    which = talk.rewrite(1, 0, "A")
    assert which == (0, 1)
    assert both(talk) == [["A"], ["A"]]
    let_answer(talk, which)
    assert talk.undo()
    assert both(talk) == [["a", "one", "b", "3"], ["a", "1", "b", "3"]]


def test_any_question_can_be_answered_again_by_both() -> None:
    talk = spoken("a", "b")
    assert talk.again(0, 1) == (0, 1)
    assert both(talk) == [["a"], ["a"]]
    talk.undo()
    assert talk.again(1, 3) == (0, 1)
    assert both(talk) == [["a", "1", "b"]] * 2
    assert Comparison().again(0, -1) == ()


def test_a_question_that_only_one_was_asked_concerns_that_one() -> None:
    talk = spoken("a")
    talk.sides[0].ask("more")
    answered(Counts(), talk.sides[0], {})
    assert talk.rewrite(0, 2, "less") == (0,)
    assert both(talk) == [["a", "1", "less"], ["a", "1"]]


def test_who_calls_tools_gets_what_they_answer_alone() -> None:
    talk = Comparison.begin()
    let_answer(talk, talk.ask("weather?"), Counts(Call("weather", {"city": "Rome"})))
    which = talk.ask("sun")
    assert which == (0,)
    let_answer(talk, which)
    assert [turn.role for turn in talk.sides[0].turns] == ["user", "function", "observation", "assistant"]
    assert len(talk.sides[1].turns) == 2
    assert talk.ask("and now?") == (0, 1)


def test_both_go_into_one_file_and_come_back(tmp_path: Path) -> None:
    talk = spoken("a", "b")
    talk.instruct("S")
    talk.sides[0].ask_of("tuned")
    talk.draw({"temperature": 0.5, "max_new_tokens": 7})
    talk.save(tmp_path / "both.json")
    assert json.loads((tmp_path / "both.json").read_text())["left"]["name"] == "tuned"
    again = Comparison.read(tmp_path / "both.json")
    assert both(again) == both(talk)
    assert (again.sides[0].system, again.sides[0].whom, again.sides[1].whom) == ("S", "tuned", "")
    assert again.folder != talk.folder
    for each in (again, Comparison.load(talk.folder), talk.swapped()):  # type: ignore[arg-type]
        assert each.sampling == {"temperature": 0.5, "max_new_tokens": 7}
    with pytest.raises(UsageError, match="exists already"):
        talk.save(tmp_path / "both.json")
    talk.draw({})
    talk.save(tmp_path / "both.json", replacing=True)
    assert Comparison.read(tmp_path / "both.json").sampling == {}
    strange = {**json.loads((tmp_path / "both.json").read_text()), "sampling": {"top_p": 7, "seed": 3, "x": 1}}
    (tmp_path / "strange.json").write_text(json.dumps(strange))
    assert Comparison.read(tmp_path / "strange.json").sampling == {"seed": 3}
    for text in ("{", "[]", '{"left": {}}', '{"left": 1, "right": 2}'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(DataError, match="no comparison"):
            Comparison.read(tmp_path / "bad.json")
    with pytest.raises(UsageError, match="no comparison in"):
        Comparison.load(tmp_path / "nothing")


def test_sides_can_change_places() -> None:
    talk = spoken("a")
    talk.rewrite(0, 1, "left said")
    other = talk.swapped()
    assert both(other) == [["a", "1"], ["a", "left said"]]
    let_answer(other, other.ask("b"))
    assert both(talk) == [["a", "left said"], ["a", "1"]]


def test_one_seed_serves_both() -> None:
    assert seeded({"seed": 3, "top_k": 1}) == {"seed": 3, "top_k": 1}
    drawn = seeded({"top_k": 1})
    assert isinstance(drawn["seed"], int)
    assert drawn != seeded({"top_k": 1})


@pytest.mark.parametrize(
    ("left", "right", "count"),
    [("I am Nova.", "I am here.", 2), ("same", "same", 1), ("", "x", 0), ("a  b\nc", "a b c d", 3), ("ab", "abc", 0)],
)
def test_words_in_common_are_counted_from_the_beginning(left: str, right: str, count: int) -> None:
    assert common_words(left, right) == common_words(right, left) == count


def test_what_was_kept_or_saved_is_gone_on_with_and_stays_as_it_is(tmp_path: Path) -> None:
    old = spoken("a")
    old.sides[0].ask_of("tuned")
    old.ask("b")
    old.sides[0].begin_answer("tuned").add("half")
    assert old.folder is not None
    talk = spoken("before")
    talk.take(old.folder)
    assert both(talk) == [["a", "1", "b", "half"], ["a", "1", "b"]]
    assert (talk.sides[0].whom, talk.sides[0].turns[-1].reason) == ("tuned", "lost")
    assert (old.folder / "left.jsonl.part").exists()
    let_answer(talk, talk.ask("c"))
    assert both(old) == [["a", "1", "b"], ["a", "1", "b"]]
    assert talk.folder is not None
    assert both(Comparison.load(talk.folder)) == both(talk)
    old.save(tmp_path / "both.json")
    talk.take(tmp_path / "both.json")
    assert both(talk) == both(old)
    talk.undo()
    talk.undo()
    assert both(talk) == [["before", "1"]] * 2
    with pytest.raises(UsageError, match="there is no comparison in"):
        talk.take(tmp_path)


def test_what_is_not_to_be_kept_makes_no_folder_when_it_goes_on(home: Path) -> None:
    old = spoken("a")
    assert old.folder is not None
    talk = Comparison()
    talk.take(old.folder)
    let_answer(talk, talk.ask("b"))
    assert both(talk) == [["a", "1", "b", "3"]] * 2
    assert earlier() == [old.folder]


def test_undo_brings_back_only_what_the_last_change_took() -> None:
    talk = spoken("a")
    talk.clear()
    let_answer(talk, talk.ask("b"))
    talk.rewrite(0, 1, "mine")
    assert talk.undo()
    assert both(talk) == [["b", "1"], ["b", "1"]]  # the right side is not what it was before it was cleared
    assert talk.undo()
    assert both(talk) == [["a", "1"], ["a", "1"]]
    assert not talk.undo()


def test_undo_leaves_a_side_alone_that_has_come_back_by_itself() -> None:
    talk = spoken("a")
    talk.clear()
    let_answer(talk, talk.ask("b"))
    talk.again(0, 1)
    talk.sides[0].undo()  # its answer was cancelled
    let_answer(talk, (1,))
    assert talk.undo()
    assert both(talk) == [["b", "1"], ["b", "1"]]


def test_a_comparison_that_was_just_opened_or_swapped_has_nothing_to_take_back(tmp_path: Path) -> None:
    talk = spoken("a")
    talk.save(tmp_path / "both.json")
    for other in (Comparison.read(tmp_path / "both.json"), talk.swapped()):
        assert not other.undo()
        assert both(other) == [["a", "1"]] * 2
