from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from tuitune.fit import machine, session


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_processor_and_its_flags(tmp_path: Path) -> None:
    info = "processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu avx512_bf16 amx_bf16\n"
    found = machine.cpu(_write(tmp_path / "cpuinfo", info))
    assert (found.name, found.half_flags) == ("Some CPU", ("avx512_bf16", "amx_bf16"))
    assert found.physical >= 1
    assert machine.cpu(tmp_path / "none").half_flags == ()


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let the machine have 64 GiB, 50 of them free, whatever else runs on it; return all of them."""
    host = SimpleNamespace(total=64 << 30, available=50 << 30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: host)
    return host.total


def test_memory_is_limited_by_every_group_above(tmp_path: Path, roomy: int) -> None:
    total = roomy
    own = _write(tmp_path / "own", "0::/a/b\n")
    _write(tmp_path / "a/b/memory.max", "max\n")
    _write(tmp_path / "a/memory.max", str(total // 4))
    _write(tmp_path / "a/memory.current", str(total // 8))
    _write(tmp_path / "a/memory.stat", f"anon 5\ninactive_file {total // 16}\n")

    found = machine.memory(tmp_path, own)

    assert found.limit == found.total == total // 4
    assert found.available == total // 4 - (total // 8 - total // 16)


def test_what_the_machine_has_left_is_the_limit_where_it_is_less(tmp_path: Path, roomy: int) -> None:
    _write(tmp_path / "memory.max", str(roomy - 1))
    _write(tmp_path / "memory.current", str(1 << 30))
    assert machine.memory(tmp_path, _write(tmp_path / "own", "0::/\n")).available == 50 << 30


@pytest.mark.usefixtures("roomy")
def test_memory_limits_of_the_old_interface(tmp_path: Path) -> None:
    own = _write(tmp_path / "own", "5:cpu:/x\n3:memory:/job\n")
    _write(tmp_path / "memory/job/memory.limit_in_bytes", str(1 << 28))
    _write(tmp_path / "memory/job/memory.usage_in_bytes", str(1 << 27))
    _write(tmp_path / "memory/memory.limit_in_bytes", str((1 << 63) - 4096))
    found = machine.memory(tmp_path, own)
    assert (found.limit, found.available) == (1 << 28, 1 << 27)
    assert machine.memory(tmp_path, tmp_path / "none").limit is None


class _NvmlError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__("code \x1b[31m")
        self.value = value


def _fail(*arguments: object) -> object:
    raise _NvmlError(3)


def _nvml(**functions: object) -> SimpleNamespace:
    base = {
        "NVMLError": _NvmlError,
        "NVML_ERROR_LIBRARY_NOT_FOUND": 12,
        "NVML_ERROR_DRIVER_NOT_LOADED": 9,
        "nvmlInit": lambda: None,
        "nvmlShutdown": _fail,
        "nvmlDeviceGetCount": lambda: 1,
        "nvmlSystemGetDriverVersion": lambda: b"600.1",
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetName": lambda handle: b"Card",
        "nvmlDeviceGetUUID": _fail,
        "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(total=100, free=40),
    }
    return SimpleNamespace(**(base | functions))


def test_gpus_with_a_driver_that_does_not_answer_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", _nvml())
    found = machine.gpus()
    assert found.devices == (machine.Gpu(0, "Card", None, 100, 40),)
    assert found.driver == "600.1"
    monkeypatch.setitem(sys.modules, "pynvml", _nvml(nvmlDeviceGetHandleByIndex=_fail))
    assert machine.gpus().devices[0].total is None


def test_no_driver_is_no_problem_and_a_broken_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(code: int) -> None:
        raise _NvmlError(code)

    monkeypatch.setitem(sys.modules, "pynvml", _nvml(nvmlInit=lambda: init(12)))
    assert machine.gpus() == machine.Gpus(())
    monkeypatch.setitem(sys.modules, "pynvml", _nvml(nvmlInit=lambda: init(18)))
    assert machine.gpus().problem == "code"


def test_free_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []  # what is free changes from one look to the next
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: asked.append(path) or SimpleNamespace(free=7))
    assert machine.disk_free(tmp_path / "a" / "b") == 7
    assert asked == [tmp_path]


def test_logind_settings_in_their_order(tmp_path: Path) -> None:
    assert session.kills_at_logout("eve", tmp_path) is None
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert session.kills_at_logout("eve", tmp_path) is False
    _write(tmp_path / "etc/systemd/logind.conf", "[Login]\n#KillUserProcesses=no\nKillUserProcesses = yes\n")
    assert session.kills_at_logout("eve", tmp_path) is True
    assert session.kills_at_logout("root", tmp_path) is False
    _write(tmp_path / "etc/systemd/logind.conf.d/90.conf", "KillOnlyUsers=adam\n")
    assert session.kills_at_logout("eve", tmp_path) is False
    _write(tmp_path / "usr/lib/systemd/logind.conf.d/99.conf", "KillUserProcesses=no\n")
    assert session.kills_at_logout("adam", tmp_path) is False


def test_where_a_process_belongs(tmp_path: Path) -> None:
    groups = {
        "session": "/user.slice/user-1.slice/session-4.scope",
        "user": "/user.slice/user@1.service/app.slice/x.scope",
    }
    for where, group in (groups | {"elsewhere": "/"}).items():
        assert session.place(_write(tmp_path / where, f"0::{group}\n")) == where
    _write(tmp_path / "var/lib/systemd/linger/eve", "")
    assert session.lingers("eve", tmp_path)
    assert not session.lingers("../linger/eve", tmp_path)
    assert session.slurm_job({"SLURM_JOB_ID": "7"}) == "7"
