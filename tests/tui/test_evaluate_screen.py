"""The Evaluate screen: what is asked for, the table, the rows worst first, and a command at work."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from textual.binding import Binding
from textual.pilot import Pilot

from tests.tui.evaluated import BASE, TUNED, a_run, data_items, evaluated, metrics, questions
from tests.tui.given import offered, rows_text, screen_text
from tests.tui.test_app import MIDDLE, SMALL, WIDE, go, home, made, opened, said, until  # noqa: F401
from tuitune.evaluate.statistics import wilson
from tuitune.run import RunDir, index
from tuitune.run import job as room
from tuitune.run.evaluation import DATA, Evaluation, Item, Reply
from tuitune.run.evaluations import line_of
from tuitune.run.files import write_atomic
from tuitune.run.job import Job
from tuitune.tui.app import TuiTune
from tuitune.tui.asking import Ask, TextAsk
from tuitune.tui.evaluating import by_subject
from tuitune.tui.help import HelpScreen
from tuitune.tui.leave import Leave
from tuitune.tui.panes.eval_answers import AnswersOfRow
from tuitune.tui.panes.eval_asked import Asked, kept
from tuitune.tui.panes.eval_page import page
from tuitune.tui.panes.eval_results import ResultsPane
from tuitune.tui.panes.eval_rows import PredictionsPane
from tuitune.tui.panes.eval_setup import SetupPane
from tuitune.tui.panes.eval_table import bar, columns, metric_row
from tuitune.tui.panes.jobs import JobsPane
from tuitune.tui.screens.evaluate import TABS, EvaluateScreen
from tuitune.tui.subjects import typed
from tuitune.tui.workbench import Workbench

Opened = tuple[TuiTune, Pilot[Leave], EvaluateScreen]


@pytest.fixture
def run(home: Path) -> RunDir:  # noqa: F811
    return a_run(home / "runs", "tuned-one")


@contextlib.asynccontextmanager
async def on_screen(subject: RunDir | str | None, size: tuple[int, int] = MIDDLE) -> AsyncIterator[Opened]:
    """Open the app on the screen, once it knows whom it is about."""
    app = made()
    async with opened(app, size) as pilot:
        app.show_screen("evaluate", str(subject.path) if isinstance(subject, RunDir) else subject)
        await until(pilot, lambda: isinstance(app.screen, EvaluateScreen) and bool(app.screen.query(JobsPane)))
        screen = app.screen
        assert isinstance(screen, EvaluateScreen)
        await until(pilot, lambda: screen.subject is not None or "Nothing has been trained" in screen_text(app))
        yield app, pilot, screen


def listed(screen: EvaluateScreen) -> list[str]:
    return [item.id for item in screen.query_one(PredictionsPane).list.items]


# -- what shows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "seen", "hidden"),
    [
        (WIDE, ["1 Evaluate", "2 Settings", "3 Results", "4 Rows", "5 Answers", "6 Work", "0.210 to 0.930"], []),
        (MIDDLE, ["1 Evaluate", "2 Settings", "3 Results", "4 Rows", "6 Work", "✓ better"], ["5 Answers"]),
        (SMALL, ["1 Evaluate   2 Settings   3 Results", "its base"], ["✓ better"]),
    ],
)
def test_what_shows_depends_on_the_room(run: RunDir, size: tuple[int, int], seen: list[str], hidden: list[str]) -> None:
    evaluated(run)

    async def work() -> None:
        async with on_screen(run, size) as (app, pilot, screen):
            await until(pilot, lambda: screen.found is not None)
            await until(pilot, lambda: all(word in screen_text(app) for word in (*seen, "s start")))
            text = screen_text(app)
            assert not any(word in text for word in hidden), text

    go(work)


def test_the_table_has_values_intervals_and_what_is_clear(run: RunDir) -> None:
    evaluated(run)

    async def work() -> None:
        async with on_screen(run, WIDE) as (app, pilot, _):
            await until(pilot, lambda: "✓ better" in screen_text(app))
            lines = screen_text(app).split("\n")
            loss = next(line for line in lines if " loss     ↓" in line)
            assert "0.550 0.210 to 0.930" in loss
            assert "2.950 2.600 to 3.400" in loss
            assert "-2.400 ✓ better" in loss
            rouge = next(line for line in lines if "ROUGE-L  ↑" in line)
            assert "+55.00 ~ unclear" in rouge
            assert "90.0%" in next(line for line in lines if "average  ↑" in line)
            assert "tuned is better than base in loss." in screen_text(app)
            assert "▲ the run held no rows back" in screen_text(app)
            await pilot.press("3", "down")
            await until(pilot, lambda: "ROUGE-L: F1 of the longest" in screen_text(app))
            assert "+55.00 against base (-3.000 to +80.00) ~ unclear" in screen_text(app)

    go(work)


def test_bars_share_one_axis() -> None:
    loss = metrics()[0]
    tuned, base = (bar(loss.values[key], (0.21, 3.4), 22) for key in ("tuned", "base"))
    assert tuned.rstrip() == "├─●─┤"[:1] + tuned.rstrip()[1:]
    assert base.strip()[0] == "├"
    assert tuned.rindex("┤") < base.index("├")  # they do not overlap, and that is seen
    assert len(tuned) == len(base) == 22


@pytest.mark.parametrize("width", [20, 40, 60, 78, 114, 200])
def test_a_row_of_the_table_never_cuts_a_value(width: int) -> None:
    found = metrics()
    shape = columns([TUNED, BASE], found, width)
    for metric in found:
        [text] = rows_text([metric_row(metric, shape, "tuned", width, here=False)])
        assert len(text) <= width
        assert metric is not found[0] or "0.550" in text
        if width >= 60:
            assert "2.950" in text or metric is not found[0]


def test_nothing_trained_and_nothing_evaluated_say_what_to_do(home: Path) -> None:  # noqa: F811
    async def work() -> None:
        async with on_screen(None) as (app, pilot, screen):
            await until(pilot, lambda: "Nothing has been trained yet." in screen_text(app))
            await until(pilot, lambda: "choose one" in screen_text(app))
        run = a_run(home / "runs", "first")
        async with on_screen(None) as (app, pilot, screen):
            await until(pilot, lambda: f"{run.name} was not evaluated yet" in screen_text(app))
            assert screen.subject == str(run.path)

    go(work)


# -- rows and answers --------------------------------------------------------------------------------------------------


def test_rows_come_worst_first_and_answers_show_what_differs(run: RunDir) -> None:
    evaluated(run)

    async def work() -> None:
        async with on_screen(run, WIDE) as (app, pilot, screen):
            await until(pilot, lambda: len(listed(screen)) == 4)
            assert listed(screen) == [f"identity.json:{n}" for n in (4, 3, 2, 1)]
            await pilot.press("4", "down", "down")
            await until(pilot, lambda: "My name is [−Nova][+Ava]." in screen_text(app))
            text = screen_text(app)
            assert "was cut: it did not end" in text  # the base's
            assert "next to nothing in common" in text
            await pilot.press("down")
            await until(pilot, lambda: "✓ as the reference" in screen_text(app))
            await pilot.press("p", "p")
            await until(pilot, lambda: "我是[−诺瓦][+小爱]，由[−爱丽丝][+小米]开发。" in screen_text(app))
            await pilot.press("d")
            await until(pilot, lambda: "against the base" in screen_text(app))
            await pilot.press("5", "y")
            await until(pilot, lambda: "copied" in said(app) or "clipboard" in said(app))

    go(work)


def test_foreign_text_cannot_act(run: RunDir) -> None:
    evaluated(run)

    async def work() -> None:
        async with on_screen(run, WIDE) as (app, pilot, screen):
            await until(pilot, lambda: len(listed(screen)) == 4)
            text = screen_text(app)
            assert "[/nope] red" in text
            assert "[@click=app.quit]" in text
            assert not any(each in text for each in ("\x1b", "\x07", "\u202e"))

    go(work)


def test_rows_are_ordered_filtered_and_searched(run: RunDir) -> None:
    evaluated(run)

    async def work() -> None:
        async with on_screen(run) as (app, pilot, screen):
            await until(pilot, lambda: len(listed(screen)) == 4)
            await pilot.press("o")
            await until(pilot, lambda: offered(app))
            await until(pilot, lambda: "ROUGE-L of tuned against base" in screen_text(app))
            assert "right of tuned" in screen_text(app)
            await pilot.press(*"loss against", "enter")
            await until(pilot, lambda: screen.query_one(PredictionsPane).order.against == "base")
            # 2.7, 2.2, 1.7 and 1.2 less than the base: where least is gained stands first.
            await until(pilot, lambda: listed(screen) == [f"identity.json:{n}" for n in (4, 3, 2, 1)])
            await pilot.press("o")
            await until(pilot, lambda: offered(app))
            await pilot.press(*"in the", "enter")
            await until(pilot, lambda: len(listed(screen)) == 44)
            await pilot.press("f")
            await until(pilot, lambda: offered(app))
            await pilot.press(*"viro", "enter")
            await until(pilot, lambda: len(listed(screen)) == 20)
            await pilot.press("slash", *"ion 3")
            await until(pilot, lambda: 0 < len(listed(screen)) < 20)
            assert all("3" in name for name in listed(screen))
            await pilot.press("escape")
            await until(pilot, lambda: len(listed(screen)) == 20)

    go(work)


def test_a_figure_leads_to_its_rows(run: RunDir) -> None:
    evaluated(run)

    async def work() -> None:
        async with on_screen(run) as (app, pilot, screen):
            await until(pilot, lambda: screen.found is not None)
            await pilot.press("3", "down", "enter")
            await until(pilot, lambda: screen.query_one(PredictionsPane).order.score == "rouge-l")
            # the first of those with the lowest score
            await until(pilot, lambda: listed(screen)[0] == "identity.json:2")
            await until(pilot, lambda: app.focused is screen.query_one(PredictionsPane).list)
            await pilot.press("escape")
            await until(pilot, lambda: "virology ↑" in screen_text(app))
            await pilot.press("b")
            await until(pilot, lambda: "2 subjects: b shows them" in screen_text(app))
            assert "virology ↑" not in screen_text(app)
            await pilot.press("b")
            await until(pilot, lambda: "virology ↑" in screen_text(app))
            await pilot.press("end", "enter")
            await until(pilot, lambda: len(listed(screen)) == 20)
            assert screen.query_one(PredictionsPane).which.group == "virology"

    go(work)


def test_by_subject_is_the_share_of_right_answers() -> None:
    items = questions()
    whole = Evaluation(Path(), "a", "a", 0.0, "done", (TUNED, BASE))
    found = by_subject(items, whole)["mmlu_test"]
    assert [metric.key for metric in found] == ["anatomy", "virology"]
    for metric in found:
        own = [item for item in items if item.group == metric.key]
        for key, value in metric.values.items():
            right = round(sum(item.answers[key].scores["right"] for item in own))
            assert value.value == pytest.approx(100 * right / len(own))
            assert value.n == len(own)
            assert (value.low, value.high) == pytest.approx(tuple(100 * end for end in wilson(right, len(own))))
        expected = metric.values["tuned"].value - metric.values["base"].value
        assert metric.differences["tuned"].value == pytest.approx(expected)
    assert by_subject(data_items(), whole) == {}
    # What the evaluation itself says of a subject stands.
    told = replace(metrics()[2], key="anatomy")
    assert by_subject(items, replace(whole, metrics=(told,)))["mmlu_test"][0] is told


def test_many_rows_build_only_what_is_seen(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    many = [Item(DATA, f"r:{n}", "", f"prompt {n}", "yes", {"tuned": Reply("no", {"loss": n / 1000})})
            for n in range(5_000)]  # fmt: skip
    evaluated(run, items=many, figures=metrics()[:1])
    built: list[str] = []
    from tuitune.tui.panes import eval_list

    real = eval_list.beginning

    def noted(item: Item) -> str:
        built.append(item.id)
        return real(item)

    monkeypatch.setattr(eval_list, "beginning", noted)

    async def work() -> None:
        async with on_screen(run) as (app, pilot, screen):
            await until(pilot, lambda: len(listed(screen)) == 5_000)
            await pilot.press("4")
            await until(pilot, lambda: app.focused is screen.query_one(PredictionsPane).list)
            built.clear()
            await pilot.press("end")
            await until(pilot, lambda: "prompt 0" in screen_text(app))
            await pilot.press("pageup", "up", "home")
            await until(pilot, lambda: "prompt 4999" in screen_text(app))
            assert 0 < len(built) < 1000

    go(work)


def test_a_long_answer_scrolls_and_wide_letters_keep_their_columns() -> None:
    long = " ".join(f"word{n}" for n in range(4000))
    item = Item(DATA, "a:1", "", "日本語" * 40, long, {"tuned": Reply(long + " more", {"loss": 1.0}, 9, True),
                                                    "base": Reply("x" * 100_000)})  # fmt: skip
    rows = page(item, [TUNED, BASE], 60, "reference")
    text = rows_text(rows)
    assert any("too long to compare word by word" in line for line in text)
    assert any("40,000 more characters; y copies all" in line for line in text)
    from tuitune.tui.kit.rows import width_of

    assert max(width_of(row) for row in rows) <= 60
    assert max(width_of(row) for row in page(item, [TUNED, BASE], 120, "reference")) <= 120  # side by side


def test_answers_scroll_to_their_end(run: RunDir) -> None:
    long = "\n".join(f"line {n}" for n in range(200))
    evaluated(run, items=[Item(DATA, "a:1", "", "tell", "", {"tuned": Reply(long, {"loss": 1.0})})])

    async def work() -> None:
        async with on_screen(run, SMALL) as (app, pilot, screen):
            await until(pilot, lambda: len(listed(screen)) == 1)
            await pilot.press("5")
            await until(pilot, lambda: app.focused is screen.query_one(AnswersOfRow))
            assert "line 199" not in screen_text(app)
            await pilot.press("end")
            await until(pilot, lambda: "line 199" in screen_text(app))
            await pilot.press("home")
            await until(pilot, lambda: "Prompt" in screen_text(app))

    go(work)


# -- what is asked for -------------------------------------------------------------------------------------------------


def test_what_is_asked_becomes_the_words_of_the_command() -> None:
    asked = Asked(False, ("b", "c"), "rows.json", 50, "none", ("/m.py",))
    assert asked.argv("a", ["n_shot=0"]) == [
        "evaluate", "a", "n_shot=0", "--no-base", "--with", "b", "--with", "c", "--data", "rows.json", "--rows", "50",
        "--no-answers", "--metric", "/m.py",
    ]  # fmt: skip
    assert Asked().argv("a", []) == ["evaluate", "a"]
    drawn = Asked(answers="drawn")
    assert drawn.argv("a", []) == ["evaluate", "a", "--sample"]
    assert drawn.argv("a", ["top_p=0.5"]) == ["evaluate", "a", "top_p=0.5", "--sample", "do_sample=true"]


def test_a_run_is_typed_by_its_name_where_that_means_it(run: RunDir, home: Path, tmp_path: Path) -> None:  # noqa: F811
    assert typed(str(run.path)) == "tuned-one"
    assert typed(str(run.final)) == str(run.final)
    assert typed("smollm2-135m") == "smollm2-135m"
    elsewhere = a_run(tmp_path / "other", "tuned-one")
    index.register(elsewhere.path)
    assert typed(str(run.path)) == str(run.path)  # two of that name


def test_lines_are_changed_and_kept_for_the_next_time(run: RunDir) -> None:
    async def work() -> None:
        async with on_screen(run) as (app, pilot, screen):
            setup = screen.query_one(SetupPane)
            await pilot.press("1", "down", "space")  # no base
            assert not setup.asked.base
            await pilot.press("down", "down", "down", "enter")  # at most
            await until(pilot, lambda: isinstance(app.screen, TextAsk))
            await pilot.press("x", "enter")
            await until(pilot, lambda: "a whole number" in screen_text(app))
            await pilot.press("backspace", *"25", "enter")
            await until(pilot, lambda: setup.asked.rows == 25)
            await pilot.press("down", "right")
            assert "--no-base --rows 25 --sample" in setup.command
            await pilot.press("delete")
            assert setup.asked.answers == "likeliest"

    go(work)
    assert kept() == Asked(base=False, rows=25)


def test_another_model_is_added_from_the_list_and_taken_out(run: RunDir, home: Path) -> None:  # noqa: F811
    other = a_run(home / "runs", "second")

    async def work() -> None:
        async with on_screen(run) as (app, pilot, screen):
            setup = screen.query_one(SetupPane)
            await pilot.press("1", "down", "down", "enter")
            await until(pilot, lambda: offered(app) and "smollm2-135m" in screen_text(app))
            await pilot.press(*"second", "enter")
            await until(pilot, lambda: setup.asked.others == (str(other.path),))
            await until(pilot, lambda: "and          second" in screen_text(app))
            await pilot.press("delete")
            assert setup.asked.others == ()
            await pilot.press("w")
            await until(pilot, lambda: offered(app))
            await pilot.press(*"second", "enter")
            await until(pilot, lambda: screen.subject == str(other.path))

    go(work)


def test_wrong_settings_are_shown_and_nothing_is_started(run: RunDir) -> None:
    async def work() -> None:
        async with on_screen(run) as (app, pilot, screen):
            screen.options.set("n_shot", -1)
            await pilot.press("s")
            await until(pilot, lambda: "settings are not ready" in said(app))
            assert Job.all() == []
            await until(pilot, lambda: screen.tab == "options")

    go(work)


# -- a command at work -------------------------------------------------------------------------------------------------

WORK = """
import json, sys, time, pathlib
def tell(**what): print(json.dumps(what), flush=True)
tell(kind="progress", stage="loss, tuned", done=1, total=4)
folder = pathlib.Path({folder!r})
tell(kind="begun", path=str(folder), models=[], rows=4)
tell(kind="metric", group="data", key="loss", model="tuned", value=0.25, low=0.2, high=0.3, n=4)
while not pathlib.Path({gate!r}).exists(): time.sleep(0.05)
(folder / "new.json").write_text(pathlib.Path({after!r}).read_text())
(folder / "new.json").replace(folder / "results.json")  # whole, as the command writes it
tell(kind="result", path=str(folder), sentences=["all is well"])
"""


@pytest.fixture
def at_work(run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let `tuitune evaluate` be a script that finishes an evaluation when the gate is opened."""
    done = evaluated(run, "20261123-060000-a")
    after = tmp_path / "after.json"
    after.write_text((done / "results.json").read_text())
    values = json.loads(after.read_text())
    (done / "results.json").write_text(json.dumps({**values, "metrics": [], "sentences": [], "status": "running"}))
    gate, script = tmp_path / "gate", tmp_path / "work.py"
    script.write_text(WORK.format(folder=str(done), gate=str(gate), after=str(after)))
    monkeypatch.setattr(room, "PROGRAM", (sys.executable, str(script)))
    return gate.touch


