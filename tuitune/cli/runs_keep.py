"""`tuitune runs note|tag|untag|delete|restore|trash`: what is said of runs, and what becomes of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tuitune.cli import tables
from tuitune.cli.console import json_line, say, screen
from tuitune.cli.runs import when
from tuitune.errors import Stopped, TuiTuneError, UsageError
from tuitune.face import words
from tuitune.face.find import find
from tuitune.face.users import refuse_used, used_by
from tuitune.run import remarks
from tuitune.run import trash as trashes
from tuitune.run.packing import record
from tuitune.run.remarks import Remarks
from tuitune.text import clean


def note(name: str, text: str | None, *, clear: bool) -> int:
    """Write, print or take away a run's note."""
    run = find(name)
    if clear:
        text = ""
    if text is None:
        said = Remarks.of(run).note
        if said:
            print(clean(said))
        else:
            say(screen(sys.stderr), f"{run.name} has no note")
        return 0
    told = remarks.edit(run, lambda before: before.noted(text))
    say(screen(), f"{run.name}: {told.note}" if told.note else f"{run.name} has no note now")
    return 0


def tag(name: str, tags: Sequence[str]) -> int:
    """Give a run tags."""
    run = find(name)
    return _say_tags(run.name, remarks.edit(run, lambda before: before.tagged(tags)))


def untag(name: str, tags: Sequence[str]) -> int:
    """Take tags from a run."""
    run = find(name)
    plain = [remarks.plain_tag(each) for each in tags]
    return _say_tags(run.name, remarks.edit(run, lambda before: before.untagged(plain)))


def _say_tags(name: str, found: Remarks) -> int:
    say(screen(), f"{name}: {' '.join(found.tags)}" if found.tags else f"{name} has no tags now")
    return 0


def delete(names: Sequence[str]) -> int:
    """Move runs to the trash; all are looked for before the first one is moved."""
    console = screen()
    found = list(dict.fromkeys(find(name) for name in names))
    for run in found:
        refuse_used(run)
    for run in found:
        others = used_by(run)
        gone = trashes.delete(run)
        say(console, f"{run.name} is in the trash ({words.size(gone.size)}); back: tuitune runs restore {gone.id}")
        if others:
            say(screen(sys.stderr), f"warning: its weights are used by {', '.join(others)}", "yellow")
    return 0


def restore(names: Sequence[str]) -> int:
    """Put deleted runs back."""
    for found in [trashes.find(name) for name in names]:
        run = trashes.restore_run(found)
        say(screen(), f"{run.name} is back in {run.path.parent}")
        if str(run.path) != found.path:
            say(screen(sys.stderr), f"warning: {found.name} is taken, so it is called {run.name} now", "yellow")
    return 0


def trash(*, empty: bool, sure: bool, as_json: bool) -> int:
    """List the deleted runs, or delete them for good."""
    found = trashes.trashed()
    sizes = [each.size for each in found]
    if empty:
        return _empty(found, sum(sizes), sure=sure)
    if as_json:
        for each, size in zip(found, sizes, strict=True):
            json_line({**record(each), "name": each.name, "size": size})
        return 0
    if not found:
        say(screen(sys.stderr), "the trash is empty")
        return 0
    columns = [
        tables.Column("run"), tables.Column("id"), tables.Column("size", right=True),
        tables.Column("deleted", importance=2), tables.Column("from", importance=1),
    ]  # fmt: skip
    rows = [
        [each.name, each.id, words.size(size), when(each.when), each.path.removesuffix(f"/{each.name}")]
        for each, size in zip(found, sizes, strict=True)
    ]
    tables.show(screen(), columns, rows)
    say(screen(sys.stderr), f"{words.size(sum(sizes))} in all; restore one: tuitune runs restore RUN; or --empty")
    return 0


def _empty(found: Sequence[trashes.Trashed], size: int, *, sure: bool) -> int:
    console = screen()
    if not found:
        say(console, "the trash is empty")
        return 0
    count = "1 run" if len(found) == 1 else f"{len(found)} runs"
    if not sure:
        _ask(f"delete {count} for good, {words.size(size)}?")
    freed, failed = 0, None
    for each in found:
        try:
            freed += trashes.purge(each)
        except TuiTuneError as error:
            failed = failed or error
    say(console, f"{words.size(freed)} are free again")
    if failed is not None:
        raise failed
    return 0


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError("there is nobody to ask whether the trash shall be emptied", "--yes does it without asking")
    try:
        answer = input(f"{question} [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise Stopped("nothing was deleted")
