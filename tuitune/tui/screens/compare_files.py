"""What the keys of the Compare screen do with both conversations as a whole: how both are asked, and files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.chat.compare import Comparison, earlier
from tuitune.errors import TuiTuneError
from tuitune.text import clean, clean_line
from tuitune.tui.asking import Picker, PickItem, TextAsk
from tuitune.tui.panes.answering import in_words
from tuitune.tui.panes.chatforms import Sampling, SamplingAsk, SystemAsk

if TYPE_CHECKING:
    from tuitune.tui.screens.compare import CompareScreen

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

        question = TextAsk("Which functions may they call?", placeholder="tools.json", facts=facts)
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
            self._screen.app.in_thread("compare-list", _kept, self._pick)

    def _pick(self, items: list[PickItem]) -> None:
        if not self._screen.is_active:  # left while the disk was looked at
            return
        if not items:
            self.say("no comparison has been kept yet")
            return
        self._screen.app.push_screen(
            Picker("Go on with a comparison", items), lambda key: None if key is None else self._go_on(Path(key))
        )  # fmt: skip

    def _go_on(self, folder: Path, *, file: bool = False) -> None:
        try:
            found = Comparison.read(folder) if file else Comparison.load(folder)
        except (OSError, TuiTuneError) as error:
            self._screen.column.tell(in_words(error) if isinstance(error, TuiTuneError) else str(error), error=True)
            return
        self._take(found)

    def _take(self, found: Comparison) -> None:
        screen = self._screen
        words = [side.whom for side in found.sides]
        if screen.sides is not None and all(words):
            screen.sides.words[:] = words
        screen.show_talk(found)
        screen.name_columns()

    def action_save(self) -> None:
        """Save both as JSON."""
        if any(side.turns for side in self._screen.comparison.sides):
            facts = ["One JSON file with the messages of both sides; O opens it again."]
            self._screen.app.push_screen(TextAsk("Save both as", placeholder="compared.json", facts=facts), self._save)
        else:
            self.say("nothing was said yet")

    def _save(self, name: str | None) -> None:
        if name is None or not name.strip():
            return
        path = Path(name.strip()).expanduser()
        try:
            self._screen.comparison.save(path)
        except TuiTuneError as error:
            self._screen.column.tell(in_words(error), error=True)
        else:
            self.say(f"saved as {path}")

    def action_load(self) -> None:
        """Open a comparison that was saved."""
        if self._free():
            facts = ["As S saves it: the messages of both sides."]
            self._screen.app.push_screen(
                TextAsk("Open which comparison?", placeholder="compared.json", facts=facts),
                lambda name: self._go_on(Path(name.strip()).expanduser(), file=True) if name and name.strip() else None,
            )

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
    items: list[PickItem] = []
    for folder in earlier():
        try:
            sides = Comparison.peek(folder)
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(folder.stat().st_mtime))
        except (OSError, TuiTuneError):
            continue
        first = next((turn.content for side in sides for turn in side.turns if turn.role == "user"), "")
        if first:
            items.append(PickItem(str(folder), clean_line(first[:200]), when))
    return items
