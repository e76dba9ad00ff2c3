"""What the plain views say of stages with figures and answers of their own."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from tests.cli.given import plant, seen
from tests.tui.runs import answered, logged, online, opening
from tuitune.cli.console import Screen, screen
from tuitune.cli.views import LiveView, PlainView
from tuitune.face import words
from tuitune.run import events


def printed(found: list[events.Event]) -> list[str]:
    stream = io.StringIO()
    PlainView(plant("run"), screen(stream)).show(found, None)
    return stream.getvalue().splitlines()


def test_lines_of_a_run_that_learns_from_rewards_begin_with_the_reward() -> None:
    lines = printed(online(1, 1))
    (line,) = [each for each in lines if each.startswith("step 1") and "reward 0.2" in each and "lr " in each]
    assert line.split("  ")[1:5] == ["reward 0.217", "loss 0.0084", "kl 0.00025", "entropy 1.78"]


def test_lines_of_pairs_tell_accuracy_and_margin() -> None:
    begun = [replace(event, stage="dpo") if isinstance(event, events.RunStarted) else event for event in opening()]
    step = replace(logged(1), metrics={"rewards/margins": 0.5, "rewards/accuracies": 0.75, "logps/chosen": -100.0})
    text = "\n".join(printed([*begun, step]))
    assert "loss 2.9383  acc 0.75  margin 0.5  lr " in text
    assert "logps" not in text


def test_answers_are_a_line_each_ten_seconds_and_clean() -> None:
    lines = [line for line in printed([answered(step) for step in range(1, 26)]) if "answers" in line]
    assert [line.split(":")[0] for line in lines] == ["step 1", "step 11", "step 21"]
    assert lines[0].startswith('step 1: 4 answers, reward 1 to 0.1, to "Ann has 6 apples')
    assert lines[0].endswith(': "<think> 6 and 7 make 13, for 6 + 6 = 12 and one more. </thi…"')
    hidden = printed([replace(answered(1), prompt="\x1b]52;c;evil\x07hi")])
    assert "\x1b" not in "".join(hidden)
    assert '"hi"' in hidden[0]


def test_one_answer_without_a_reward_is_said_too() -> None:
    line = words.sampled(events.Sampled(3, "a", ["b"], [float("nan")]))
    assert line == 'step 3: 1 answer, reward nan, to "a"'


def test_an_evaluation_is_remembered_by_its_reward() -> None:
    evaluated = events.EvalLogged(2, loss=0.0, metrics={"eval_reward": 0.5})
    assert words.evaluated(evaluated, "grpo") == "reward 0.5"
    assert words.evaluated(evaluated, "sft") == "0.0000"
    assert "eval_reward" not in str(words.remark(evaluated))
    assert "reward 0.5000" in str(words.remark(evaluated))


def test_while_the_model_answers_the_bar_stays_that_of_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Screen(file=io.StringIO(), width=100, height=24, force_terminal=True, markup=False, highlight=False)
    view = LiveView(plant("run"), terminal)
    view.show([*online(1, 2), events.Progress("rollout", 5, 16)], None)
    view.close()
    assert isinstance(terminal.file, io.StringIO)
    text = seen(terminal.file.getvalue())
    assert "answering 5/16  reward" in text
    assert " train " in text
