from __future__ import annotations

import os
import shutil
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from tuitune.errors import RunError
from tuitune.run import listing, manifest
from tuitune.run.manifest import newest_valid, seal, verify

FILES = {"model.safetensors": b"w" * 3000, "optimizer/state.bin": bytes(range(256)) * 9, "empty.txt": b""}


def fill(folder: Path, files: dict[str, bytes] = FILES) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def checkpoint(run: Path, step: int, attempt: int = 1, files: dict[str, bytes] = FILES) -> Path:
    temporary = fill(manifest.temporary(run, step), files)
    return seal(temporary, run / f"checkpoint-{step}", {"loss": float("nan")}, step=step, attempt=attempt).path


def test_a_sealed_checkpoint_is_whole_private_and_listed(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        temporary = fill(manifest.temporary(tmp_path, 20))
        assert temporary.name.startswith(".tmp-checkpoint-20")
        sealed = seal(
            temporary, tmp_path / "checkpoint-20", {"attempt": 2, "learning_rate": 1e-4, "loss": float("nan")}
        )
    finally:
        os.umask(before)
    assert sealed == manifest.Sealed(tmp_path / "checkpoint-20", sum(map(len, FILES.values())))
    assert verify(sealed.path) == manifest.Verdict(True)
    assert not temporary.exists()
    found = manifest.read(sealed.path)
    assert (found.step, found.attempt, set(found.files)) == (20, 2, set(FILES))
    assert found.meta == {"attempt": 2, "learning_rate": 1e-4, "loss": "NaN"}
    assert found.versions["safetensors"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in sealed.path.rglob("*") if path.is_file()} == {0o600}
    assert stat.S_IMODE((sealed.path / "optimizer").stat().st_mode) == 0o700
    assert stat.S_IMODE(sealed.path.stat().st_mode) == 0o700


def truncate(path: Path) -> None:
    os.truncate(path / "model.safetensors", 2999)


def grow(path: Path) -> None:
    with (path / "empty.txt").open("ab") as stream:
        stream.write(b"x")


def remove(path: Path) -> None:
    (path / "optimizer/state.bin").unlink()


def remove_manifest(path: Path) -> None:
    (path / manifest.NAME).unlink()


def tear_manifest(path: Path) -> None:
    os.truncate(path / manifest.NAME, (path / manifest.NAME).stat().st_size // 2)


def empty_manifest(path: Path) -> None:
    os.truncate(path / manifest.NAME, 0)


def change_step(path: Path) -> None:
    text = (path / manifest.NAME).read_bytes()
    (path / manifest.NAME).write_bytes(text.replace(b'"step": 20', b'"step": 21'))


def link_out(path: Path) -> None:
    shutil.copy(path / "model.safetensors", path.parent / "copy")
    (path / "model.safetensors").unlink()
    (path / "model.safetensors").symlink_to(path.parent / "copy")


def link_folder(path: Path) -> None:
    (path / "optimizer").rename(path.parent / "elsewhere")
    (path / "optimizer").symlink_to(path.parent / "elsewhere")


def replace_by_folder(path: Path) -> None:
    (path / "empty.txt").unlink()
    (path / "empty.txt").mkdir()


def manifest_folder(path: Path) -> None:
    remove_manifest(path)
    (path / manifest.NAME).mkdir()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (truncate, "model.safetensors has 2999 bytes instead of 3000"),
        (grow, "empty.txt has 1 bytes instead of 0"),
        (remove, "state.bin is missing"),
        (remove_manifest, "MANIFEST.json is missing"),
        (tear_manifest, "MANIFEST.json is not JSON"),
        (empty_manifest, "MANIFEST.json is not JSON"),
        (change_step, "MANIFEST.json was changed"),
        (link_out, "model.safetensors is not a regular file"),
        (link_folder, "state.bin is not a regular file"),
        (replace_by_folder, "empty.txt is not a regular file"),
        (manifest_folder, "MANIFEST.json is not a small regular file"),
        (shutil.rmtree, "MANIFEST.json is missing"),
    ],
)
@pytest.mark.parametrize("deep", [True, False])
def test_every_damage_is_found_and_named(
    tmp_path: Path, damage: Callable[[Path], None], reason: str, deep: bool
) -> None:
    path = checkpoint(tmp_path, 20)
    damage(path)
    verdict = verify(path, deep)
    assert not verdict.valid
    assert reason in verdict.reason


@pytest.mark.parametrize("place", [0, 1500, 2999])
def test_one_flipped_bit_is_found(tmp_path: Path, place: int) -> None:
    path = checkpoint(tmp_path, 20)
    content = bytearray(FILES["model.safetensors"])
    content[place] ^= 1
    (path / "model.safetensors").write_bytes(content)
    assert verify(path, deep=False).valid
    assert verify(path) == manifest.Verdict(False, "the content of model.safetensors has changed")


