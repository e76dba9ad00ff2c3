"""Trackers: what they are told, that none can disturb a training, and that a resumed run goes on without repeats."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.engine.given import journal, losses, start
from tests.engine.trackers_given import Fake, began, logged, records, report, written
from tests.recipe.asked import recipe
from tuitune.engine.preflight import preflight
from tuitune.engine.run import run as train
from tuitune.engine.trackers import reporting
from tuitune.engine.trackers.feed import Feed
from tuitune.engine.trackers.figures import config_of, of_evaluation, of_step
from tuitune.engine.trackers.memory import Memory
from tuitune.engine.trackers.names import wanted
from tuitune.run import events
from tuitune.run.directory import RunDir
from tuitune.run.journal import Journal


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process of a tracker may be slow to begin: it is waited for, however busy the machine is."""
    monkeypatch.setattr(reporting, "_GRACE", 300.0)
    monkeypatch.setattr(reporting, "PATIENCE", 300.0)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    """The fake tracker, which processes that are started find too."""
    made = Fake(tmp_path / "fake")
    monkeypatch.setenv("FAKE_TRACKER", str(made.folder))
    monkeypatch.setenv("PYTHONPATH", str(made.site), prepend=":")
    monkeypatch.syspath_prepend(str(made.site))
    yield made
    made.go()