def test_figures_show_as_they_become_final_and_the_rest_in_the_end(run: RunDir, at_work: Callable[[], None]) -> None:
    async def work() -> None:
        async with on_screen(run) as (app, pilot, _):
            await pilot.press("s")
            await until(pilot, lambda: "1 of 4" in screen_text(app))
            await until(pilot, lambda: "0.250" in screen_text(app) and "x cancel" in screen_text(app))
            assert "ROUGE-L" not in screen_text(app)
            await pilot.press("s")
            await until(pilot, lambda: "is being evaluated already" in said(app))
            at_work()
            await until(pilot, lambda: "ROUGE-L" in screen_text(app) and "0.550" in screen_text(app))
            await until(pilot, lambda: "evaluate tuned-one is done" in said(app))
            await until(pilot, lambda: "s start" in screen_text(app))

    go(work)


def test_leaving_the_app_says_that_the_work_goes_on_and_it_is_followed_again(
    run: RunDir, at_work: Callable[[], None]
) -> None:
    async def work() -> None:
        async with on_screen(run) as (app, pilot, _):
            await pilot.press("s")
            await until(pilot, lambda: "0.250" in screen_text(app))
            await pilot.press("ctrl+q")
            await until(pilot, lambda: app.return_value is not None)
            left = app.return_value
            assert left is not None
            assert any("evaluate" in line and "goes on; tuitune shows it again" in line for line in left.words)
        async with on_screen(run) as (app, pilot, _):
            await until(pilot, lambda: "0.250" in screen_text(app) and "1 at work" in screen_text(app))
            at_work()
            await until(pilot, lambda: "ROUGE-L" in screen_text(app))

    go(work)


