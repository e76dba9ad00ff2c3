"""The YAML view: text, problems at their lines, steps shared with the form, and the command."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.cli.given import EVIL
from tests.tui.given import Bench, bench, screen_text
from tuitune.tui.draft import Draft
from tuitune.tui.panes.yaml import CommandPane, YamlPane

TEXT = "# mine\nstage: sft\nmodel_name_or_path: smollm2-135m\ndataset: identity\nlora_rank: 8\ncutoff_len: 512\n"


class Saying(Bench):
    """A bench that can be told things."""

    said: list[str] = []  # noqa: RUF012

    def say(self, text: str, level: str = "information") -> None:
        self.said.append(text)

    def say_error(self, error: Any) -> None:
        self.said.append(error.message)


def drive(
    draft: Draft, test: Callable[[Pilot[Any], YamlPane], Awaitable[None]], size: tuple[int, int] = (100, 30)
) -> str:
    """Show text and command of a draft, run the test in the text, and return what the screen shows at the end."""

    async def go() -> str:
        css = "YamlPane { height: 1fr; } CommandPane { height: 6; }"
        pane = YamlPane(draft)
        app = Saying(pane, CommandPane(draft), css=css)
        Saying.said = []
        async with app.run_test(size=size, notifications=True) as pilot:
            pane.focus_first()
            await pilot.pause()
            await test(pilot, pane)
            await pilot.pause()
            return screen_text(app)

    return asyncio.run(go())


async def nothing(pilot: Pilot[Any], pane: YamlPane) -> None:
    """Look only."""


def drafted(text: str = TEXT, tmp: Path | None = None) -> Draft:
    draft = Draft()
    if tmp is None:
        draft.replace(text)
        return draft
    path = tmp / "mine.yaml"
    path.write_text(text, newline="")
    draft.open(path)
    return draft


def test_the_view(tmp_path: Path) -> None:
    draft = drafted(tmp=tmp_path)
    draft.set_text("lora_rank", "1O")
    draft.set("cutoff_len", 4096)
    lines = drive(draft, nothing).split("\n")
    assert lines[0].startswith("mine.yaml ──")
    assert "1 problem   f8 next" in lines[0]
    assert lines[1] == "  1   # mine"
    assert lines[5].startswith("  5 • lora_rank: 1O   ◂ expected a whole number")
    assert lines[6] == "  6 • cutoff_len: 4096"
    assert any("tuitune train" in line and line.endswith("\\") for line in lines)
    assert any("lora_rank=1O cutoff_len=4096" in line for line in lines)


def test_typing_changes_the_draft_in_one_step_and_undo_takes_it_back(tmp_path: Path) -> None:
    draft = drafted(tmp=tmp_path)

    async def test(pilot: Pilot[Any], pane: YamlPane) -> None:
        pane.go_to("lora_rank")
        await pilot.press("backspace", "1", "6")
        assert draft.values["lora_rank"] == 16
        assert draft.text == TEXT.replace("rank: 8", "rank: 16")
        await pilot.press("ctrl+z")
        assert draft.text == TEXT
        await pilot.press("ctrl+y")
        assert draft.values["lora_rank"] == 16
        assert pane.editor.selection.end == (4, len("lora_rank: 16"))

    drive(draft, test)


def test_the_form_changes_the_text_and_the_cursor_stays(tmp_path: Path) -> None:
    draft = drafted(tmp=tmp_path)

    async def test(pilot: Pilot[Any], pane: YamlPane) -> None:
        pane.go_to("cutoff_len")
        draft.remove("stage")
        draft.set("lora_rank", 128)
        draft.set("max_steps", 3)
        assert pane.editor.text == draft.text
        row, column = pane.editor.selection.end
        assert pane.editor.document.get_line(row)[:column] == "cutoff_len: 512"
        await pilot.press("ctrl+z", "ctrl+z", "ctrl+z")
        assert pane.editor.text == draft.text == TEXT

    drive(draft, test)


def test_f8_goes_from_problem_to_problem(tmp_path: Path) -> None:
    draft = drafted(tmp=tmp_path)
    draft.set_text("lora_rank", "1O")
    draft.set_text("stage", "sfd")
    rows = []

    async def test(pilot: Pilot[Any], pane: YamlPane) -> None:
        for key in ("f8", "f8", "f8", "shift+f8"):
            await pilot.press(key)
            rows.append(pane.editor.selection.end[0])

    assert "◂ lora_rank expected" in drive(draft, test)  # below the text, in full
    assert rows == [1, 4, 1, 4]


def test_a_broken_text_says_where(tmp_path: Path) -> None:
    draft = drafted(tmp=tmp_path)

    async def test(pilot: Pilot[Any], pane: YamlPane) -> None:
        pane.go_to("stage")
        await pilot.press(":", " ", "x")
        assert draft.document is None

    shown = drive(draft, test)
    assert "  2   stage: sft: x   ◂ not valid YAML" in shown
    assert "once the text can be read and is saved" in shown


def test_tab_makes_blanks_and_escape_is_left_to_the_screen(tmp_path: Path) -> None:
    draft = drafted(tmp=tmp_path)

    async def test(pilot: Pilot[Any], pane: YamlPane) -> None:
        pane.editor.move_cursor((0, 1))
        await pilot.press("tab", "escape")
        assert pane.editor.document.get_line(0) == "#  mine"
        assert pane.editor.has_focus

    drive(draft, test)


@pytest.mark.parametrize("text", ["a: 1\r\nb: 2\r\n", "a: 1\r\nb: 2\n", "a: \x85x\n", "a: 1\x0cb\n", "", "no end"])
def test_an_edit_changes_nothing_else(tmp_path: Path, text: str) -> None:
    draft = drafted(text, tmp_path)

    async def test(pilot: Pilot[Any], pane: YamlPane) -> None:
        pane.editor.move_cursor((0, 0))
        await pilot.press("x", "enter")
        ending = "\r\n" if text == "a: 1\r\nb: 2\r\n" else "\n"
        assert draft.text == f"x{ending}{text}"

    drive(draft, test)


@pytest.mark.parametrize("size", [(100, 30), (40, 10), (8, 4), (1, 1)])
def test_foreign_text_does_nothing(tmp_path: Path, size: tuple[int, int]) -> None:
    draft = drafted(f"# {EVIL}\nname: '[/nope] {EVIL}' # [b]\n{EVIL}: 1\n" + "x: 界\t界\n", tmp_path)

    async def test(pilot: Pilot[Any], pane: YamlPane) -> None:
        await pilot.press("f8", "end", "z")

    shown = drive(draft, test, size)
    assert not [character for character in shown if character in "\x1b\x9b\x07\x08\u202e"]


def test_a_warning_gives_way_to_the_comment_that_is_edited(tmp_path: Path) -> None:
    comment = "# " + "long " * 20
    draft = drafted(TEXT.replace("rank: 8", f"rank: 1O {comment}"), tmp_path)

    async def test(pilot: Pilot[Any], pane: YamlPane) -> None:
        assert "lora_rank: 1O   ◂ expected" in screen_text(pilot.app)
        pane.editor.move_cursor((4, 20))
        await pilot.pause()

    assert "lora_rank: 1O # long" in drive(draft, test)


def test_a_long_text_is_judged_by_a_thread(tmp_path: Path) -> None:
    draft = drafted(TEXT + "# more\n" * 5_000, tmp_path)

    async def test(pilot: Pilot[Any], pane: YamlPane) -> None:
        pane.go_to("lora_rank")
        await pilot.press("O")
        assert draft.pending
        while draft.pending:
            await pilot.pause(0.02)
        assert draft.recipe() is None

    assert "lora_rank: 8O   ◂ expected" in drive(draft, test)


def test_a_draft_that_opens_something_else(tmp_path: Path) -> None:
    draft = drafted(tmp=tmp_path)

    async def test(pilot: Pilot[Any], pane: YamlPane) -> None:
        draft.use_preset("quickstart")

    assert drive(draft, test).startswith("quickstart.yaml ─")


def test_the_own_editor_is_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = drafted(tmp=tmp_path)
    script = tmp_path / "editor.py"
    script.write_text("import sys; p = sys.argv[1]; t = open(p).read(); open(p, 'w').write(t.replace('8', '9'))")
    monkeypatch.setenv("VISUAL", f"{sys.executable} {script}")

    async def test(pilot: Pilot[Any], pane: YamlPane) -> None:
        await pilot.press("f12")
        assert draft.text == TEXT
        assert "no terminal here" in Saying.said[-1]

        @contextmanager
        def lent() -> Any:
            yield

        monkeypatch.setattr(pilot.app, "suspend", lent)
        await pilot.press("f12")
        assert draft.values["lora_rank"] == 9
        await pilot.press("ctrl+z")
        assert draft.text == TEXT
        monkeypatch.setenv("VISUAL", "/no/such/editor")
        await pilot.press("f12")
        assert "no editor" in Saying.said[-1]

    drive(draft, test)


def test_the_command_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draft = drafted(tmp=tmp_path)
    draft.set("name", "it's me")
    app = bench(pane := CommandPane(draft))

    async def go() -> None:
        async with app.run_test(size=(40, 8), notifications=True) as pilot:
            pane.focus()
            await pilot.press("y")
            for number in range(30):
                draft.set(f"key_{number}", "a long value")
            await pilot.pause()
            shown = screen_text(app)
            assert "more lines; y copies all" in shown
            assert all(len(line) <= 40 for line in shown.split("\n"))

    asyncio.run(go())
    assert app.copied == ["tuitune train mine.yaml 'name=it'\"'\"'s me'"]


def test_a_long_problem_is_told_whole_at_the_foot() -> None:
    heights: list[int] = []

    async def there_and_back(pilot: Pilot[Any], pane: YamlPane) -> None:
        heights.append(pane._foot.size.height)
        await pilot.press("f8")
        await pilot.pause()
        heights.append(pane._foot.size.height)
        text = " ".join(screen_text(pilot.app).split())
        assert "where the recipe sets none, set name and author" in text
        await pilot.press("ctrl+end")
        await pilot.pause()
        heights.append(pane._foot.size.height)

    shown = drive(drafted(), there_and_back, size=(80, 24))
    assert heights == [1, 3, 1]
    assert "line 7 of 7" in shown


def test_the_ends_of_the_text_are_one_key_away() -> None:
    async def ends(pilot: Pilot[Any], pane: YamlPane) -> None:
        await pilot.press("ctrl+end")
        assert pane.editor.selection.end == (6, 0)
        await pilot.press("ctrl+shift+home")
        assert pane.editor.selected_text == TEXT
        await pilot.press("ctrl+home")
        assert pane.editor.selection.end == (0, 0)
        assert not pane.editor.selected_text

    drive(drafted(), ends)
