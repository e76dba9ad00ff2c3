"""`tuitune push`: an export, made earlier, to a hub."""

from __future__ import annotations

from pathlib import Path

from tuitune.cli.telling import telling
from tuitune.errors import UsageError
from tuitune.face.host import prepare_for
from tuitune.run import places
from tuitune.text import clean_line

_CANCELLED = "cancelled; what was sent stays on the hub, and the same command goes on"


def push(
    folder: Path, repo: str, *, public: bool, overwrite: bool, anything: bool, dry_run: bool, as_json: bool
) -> int:
    """Push; say where it is. anything: also a folder that TuiTune did not write."""
    with telling(places.home() / "push.log", as_json=as_json, cancelled=_CANCELLED) as tell:
        folder = folder.expanduser().absolute()
        _refuse(folder, anything)
        prepare_for("cpu")
        from tuitune.export.push import push as work
        from tuitune.export.push import survey

        if dry_run:
            planned = survey(folder, repo, private=not public)
            files = [{"name": name, "bytes": size, "state": state} for name, size, state in planned.files]
            values: dict[str, object] = {
                "repo": repo,
                "exists": planned.exists,
                "private": planned.private,
                "files": files,
            }
            values |= {"others": planned.others, "trouble": planned.trouble}
            tell.result(values, *planned.sentences(), "nothing was sent (--dry-run)")
            return 0
        where = work(folder, repo, private=not public, overwrite=overwrite, progress=tell.progress, note=tell.note)
        tell.result({"repo": repo, "address": where}, f"pushed: {where}")
    return 0


def _refuse(folder: Path, anything: bool) -> None:
    from tuitune.export.push import EXPORT

    if not folder.is_dir():
        raise UsageError(f"there is no folder {clean_line(str(folder))}", "name the folder that an export wrote")
    if not (folder / EXPORT).is_file() and not anything:
        raise UsageError(
            f"{clean_line(folder.name)} was not written by tuitune export: it has no {EXPORT}",
            "export first, or push it all the same with --any",
        )
