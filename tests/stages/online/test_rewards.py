"""What built-in rewards and their sum say; no model, no torch."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.recipe.asked import recipe
from tuitune.errors import TrainingError, UsageError
from tuitune.recipe.rewards import REWARDS
from tuitune.stages.online.answer import Answer
from tuitune.stages.online.rewards import Judged, Rewards, builtin, rewards_of
from tuitune.stages.online.rewards.final import final_answer, same
from tuitune.stages.online.rewards.pattern import Pattern


def answer(
    text: str, prompt: str = "How many?", ended: bool = True, ids: tuple[int, ...] = (5, 6, 7), **columns: Any
) -> Answer:
    return Answer((1, 2), ids, prompt, text, ended, columns)


class Around:
    """What rewards use of a run."""

    def __init__(self, *lines: str) -> None:
        self.recipe = recipe("stage: grpo", *lines)
        self.warnings: list[str] = []
        self.notes: list[str] = []

    def warn(self, message: str, hint: str = "") -> None:
        self.warnings.append(message)

    def note(self, text: str) -> None:
        self.notes.append(text)


def rewards(*lines: str) -> Rewards:
    return rewards_of(Around(*lines))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("So it is <answer> 42 </answer>.", "42"),
        ("<answer>1</answer> or <answer>2</answer>", "2"),
        (r"Thus \boxed{\frac{1}{2}} holds.", r"\frac{1}{2}"),
        (r"\boxed{1} then \boxed{x^{2}}", "x^{2}"),
        (r"\boxed{never closed", r"\boxed{never closed"),
        ("3 + 4 = 7\n#### 7", "7"),
        ("<think>is it 3?</think>\nParis", "Paris"),
        ("just words", "just words"),
    ],
)
def test_the_final_answer_is_found(text: str, found: str) -> None:
    assert final_answer(text) == found


@pytest.mark.parametrize(
    ("text", "reference", "equal"),
    [
        ("#### 42", "42", True),
        ("<answer>42</answer>", "She has 6 * 7 apples.\n#### 42", True),
        (r"\boxed{42}", "42.0", True),
        ("#### 1,000", "1000", True),
        ("#### $1,000.00", "1000", True),
        ("#### 1/2", "0.5", True),
        (r"\boxed{\dfrac{1}{2}}", r"\frac12", True),
        (r"\boxed{-3}", "-3", True),
        (r"\boxed{3}", "-3", False),
        ("first 12, then 42 apples.", "42", True),
        ("42 at first, then 12", "42", False),
        ("#### 12, not 42", "42", False),  # what is marked counts, and nothing else
        ("Paris.", "  paris", True),
        ("It is Paris.", "Paris", False),
        (r"\boxed{\text{Paris}}", "Paris", True),
        ("New   York\n", "new york", True),
        ("", "", False),
        ("1e999999999", "7", False),
        ("9" * 5000, "7", False),
        ("#### 10%", "10", True),
        ("x = 3-4", "4", True),
        ("#### 1/0", "0", False),
    ],
)
def test_answers_are_the_same_where_only_the_writing_differs(text: str, reference: str, equal: bool) -> None:
    assert same(text, reference) is equal


def test_exact_looks_at_the_column_of_the_data() -> None:
    assert builtin.exact(answer("#### 4", answer="2 + 2\n#### 4")) == 1
    assert builtin.exact(answer("#### 5", output="4")) == 0
    assert builtin.exact(answer("4", answer=4)) == 1
    assert math.isnan(builtin.exact(answer("4")))
    assert math.isnan(builtin.exact(answer("4", answer="  ")))


@pytest.mark.parametrize(
    ("text", "prompt", "worth"),
    [
        ("<think>two and two</think>4", "", 1),
        ("<think>\ntwo\n</think>\n\n4\n", "", 1),
        ("two and two</think>4", "assistant\n<think>\n", 1),
        ("<think>two and two</think>4", "assistant\n<think>\n", 1),
        ("two and two</think>4", "", 0),
        ("<think>two and two 4", "", 0),
        ("<think></think>4", "", 0),
        ("<think>a</think>", "", 0),
        ("<think>a</think>4<think>b</think>", "", 0),
        ("<think>a<think>b</think>4", "", 0),
        ("Well: <think>a</think>4", "", 0),
    ],
)
def test_format_wants_thoughts_and_then_an_answer(text: str, prompt: str, worth: float) -> None:
    assert builtin.thoughts_and_answer(answer(text, prompt)) == worth


def test_length_rises_from_either_side_and_counts_no_end() -> None:
    reward = builtin.length(4)
    worth = [reward(answer("", ids=tuple(range(count)), ended=False)) for count in range(12)]
    assert worth[4] == 1
    assert worth[:5] == sorted(set(worth[:5]))
    assert worth[4:] == sorted(set(worth[4:]), reverse=True)
    assert worth[0] == 0
    assert reward(answer("", ids=(1, 2, 3, 4, 0), ended=True)) == 1


@pytest.mark.parametrize(
    ("text", "worth"),
    [
        ('{"a": 1}', 1), ("[1, 2]", 1), ('```json\n{"a": 1}\n```', 1), ('<think>hm</think>\n{"a": 1}', 1),
        ("{'a': 1}", 0), ("42", 0), ('{"a": 1} and more', 0), ("", 0), ("[" * 100_000, 0),
    ],
)  # fmt: skip
def test_json_wants_one_object_or_list(text: str, worth: float) -> None:
    assert builtin.valid_json(answer(text)) == worth


def test_repetition_counts_runs_that_came_before() -> None:
    assert builtin.repetition(answer("", ids=tuple(range(50)))) == 0
    assert builtin.repetition(answer("", ids=(1, 2, 3))) == 0
    assert builtin.repetition(answer("", ids=(1, 2, 3, 4) * 5)) == pytest.approx(4 / 17 - 1)


def test_every_name_of_a_recipe_has_a_reward() -> None:
    assert rewards(f"reward_functions: {', '.join(REWARDS)}", "reward_pattern: a").names == tuple(REWARDS)


# A pattern


def test_a_pattern_is_searched_for() -> None:
    reward = Pattern(r"\d+ euros?$", lambda *said: None)
    assert reward([answer("3 euros"), answer("3 euros or so"), answer("\x001 euro"), answer("ünï 1 euro")]) == [
        1,
        0,
        1,
        1,
    ]
    assert reward([]) == []


def test_a_pattern_that_hangs_is_given_up_for_that_answer_alone() -> None:
    said: list[str] = []
    reward = Pattern(r"(a+)+b", lambda message, hint: said.append(message), seconds=1.0)
    found = reward([answer("aab"), answer("a" * 60), answer("xb"), answer("ab")])
    assert found[0] == 1
    assert math.isnan(found[1])
    assert found[2:] == [0, 1]
    assert len(said) == 1
    assert "more than 1 seconds" in said[0]


def test_a_broken_pattern_is_refused() -> None:
    with pytest.raises(UsageError, match="no regular expression"):
        Pattern("(a", lambda *said: None)


# The sum


def test_rewards_are_weighed_and_what_says_nothing_does_not_count() -> None:
    both = rewards("reward_functions: exact, format", "reward_weights: 2, 0.5")
    judged = both(
        [
            answer("<think>a</think>4", answer="4"),
            answer("4", answer="4"),
            answer("<think>a</think>4"),
        ]
    )
    assert judged.totals == [2.5, 2.0, 0.5]
    assert judged.parts["format"] == [1, 0, 1]
    assert judged.parts["exact"][:2] == [1, 1]
    assert math.isnan(judged.parts["exact"][2])
    assert judged.figures() == {"reward": (5.0, 3), "rewards/exact/mean": (2.0, 2), "rewards/format/mean": (2.0, 3)}


def test_an_answer_that_nothing_speaks_of_has_no_reward() -> None:
    judged = rewards("reward_functions: exact")([answer("4")])
    assert math.isnan(judged.totals[0])
    assert judged.figures() == {}


# The user's own file


def own(folder: Path, text: str, *lines: str) -> Rewards:
    (folder / "mine.py").write_text(text)
    return rewards(f"reward_file: {folder / 'mine.py'}", *lines)


CONVENTIONS = """
import numpy as np

