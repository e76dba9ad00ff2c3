from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest

from tests.export.fakehub import TOKEN, FakeHub, an_export, asked_instead
from tuitune.chat.weights import Weights
from tuitune.errors import ModelError, UsageError
from tuitune.export import push as pushing
from tuitune.export.hubs import said
from tuitune.export.order import Order
from tuitune.export.pipeline import export
from tuitune.export.push import check_name, plan, push, survey


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    made = asked_instead(monkeypatch)
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return an_export(tmp_path / "nova")


def test_a_new_repository_is_made_private_and_holds_the_files(hub: FakeHub, folder: Path) -> None:
    heard: list[tuple[str, int, int | None]] = []
    assert push(folder, "me/nova", progress=lambda *told: heard.append(told)) == f"{hub.url}/me/nova"
    repo = hub.repos["me/nova"]
    assert repo["private"] is True
    assert {name: len(data) for name, data in repo["files"].items()} == {
        "README.md": 32, "config.json": 2, "export.json": 2, "model-00001-of-00002.safetensors": 5000,
        "model-00002-of-00002.safetensors": 3000,
    }  # fmt: skip
    total = 5000 + 3000 + 36
    assert heard[-1] == ("push", total, total)
    assert ("push", 5036, total) in heard


def test_what_is_there_already_is_not_sent_again(hub: FakeHub, folder: Path) -> None:
    push(folder, "me/nova", private=False)
    assert hub.repos["me/nova"]["private"] is False
    (folder / "more.txt").write_text("new")
    (folder / "config.json").write_text('{"a": 1}')
    hub.seen.clear()
    found = survey(folder, "me/nova", private=False)
    assert [each for each in found.files if each[2] != "same"] == [
        ("config.json", 8, "changed"),
        ("more.txt", 3, "new"),
    ]
    with pytest.raises(UsageError, match=r"other files of these names: config\.json") as caught:
        push(folder, "me/nova", private=False)
    assert "--overwrite" in caught.value.hint
    assert not any("commit" in line for line in hub.seen)
    push(folder, "me/nova", private=False, overwrite=True)
    assert hub.repos["me/nova"]["files"]["config.json"] == b'{"a": 1}'
    assert not any(line.startswith("PUT") for line in hub.seen)


def test_a_push_that_broke_off_goes_on(hub: FakeHub, folder: Path) -> None:
    import hashlib

    second = hashlib.sha256(b"b" * 3000).hexdigest()
    hub.refuse[f"PUT /upload/{second}"] = 403
    with pytest.raises(ModelError) as caught:
        push(folder, "me/nova")
    assert f"tuitune push {folder} me/nova" in caught.value.hint
    hub.refuse.clear()
    hub.seen.clear()
    push(folder, "me/nova")
    assert [line for line in hub.seen if line.startswith("PUT")] == [f"PUT /upload/{second}"]


def test_nothing_private_goes_into_a_public_repository(hub: FakeHub, folder: Path) -> None:
    hub.repos["me/nova"] = {"private": False, "files": {"other.bin": b"1"}}
    with pytest.raises(UsageError, match="is public, and the export was to be private"):
        push(folder, "me/nova")
    assert hub.repos["me/nova"]["files"] == {"other.bin": b"1"}
    notes: list[str] = []
    push(folder, "me/nova", private=False, note=notes.append)
    assert notes == ["me/nova is public: everybody can read it", "left as they are in me/nova: other.bin"]
    assert hub.repos["me/nova"]["files"]["other.bin"] == b"1"


@pytest.mark.parametrize(
    ("pattern", "status", "message"),
    [
        ("GET /api/whoami", 401, "does not know the token"),
        ("POST /api/repos/create", 403, "may not write to me/nova"),
        ("POST .*/commit/", 403, "may not write"),
        ("POST .*/commit/", 413, "files so large"),
        ("POST .*/preupload/", 400, "cannot push to"),
    ],
)
def test_refusals_are_said_without_the_token(
    pattern: str, status: int, message: str, hub: FakeHub, folder: Path
) -> None:
    hub.refuse[pattern] = status
    with pytest.raises(ModelError, match=message) as caught:
        push(folder, "me/nova", private=False)
    told = "".join(traceback.format_exception(caught.value)) + caught.value.hint
    assert TOKEN not in told
    assert "whole on the disk" in caught.value.hint
    assert caught.value.hint.endswith("me/nova --public")