def test_any_flipped_byte_of_the_manifest_is_found(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, 20) / manifest.NAME
    good = path.read_bytes()
    for place in range(len(good)):
        if not good[place : place + 1].isspace():
            path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
            assert not verify(path.parent).valid, good[:place][-20:]


def forge(path: Path, **changes: object) -> None:
    body = orjson.loads((path / manifest.NAME).read_bytes())
    del body["digest"]
    body |= changes
    (path / manifest.NAME).write_bytes(orjson.dumps({**body, "digest": listing._digest(body)}))


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "a/../../secret", "", ".", "./a", "a//b", "MANIFEST.json", "a\0b"]
)
def test_a_manifest_names_nothing_outside(tmp_path: Path, name: str) -> None:
    path = checkpoint(tmp_path, 20)
    (tmp_path / "secret").write_bytes(b"")
    empty = manifest.read(path).files["empty.txt"]
    forge(path, files={name: {"bytes": 0, "sha256": empty.sha256}})
    verdict = verify(path)
    assert not verdict.valid
    assert "no checkpoint may hold" in verdict.reason


@pytest.mark.parametrize(
    "changes",
    [{"files": []}, {"files": {"a": 1}}, {"files": {"a": {"bytes": "1", "sha256": ""}}}, {"step": None}, {"format": 2}],
)
def test_a_manifest_of_another_shape_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    path = checkpoint(tmp_path, 20)
    forge(path, **changes)
    assert not verify(path).valid


def test_an_added_file_is_told_but_does_no_harm(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, 20)
    (path / "notes.txt").write_text("mine")
    assert verify(path) == manifest.Verdict(True, extra=("notes.txt",))


def test_links_are_not_sealed(tmp_path: Path) -> None:
    temporary = fill(manifest.temporary(tmp_path, 20))
    (temporary / "link").symlink_to("model.safetensors")
    with pytest.raises(RunError, match="link"):
        seal(temporary, tmp_path / "checkpoint-20", {})
    assert not (tmp_path / "checkpoint-20").exists()


def test_a_good_one_is_kept_and_a_broken_one_moved_aside(tmp_path: Path) -> None:
    first = checkpoint(tmp_path, 20)
    again = seal(fill(manifest.temporary(tmp_path, 20)), first, {}, step=20, attempt=1)
    assert (again.kept, again.aside) == (True, None)
    truncate(first)
    repaired = seal(fill(manifest.temporary(tmp_path, 20)), first, {}, step=20, attempt=1)
    assert not repaired.kept
    assert repaired.aside == tmp_path / "checkpoint-20.old-1"
    assert verify(first).valid
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-20", "checkpoint-20.old-1"]


def test_an_older_attempt_never_stands_in_for_a_newer(tmp_path: Path) -> None:
    changed = {**FILES, "model.safetensors": b"v" * 3000}
    checkpoint(tmp_path, 20, attempt=1)
    equal = seal(fill(manifest.temporary(tmp_path, 20)), tmp_path / "checkpoint-20", {}, step=20, attempt=2)
    assert equal.kept
    other = seal(fill(manifest.temporary(tmp_path, 20), changed), tmp_path / "checkpoint-20", {}, step=20, attempt=2)
    assert not other.kept
    assert (tmp_path / "checkpoint-20/model.safetensors").read_bytes() == b"v" * 3000
    # The result of a longer training replaces that of a shorter one.
    seal(fill(manifest.temporary(tmp_path, 20)), tmp_path / "final", {}, step=20, attempt=1)
    longer = seal(fill(manifest.temporary(tmp_path, 30), changed), tmp_path / "final", {}, step=30, attempt=1)
    assert longer.aside == tmp_path / "final.old-1"
    assert manifest.read(tmp_path / "final").step == 30


def test_the_newest_valid_one_is_found_and_the_others_are_explained(tmp_path: Path) -> None:
    assert newest_valid(tmp_path) == (None, [])
    for step in (5, 9, 10, 100):
        checkpoint(tmp_path, step)
    (tmp_path / "checkpoint-100/model.safetensors").write_bytes(b"v" * 3000)
    (tmp_path / "checkpoint-200").mkdir()
    shutil.copytree(tmp_path / "checkpoint-9", tmp_path / "checkpoint-300")
    found, rejected = newest_valid(tmp_path)
    assert found == tmp_path / "checkpoint-10"
    assert [path.name for path, _ in rejected] == ["checkpoint-300", "checkpoint-200", "checkpoint-100"]
    assert "step 9" in rejected[0][1]
    assert "MANIFEST.json is missing" in rejected[1][1]
    assert "model.safetensors has changed" in rejected[2][1]
    assert newest_valid(tmp_path, deep=False)[0] == tmp_path / "checkpoint-100"