def test_after_a_kill_the_screen_is_about_the_model_that_is_still_at_work(
    run: RunDir,
    at_work: Callable[[], None],
    home: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = a_run(home / "runs", "trained-later")
    monkeypatch.setattr("tuitune.tui.screens.evaluate_subject.default_subject", lambda app: str(other.path))
    Job.start("evaluate", "evaluate tuned-one", ["evaluate", "tuned-one"])

    async def work() -> None:
        async with on_screen(None) as (app, pilot, screen):
            await until(pilot, lambda: "0.250" in screen_text(app) and "x cancel" in screen_text(app))
            assert screen.subject == str(run.path)
            screen.query_one(SetupPane).set_subject(str(other.path))
            await until(pilot, lambda: "trained-later was not evaluated yet" in screen_text(app))
            await until(pilot, lambda: "evaluate tuned-one is at work (6)" in screen_text(app))
            assert "figures show here" not in screen_text(app)
            await until(pilot, lambda: "s start" in screen_text(app))  # of this model nothing is at work
            at_work()
            await until(pilot, lambda: "is at work (6)" not in screen_text(app))

    go(work)


def test_an_evaluation_of_another_terminal_is_followed(run: RunDir) -> None:
    folder = evaluated(run, status="running", items=data_items()[:1], figures=())  # this very process is at it

    async def work() -> None:
        async with on_screen(run) as (app, pilot, screen):
            await until(pilot, lambda: len(listed(screen)) == 1 and "no figure is final yet" in screen_text(app))
            values = json.loads((folder / "results.json").read_text())
            (folder / "predictions.jsonl").write_bytes(b"".join(map(line_of, data_items())))
            write_atomic(folder / "results.json", json.dumps({**values, "status": "done"}).encode())
            await until(pilot, lambda: len(listed(screen)) == 4 and "it has no figures" in screen_text(app))

    go(work)


def test_an_interrupted_evaluation_is_gone_on_with(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = evaluated(run, status="interrupted")
    values = json.loads((folder / "results.json").read_text())
    (folder / "results.json").write_text(json.dumps({**values, "subject": run.name}))  # as `tuitune evaluate NAME` does
    begun: list[list[str]] = []
    monkeypatch.setattr(JobsPane, "begin", lambda self, kind, title, argv: begun.append(argv))

    async def work() -> None:
        async with on_screen(run) as (app, pilot, _):
            await until(pilot, lambda: "interrupted" in screen_text(app))
            await pilot.press("r")
            await until(pilot, lambda: begun == [["evaluate", str(run.path), "--resume", "--name", folder.name]])

    go(work)


# -- getting around ----------------------------------------------------------------------------------------------------


def test_earlier_evaluations_are_chosen_or_stepped_through(run: RunDir) -> None:
    evaluated(run, "20261122-050000-a", figures=metrics()[:1])
    evaluated(run)

    async def work() -> None:
        async with on_screen(run) as (app, pilot, screen):
            await until(pilot, lambda: "1 of 2" in screen_text(app) and "ROUGE-L" in screen_text(app))
            await pilot.press("3", "left")
            await until(pilot, lambda: "2 of 2" in screen_text(app) and "ROUGE-L" not in screen_text(app))
            await pilot.press("left")
            await until(pilot, lambda: "this is the oldest one" in said(app))
            await pilot.press("e")
            await until(pilot, lambda: offered(app))
            await pilot.press("home", "up", "enter")
            await until(pilot, lambda: isinstance(app.screen, EvaluateScreen))
            assert screen.found is not None

    go(work)


def test_results_that_cannot_be_read_are_said(run: RunDir) -> None:
    folder = evaluated(run)
    (folder / "results.json").write_text("{")

    async def work() -> None:
        async with on_screen(run) as (app, pilot, _):
            await until(pilot, lambda: "holds no results" in said(app))

    go(work)


def test_torn_lines_of_predictions_are_passed_over(run: RunDir) -> None:
    folder = evaluated(run, items=data_items())
    with (folder / "predictions.jsonl").open("ab") as file:
        file.write(line_of(data_items()[0])[:40])

    async def work() -> None:
        async with on_screen(run) as (_, pilot, screen):
            await until(pilot, lambda: len(listed(screen)) == 4)

    go(work)


def test_back_leads_out_step_by_step_and_help_tells_of_the_pane(run: RunDir) -> None:
    evaluated(run)

    async def work() -> None:
        async with on_screen(run) as (app, pilot, screen):
            await until(pilot, lambda: len(listed(screen)) == 4)
            await pilot.press("4", "enter")
            await until(pilot, lambda: screen.tab == "answers")
            await pilot.press("f1")
            await until(pilot, lambda: isinstance(app.screen, HelpScreen) and "what the data say" in screen_text(app))
            await pilot.press("escape", "escape")
            await until(pilot, lambda: screen.tab == "predictions")
            await pilot.press("escape")
            await until(pilot, lambda: screen.tab == "results")
            await pilot.press("z")
            await until(pilot, lambda: "1 Evaluate" not in screen_text(app))
            await pilot.press("escape", "escape")
            await until(pilot, lambda: isinstance(app.screen, Workbench))
            await pilot.press("f6")
            await until(pilot, lambda: isinstance(app.screen, EvaluateScreen))

    go(work)


def test_every_key_has_an_id_and_all_can_be_done_by_mouse(run: RunDir) -> None:
    for kind in (EvaluateScreen, SetupPane, ResultsPane, PredictionsPane, AnswersOfRow, JobsPane):
        for binding in kind.BINDINGS:
            assert isinstance(binding, Binding)
            assert binding.id
            assert binding.tooltip

    evaluated(run)

    async def work() -> None:
        async with on_screen(run, WIDE) as (app, pilot, screen):
            await until(pilot, lambda: len(listed(screen)) == 4)
            rows = screen.query_one(PredictionsPane)
            await pilot.click(rows.list, offset=(8, 3))
            await until(pilot, lambda: rows.list.at == 2)
            results = screen.query_one(ResultsPane)
            y = next(n for n, line in enumerate(screen_text(app).split("\n")) if "ROUGE-L  ↑" in line)
            await pilot.click(offset=(50, y))
            await until(pilot, lambda: results.metric is not None and results.metric.key == "rouge-l")
            setup = screen.query_one(SetupPane)
            y = next(n for n, line in enumerate(screen_text(app).split("\n")) if "its base" in line)
            await pilot.click(offset=(20, y))
            await pilot.click(offset=(20, y))
            await until(pilot, lambda: not setup.asked.base)

    go(work)


def test_cancelling_asks_and_what_left_nothing_is_not_missed(run: RunDir, at_work: Callable[[], None]) -> None:
    evaluated(run, "20261122-050000-a", figures=metrics()[:1])
    [live] = (run.path / "evaluations").glob("20261123*")

    async def work() -> None:
        async with on_screen(run) as (app, pilot, screen):
            await pilot.press("s")
            await until(pilot, lambda: bool(screen.query_one(JobsPane).running))
            await until(pilot, lambda: screen.found is not None and screen.found.evaluation.path == live)
            await pilot.press("x")
            await until(pilot, lambda: isinstance(app.screen, Ask))
            (live / "results.json").unlink()  # as the command does where nothing was measured yet
            await pilot.press("x")
            await until(pilot, lambda: not screen.query_one(JobsPane).running)
            await until(pilot, lambda: "cancelled" in screen_text(app))
            await until(pilot, lambda: screen.found is not None and screen.found.evaluation.path != live)
            assert "cannot be read" not in said(app)

    go(work)
    at_work()


def test_no_size_breaks_it(run: RunDir) -> None:
    evaluated(run)

    async def work() -> None:
        async with on_screen(run) as (app, pilot, screen):
            await until(pilot, lambda: len(listed(screen)) == 4)
            sizes = ((1, 1), (5, 2), (20, 5), (44, 12), (99, 31), (100, 33), (136, 47), (250, 90))
            for n, size in enumerate((*sizes, WIDE)):
                screen.action_pane(TABS[n % len(TABS)][0])
                await pilot.resize_terminal(*size)
                await pilot.pause()
            await until(pilot, lambda: "5 Answers" in screen_text(app))

    go(work)