def test_a_token_in_an_error_is_struck_out() -> None:
    assert said(ValueError(f"bad {TOKEN}; Authorization: Bearer abc.def")) == "bad ***; Authorization: Bearer ***"


def test_no_network_is_said(monkeypatch: pytest.MonkeyPatch, hub: FakeHub, folder: Path) -> None:
    hub.close()
    with pytest.raises(ModelError, match="cannot push to http://127"):
        push(folder, "me/nova")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UsageError, match="forbids the network"):
        push(folder, "me/nova")


def test_no_token_is_said(monkeypatch: pytest.MonkeyPatch, hub: FakeHub, folder: Path) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(ModelError, match="no token") as caught:
        push(folder, "me/nova")
    assert "HF_TOKEN" in caught.value.hint
    assert hub.seen == []


@pytest.mark.parametrize("name", ["nova", "a/b/c", "me/", "me/no va", "../x", "me/a--b", "me/-x", "me/" + "x" * 97])
def test_names_that_no_repository_has_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no name for a repository"):
        check_name(name)
    check_name("me/Nova-1.5_b")


def test_a_plan_says_what_would_be(hub: FakeHub) -> None:
    files = [("config.json", 2), ("model.safetensors", 3_000_000_000)]
    assert plan("me/nova", True, files) == (
        "me/nova would be made, private", "config.json: 2 B", "model.safetensors: 3.0 GB"
    )  # fmt: skip
    hub.repos["me/nova"] = {"private": False, "files": {"config.json": b"1"}}
    told = plan("me/nova", True, files)
    assert told[0] == "me/nova exists and is public"
    assert told[-1] == "in the repository already: config.json"
    assert all(not line.startswith(("POST", "PUT")) for line in hub.seen)


# ModelScope


class _Scope:
    """As much of modelscope's HubApi as is used."""

    made: ClassVar[list[Any]] = []

    def __init__(self, token: str) -> None:
        assert token == "ms-token"

    def repo_exists(self, repo: str) -> bool:
        return False

    def create_model(self, repo: str, **more: Any) -> None:
        self.made.append(("made", repo, more))

    def upload_folder(self, **more: Any) -> None:
        self.made.append(("sent", more["repo_id"], sorted(more["allow_patterns"])))


def test_modelscope_is_used_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("USE_MODELSCOPE_HUB", "1")
    for name in ("modelscope", "modelscope.hub", "modelscope.hub.api"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "modelscope.hub.api", SimpleNamespace(HubApi=_Scope))  # type: ignore[arg-type]
    monkeypatch.delenv("MODELSCOPE_API_TOKEN", raising=False)
    with pytest.raises(ModelError, match="no token for ModelScope"):
        push(folder, "me/nova")
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", "ms-token")
    monkeypatch.setattr(_Scope, "made", [])
    assert push(folder, "me/nova") == "https://modelscope.cn/models/me/nova"
    names = sorted(name for name, _ in pushing._files(folder))
    assert _Scope.made == [("made", "me/nova", {"visibility": 1}), ("sent", "me/nova", names)]


def test_a_dry_run_needs_no_token_and_says_that_a_push_would(
    monkeypatch: pytest.MonkeyPatch, hub: FakeHub, folder: Path
) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    planned = plan("me/nova", True, [("README.md", 0), ("model.safetensors", 3_000_000_000)])
    assert planned[0] == "what me/nova holds is not known: there is no token for the hub"
    assert planned[1:3] == ("README.md", "model.safetensors: 3.0 GB")
    found = survey(folder, "me/nova")
    assert (found.exists, {how for _, _, how in found.files}) == (None, {None})
    for told in (planned, found.sentences()):
        assert told[-1].startswith("a push would be refused; set HF_TOKEN")
    assert hub.seen == []


def test_an_export_that_could_not_be_pushed_is_refused_before_the_work(
    monkeypatch: pytest.MonkeyPatch, hub: FakeHub, tmp_path: Path
) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(ModelError, match="no token") as caught:
        export(Order(Weights("nowhere/at-all"), tmp_path / "out", repo="me/nova"))
    assert "push later" in caught.value.hint
