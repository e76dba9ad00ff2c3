"""A folder that is there whole or not at all, and what dead processes leave."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors import SafetensorError

from tests.cli.given import hear_all
from tuitune.chat.weights import Weights
from tuitune.errors import ModelError, UsageError
from tuitune.export.folder import made_whole, sweep
from tuitune.export.memory import more_room
from tuitune.export.order import Order, Quantised

CHILD = """
import sys, time
from pathlib import Path
from tuitune.export.folder import made_whole
with made_whole(Path(sys.argv[1]), 10) as folder:
    (folder / "part").write_text("half")
    print("begun", flush=True)
    time.sleep(60)
"""


def child(out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(out)]
    made = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=hear_all)
    assert made.stdout is not None
    assert made.stdout.readline() == "begun\n"
    return made


def test_it_appears_at_the_end_without_the_mark(tmp_path: Path) -> None:
    with made_whole(tmp_path / "out", 10) as folder:
        (folder / "file").write_text("all")
        assert not (tmp_path / "out").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["file"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    process = child(tmp_path / "out")
    process.send_signal(signal.SIGINT)
    process.wait(60)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_next_time_and_nothing_else(tmp_path: Path) -> None:
    dead, alive = child(tmp_path / "one"), child(tmp_path / "two")
    try:
        dead.kill()
        dead.wait(60)
        (tmp_path / ".mine.partial-1").mkdir()  # no mark of ours in it
        left = {path.name for path in tmp_path.iterdir()}
        assert f".one.partial-{dead.pid}" in left
        with made_whole(tmp_path / "out", 10):
            pass
        assert {path.name for path in tmp_path.iterdir()} == {"out", ".mine.partial-1", f".two.partial-{alive.pid}"}
    finally:
        alive.kill()
        alive.wait(60)
    assert [path.name for path in sweep(tmp_path)] == [f".two.partial-{alive.pid}"]


def test_a_folder_of_another_machine_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / ".out.partial-1"
    folder.mkdir()
    (folder / ".tuitune-partial").write_text(f"elsewhere\n1\n{time.time()}")
    assert sweep(tmp_path) == []
    (folder / ".tuitune-partial").write_text(f"{os.uname().nodename}\n{os.getpid()}\n1.0")  # the number was used again
    assert sweep(tmp_path) == [folder]


def test_what_is_in_the_way_is_kept(tmp_path: Path) -> None:
    def work() -> None:
        with made_whole(tmp_path / "out", 10):
            (tmp_path / "out").mkdir()
            (tmp_path / "out" / "mine").write_text("kept")

    with pytest.raises(UsageError, match="exists already"):
        work()
    assert (tmp_path / "out" / "mine").read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_no_room_is_said_before(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="B free"), made_whole(tmp_path / "out", 1 << 60):
        pass
    assert list(tmp_path.iterdir()) == []


def test_all_of_it_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with made_whole(tmp_path / "out", 10) as folder:
            (folder / "inner").mkdir()
            (folder / "inner" / "file").write_text("all")
            (folder / "open").write_text("all")
            (folder / "open").chmod(0o666)
    finally:
        os.umask(before)
    modes = {path.relative_to(tmp_path).as_posix(): path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {"out": 0o700, "out/inner": 0o700, "out/inner/file": 0o600, "out/open": 0o600}


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
    ids=["system", "safetensors"],
)
def test_a_disk_that_fills_meanwhile_is_said_in_words(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(ModelError, match="the disk is full") as caught, made_whole(tmp_path / "out", 10, "make room"):
        raise error
    assert caught.value.hint == "make room"
    assert list(tmp_path.iterdir()) == []


def test_only_a_form_that_takes_less_is_named_where_there_is_no_room() -> None:
    plain = Order(Weights("x"), Path("out"))
    assert "bfloat16" not in more_room(plain, 10**9)
    for larger in (replace(plain, dtype="float32"), replace(plain, form="gguf"),
                   replace(plain, quantised=Quantised(4, "bnb"))):  # fmt: skip
        assert more_room(larger, 10**9).endswith("write bfloat16, which takes 2.0 GB")
