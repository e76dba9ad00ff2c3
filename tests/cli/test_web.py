"""`tuitune web` from its start to its end."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Call
from tests.cli.given import hear_all, start


def test_the_page_is_behind_a_token_that_only_a_private_file_has(tmp_path: Path) -> None:
    without = tmp_path / "without"  # what only the other server needs
    without.mkdir()
    for name in ("fastapi", "uvicorn"):
        (without / f"{name}.py").write_text("raise ImportError('not there')\n")
    process = start(tmp_path, "web", "--port", "0", preexec_fn=hear_all, env={"PYTHONPATH": str(without)})
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        url, place = line.split(";")[0].strip(), Path(line.rpartition(" is in ")[2].strip())
        address, _, token = place.read_text().strip().partition("#")
        assert address == f"{url}/"
        assert len(token) > 40
        assert token not in line
        assert place.stat().st_mode & 0o777 == 0o600
        assert httpx.get(url, timeout=60).status_code == 401
        assert httpx.post(f"{url}/login", data={"token": "wrong"}, timeout=60).status_code == 401
        assert httpx.post(f"{url}/login", data={"token": token}, timeout=60).status_code == 303
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert not place.exists()
    assert token not in out + err
    assert all(token.encode() not in path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())


def test_without_its_package_the_line_that_installs_it_is_told(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuitune.cli.web.find_spec", lambda name: None)
    code, _, err = call("web")
    assert code == 2
    assert "pip install 'tuitune[web]'" in err