def helper(text):
    return len(text)

def reward_ours(prompts, answers, **columns):
    return [float(helper(text)) for text in answers]

def reward_trl(completions, ground_truth, **kwargs):
    assert kwargs["prompts"] == ["How many?"] * 2 and kwargs["completion_ids"] == [[5, 6, 7]] * 2
    return [None if truth is None else float(text == truth) for text, truth in zip(completions, ground_truth)]

def reward_array(answers, unknown=3):
    return np.full(len(answers), unknown)
"""


def test_functions_of_a_file_are_called_as_trl_calls_them(tmp_path: Path) -> None:
    judged = own(tmp_path, CONVENTIONS)([answer("four", ground_truth="four"), answer("x")])
    assert list(judged.parts) == ["reward_ours", "reward_trl", "reward_array"]
    assert judged.parts["reward_ours"] == [4, 1]
    assert judged.parts["reward_trl"][0] == 1
    assert math.isnan(judged.parts["reward_trl"][1])
    assert judged.parts["reward_array"] == [3, 3]
    assert judged.totals == [8, 4]


def test_a_file_runs_only_where_it_is_named_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def reward_a(answers): return [0.0 for _ in answers]\n")
    around = Around(f"reward_file: {tmp_path / 'mine.py'}", "reward_functions: format")
    assert rewards_of(around).names == ("format", "reward_a")  # type: ignore[arg-type]
    assert "runs with your permissions: reward_a" in around.warnings[0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def reward_a(answers)\n    pass", r"line 1: expected ':'"),
        ("import math\nmath.sqroot(2)\n", r"line 2: AttributeError: .*sqroot"),
        ("def judge(answers): return []", r"no function named reward_\.\.\."),
        ("async def reward_a(answers): return []", "reward_a .*line 1.* is a coroutine"),
        ("def reward_a(answers, /): return []", "arguments without a name"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_line(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        own(tmp_path, text)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("x = 1\n    return [1 / 0]", r"reward_a in .*mine\.py, line 3: ZeroDivisionError: division by zero"),
        ("return 1.0", "returned float, not a list"),
        ("return [1.0]", "returned 1 rewards for 2 answers"),
        ("return ['a', 'b']", "returned str among its rewards"),
        ("return None", "returned NoneType, not a list"),
    ],
)
def test_a_function_that_does_not_work_is_named_with_its_line(tmp_path: Path, body: str, reason: str) -> None:
    judge = own(tmp_path, f"def reward_a(answers, **columns):\n    {body}\n")
    with pytest.raises(TrainingError, match=reason):
        judge([answer("a"), answer("b")])


def test_a_column_that_the_data_does_not_have_is_named(tmp_path: Path) -> None:
    judge = own(tmp_path, "def reward_a(answers, solution): return [0.0 for _ in answers]\n")
    with pytest.raises(TrainingError, match="asks for solution") as caught:
        judge([answer("a", answer="4")])
    assert "answer" in caught.value.hint


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "mine.py").write_bytes(content)
    with pytest.raises(UsageError, match="reward_file"):
        rewards(f"reward_file: {tmp_path / 'mine.py'}")


def test_weights_count_the_functions_of_the_file(tmp_path: Path) -> None:
    text = "def reward_a(answers): return [1.0] * len(answers)\ndef reward_b(answers): return [1.0] * len(answers)\n"
    judge = own(tmp_path, text, "reward_functions: json", "reward_weights: 1, 2, 3")
    assert judge([answer("[]")]).totals == [6.0]
    with pytest.raises(UsageError, match="2 weights for 3 rewards: json, reward_a, reward_b"):
        own(tmp_path, text, "reward_functions: json", "reward_weights: 1, 2")


def test_a_change_of_the_file_is_announced_after_a_resume(tmp_path: Path) -> None:
    said: list[str] = []
    before = own(tmp_path, "def reward_a(answers): return [1.0] * len(answers)\n").state()
    same_file = own(tmp_path, "def reward_a(answers): return [1.0] * len(answers)\n")
    same_file.compare(before, lambda message, hint: said.append(message))
    assert not said
    other = own(tmp_path, "def reward_a(answers): return [2.0] * len(answers)\n")
    other.compare(before, lambda message, hint: said.append(message))
    assert "reward_file has changed" in said[0]


def test_rewards_load_no_torch() -> None:
    code = "import sys, tuitune.stages.online.rewards; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_judged_is_what_both_stages_take() -> None:
    assert Judged([1.0], {"a": [1.0]}).figures() == {"reward": (1.0, 1), "rewards/a/mean": (1.0, 1)}
