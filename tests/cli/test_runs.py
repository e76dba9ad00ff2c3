from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.cli.given import EVIL, Engine, finished, plant, story
from tests.face.importing import given as others
from tuitune.cli import runs, tables
from tuitune.cli.console import screen
from tuitune.run import RunDir, events, index, shelf


def test_no_runs_is_nothing_on_standard_output(call: Call) -> None:
    code, out, err = call("runs")
    assert (code, out) == (0, "")
    assert "tuitune train" in err
    assert call("runs", "--json") == (0, "", "")


def test_runs_are_listed_with_their_states(call: Call, tmp_path: Path) -> None:
    plant("done", [*story(), finished()], status="finished", step=3, total_steps=3)
    plant("dead", story(steps=2), status="running", step=2, total_steps=3, pid=2**22 + 1)
    elsewhere = RunDir.create(tmp_path / "else" / "where", "dataset: identity\n")
    index.register(elsewhere.path)
    with Engine(plant("live")):
        code, out, _ = call("runs")
    lines = {line.split()[0]: line.split() for line in out.splitlines()}
    assert code == 0
    assert lines["done"][1:4] == ["finished", "3/3", "0.6667"]
    assert lines["dead"][1:3] == ["crashed", "2/3"]
    assert lines["live"][1:3] == ["running", "4/10"]
    assert lines["where"][1] == "created"
    assert lines["where"][-1] == str(tmp_path / "else")


def test_the_time_of_a_long_journal_stands_where_there_is_time_to_read_it(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "_AT_ONCE", 100)
    plant("new", status="starting")
    again = [events.RunStarted(2, t=500.0), events.StepLogged(4, t=560.0)]
    plant("long", [events.RunStarted(1, t=10.0), events.StepLogged(1, t=35.0), *again], status="stopped", step=4)
    monkeypatch.setattr(runs, "_PATIENCE", 0.0)
    assert times(call("runs")[1]) == {"long": "..."}
    monkeypatch.setattr(runs, "_PATIENCE", 60.0)
    assert times(call("runs")[1]) == {"long": "1:25"}  # both attempts, not what lies between them
    monkeypatch.setattr(runs, "_PATIENCE", 0.0)
    assert times(call("runs")[1]) == {"long": "1:25"}  # known from then on


def times(shown: str) -> dict[str, str]:
    """Return the column of times of a printed table, by the names of the runs."""
    head, *rows = shown.splitlines()
    end = head.index("time") + len("time")
    return {row.split()[0]: row[:end].split()[-1] for row in rows if row[end - 1 : end].strip()}


def test_json_carries_name_and_path_and_losses_as_they_are(call: Call) -> None:
    one = plant("nan", [*story(steps=1), events.StepLogged(2, loss=math.nan)], status="stopped", step=2)
    code, out, err = call("runs", "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert (found["name"], found["path"], found["status"]) == ("nan", str(one.path), "stopped")
    assert found["loss"] == "NaN"


def test_names_cannot_write_to_the_terminal(call: Call) -> None:
    plant("evil", [events.RunStarted(1, model=EVIL)], status="finished")
    for arguments in (("runs",), ("runs", "--json")):
        out = call(*arguments)[1]
        assert out.isascii()
        assert "\x1b" not in out
    assert "abcd2Jefg" in call("runs")[1]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_narrow_table_drops_columns_and_never_wraps(width: int) -> None:
    file = io.StringIO()
    console = screen(file, width=width)
    console._force_terminal = True
    columns = [tables.Column("run"), tables.Column("model", importance=2), tables.Column("where", importance=1)]
    rows = [["name-" * 5, "m" * 30, "/" * 60], ["x", "y", "z"]]
    tables.show(console, columns, rows)
    lines = file.getvalue().splitlines()
    assert len(lines) == 3
    assert ("where" in lines[0], "model" in lines[0]) == (width == 200, width >= 80)


def test_a_pipe_gets_every_column_whole() -> None:
    file = io.StringIO()
    tables.show(screen(file), [tables.Column("run"), tables.Column("where", importance=1)], [["a" * 99, "b" * 99]])
    assert f"{'a' * 99}  {'b' * 99}\n" in file.getvalue()


def test_an_import_names_the_broken_folder_and_takes_the_others(call: Call, tmp_path: Path) -> None:
    for name in ("saves/a", "saves/bad", "saves/c"):
        others.factory(tmp_path, name)
    (tmp_path / "saves/bad/training_args.yaml").write_text("a: [1\n")
    code, out, err = call("runs", "import", str(tmp_path / "saves"), "--json")
    assert code != 0
    assert [json.loads(line)["name"] for line in out.splitlines()[:2]] == ["a", "c"]
    assert "training_args.yaml has 1 problem: line 2" in err
    assert "1 of 3 folders were not imported" in out + err
