"""Under which name something is saved, and what is opened: enter takes the name that is shown, nothing is lost."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from textual.app import App

from tuitune.text import clean_line
from tuitune.tui.asking import Ask, Choice, TextAsk


def ask_save(app: App[Any], question: str, name: str, facts: Sequence[str], save: Callable[[Path, bool], None]) -> None:
    """Ask under which name to save. A free name like `name` is proposed, and what is there is asked about.

    save: gets the path, and whether what is there is to be replaced.
    """
    _ask_name(app, question, _free(name), facts, save)


def _ask_name(
    app: App[Any], question: str, name: str, facts: Sequence[str], save: Callable[[Path, bool], None]
) -> None:
    def named(text: str | None) -> None:
        if text is None:
            return
        path = _path(text)
        if not path.exists():
            save(path, False)
        else:
            app.push_screen(
                Ask("Save all the same?", [f"{clean_line(str(path))} exists already."], choices), taken(path)
            )

    def taken(path: Path) -> Callable[[str | None], None]:
        def answered(answer: str | None) -> None:
            if answer == "as":
                _ask_name(app, question, _free(str(path)), facts, save)
            elif answer == "replace":
                save(path, True)

        return answered

    choices: list[Choice[str]] = [
        Choice("a", "Save under another name", "", "as"),
        Choice("r", "Replace it", "", "replace"),
        Choice("esc", "Cancel", "", None),
    ]
    app.push_screen(TextAsk(question, name, validate=_save_problem, facts=facts), named)


def ask_open(app: App[Any], question: str, name: str, facts: Sequence[str], then: Callable[[Path], None]) -> None:
    """Ask which file to open; the one that is called `name` is proposed if it is there."""
    there = name if Path(name).is_file() else ""
    ask = TextAsk(question, there, "the path of a file", validate=_open_problem, facts=facts)
    app.push_screen(ask, lambda text: None if text is None else then(_path(text)))


def _path(text: str) -> Path:
    return Path(text.strip()).expanduser()


def _save_problem(text: str) -> str | None:
    if not text.strip():
        return "type a name; esc leaves"
    return f"{clean_line(text)} is a folder: name a file in it" if _path(text).is_dir() else None


def _open_problem(text: str) -> str | None:
    return None if text.strip() else "type the path of a file; esc leaves"


def _free(name: str) -> str:
    """Return a name that nothing has: `name`, or with a number behind it."""
    path = Path(name)
    names = itertools.chain([path], (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2)))
    return str(next(each for each in names if not os.path.lexists(each.expanduser())))
