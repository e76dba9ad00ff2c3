from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.export.fakehub import TOKEN, FakeHub, an_export, asked_instead


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    made = asked_instead(monkeypatch)
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return an_export(tmp_path / "nova")


def test_the_command_shows_and_sends(hub: FakeHub, folder: Path, home: Path, call: Call) -> None:
    code, shown, first = call("push", str(folder), "me/nova", "--dry-run")
    assert code == 0
    assert "would be made, private" in shown
    assert "model-00001-of-00002.safetensors: 5.0 kB, new" in shown
    assert hub.repos == {}
    code, done, second = call("push", str(folder), "me/nova")
    assert (code, f"pushed: {hub.url}/me/nova" in done.replace("\n", " ")) == (0, True)
    assert TOKEN not in shown + first + done + second + (home / "push.log").read_text()


def test_the_command_wants_an_export(folder: Path, call: Call, hub: FakeHub) -> None:
    (folder / "export.json").unlink()
    code, _, err = call("push", str(folder), "me/nova")
    assert code == 2
    assert "--any" in err
    assert call("push", str(folder), "me/nova", "--any")[0] == 0
    assert call("push", str(folder / "nothing"), "me/nova")[0] == 2
