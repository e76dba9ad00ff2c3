"""What the keys of the Compare screen do."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.chat.base import Options
from tuitune.chat.compare import Comparison, earlier, seeded
from tuitune.errors import TuiTuneError
from tuitune.text import clean, clean_line
from tuitune.tui.asking import Picker, PickItem, TextAsk
from tuitune.tui.panes.answering import in_words
from tuitune.tui.panes.chatforms import EditAsk, Sampling, SamplingAsk, SystemAsk
from tuitune.tui.panes.job import Job, Loading
from tuitune.tui.sides import BASE
from tuitune.tui.subjects import subjects

if TYPE_CHECKING:
    from tuitune.tui.panes.column import Column
    from tuitune.tui.screens.compare import CompareScreen

_BUSY = "answers are being written, esc ends them"


class CompareActions:
    """The actions; a part of the screen."""

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

    # -- asking ----------------------------------------------------------------------------------------------------

    def ask(self, text: str) -> None:
        """Ask both."""
        screen = self._screen
        if not text.strip() or not self._free():
            return
        if screen.sides is None:
            self.say("looking who there is to ask")
            return
        screen.prompt.remember(text)
        screen.prompt.text = ""
        self.let_answer(screen.comparison.ask(text.strip()))

    def action_send(self) -> None:
        """Ask what is typed."""
        self._screen.prompt.action_send()

    def action_ask(self) -> None:
        """Go to the prompt."""
        self._screen.prompt.focus()

    def let_answer(self, which: Sequence[int], sampling: Options | None = None, *, again: bool = False) -> None:
        """Let these sides answer their last question."""
        screen = self._screen
        sides = screen.sides
        if sides is None or not which:
            return
        screen.app.partners.make_room_for(sides.release)
        drawn = seeded(screen.sampling if sampling is None else sampling)
        jobs = [
            (screen.columns[place], screen.columns[place].prepared(str(place), sides.label(place), drawn, again=again))
            for place in which
        ]
        for column in screen.columns:
            column.refresh_turns()
        screen.run_worker(
            lambda: self._work(jobs), thread=True, group="compare", exit_on_error=False, description="answers"
        )  # fmt: skip
        screen.refresh_line()

    def _work(self, jobs: Sequence[tuple[Column, Job]]) -> None:
        """Let them answer, at the same time where they do not share anything; in a thread."""
        sides = self._screen.sides
        assert sides is not None
        threads = [threading.Thread(target=column.work, args=(job, sides), daemon=True) for column, job in jobs]
        apart = len(threads) > 1 and sides.apart()
        for _, job in jobs[1:]:
            job.loading = None if apart else Loading("its turn comes next")
        for thread in threads:
            thread.start()
            if not apart:
                thread.join()
        for thread in threads:
            thread.join()

    def action_back(self) -> None:
        """End the answers, leave the prompt, or leave the screen."""
        screen = self._screen
        if screen.busy:
            for column in screen.columns:
                if column.job is not None:
                    column.job.stop()
        elif screen.prompt.has_focus:
            screen.column.transcript.focus()
        else:
            screen.app.pop_screen()

    # -- columns ---------------------------------------------------------------------------------------------------

    def action_column(self, place: int | None = None) -> None:
        """Go to a column, the other one unless it is said which."""
        screen = self._screen
        screen.tab = 1 - screen.tab if place is None else place
        screen.place_columns()
        screen.call_after_refresh(screen.column.transcript.focus)

    def action_whom(self) -> None:
        """Choose who answers in this column."""
        if self._free() and self._screen.sides is not None:
            self._screen.app.in_thread("compare", subjects, self._offer)

    def _offer(self, found: list[PickItem]) -> None:
        screen, sides = self._screen, self._screen.sides
        if sides is None:
            return
        place = screen.tab
        before = PickItem(BASE, "before training", f"what {sides.label(1 - place)} was trained from", "This comparison")
        items = [before, *found] if sides.words[1 - place] != BASE else found
        title = f"Who answers {'left' if place == 0 else 'right'}?"
        screen.app.push_screen(
            Picker(title, items, chosen=sides.words[place]), lambda word: self._choose(place, word)
        )  # fmt: skip

    def _choose(self, place: int, word: str | None) -> None:
        screen = self._screen
        if word is None or screen.sides is None:
            return
        try:
            screen.sides.choose(place, word)
        except TuiTuneError as error:
            self.say(in_words(error))
        screen.name_columns()

    def action_swap(self) -> None:
        """Let left answer right."""
        screen = self._screen
        if self._free() and screen.sides is not None:
            screen.sides.swap()
            screen.show_talk(screen.comparison.swapped())
            screen.name_columns()

    # -- turns -----------------------------------------------------------------------------------------------------

    def action_turn(self, by: int) -> None:
        """Choose the turn before or after."""
        self._screen.column.choose_turn(by)

    def action_fold(self) -> None:
        """Show thoughts, or hide them."""
        for column in self._screen.columns:
            column.fold()

    def action_edit(self) -> None:
        """Edit the chosen turn, or the last question."""
        screen = self._screen
        turns = screen.column.talk.turns
        asked = [place for place, turn in enumerate(turns) if not turn.is_answer]
        if not self._free():
            return
        if not asked:
            self.say("nothing was asked yet")
            return
        place = screen.column.chosen if screen.column.chosen is not None else asked[-1]
        side, old = screen.tab, turns[place]

        def edited(text: str | None) -> None:
            if text and text.strip() and text != old.content and not screen.busy:
                self._after(screen.comparison.rewrite(side, place, text))

        screen.app.push_screen(EditAsk(old), edited)

    def action_again(self, anew: bool = False) -> None:
        """Have the chosen or last question answered again."""
        screen = self._screen
        if not self._free():
            return
        turns = screen.column.talk.turns
        place = screen.column.chosen if screen.column.chosen is not None else len(turns) - 1
        which = screen.comparison.again(screen.tab, place) if turns else ()
        if not which:
            self.say("nothing was asked yet")
            return
        self._after(which, {**screen.sampling, "seed": secrets.randbelow(2**31)} if anew else None)

    def _after(self, which: Sequence[int], sampling: Options | None = None) -> None:
        for column in self._screen.columns:
            column.refresh_turns()
        self.let_answer(which, sampling, again=True)

    def action_clear(self) -> None:
        """Forget the turns."""
        if self._free():
            self._screen.comparison.clear()
            self._shown("cleared; u brings it back, and the files keep it")

    def action_undo(self) -> None:
        """Bring back what was removed."""
        if self._free():
            self._shown("brought back" if self._screen.comparison.undo() else "nothing was removed")

    def _shown(self, words: str) -> None:
        for column in self._screen.columns:
            column.refresh_turns()
        self.say(words)

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
            screen.refresh_line()

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
            self._screen.app.in_thread("compare", _kept, self._pick)

    def _pick(self, items: list[PickItem]) -> None:
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
