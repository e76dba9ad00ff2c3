"""What the keys of the Compare screen do with both conversations as a whole: how both are asked, and files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tuitune.chat.compare import NAMES, Comparison, earlier
from tuitune.chat.comparisons import cut_off
from tuitune.chat.conversation import Conversation
from tuitune.errors import TuiTuneError
from tuitune.text import clean, clean_line
from tuitune.tui.asking import PickItem, TextAsk
from tuitune.tui.filing import ask_open, ask_save
from tuitune.tui.panes.chatforms import Sampling, SamplingAsk, SystemAsk
from tuitune.tui.panes.column import Hint
from tuitune.tui.panes.spoken import in_words
from tuitune.tui.picking import pick
from tuitune.tui.sides import Sides

if TYPE_CHECKING:
    from tuitune.tui.screens.compare import CompareScreen

_MOST_RECENT = 20  # kept comparisons that are looked at when the screen opens
_BUSY = "answers are being written, esc ends them"


class CompareFiles:
    """The actions on both conversations; a part of the screen."""

    @property
    def _screen(self) -> CompareScreen:
        return self  # type: ignore[return-value]

    def say(self, text: str) -> None:
        """Say something short beside the prompt."""
        self._screen.remark = clean_line(text)
        self._screen.refresh_line()
        if not self._screen.beside.display:
            self._screen.app.say(clean_line(text))

    def _free(self) -> bool:
        if self._screen.busy:
            self.say(_BUSY)
        return not self._screen.busy

    # -- how they are asked ----------------------------------------------------------------------------------------

    def action_system(self) -> None:
        """Set the system message of both."""
        screen = self._screen

        def taken(text: str | None) -> None:
            if text is not None:
                screen.comparison.instruct(text or None)
                screen.refresh_line()

        screen.app.push_screen(SystemAsk(screen.comparison.sides[0].system), taken)

    def action_sampling(self) -> None:
        """Set how answers are drawn."""
        screen = self._screen

        def taken(found: Sampling | None) -> None:
            if found is not None:
                screen.overrides = found
                screen.comparison.draw(found)
                screen.refresh_line()

        screen.app.push_screen(SamplingAsk(screen.overrides, screen.app.partners.sampling()), taken)

    def action_tools(self) -> None:
        """Offer the functions of a file."""
        from tuitune.chat.tools import names, read_file

        screen = self._screen
        there = ", ".join(names(screen.comparison.sides[0].tools))
        facts = ['A JSON list: {"name", "description", "parameters"}.', f"Now: {there or 'none'}. Empty: none."]

        def taken(name: str | None) -> None:
            if name is None:
                return
            try:
                screen.comparison.offer(read_file(Path(name.strip()).expanduser()) if name.strip() else "")
            except TuiTuneError as error:
                screen.column.tell(in_words(error), error=True)
                return
            for column in screen.columns:
                column.say_no_more()
            self.say("the next answers may call them" if name.strip() else "no tools")

        question = TextAsk("Which functions may they call?", placeholder="nothing: no functions", facts=facts)
        screen.app.push_screen(question, taken)

    # -- files -----------------------------------------------------------------------------------------------------

    def action_new(self) -> None:
        """Begin another comparison, with the same system message and tools."""
        if self._free():
            old = self._screen.comparison.sides[0]
            fresh = Comparison.begin()
            fresh.instruct(old.system)
            fresh.offer(old.tools)
            self._screen.show_talk(fresh)
            self._screen.name_columns()
            self.say("the former one is kept, o finds it")

    def action_earlier(self) -> None:
        """Choose an earlier comparison to go on with."""
        if self._free():
            pick(self._screen.app, "Go on with a comparison", _kept, lambda key: self._go_on(Path(key)),
                 group="compare-list", nothing="no comparison has been kept yet", say=self.say)  # fmt: skip

    def _go_on(self, folder: Path, *, file: bool = False) -> None:
        if not file and folder == self._screen.comparison.folder:
            self.say("it is open here already")
            return
        try:
            found = Comparison.read(folder) if file else Comparison.load(folder)
        except TuiTuneError as error:
            self._screen.column.tell(in_words(error), error=True)
            return
        self._take(found)

    def _take(self, found: Comparison) -> None:
        screen = self._screen
        words = [side.whom for side in found.sides]
        if screen.sides is not None and all(words):
            screen.sides.words[:] = words
        if found.sampling is not None:
            screen.overrides = dict(found.sampling)
        screen.show_talk(found)
        screen.name_columns()
        if found.is_copy:
            self.say("it is open elsewhere, so this goes on with a copy")
        elif not all(words):
            self.say("it does not tell who was asked; w chooses who goes on with it")

    def action_save(self) -> None:
        """Save both as JSON."""
        if any(side.turns for side in self._screen.comparison.sides):
            facts = ["One JSON file with the messages of both sides; O opens it again."]
            ask_save(self._screen.app, "Save both as", "compared.json", facts, self._save)
        else:
            self.say("nothing was said yet")

    def _save(self, path: Path, replacing: bool) -> None:
        try:
            self._screen.comparison.save(path, replacing=replacing)
        except TuiTuneError as error:
            self._screen.column.tell(in_words(error), error=True)
        else:
            self.say(f"saved as {path}")

    def action_load(self) -> None:
        """Open a comparison that was saved."""
        if self._free():
            facts = ["As S saves it: the messages of both sides."]
            then = partial(self._go_on, file=True)
            ask_open(self._screen.app, "Open which comparison?", "compared.json", facts, then)

    def action_copy(self) -> None:
        """Copy the chosen turn, or the last answer."""
        column = self._screen.column
        turns = column.talk.turns
        answers = [place for place, turn in enumerate(turns) if turn.is_answer]
        if not answers:
            self.say("there is no answer yet")
            return
        self._screen.app.copy(clean(turns[answers[-1] if column.chosen is None else column.chosen].content))


def _kept() -> list[PickItem]:
    """Return the comparisons that were kept, newest first. Looks at the disk."""
    return [
        PickItem(str(seen.folder), seen.question, f"cut off, {seen.when}" if seen.cut_off else seen.when, seen.who)
        for seen in map(_seen, earlier())
        if seen is not None
    ]


def last_one() -> Hint | None:
    """Return what could be gone on with: what a crash cut off, else what was said last. Looks at the disk."""
    found = [seen for seen in map(_seen, earlier(_MOST_RECENT)) if seen is not None]
    seen = next((each for each in found if each.cut_off), found[0] if found else None)
    return None if seen is None else Hint(seen.when, seen.question, seen.cut_off)


class _Seen(NamedTuple):
    folder: Path
    question: str
    when: str
    who: str
    cut_off: bool


def _seen(folder: Path) -> _Seen | None:
    """Return what a list says of a kept comparison; None where nothing was said."""
    try:
        sides = Comparison.peek(folder)
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(folder.stat().st_mtime))
    except (OSError, TuiTuneError):
        return None
    first = next((turn.content for side in sides for turn in side.turns if turn.role == "user"), "")
    return _Seen(folder, clean_line(first[:200]), when, _who(sides), cut_off(folder)) if first else None


def _who(sides: Sequence[Conversation]) -> str:
    """Return who has answered left and right."""
    if len(sides) < len(NAMES) or not all(side.whom for side in sides):
        return "others"
    asked = Sides(sides[0].whom, sides[1].whom)
    return f"{asked.label(0)} | {asked.label(1)}"
