"""The Export screen: what is asked for, what it takes, a command at work, and what was made before."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.engine.given import model_folder
from tests.tui.given import offered, rows_text, screen_text
from tests.tui.test_app import MIDDLE, SMALL, WIDE, go, home, made, opened, said, until  # noqa: F401
from tuitune.export.history import FILE, Done, remember
from tuitune.run import job as room
from tuitune.tui.app import TuiTune
from tuitune.tui.asking import TextAsk
from tuitune.tui.exporting import PRESETS, Asked, plan, preset_of
from tuitune.tui.help import HelpScreen
from tuitune.tui.leave import Leave
from tuitune.tui.panes.export_plan import EarlierPane, plan_rows
from tuitune.tui.panes.jobs import JobsPane
from tuitune.tui.picker import Picker
from tuitune.tui.screens.export import ExportScreen

Opened = tuple[TuiTune, Pilot[Leave], ExportScreen]
EVIL = "a\x1b]0;PWN\x07[@click=app.quit]b\u202e"


@pytest.fixture
def model(home: Path, tmp_path: Path) -> str:  # noqa: F811
    """A tiny model with an adapter for it, by the adapter's folder."""
    import torch
    from peft import LoraConfig, get_peft_model

    from tests.tiny import tiny_model, tiny_tokenizer

    plain = model_folder(tmp_path)
    torch.manual_seed(1)
    for name in ("one", "two"):
        adapted = get_peft_model(tiny_model(), LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
        adapted.peft_config["default"].base_model_name_or_path = str(plain)
        adapted.save_pretrained(tmp_path / name)
        tiny_tokenizer().save_pretrained(tmp_path / name)
    return str(tmp_path / "one")


@contextlib.asynccontextmanager
async def on_screen(subject: str | None, size: tuple[int, int] = MIDDLE) -> AsyncIterator[Opened]:
    """Open the app on the screen, once it knows what would happen."""
    app = made()
    async with opened(app, size) as pilot:
        app.show_screen("export", subject)
        await until(pilot, lambda: isinstance(app.screen, ExportScreen) and bool(app.screen.query(JobsPane)))
        screen = app.screen
        assert isinstance(screen, ExportScreen)
        await until(pilot, lambda: bool(screen.setup.plan.argv or screen.setup.plan.trouble))
        yield app, pilot, screen


def was_made(tmp_path: Path, subject: str, name: str = "earlier") -> Path:
    folder = tmp_path / name
    folder.mkdir()
    check = {"what": EVIL, "relative": 0.25, "bound": "relative error at most 0.15"}
    (folder / FILE).write_text(json.dumps({"checks": [check]}))
    remember(Done(str(folder), subject, "x", "safetensors", "bfloat16", 1_000_000, time.time() - 7300))
    return folder


@pytest.mark.parametrize(
    ("size", "seen", "hidden"),
    [
        (WIDE, ["1 Export", "2 Settings", "3 What it takes", "4 Made before", "5 Work", "B free", "s writes it"], []),
        (MIDDLE, ["1 Export", "2 Settings", "3 What it takes", "4 Made before", "5 Work", "B free"], []),
        (SMALL, ["1 Export   2 Settings   3 Takes   4 Made before   5 Work", "memory", "s writes it"], ["export_size"]),
    ],
)
def test_what_shows_depends_on_the_room(model: str, size: tuple[int, int], seen: list[str], hidden: list[str]) -> None:
    async def work() -> None:
        async with on_screen(model, size) as (app, pilot, _):
            await until(pilot, lambda: all(word in screen_text(app) for word in (*seen, "s start", "merged, bfloat16")))
            text = screen_text(app)
            assert not any(word in text for word in hidden), text

    go(work)


def test_nothing_to_export_says_what_to_do(home: Path) -> None:  # noqa: F811
    async def work() -> None:
        async with on_screen(None) as (app, pilot, screen):
            await until(pilot, lambda: "choose what to export: w" in screen_text(app))
            await pilot.press("s")
            await until(pilot, lambda: offered(app) or "nothing to choose" in said(app))
            assert screen.query_one(JobsPane).running == []

    go(work)


def test_what_begins_is_the_form_that_was_chosen_last(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[tuple[str, ...]] = []
    monkeypatch.setattr(JobsPane, "begin", lambda self, kind, title, argv: begun.append(tuple(argv)))

    async def work() -> None:
        async with on_screen(model) as (app, pilot, _):
            await pilot.press("f")
            await until(pilot, lambda: offered(app))
            await pilot.press("q", "8", "_", "enter", "s")
            await until(pilot, lambda: bool(begun))
            await pilot.pause(0.3)
            assert [argv[3:] for argv in begun] == [("export_format=gguf", "export_gguf_type=Q8_0")]

    go(work)


def test_a_start_right_after_a_change_starts_what_is_asked_for_then(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changed before the key was pressed is told to the screen only after it."""
    begun: list[tuple[str, ...]] = []
    monkeypatch.setattr(JobsPane, "begin", lambda self, kind, title, argv: begun.append(tuple(argv)))

    async def work() -> None:
        async with on_screen(model) as (app, pilot, screen):
            screen.setup.set_subject(str(tmp_path / "two"))
            screen.action_start()
            await until(pilot, lambda: bool(begun))
            assert begun[0][1] == str(tmp_path / "two")
            screen.action_start()
            screen.setup.set_subject(model)
            await until(pilot, lambda: "something else is asked for now" in said(app))
            assert len(begun) == 1

    go(work)


def test_exports_that_a_command_made_anywhere_are_listed_for_the_run(home: Path, tmp_path: Path) -> None:  # noqa: F811
    from tests.engine.given import data_folder, start
    from tuitune.engine.run import run
    from tuitune.export.pipeline import export
    from tuitune.face.exporting import order_of

    model_folder(tmp_path)
    data_folder(tmp_path)
    trained = start(tmp_path, "nova", max_steps=2, save_strategy="steps", save_steps=1, warmup_steps=0)
    assert run(trained).status == "finished"
    checkpoint = trained.path / "checkpoint-1"
    for what, out in ((trained.path, "all"), (trained.final, "result"), (checkpoint, "first")):
        export(order_of(str(what), str(tmp_path / "elsewhere" / out), ["export_model_card=false"]))

    def listed(subject: Path) -> list[str]:
        return [Path(each.done.path).name for each in plan(Asked(str(subject)), [], "x").earlier]

    assert listed(trained.path) == ["first", "result", "all"]
    assert listed(checkpoint) == ["first"]
    shutil.rmtree(tmp_path / "elsewhere" / "result")
    assert listed(trained.path) == ["first", "all"]


def test_the_form_is_chosen_and_kept_and_so_is_the_folder(model: str, home: Path) -> None:  # noqa: F811
    async def work() -> None:
        async with on_screen(model) as (app, pilot, screen):
            await pilot.press("f")
            await until(pilot, lambda: offered(app) and "4-bit bitsandbytes" in screen_text(app))
            await pilot.press("q", "8", "_", "enter")
            await until(pilot, lambda: screen.setup.plan.order is not None and screen.setup.plan.order.form == "gguf")
            assert screen.setup.plan.argv[2].endswith("exports/one-q8_0")
            assert screen.setup.plan.argv[3:] == ("export_format=gguf", "export_gguf_type=Q8_0")
            await pilot.press("down", "down", "down", "right")
            await until(pilot, lambda: "export_gguf_type=Q4_0" in screen.setup.plan.argv)
            await pilot.press("down", "enter")
            await until(pilot, lambda: isinstance(app.screen, TextAsk))
            await pilot.press(*"mine", "enter")
            await until(pilot, lambda: screen.setup.plan.argv[2:3] == (str(Path("mine").absolute()),))
            await pilot.press("y")
            await until(pilot, lambda: "copied" in said(app) or "characters" in said(app))
        async with on_screen(model) as (app, pilot, screen):
            assert screen.setup.preset is not None
            assert screen.setup.preset.name == "GGUF Q4_0"

    go(work)


def test_adapters_are_added_weighed_and_taken_out(model: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with on_screen(model) as (app, pilot, screen):
            await pilot.press("a")
            await until(pilot, lambda: offered(app) or "nothing to choose" in said(app))
            if isinstance(app.screen, Picker):
                await pilot.press("escape")
            await until(pilot, lambda: app.screen is screen)
            screen.setup.add(str(tmp_path / "two"))
            await until(pilot, lambda: screen.setup.plan.order is not None
                        and len(screen.setup.plan.order.weights.adapters) == 2)  # fmt: skip
            await pilot.press("down", "down", "left", "left")
            await until(pilot, lambda: "export_adapter_weights=1,0.8" in screen.setup.plan.argv)
            assert screen.setup.plan.argv[-2:] == ("--with", str(tmp_path / "two"))
            await until(pilot, lambda: "× 0.8" in screen_text(app))
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, TextAsk))
            await pilot.press("end", "x", "enter")
            await until(pilot, lambda: "a number such as 0.5" in screen_text(app))
            await pilot.press("escape", "delete")
            await until(pilot, lambda: "--with" not in screen.setup.plan.argv)
            assert "export_adapter_weights" not in screen.setup.plan.command

    go(work)


def test_what_would_be_refused_shows_before(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuitune.fit.machine.disk_free", lambda path: 1000)

    async def work() -> None:
        async with on_screen(model) as (app, pilot, screen):
            await until(pilot, lambda: "the disk has 1.0 kB free" in " ".join(screen_text(app).split()))
            await pilot.press("s")
            await until(pilot, lambda: "the disk has" in said(app))
            assert screen.query_one(JobsPane).jobs == []
            screen.options.set("export_quantization_bit", 5)
            await until(pilot, lambda: bool(screen.options.wrong))
            await pilot.press("s")
            await until(pilot, lambda: "the settings are not ready" in said(app) and screen.tab == "options")

    go(work)


WORK = """
import json, sys, time
from pathlib import Path
def tell(**values): print(json.dumps(values), flush=True)
out = Path(sys.argv[3])
tell(kind="progress", stage="write", done=3, total=10)
while not Path({gate!r}).exists():
    time.sleep(0.05)
out.mkdir(parents=True)
(out / "export.json").write_text(json.dumps({{"checks": [
    {{"what": "the merged model", "relative": 1e-6, "bound": "b"}}]}}))
from tuitune.export.history import Done, remember
remember(Done(str(out), sys.argv[2], "x", "safetensors", "bfloat16", 12))
tell(kind="result", path=str(out), sentences=["it is there"])
"""


@pytest.fixture
def at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let the command be a script that goes on when it is told to."""
    gate, script = tmp_path / "gate", tmp_path / "work.py"
    script.write_text(WORK.format(gate=str(gate)))
    monkeypatch.setattr(room, "PROGRAM", (sys.executable, str(script)))
    return gate.touch


def test_it_starts_tells_how_far_it_is_and_what_came_of_it(model: str, at_work: Callable[[], None]) -> None:
    async def work() -> None:
        async with on_screen(model) as (app, pilot, screen):
            out = screen.setup.plan.argv[2]
            await pilot.press("s")
            await until(pilot, lambda: "3 of 10" in screen_text(app) and "x cancel" in screen_text(app))
            await pilot.press("s")
            await until(pilot, lambda: "is being written already" in said(app))
            at_work()
            await until(pilot, lambda: f"is done: {out}" in said(app))
            earlier = screen.query_one(EarlierPane)
            await until(pilot, lambda: earlier._opened is not None)
            assert f"tuitune chat --model {out}" in earlier.text_of(earlier._items[0])
            await until(pilot, lambda: "the merged model: relative error 1e-06" in screen_text(app))
            await until(pilot, lambda: screen.setup.plan.argv[2:3] == (f"{out}-2",))

    go(work)


def test_earlier_ones_are_listed_clean_and_with_their_commands(model: str, tmp_path: Path) -> None:
    folder = was_made(tmp_path, model)
    was_made(tmp_path, "/another", "other")

    async def work() -> None:
        async with on_screen(model) as (app, pilot, screen):
            await pilot.press("4", "enter")
            await until(pilot, lambda: "relative error 0.25" in " ".join(screen_text(app).split()))
            text = screen_text(app)
            assert "2 h" in text
            assert "other" not in [Path(each.done.path).name for each in screen.query_one(EarlierPane)._items]
            assert "\x1b" not in text
            assert "\u202e" not in text
            assert f"vllm serve {folder}" in screen.query_one(EarlierPane).text_of(
                screen.query_one(EarlierPane)._items[0]
            )

    go(work)


def test_the_age_of_an_earlier_one_grows(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    was_made(tmp_path, model)

    async def work() -> None:
        async with on_screen(model) as (app, pilot, _):
            await until(pilot, lambda: re.search(r"2 h \d\d m ago", screen_text(app)))
            now = time.time
            monkeypatch.setattr("tuitune.tui.panes.export_plan.time.time", lambda: now() + 3600)
            await until(pilot, lambda: re.search(r"3 h \d\d m ago", screen_text(app)))

    go(work)


def test_a_repository_is_of_one_model(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_TOKEN", "hf_notused1234")
    another = str(tmp_path / "two")

    async def work() -> None:
        async with on_screen(model) as (app, pilot, screen):
            screen.setup.take_form("q8_0")
            screen.options.set("export_hub_private", False)
            screen.setup.take_repo("me/it")
            await until(pilot, lambda: "export_hub_model_id=me/it" in screen.setup.plan.argv)
            assert not screen.setup.plan.trouble
            screen.setup.set_subject(model)  # the same: it stays
            assert screen.options.value("export_hub_model_id") == "me/it"
            screen.setup.set_subject(another)
            await until(pilot, lambda: screen.setup.plan.argv[1:2] == (another,))
            assert screen.setup.plan.argv[3:] == ("export_format=gguf", "export_gguf_type=Q8_0")
            await until(pilot, lambda: "it is pushed nowhere now: me/it was for one" in said(app))
            assert not screen.options.changed & {"export_hub_model_id", "export_hub_private"}
            screen.setup.take_repo("me/two")
        async with on_screen(model) as (_, pilot, screen):
            assert screen.options.value("export_hub_model_id") is None
            assert screen.setup.preset is not None
            assert screen.setup.preset.slug == "q8_0"

    go(work)


def test_that_nothing_can_be_pushed_is_said_before(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)

    async def work() -> None:
        async with on_screen(model) as (app, pilot, screen):
            screen.setup.take_repo("me/it")
            await until(pilot, lambda: bool(screen.setup.plan.trouble))
            assert "set HF_TOKEN" in screen.setup.plan.trouble[1]
            await until(pilot, lambda: "s writes it" not in screen_text(app) and "no token" in screen_text(app))
            await pilot.press("s")
            await until(pilot, lambda: "it cannot be pushed to me/it: there is no token for the hub" in said(app))
            assert screen.query_one(JobsPane).jobs == []

    go(work)


def test_help_and_back(model: str) -> None:
    async def work() -> None:
        async with on_screen(model, SMALL) as (app, pilot, screen):
            for digit, word in (("1", "Export"), ("2", "Settings"), ("3", "What it takes"), ("4", "Made before")):
                await pilot.press(digit)
                await pilot.pause()
                await pilot.press("f1")
                await until(pilot, lambda word=word: isinstance(app.screen, HelpScreen) and word in screen_text(app))  # type: ignore[misc]
                await pilot.press("escape")
                await until(pilot, lambda: app.screen is screen)
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is not screen)

    go(work)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda each: each.slug)
def test_every_form_is_known_again_by_its_settings(model: str, preset: object) -> None:
    assert preset in PRESETS
    values = dict(preset.values)  # type: ignore[attr-defined]
    assert preset_of(values) is preset
    assert preset_of({**values, "export_dtype": "float32"}) is not PRESETS[0]


def test_a_plan_that_cannot_be_says_why_and_shows_the_command(model: str, tmp_path: Path) -> None:
    found = plan(Asked(model), ["export_quantization_bit=4"], "x")
    assert any("calibrate" in text for text in found.trouble)
    assert found.command.endswith("export_quantization_bit=4")
    assert any("calibrate" in line for line in rows_text(plan_rows(found, 80, 20)))
    found = plan(Asked(str(tmp_path / "nowhere")), [], "x")
    assert found.trouble
    assert found.order is None