def test_a_new_attempt_takes_back_later_checkpoints_but_deletes_none(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        checkpoint(tmp_path, step)
    moved = manifest.supersede(tmp_path, 10)
    assert [path.name for path in moved] == ["checkpoint-20.old-1", "checkpoint-30.old-1"]
    assert all(verify(path).valid for path in moved)
    assert newest_valid(tmp_path)[0] == tmp_path / "checkpoint-10"


def test_sweeping_takes_only_what_is_ours_and_unfinished(tmp_path: Path) -> None:
    checkpoint(tmp_path, 10)
    fill(manifest.temporary(tmp_path, 20))
    fill(tmp_path / ".trash-checkpoint-5-abc")
    fill(tmp_path / "checkpoint-7")
    fill(tmp_path / "mine")
    (tmp_path / ".tmp-checkpoint-link").symlink_to(tmp_path / "mine")
    assert len(manifest.sweep(tmp_path)) == 2
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"checkpoint-10", "checkpoint-7", "mine", ".tmp-checkpoint-link"}
    assert (tmp_path / "mine/empty.txt").exists()


def in_child_killed_at(event: int, work: Callable[[], object]) -> bool:
    """Run `work` in a forked child that is killed at its n-th file operation; tell whether it was."""
    pid = os.fork()
    if pid == 0:
        seen = 0

        def hook(name: str, _: object) -> None:
            nonlocal seen
            if name in ("open", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.mkdir", "shutil.rmtree"):
                seen += 1
                if seen == event:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


def test_a_kill_at_any_moment_of_a_seal_leaves_no_half_that_looks_whole(tmp_path: Path) -> None:
    manifest.read(checkpoint(tmp_path, 10))  # the versions are known before the children start
    kills, seen = 0, set()
    while in_child_killed_at(kills + 1, lambda: checkpoint(tmp_path, 20)):
        kills += 1
        found, rejected = newest_valid(tmp_path)
        assert rejected == []
        assert found in (tmp_path / "checkpoint-10", tmp_path / "checkpoint-20")
        seen.add(found)
        shutil.rmtree(tmp_path / "checkpoint-20", ignore_errors=True)
        manifest.sweep(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-10"}
    assert kills > 10
    assert len(seen) == 2
    assert newest_valid(tmp_path) == (tmp_path / "checkpoint-20", [])


def test_a_kill_at_any_moment_of_a_replacement_keeps_what_was_good(tmp_path: Path) -> None:
    checkpoint(tmp_path, 10)
    kills = 0
    changed = {**FILES, "model.safetensors": b"v" * 3000}
    while True:
        checkpoint(tmp_path, 20, attempt=1)
        if not in_child_killed_at(kills + 1, lambda: checkpoint(tmp_path, 20, 2, changed)):
            break
        kills += 1
        assert newest_valid(tmp_path)[1] == []
        for path in tmp_path.glob("checkpoint-20*"):
            assert verify(path).valid
            shutil.rmtree(path)
        manifest.sweep(tmp_path)
    assert kills > 10
    assert manifest.read(tmp_path / "checkpoint-20").attempt == 2


def test_a_kill_at_any_moment_of_a_deletion_leaves_no_half(tmp_path: Path) -> None:
    kills, path = 0, tmp_path / "checkpoint-20"
    while True:
        checkpoint(tmp_path, 20)
        if not in_child_killed_at(kills + 1, lambda: manifest.discard(path)):
            break
        kills += 1
        assert newest_valid(tmp_path) in ((None, []), (path, []))
        manifest.sweep(tmp_path)
    assert kills > 3
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_is_written_after_the_files_reached_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    sync, rename = os.fsync, Path.rename

    def noted_sync(fd: int) -> None:
        order.append(os.readlink(f"/proc/self/fd/{fd}"))
        sync(fd)

    def noted_rename(self: Path, target: Path) -> Path:
        order.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "rename", noted_rename)
    checkpoint(tmp_path, 20)
    names = [Path(name).name for name in order]
    assert set(names[:3]) == {Path(name).name for name in FILES}
    assert "MANIFEST" in names[3]
    assert names[-2:] == ["rename", tmp_path.name]
    assert any(name.startswith(".tmp-checkpoint-20") for name in names[4:-2])


def test_room_is_asked_where_the_path_will_be(tmp_path: Path) -> None:
    assert manifest.room_for(tmp_path / "not" / "yet", 1)
    assert not manifest.room_for(tmp_path, 1 << 80)  # some file systems say that they have no end
    assert manifest.free_space(tmp_path / "not") > 0
