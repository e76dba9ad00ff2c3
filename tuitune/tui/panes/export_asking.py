"""What the Export pane asks: which model, which adapter and how much of it, the form, the folder, the repository."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.face import words
from tuitune.tui.asking import Picker, PickItem, TextAsk
from tuitune.tui.exporting import FORM_KEYS, HUB_KEYS, PRESETS, Asked
from tuitune.tui.subjects import Kind, ask_subject, named

if TYPE_CHECKING:
    from tuitune.tui.panes.export_setup import ExportSetup

_ADAPTERS: tuple[Kind, ...] = ("run", "checkpoint", "adapter")


class ExportAsking:
    """The questions; a part of the pane."""

    @property
    def _pane(self) -> ExportSetup:
        return self  # type: ignore[return-value]

    def choose_subject(self) -> None:
        """Let the user choose what is exported."""
        ask_subject(self._pane.app, self.set_subject, title="Export what?", chosen=self._pane.asked.subject)

    def set_subject(self, subject: str | None) -> None:
        """Be about something else; folder, adapters and repository were of the former."""
        former = self._pane.asked.subject
        if former is not None and subject != former:
            self._forget_repo(named(former))
        self._pane.ask(Asked(subject))

    def _forget_repo(self, former: str) -> None:
        options = self._pane.options
        repo = options.value(HUB_KEYS[0])
        for key in HUB_KEYS:
            if key in options.changed:
                options.remove(key)
        if repo:
            self._pane.app.say(f"it is pushed nowhere now: {repo} was for {former}", "warning")

    def choose_adapter(self) -> None:
        """Let the user choose a further adapter."""
        ask_subject(self._pane.app, self.add, title="Merge which adapter too?", kinds=_ADAPTERS)

    def add(self, word: str) -> None:
        """Merge a further adapter."""
        if word == self._pane.asked.subject or word in self._pane.asked.more:
            self._pane.app.say(f"{named(word)} is merged already")
            return
        self._pane.ask(replace(self._pane.asked, more=(*self._pane.asked.more, word)))

    def choose_form(self) -> None:
        """Let the user choose among the forms, with about what each takes."""
        made = self._pane.plan.outline
        items = [
            PickItem(
                each.slug, each.name, f"{about_size(each.size(made)) if made is not None else ''}  {each.good}".strip()
            )
            for each in PRESETS
        ]
        now = self._pane.preset
        self._pane.app.push_screen(Picker("In which form?", items, chosen=now.slug if now else None), self.take_form)

    def take_form(self, slug: str | None) -> None:
        """Let the settings be those of a form."""
        preset = next((each for each in PRESETS if each.slug == slug), None)
        if preset is None:
            return
        for key in FORM_KEYS:
            if key not in preset.values and key in self._pane.options.changed:
                self._pane.options.remove(key)
        for key, value in preset.values.items():
            self._pane.options.set(key, value)
        if preset.calibrated and self._pane.dataset and not self._pane.options.value("export_quantization_dataset"):
            self._pane.options.set("export_quantization_dataset", self._pane.dataset)

    def ask_share(self, adapter: str) -> None:
        """Ask how much of an adapter goes in."""
        now = f"{self._pane.asked.shares.get(adapter, 1.0):g}"
        facts = ["1 puts all of what the adapter changes into the model, 0.5 half of it; it may be negative."]
        ask = TextAsk("How much of this adapter?", now, "1", validate=_share_problem, facts=facts)
        self._pane.app.push_screen(ask, lambda text: None if text is None else self.set_share(adapter, float(text)))

    def set_share(self, adapter: str, share: float) -> None:
        """Let so much of an adapter go in."""
        self._pane.ask(replace(self._pane.asked, shares={**self._pane.asked.shares, adapter: round(share, 6)}))

    def ask_out(self) -> None:
        """Ask for the folder."""
        facts = ["A folder that is not there yet. Nothing: one in TuiTune's own place."]
        ask = TextAsk(
            "Where to?", self._pane.asked.out or "", self._pane.out_words(), validate=_out_problem, facts=facts
        )
        self._pane.app.push_screen(ask, lambda text: None if text is None else self._take_out(text.strip()))

    def _take_out(self, text: str) -> None:
        self._pane.ask(replace(self._pane.asked, out=str(Path(text).expanduser().absolute()) if text else None))

    def ask_repo(self) -> None:
        """Ask for the repository."""
        now = self._pane.options.value("export_hub_model_id")
        facts = ["organisation/name; a private repository unless the settings say otherwise.",
                 "The token comes from the hub's own login or HF_TOKEN, never from here."]  # fmt: skip
        ask = TextAsk("Push it to which repository? Nothing: nowhere", str(now or ""),
                      "nowhere; else organisation/name", validate=_repo_problem, facts=facts)  # fmt: skip
        self._pane.app.push_screen(ask, lambda text: None if text is None else self.take_repo(text.strip()))

    def take_repo(self, text: str) -> None:
        """Push to a repository, or to none."""
        if text:
            self._pane.options.set("export_hub_model_id", text)
        else:
            self._pane.options.remove("export_hub_model_id")


def about_size(size: int | None) -> str:
    """Return a size as an estimate is told, nothing for one that nobody knows."""
    return "" if size is None else f"about {words.size(size)}"


def _share_problem(text: str) -> str | None:
    try:
        return None if abs(float(text)) < 100 else "a number such as 0.5"
    except ValueError:
        return "a number such as 0.5"


def _out_problem(text: str) -> str | None:
    return "it exists already" if text.strip() and Path(text.strip()).expanduser().exists() else None


def _repo_problem(text: str) -> str | None:
    parts = text.strip().split("/")
    return None if not text.strip() or (len(parts) == 2 and all(parts)) else "organisation/name"
