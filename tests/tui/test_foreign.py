"""Texts that a terminal would obey, wherever foreign text comes from, reach neither the screen nor plain output."""

from __future__ import annotations

import json
import re
import subprocess
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.given import plant, until
from tests.engine.given import data_folder, model_folder, recipe_text
from tests.tui.corpus import CLIPBOARD, CORPUS, NAMES
from tests.tui.terminal import Terminal, python
from tests.tui.test_guardian import environment, left_in, restored
from tests.tui.test_lost import STEP, ask, reached, start, the_run
from tuitune.run import RunDir, events
from tuitune.text import clean, clean_line

# What our own screen sends: colours, the cursor's place, modes and questions about them.
OURS = re.compile(
    r"\x1b\[(?:[0-9;:]*m|[0-9;]*H|[0-9]*[ABCDGKJ]|\?[0-9;]+[hl]|\?[0-9]+\$p|[<>][0-9;]*u)|\x1b\]22;[a-z-]*\x07|\x18\x1b\\"
)
HIDDEN = set("\u202e\u202d\u2066\u2067\u2068\u200e\u200f\u061c\ufeff\u2028\u2029")
# Modes that we turn on and off, and none of theirs.
MODES = {1049, 1000, 1003, 1015, 1006, 1016, 2004, 2048, 2026, 1004, 25, 7}


def strange(output: str) -> list[str]:
    """Return what is left of an output that a terminal may obey, when what is ours is taken out."""
    modes = {int(each) for found in re.findall(r"\x1b\[\?([0-9;]+)[hl]", output) for each in found.split(";")}
    rest = OURS.sub("", output)
    odd = [
        char for char in rest if (unicodedata.category(char) in ("Cc", "Cs") and char not in "\r\n\t") or char in HIDDEN
    ]
    return [repr(char) for char in odd] + [f"mode {mode}" for mode in modes - MODES] + [CLIPBOARD] * (CLIPBOARD in rest)


def test_the_corpus_is_large_and_nothing_of_it_gets_past_the_door() -> None:
    assert len(CORPUS) >= 200
    assert sum(bool(strange(text)) for text in CORPUS) > 150
    for text in CORPUS:
        for cleaned in (clean(text), clean_line(text)):
            assert strange(cleaned) in ([], [CLIPBOARD]), text
            assert cleaned.startswith("a")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A folder where everything with a name or a text has one of these."""
    data_folder(tmp_path, count=20)
    rows = [{"instruction": text, "output": CORPUS[-number]} for number, text in enumerate(CORPUS)]
    (tmp_path / "data" / "rows.json").write_text(
        json.dumps(rows, ensure_ascii=True).replace("\\ud800", "?").replace("\\udcff", "?")
    )
    (tmp_path / "home").mkdir()
    yield tmp_path
    for process in left_in(tmp_path / "home"):
        process.kill()


def evil_files(root: Path) -> None:
    """Put a file, a recipe and a model folder under many of these names."""
    for number, name in enumerate(NAMES):
        (root / f"{name}.yaml").write_text("model_name_or_path: tiny\n")
        if number % 10 == 0:
            folder = root / f"{name}-model"
            folder.mkdir()
            (folder / "config.json").write_text(json.dumps({"model_type": name, "architectures": [name]}))


@pytest.mark.slow
def test_the_app_shows_rows_names_replies_and_errors_as_mere_text(root: Path) -> None:
    model = model_folder(root)
    evil = root / "a\x1b]0;PWN\x07[@click=app.quit]m[b]\x1b[2Jz"
    model.rename(evil)
    evil_files(root)
    recipe = root / "a\x1b]2;PWN\x07[bold\x9b2Jz.yaml"
    values = {"model_name_or_path": str(evil), "max_steps": 100_000, "max_new_tokens": 300}
    recipe.write_text(recipe_text(root, **values))
    with Terminal(python("-m", "tuitune", str(recipe)), cwd=root, env=env(root), columns=160, lines=50) as terminal:
        start(terminal)
        run = the_run(root)
        reached(run, STEP)
        # A model of random weights over single bytes answers with controls in plenty.
        ask(terminal, "what is ice?")
        reached(run, '"kind":"ReplyFinished"')
        for keys in ("\x1b", "\x0f", "\x1b", "\x10", "\x1b", "\x14", "\x14", "6", "1", "2", "3"):
            terminal.send(keys)
            terminal.until("TuiTune")
        terminal.send("\x11")
        terminal.until("Quit while it trains?")
        terminal.send("s")
        terminal.wait(300)
        assert terminal.status is not None
        output = terminal.output.decode("utf-8", "replace")
        assert strange(output) == []
        assert terminal.title == ""
        until(lambda: restored(terminal))


@pytest.mark.slow
def test_journals_and_errors_of_others_are_mere_text_in_the_app(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITUNE_HOME", str(root / "home"))
    run = evil_run("one")
    with Terminal(python("-m", "tuitune", "attach", "one"), cwd=root, env=env(root), columns=160, lines=50) as terminal:
        terminal.until("failed")
        for keys in ("6", "z", "\x1b[5~", "\x1b[5~", "\x1b[5~", "\x1b[5~", "z", "4"):
            terminal.send(keys)
            terminal.until("TuiTune")
        terminal.send("\x11")
        terminal.wait()
        assert strange(terminal.output.decode("utf-8", "replace")) == []
        assert terminal.title == ""
    assert run.console.stat().st_size


def evil_run(name: str) -> RunDir:
    """Plant a failed run whose every text is one of these."""
    told: list[events.Event] = [events.RunStarted(1, 0, 10, CORPUS[0], CORPUS[1], "sft", "lora", t=1000.0)]
    told += [events.Warned(text, text, t=1000.0 + number) for number, text in enumerate(_writable())]
    told.append(events.RunFailed(CORPUS[2], CORPUS[5], 1, t=2000.0))
    made = plant(name, told, status="failed", pid=2**22 - 1)
    made.console.write_bytes("\n".join(_writable()).encode("utf-8"))
    return made


def _writable() -> list[str]:
    return [text for text in CORPUS if text.isprintable() or not re.search("[\ud800-\udfff]", text)]


def test_plain_output_carries_none_of_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITUNE_HOME", str(root / "home"))
    evil_run("one")
    evil_files(root)
    for number, name in enumerate(NAMES[:40:4]):
        (root / f"bad{number}.yaml").write_text(
            f"dataset: {json.dumps(name)}\n{json.dumps(name)}: 1\n", encoding="utf-8"
        )
    asked = [
        ("runs",),
        ("attach", "one"),
        ("models",),
        *((each, f"bad{number}.yaml") for number in range(2) for each in ("check",)),
    ]
    for words in [*asked, ("check", f"{NAMES[0]}.yaml"), (NAMES[7],)]:
        done = subprocess.run(
            python("-m", "tuitune", *words), cwd=root, env=env(root), capture_output=True, check=False
        )
        assert strange(done.stdout.decode()) == [], words
        assert strange(done.stderr.decode()) == [], words
        assert done.stdout or done.stderr


def env(root: Path) -> dict[str, str]:
    import os

    return os.environ | environment(root / "home") | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
