"""What is left of an evaluation that was ended, what others see of one at work, and which one is gone on with."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.evaluate.given import measured
from tests.stages.online.around import around, prompts
from tests.tiny import tiny_model
from tuitune.errors import Stopped, UsageError
from tuitune.evaluate.telling import Telling
from tuitune.face.about import evaluated
from tuitune.models.generate import Sampling
from tuitune.run.directory import RunDir
from tuitune.run.evaluation import Evaluation, Item
from tuitune.run.evaluations import evaluations_of, predictions, read
from tuitune.run.reached import Reached, reached_in, tell
from tuitune.stages.online.rollout import likeliest

LONG = ("max_new_tokens=64", "seed=3", "tokens_per_batch=4000")  # all rows in one batch


def answered(items: list[Item]) -> dict[str, str]:
    found = {item.id: item.answers["tuned"].text for item in items if "tuned" in item.answers}
    return {name: text for name, text in found.items() if text is not None}


def cancelled(run: RunDir, name: str) -> Evaluation:
    """Return an evaluation that was ended after its first row."""

    def cancel(kind: str, values: Any) -> None:
        if kind == "row":
            raise KeyboardInterrupt

    with pytest.raises(Stopped):
        measured(run.path, name=name, line=cancel, answers=False)
    return next(found for found in map(read, evaluations_of(run)) if found.name == name)


def test_answers_that_have_ended_are_kept_while_others_of_their_batch_go_on(run: RunDir) -> None:
    asked: dict[str, Any] = {"data": "rows", "rows": 24, "sample": True, "base": False}
    whole = measured(run.path, *LONG, **asked)
    lengths = {item.id: item.answers["tuned"].tokens or 0 for item in predictions(whole.path)}
    short = {name for name, length in lengths.items() if length <= 48}
    assert short  # else this would show nothing
    left: dict[str, str] = {}

    def kill(text: str) -> None:  # what lies on the disk now is what kill -9 would leave
        if text.startswith("token 57 ") and not left:
            left.update(answered(predictions(evaluations_of(run)[0])))
            raise KeyboardInterrupt

    with pytest.raises(Stopped):
        measured(run.path, *LONG, **asked, within=kill)
    assert short <= left.keys() < lengths.keys()
    again: list[str] = []
    rest = measured(run.path, resume=True, line=lambda kind, told: again.append(told["id"]) if kind == "row" else None)
    assert sorted(again) == sorted(lengths.keys() - left.keys())
    assert predictions(rest.path) == predictions(whole.path)
    assert rest.metrics == whole.metrics


def test_a_batch_of_which_a_part_is_there_is_made_whole_again_and_others_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, _ = around(tiny_model(), tokens=60, sampling=Sampling(max_new_tokens=8, do_sample=False))
    rows = [list(prompt.sequences[0]["input_ids"]) for prompt in prompts(made) for _ in range(3)]
    batches: list[list[list[int]]] = []
    generate = made.model.generate

    def noted(**more: Any) -> Any:
        batches.append(more["input_ids"].tolist())
        return generate(**more)

    monkeypatch.setattr(made.model, "generate", noted)
    all_answers = likeliest(made, rows)
    every = list(batches)
    assert len(every) > 2
    assert len(every[0]) > 1
    last = max(range(len(rows)), key=lambda place: len(rows[place]))
    batches.clear()
    told: list[int] = []
    found = likeliest(made, rows, wanted={last}, each=lambda place, ids: told.append(place))
    assert batches == every[:1]  # the first batch has the longest prompts
    assert (found, told) == ([all_answers[last]], [last])


def test_memory_that_runs_out_within_a_batch_loses_no_answer_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    made, said = around(tiny_model().double(), tokens=20_000, sampling=Sampling(max_new_tokens=64, seed=1))
    rows = [list(prompt.sequences[0]["input_ids"]) for prompt in prompts(made) for _ in range(8)]
    draws = torch.rand(len(rows), 64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    whole = likeliest(made, rows, draws=draws)
    calls: list[int] = []

    def token(number: int) -> None:
        calls.append(number)
        if calls.count(33) == 1 and number == 33:
            raise torch.OutOfMemoryError("CUDA out of memory")

    made.token = token
    told: list[int] = []
    assert likeliest(made, rows, draws=draws, each=lambda place, ids: told.append(place)) == whole
    assert sorted(told) == list(range(len(rows)))  # each once
    assert any("answers at once" in text for text in said.noted)


def test_the_time_before_a_kill_counts(run: RunDir) -> None:
    killed = cancelled(run, "killed")
    tell(killed.path, Reached("answers, tuned", seconds=1000.0))  # left there, as nothing took it away
    assert measured(run.path, resume=True, answers=False).seconds > 1000


def test_others_see_how_far_it_is_and_the_figures_of_the_models_that_are_done(run: RunDir) -> None:
    seen: list[tuple[Evaluation, Reached | None]] = []

    def look(kind: str, values: Any) -> None:
        if kind == "row" and values["model"] == "base":
            [path] = evaluations_of(run)
            seen.append((read(path), reached_in(path)))

    found = measured(run.path, line=look)
    then, reached = seen[0]
    loss, final = then.metric("loss"), found.metric("loss")
    assert loss is not None
    assert final is not None
    assert loss.values == {"tuned": final.values["tuned"]}
    assert not loss.differences
    assert final.differences.keys() == {"tuned"}
    assert reached is not None
    assert reached.stage == "loss, base"
    assert reached_in(found.path) is None


def test_what_is_interrupted_is_not_told_as_if_it_were_done(run: RunDir) -> None:
    def cancel(kind: str, values: Any) -> None:
        if kind == "row" and values["model"] == "base":
            raise KeyboardInterrupt

    with pytest.raises(Stopped):
        measured(run.path, line=cancel)
    [path] = evaluations_of(run)
    assert (read(path).status, reached_in(path)) == ("interrupted", None)
    assert [metric.key for metric in read(path).metrics][:1] == ["loss"]
    assert evaluated(run)[0].headline.endswith(", interrupted")


def test_a_stage_is_told_at_once_and_its_progress_now_and_then(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 10.0
    monkeypatch.setattr("tuitune.evaluate.telling.time.monotonic", lambda: clock)
    telling = Telling(lambda stage, done, total: None, lambda text: None)
    telling.into(run.path, lambda: 1.5)
    assert reached_in(run.path) is None
    telling.progress("answers", 0, 9)
    telling.progress("answers", 1, 9)
    telling.within("token 3")
    assert reached_in(run.path) == Reached("answers", 0, 9, seconds=1.5)
    clock = 20.0
    telling.within("token 4")
    assert reached_in(run.path) == Reached("answers", 1, 9, "token 4", 1.5)
    telling.progress("loss", 0, None)
    assert reached_in(run.path) == Reached("loss", 0, None, seconds=1.5)
    telling.end()
    telling.progress("more", 0, None)
    assert reached_in(run.path) is None


def test_another_than_the_newest_is_gone_on_with_by_its_name(run: RunDir) -> None:
    first, second, third = (cancelled(run, name) for name in ("first", "second", "third"))
    notes: list[str] = []
    with pytest.raises(UsageError, match=r"no interrupted evaluation of .* called fourth") as refused:
        measured(run.path, resume=True, name="fourth")
    assert all(each.id in refused.value.hint for each in (first, second, third))
    assert measured(run.path, resume=True, name="first").path == first.path
    assert measured(run.path, resume=True, name=third.id).path == third.path
    with pytest.raises(UsageError, match=f"{first.id} is done") as refused:
        measured(run.path, resume=True, name="first")
    assert second.id in refused.value.hint
    fourth = cancelled(run, "the-fourth")  # of those of one second the last by name counts as the newest
    assert measured(run.path, resume=True, note=notes.append).path == fourth.path
    assert any(f"also interrupted: {second.id}; --name" in note for note in notes)


def test_how_to_go_on_names_one_that_is_not_the_newest(run: RunDir) -> None:
    first = cancelled(run, "first")
    cancelled(run, "second")

    def cancel(kind: str, values: Any) -> None:
        if kind == "row":
            raise KeyboardInterrupt

    with pytest.raises(Stopped) as stopped:
        measured(run.path, resume=True, name="first", line=cancel)
    assert stopped.value.hint.endswith(f"--resume --name {first.id}")


def test_what_is_asked_for_beside_a_resume_must_be_what_it_began_with(run: RunDir) -> None:
    begun = cancelled(run, "one")
    for more in ({"rows": 3}, {"sample": True}, {"base": False}):
        option = {"rows": "--rows", "sample": "--sample", "base": "--no-base"}[next(iter(more))]
        with pytest.raises(UsageError, match=f"{option} is not what it began with"):
            measured(run.path, resume=True, **more)
    with pytest.raises(UsageError, match="cutoff_len is not what it began with"):
        measured(run.path, "cutoff_len=40", resume=True)
    # What changes no figure may change: here, how much goes through at once.
    assert measured(run.path, "tokens_per_batch=50", resume=True, answers=False).path == begun.path