def scalars(folder: Path, tag: str) -> dict[int, float]:
    """Return what TensorBoard's own reader finds, by step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    values = [(event.step, event.value) for event in found.Scalars(tag)]
    assert len(dict(values)) == len(values), "a step is there twice"
    return dict(values)


# A training that reports


def test_tensorboard_has_every_step_once_also_after_a_resume(root: Path) -> None:
    asked: dict[str, Any] = {
        "report_to": "tensorboard", "max_steps": 6, "save_strategy": "steps", "save_steps": 2, "val_size": 0.2,
        "eval_strategy": "steps", "eval_steps": 3,
    }  # fmt: skip
    run = start(root, **asked)

    def stop(session: Any) -> None:
        stepped = session.stepped

        def ask(step: int, total: int | None) -> None:
            stepped(step, total)
            if step == 5:
                from tuitune.run.inbox import StopNow

                session.ask(StopNow())

        session.stepped = ask

    assert train(run, on_session=stop).status == "stopped"
    assert train(run).status == "finished"
    folder = run.path / "trackers" / "tensorboard"
    written_down = {step: loss for step, (loss, _) in losses(run).items()}
    assert journal(run, events.RunStarted)[1].step == 4  # so step 5 was made again
    assert scalars(folder, "train/loss") == pytest.approx(written_down)
    assert set(scalars(folder, "eval/loss")) == {3, 6}
    assert set(scalars(folder, "train/learning_rate")) == set(range(1, 7))
    assert [note for note in journal(run, events.Noted) if f"tensorboard --logdir {folder}" in note.text]
    assert not journal(run, events.Warned) or all("tensorboard" not in w.message for w in journal(run, events.Warned))
    assert Memory.read(run.path, "tensorboard").step == 6
    plain = start(root, "plain", **{**asked, "report_to": "none"})
    assert train(plain).status == "finished"
    assert losses(plain) == losses(run)


@pytest.mark.parametrize(
    ("mood", "words"),
    [
        ("raise", "wandb: step 1 could not be sent: ConnectionError: the network is away"),
        ("refuse", "nothing more is reported to wandb: RuntimeError: no such account"),
        ("exit", "wandb has ended unexpectedly (exit code 7)"),
        ("hang", "wandb has not answered for"),
    ],
)
def test_a_tracker_that_fails_is_said_once_and_disturbs_nothing(
    root: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch, mood: str, words: str
) -> None:
    fake.mood(mood)
    if mood == "hang":
        monkeypatch.setattr(reporting, "PATIENCE", 1.0)
    run = start(root, report_to="wandb", max_steps=3)
    assert train(run).status == "finished"
    said = [warned.message for warned in journal(run, events.Warned) if "wandb" in warned.message]
    assert len(said) == 1
    assert said[0].startswith(words)
    assert "\x1b" not in "".join(said)
    assert len(losses(run)) == 3
    if mood == "hang":
        return
    assert "a library says hello" in run.console.read_text()


def test_what_takes_longer_than_the_run_goes_on_by_itself(
    root: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.mood("slow end")
    monkeypatch.setattr(reporting, "_GRACE", 0.0)
    run = start(root, report_to="wandb", max_steps=2)
    assert train(run).status == "finished"
    assert any("still sending" in note.text for note in journal(run, events.Noted))
    assert fake.ended() == [[0]]
    assert fake.steps() == [1, 2]


def test_a_tracker_is_told_the_recipe_the_figures_and_the_end(root: Path, fake: Fake) -> None:
    run = start(root, report_to="wandb", max_steps=3, run_name="my try", project="rivers")
    assert train(run).status == "finished"
    [[init]] = fake.calls("init")
    assert (init["project"], init["name"], init["id"]) == ("rivers", "my try", None)
    assert init["config"]["lora_rank"] == 8
    assert "galore_rank" not in init["config"]  # it does not apply
    assert fake.steps() == [1, 2, 3]
    assert fake.calls("log")[0][1]["train/loss"] == losses(run)[1][0]
    assert fake.calls("finish") == [[0]]
    assert any("example.org" in note.text and "\x1b" not in note.text for note in journal(run, events.Noted))
    assert Memory.read(run.path, "wandb").id == "fake-1"


# The process of one tracker


def test_a_resumed_run_goes_on_with_the_same_id_and_repeats_nothing(tmp_path: Path, fake: Fake) -> None:
    run = written(tmp_path, "run", [began(1), *logged(1, 2, 3), events.EvalLogged(3, loss=0.5)])
    report(run, "wandb", 1)
    assert (fake.steps(), fake.calls("finish")) == ([1, 2, 3], [[255]])  # no word of an end: it crashed
    with Journal(run.events) as more:
        for event in (began(2, 2), *logged(3, 4), events.EvalLogged(4, loss=0.4), events.RunFinished(4)):
            more.append(event)
    report(run, "wandb", 2)
    assert fake.calls("init")[1][0]["id"] == "fake-1"
    assert fake.steps() == [1, 2, 3, 4]
    assert [step for step, figures in fake.calls("log") if "eval/loss" in figures] == [3, 4]
    assert fake.calls("finish") == [[255], [0]]


def test_a_tracker_that_comes_later_is_told_what_was_before(tmp_path: Path, fake: Fake) -> None:
    before = [began(1), *logged(1, 2, 3), events.RunFinished(3, reason="stopped")]
    run = written(tmp_path, "run", [*before, began(2, 2), *logged(3, 4), events.RunFailed("no memory", step=4)])
    report(run, "wandb", 2)
    assert (fake.steps(), fake.calls("finish")) == ([1, 2, 3, 4], [[1]])


def test_a_feed_ends_with_its_attempt(tmp_path: Path) -> None:
    run = written(tmp_path, "run", [began(1), *logged(1, 2), events.RunFinished(2, reason="stopped")])
    feed = Feed(run.events, 2)
    assert not feed.begun()
    with Journal(run.events) as more:
        more.append(began(2, 1))
        assert feed.begun()
        assert feed.step == 1
        assert [event.step for event in feed.read()] == [1]
        assert feed.end is None
        for event in logged(2, 3):
            more.append(event)
        assert [event.step for event in feed.read()] == [2, 3]
        more.append(events.RunFailed("oh"))
        assert feed.read() == []
    assert feed.end == ("failed", "oh")
    late = Feed(run.events, 1)
    assert late.begun()
    assert [event.step for event in late.read()] == [1, 2]
    assert late.end == ("stopped", "")


# Names, figures, recipes


def test_figures_are_named_as_transformers_names_them() -> None:
    step = events.StepLogged(3, 0.5, 1.5, 1e-4, None, memory={"peak": 7}, metrics={"rewards/margins": 0.25})
    found = of_step(step)
    assert found["train/loss"] == 1.5
    assert found["train/rewards/margins"] == 0.25
    assert found["memory/peak"] == 7.0
    assert "train/grad_norm" not in found
    assert of_evaluation(events.EvalLogged(3, loss=2.0, metrics={"eval_accuracy": 0.5})) == {
        "eval/loss": 2.0, "eval/accuracy": 0.5, "eval/seconds": 0.0,
    }  # fmt: skip


def test_no_password_of_an_address_reaches_a_tracker() -> None:
    made = recipe("stage: ppo", "reward_model: http://me:secret@host/score", "reward_model_type: api")
    assert config_of(made)["reward_model"] == "http://...@host/score"
    assert "secret" not in str(config_of(made))


def absent(*names: str) -> Any:
    """Return a `metadata.version` that does not know some packages."""

    def version(name: str) -> str:
        if name in names:
            raise metadata.PackageNotFoundError(name)
        return "1"

    return version


def test_all_means_those_that_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", absent("wandb", "swanlab"))
    assert wanted(recipe("report_to: all")) == ("tensorboard", "mlflow", "trackio")
    assert wanted(recipe("report_to: all", "use_swanlab: true"))[-1] == "swanlab"
    assert wanted(recipe("use_swanlab: true", "report_to: wandb")) == ("wandb", "swanlab")
    assert wanted(recipe()) == ()


def test_what_is_not_installed_is_refused_before_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", absent("wandb", "swanlab"))
    found = preflight(recipe("report_to: wandb, mlflow", "use_swanlab: true"))
    said = {problem.key: (problem.reason, problem.hint) for problem in found if "installed" in problem.reason}
    assert set(said) == {"report_to", "use_swanlab"}
    assert said["report_to"][0] == "wandb is not installed"
    assert "pip install wandb" in said["report_to"][1]
    assert not [problem for problem in preflight(recipe("report_to: all")) if "installed" in problem.reason]


def test_a_folder_called_like_a_tracker_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trackio_of_mine").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    from tuitune.engine.trackers.names import installed

    assert not installed("trackio_of_mine")


# The real ones, without a network


STORY = [began(1), *logged(1, 2), events.EvalLogged(2, loss=0.25), events.RunFinished(2, reason="stopped")]
RESUMED = [began(2, 1), *logged(2, 3), events.EvalLogged(3, loss=0.2), events.RunFinished(3)]


@pytest.fixture
def resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> RunDir:
    """A run that the tracker of the parameter was told in two attempts."""
    name: str = request.param
    if name in ("mlflow", "trackio", "wandb", "swanlab"):
        pytest.importorskip(name)
    for key, value in {
        "WANDB_MODE": "offline", "TRACKIO_DIR": str(tmp_path / "trackio"), "SWANLAB_MODE": "offline",
        "SWANLAB_SAVE_DIR": str(tmp_path / "swanlab"), "TUITUNE_HOME": str(tmp_path / "home"),
    }.items():  # fmt: skip
        monkeypatch.setenv(key, value)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run = written(tmp_path, "run", STORY, report_to=name, project="a project", run_name="mine")
    report(run, name, 1)
    with Journal(run.events) as more:
        for event in RESUMED:
            more.append(event)
    report(run, name, 2)
    return run


@pytest.mark.slow
@pytest.mark.parametrize("resumed", ["mlflow"], indirect=True)
def test_mlflow_in_its_own_database(resumed: RunDir, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path}/home/mlflow/mlflow.db")
    found = client.get_run(Memory.read(resumed.path, "mlflow").id)
    history = client.get_metric_history(found.info.run_id, "train/loss")
    assert [(each.step, each.value) for each in history] == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert [each.step for each in client.get_metric_history(found.info.run_id, "eval/loss")] == [2, 3]
    assert (found.info.status, found.info.run_name) == ("FINISHED", "mine")
    assert found.data.params["lora_rank"] == "8"
    assert client.get_experiment_by_name("a project").experiment_id == found.info.experiment_id


@pytest.mark.slow
@pytest.mark.parametrize("resumed", ["trackio"], indirect=True)
def test_trackio_on_this_machine(resumed: RunDir, tmp_path: Path) -> None:
    import sqlite3

    import orjson

    [database] = (tmp_path / "trackio").glob("*.db")
    rows = sqlite3.connect(database).execute("select run_name, step, metrics from metrics order by id").fetchall()
    told = [(step, values["train/loss"]) for _, step, text in rows if "train/loss" in (values := orjson.loads(text))]
    assert told == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert {name for name, _, _ in rows} == {Memory.read(resumed.path, "trackio").id}


@pytest.mark.slow
@pytest.mark.parametrize("resumed", ["wandb"], indirect=True)
def test_wandb_offline(resumed: RunDir) -> None:
    from wandb.proto.wandb_internal_pb2 import Record

    found: list[tuple[str, float]] = []
    names: set[str] = set()
    for path in sorted((resumed.path / "trackers" / "wandb").rglob("*.wandb")):
        for data in records(path):
            record = Record()
            record.ParseFromString(data)
            items = {"/".join(item.nested_key) or item.key: item.value_json for item in record.history.item}
            if "train/loss" in items:
                found.append((items["_step"], float(items["train/loss"])))
            if record.HasField("run"):
                names |= {record.run.run_id, record.run.display_name, record.run.project}
    assert found == [("1", 0.1), ("2", 0.2), ("3", 0.3)]
    assert names == {Memory.read(resumed.path, "wandb").id, "mine", "a project"}


@pytest.mark.slow
@pytest.mark.parametrize("resumed", ["swanlab"], indirect=True)
def test_swanlab_offline(resumed: RunDir) -> None:
    # On this machine it cannot go on with a run, so the second attempt's holds everything.
    from swanlab.proto.swanlab.record.v1.record_pb2 import Record

    told: dict[str, dict[int, float]] = {}
    for path in (resumed.path / "trackers" / "swanlab").rglob("*.swanlab"):
        own = told.setdefault(path.stem.removeprefix("run-"), {})
        for data in records(path):
            record = Record()
            record.ParseFromString(data)
            if record.HasField("scalar") and record.scalar.key == "train/loss":
                own[record.scalar.step] = record.scalar.value.number
    last = Memory.read(resumed.path, "swanlab").id
    assert told.pop(last) == pytest.approx({1: 0.1, 2: 0.2, 3: 0.3})
    assert [pytest.approx({1: 0.1, 2: 0.2})] == list(told.values())
