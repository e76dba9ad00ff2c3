from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tuitune import doctor
from tuitune.fit import embedded, machine, packages, session


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TUITUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE", "HF_ENDPOINT", "HF_HUB_CACHE", "TMUX", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv(embedded.VARIABLE, raising=False)
    monkeypatch.setattr(machine, "disk_free", lambda path: 100 << 30)
    return tmp_path


def _checks() -> dict[str, doctor.Check]:
    return {check.name: check for check in doctor.run_checks()}


def test_every_part_has_its_line_and_every_complaint_its_hint() -> None:
    checks = _checks()
    assert {
        "python",
        "packages",
        "torch",
        "processor",
        "memory",
        "disk: runs",
        "embedded model",
        "hub",
        "logout",
    } <= set(checks)
    assert all(check.hint for check in checks.values() if check.status != "ok")


def test_a_look_that_fails_is_a_line_and_does_not_hide_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    def _broken() -> Iterator[doctor.Check]:
        raise OSError("no\x1b[2J luck")

    monkeypatch.setattr(doctor, "_LOOKS", (_broken, doctor._python))
    first, second = doctor.run_checks()
    assert (first.name, first.status, first.detail) == ("broken", "warn", "could not be looked at: no luck")
    assert second.name == "python"


def test_tokens_and_passwords_are_never_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", "https://me:hunter2@mirror.example")
    detail = _checks()["hub"].detail
    assert "token set" in detail
    assert "mirror.example" in detail
    assert "secret" not in detail
    assert "hunter2" not in detail
    monkeypatch.delenv("HF_TOKEN")
    assert "token not set" in _checks()["hub"].detail
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "token").write_text("hf_other")
    assert "token set" in _checks()["hub"].detail


def test_a_folder_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TUITUNE_CACHE", str(tmp_path / "file"))
    checks = _checks()
    assert (checks["disk: cache"].status, checks["disk: runs"].status) == ("fail", "ok")
    assert "TUITUNE_CACHE" in checks["disk: cache"].hint


def test_the_embedded_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = embedded.embedded_dir()
    folder.mkdir(parents=True)
    (folder / embedded.MARKER).write_text("{}")
    assert str(folder) in _checks()["embedded model"].detail
    monkeypatch.setenv(embedded.VARIABLE, str(tmp_path / "none.whl"))
    assert _checks()["embedded model"].status == "fail"


def test_packages_are_compared_with_what_is_required() -> None:
    wanted = [
        "pytest>=1",
        "pytest<1",
        "no-such-package>=2",
        "other; python_version < '3'",
        "extra-one; extra == 'dev'",
        "(((",
    ]
    met, problems = packages.compare(wanted)
    assert met == 1
    assert problems[0].startswith("pytest is ")
    assert problems[1:] == ["no-such-package is missing"]


def test_logout_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "kills_at_logout", lambda user: True)
    monkeypatch.setattr(session, "place", lambda: "session")
    monkeypatch.setattr(session, "lingers", lambda user: False)
    assert "enable-linger" in _checks()["logout"].hint
    assert "systemd-run" in _checks()["logout"].hint
    monkeypatch.setattr(session, "place", lambda: "elsewhere")
    assert _checks()["logout"].status == "ok"
    monkeypatch.setattr(session, "place", lambda: "user")
    assert _checks()["logout"].status == "warn"
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    assert "Slurm job 12" in _checks()["logout"].detail


def test_a_gpu_without_a_fitting_torch_and_a_full_one(monkeypatch: pytest.MonkeyPatch) -> None:
    card = machine.Gpu(0, "Card", "GPU-1", 100 << 30, 10 << 30)
    monkeypatch.setattr(machine, "gpus", lambda: machine.Gpus((card,), "600.1"))
    monkeypatch.setattr(doctor.metadata, "version", lambda name: "2.13.0+cpu")
    checks = _checks()
    assert checks["torch"].status == "warn"
    assert checks["gpu 0"].status == "warn"
    assert "10.0 GiB free of 100.0 GiB" in checks["gpu 0"].detail


def test_few_open_files_and_a_poor_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 4096))
    monkeypatch.setenv("TERM", "dumb")
    checks = _checks()
    assert (checks["open files"].status, checks["open files"].hint) == ("warn", "ulimit -n 1024")
    assert checks["terminal"].status == "warn"
