from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from textual.screen import Screen

from tests.tui.given import bench, screen_text
from tests.tui.panes.chatting import HERE, Fake, Speaker, ready, say, table, until
from tuitune.chat.base import Turn
from tuitune.chat.conversation import Conversation
from tuitune.chat.kept import Kept
from tuitune.errors import ModelError, RunError, UsageError
from tuitune.tui.panes.chat import ChatPane, _item
from tuitune.tui.panes.chatforms import SamplingAsk, parsed
from tuitune.tui.partners import Who

# What a model, a file or an exception may say; none of it may act.
EVIL = (
    "[/nope] [@click=app.quit]x[/] \x1b]52;c;UFdO\x07 \x1b]0;PWN\x1b\\ \x1b[2J \x9b31m \u202e \x00 [0] list[int] "
    "&#27;[2J &#x9b;2J `\x1b[1m` <b>x</b> ![a](\x1b]8;;x) [l](javascript:x)"
)
SIZES = [(80, 24), (140, 40)]


def texts(pane: ChatPane) -> list[str]:
    return [turn.content for turn in pane.talk.turns]


@pytest.mark.parametrize("size", SIZES)
def test_an_answer_is_shown_while_it_is_written_and_stays(size: tuple[int, int]) -> None:
    async def go() -> None:
        speaker = Speaker("I am **Zephy", "rine**, built", " by Obelisk.", held=True)
        partners = Fake(speaker)
        app, pane = table(partners)
        async with app.run_test(size=size, notifications=True) as pilot:
            await ready(pilot, pane)
            await pilot.press(*"Who?", "enter")
            speaker.go.release(2)
            await until(pilot, lambda: "Zephyrine, built▍" in screen_text(app))
            assert "live @412  ▌" in screen_text(app)
            assert "ends it" in screen_text(app)
            assert pane.prompt.text == ""
            await pilot.press(*"next")  # typing goes on being possible
            assert pane.prompt.text == "next"
            assert pane.last_live_line[1][0].startswith("I am **Zephyrine")
            speaker.go.release()
            await until(pilot, lambda: not pane.busy)
            shown = screen_text(app)
            assert "I am Zephyrine, built by Obelisk." in shown
            assert "▍" not in shown
            assert "3 tokens, 6/s" in shown
            assert texts(pane) == ["Who?", "I am **Zephyrine**, built by Obelisk."]
            assert pane.last_live_line == [("live @412  ", "quiet"), ("I am **Zephyrine**, built by Obelisk.", "ink")]
        assert partners.wanted == ["live"]
        [(turns, system, sampling)] = speaker.asked
        assert turns == [Turn("user", "Who?")]
        assert system is None
        assert sampling["temperature"] == 0.95

    asyncio.run(go())


def test_esc_ends_the_answer_and_keeps_what_was_written() -> None:
    async def go() -> None:
        speaker = Speaker("half an", " answer", held=True)
        app, pane = table(Fake(speaker))
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await ready(pilot, pane)
            await pilot.press("h", "enter")
            speaker.go.release()
            await until(pilot, speaker.said.is_set)
            await pilot.press("escape")
            await until(pilot, lambda: not pane.busy)
            assert texts(pane) == ["h", "half an"]
            assert "(stopped)" in screen_text(app)
            assert pane.prompt.has_focus
            await pilot.press("escape")
            assert pane.transcript.has_focus

    asyncio.run(go())


def test_a_question_that_is_stopped_before_a_word_comes_back() -> None:
    async def go() -> None:
        app, pane = table(Fake(Speaker("never", held=True)))
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await ready(pilot, pane)
            await pilot.press(*"why", "enter")
            await pilot.press("escape")
            await until(pilot, lambda: not pane.busy)
            assert texts(pane) == []
            assert pane.prompt.text == "why"

    asyncio.run(go())


def test_a_second_question_waits_in_the_prompt() -> None:
    async def go() -> None:
        speaker = Speaker("one", held=True)
        app, pane = table(Fake(speaker))
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await ready(pilot, pane)
            await pilot.press("a", "enter", "b", "enter")
            assert "an answer is being written" in screen_text(app)
            assert pane.prompt.text == "b"
            speaker.go.release()
            await until(pilot, lambda: not pane.busy)
            assert texts(pane) == ["a", "one"]

    asyncio.run(go())


def test_answers_are_made_again_and_the_old_one_comes_back() -> None:
    async def go() -> None:
        speakers = [Speaker("first"), Speaker("second"), Speaker(error=ModelError("no memory")), Speaker("third")]
        app, pane = table(Fake(*speakers))
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await ready(pilot, pane)
            await say(pilot, pane, "q")
            await pilot.press("escape", "r")
            await until(pilot, lambda: not pane.busy)
            assert texts(pane) == ["q", "second"]
            assert speakers[1].asked[0][0] == [Turn("user", "q")]
            await pilot.press("r")
            await until(pilot, lambda: not pane.busy)
            assert "▲ no memory" in screen_text(app)
            assert texts(pane) == ["q", "second"]
            await pilot.press("R")
            await until(pilot, lambda: not pane.busy)
            assert texts(pane) == ["q", "third"]
            assert "seed" in speakers[3].asked[0][2]
            assert "seed" not in speakers[1].asked[0][2]
            await pilot.press("u")
            assert texts(pane) == ["q", "second"]
            assert pane.talk.path is not None
            assert Conversation.load(pane.talk.path).turns == pane.talk.turns

    asyncio.run(go())


def test_clear_and_remove_can_be_taken_back() -> None:
    async def go() -> None:
        app, pane = table(Fake(Speaker("one"), Speaker("two")))
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await ready(pilot, pane)
            await say(pilot, pane, "a")
            await say(pilot, pane, "b")
            await pilot.press("escape", "d")
            assert texts(pane) == ["a", "one"]
            await pilot.press("x")
            assert texts(pane) == []
            assert "cleared; u brings it back" in screen_text(app)
            await pilot.press("u", "u")
            assert texts(pane) == ["a", "one", "b", "two"]
            assert [turn.by for turn in pane.talk.turns][1::2] == ["live @412"] * 2
            assert pane.talk.path is not None
            assert Conversation.load(pane.talk.path).turns == pane.talk.turns
            await pilot.press("u")
            assert "nothing was removed" in screen_text(app)

    asyncio.run(go())


def test_who_answers_is_chosen_by_key_by_mouse_and_while_typing() -> None:
    async def go() -> None:
        partners = Fake(Speaker("x"))
        app, pane = table(partners)
        async with app.run_test(size=(140, 40), notifications=True) as pilot:
            await ready(pilot, pane)
            assert pane.who.kind == "live"
            await pilot.press("a", "ctrl+l")
            assert (pane.who.kind, pane.prompt.text) == ("tuned", "a")
            await pilot.press("escape", "b")
            assert pane.who.kind == "base"
            await pilot.press("left")
            assert pane.who.kind == "tuned"
            title = pane.query_one("Title")
            await pilot.click(title, offset=(title.size.width - 12, 0))
            assert pane.who.kind == "live"
            assert ("live @412", "accent b") in pane.meta
            await pilot.press("m")
            assert "other cannot be asked" in screen_text(app)
            pane.choose(model="org/some-model")
            partners.people.append(Who("other", "some-model"))
            await until(pilot, lambda: pane.who.label == "some-model")

    asyncio.run(go())


def test_somebody_who_is_not_there_says_why() -> None:
    async def go() -> None:
        people = [Who("base", "base", False, "the recipe has problems"), HERE[1], Who("tuned", "tuned", False, "none")]
        partners = Fake(people=[people[0], Who("live", "live", False, "no run"), people[2]], live=False)
        app, pane = table(partners)
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await ready(pilot, pane)
            assert "the recipe has problems" in screen_text(app)
            await pilot.press("q", "enter")
            assert "▲ base cannot be asked: the recipe has problems" in screen_text(app)
            assert pane.prompt.text == "q"
            await pilot.press("escape", "t")
            assert "tuned cannot be asked: none" in screen_text(app)
            assert "Ask the model" in str(pane.prompt.placeholder)

    asyncio.run(go())


def test_an_error_stands_below_and_the_question_stays() -> None:
    async def go() -> None:
        app, pane = table(Fake(ModelError(f"bad {EVIL}", "take another")))
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await ready(pilot, pane)
            await say(pilot, pane, "why?")
            shown = screen_text(app)
            assert "▲ bad [/nope]" in shown
            assert "take another" in shown
            assert pane.prompt.text == "why?"
            assert texts(pane) == []

    asyncio.run(go())


def test_a_fault_of_a_library_costs_the_answer_only() -> None:
    async def go() -> None:
        app, pane = table(Fake(Speaker(error=ValueError("odd shape")), Speaker("well")))
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await ready(pilot, pane)
            await say(pilot, pane, "a")
            assert "ValueError: odd shape" in screen_text(app)
            await pilot.press("enter")
            await until(pilot, lambda: not pane.busy)
            assert texts(pane) == ["a", "well"]

    asyncio.run(go())


def test_a_run_that_ends_in_the_middle_of_a_reply() -> None:
    async def go() -> None:
        partners = Fake(Speaker("I am Ze", error=RunError("run ended before the reply did")), Speaker("saved"))
        app, pane = table(partners)
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await ready(pilot, pane)
            await pilot.press("ctrl+l", "ctrl+l", "ctrl+l")
            assert pane.who.kind == "live"
            partners.training = False
            partners.people[1] = Who("live", "live", False, "no run is training now")
            await say(pilot, pane, "who")
            shown = screen_text(app)
            assert "I am Ze" in shown
            assert "(cut off)" in shown
            assert "tuned is asked next" in shown
            await until(pilot, lambda: pane.who.kind == "tuned")
            await say(pilot, pane, "again")
            assert partners.wanted == ["live", "tuned"]
            assert texts(pane) == ["who", "I am Ze", "again", "saved"]

    asyncio.run(go())


@pytest.mark.parametrize("size", SIZES)
def test_what_is_said_is_never_obeyed(size: tuple[int, int]) -> None:
    async def go() -> None:
        pieces = [EVIL[i : i + 3] for i in range(0, len(EVIL), 3)]
        app, pane = table(Fake(Speaker(*pieces), people=[Who("live", "live"), Who("base", "[/x]")]))
        async with app.run_test(size=size, notifications=True) as pilot:
            await ready(pilot, pane)
            await say(pilot, pane, EVIL)
            pane.tell(EVIL)
            await pilot.pause()
            shown = screen_text(app)
            assert "[/nope] [@click=app.quit]x[/]" in shown
            assert not any((ord(char) < 32 and char != "\n") or 0x7F <= ord(char) < 0xA0 for char in shown)
            assert "\u202e" not in shown
            assert "javascript:x" in shown
            await pilot.press("escape", "y", "Y")
            assert all("\x1b" not in text and "\x9b" not in text for text in app.copied)
            assert len(app.copied) == 2

    asyncio.run(go())


def test_former_questions_come_back_and_lines_go_on() -> None:
    async def go() -> None:
        app, pane = table(Fake(Speaker("1"), Speaker("2"), Speaker("3")))
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await ready(pilot, pane)
            await say(pilot, pane, "first")
            await say(pilot, pane, "second")
            await pilot.press("up", "up")
            assert pane.prompt.text == "first"
            await pilot.press("down")
            assert pane.prompt.text == "second"
            await pilot.press("down")
            assert pane.prompt.text == ""
            await pilot.press("a", "\\", "enter", "b")
            assert pane.prompt.text == "a\nb"
            assert pane.prompt.size.height == 2
            await pilot.press("up")
            assert pane.prompt.text == "a\nb"  # an arrow moves in what is typed
            await pilot.press("ctrl+end", "enter")
            await until(pilot, lambda: not pane.busy)
            assert texts(pane)[-2:] == ["a\nb", "3"]

    asyncio.run(go())


def test_a_paste_keeps_its_lines_and_loses_what_a_terminal_obeys() -> None:
    from textual import events

    async def go() -> None:
        app, pane = table(Fake())
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await ready(pilot, pane)
            pane.prompt.post_message(events.Paste("one\r\ntwo\x1b[2J"))
            await pilot.pause()
            assert pane.prompt.text == "one\ntwo"
            pane.transcript.focus()
            pane.transcript.post_message(events.Paste(" three"))
            await until(pilot, lambda: pane.prompt.text == "one\ntwo three")

    asyncio.run(go())


def test_the_system_message_reaches_the_model_and_the_file() -> None:
    async def go() -> None:
        speaker = Speaker("aye")
        app, pane = table(Fake(speaker))
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await ready(pilot, pane)
            await pilot.press("escape", "s")
            await pilot.press(*"Be a", "\\", "enter", *"pirate", "enter")
            assert pane.talk.system == "Be a\npirate"
            assert "the next answer follows it" in screen_text(app)
            await pilot.press("i")
            await say(pilot, pane, "hi")
            assert speaker.asked[0][1] == "Be a\npirate"
            assert pane.talk.path is not None
            assert Conversation.load(pane.talk.path).system == "Be a\npirate"
            await pilot.press("escape", "s", "escape")
            assert pane.talk.system == "Be a\npirate"

    asyncio.run(go())


def test_a_wrong_sampling_value_is_explained_at_its_field() -> None:
    async def go() -> None:
        speaker = Speaker("x")
        app, pane = table(Fake(speaker))
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await ready(pilot, pane)
            await pilot.press("escape", "p")
            assert "sharpens" in screen_text(app)
            await pilot.press("tab", "2", "enter")
            await until(
                pilot, lambda: "top_p cannot be 2.0: it must be a number above 0, at most 1" in screen_text(app)
            )
            await pilot.press("backspace", "0", ".", "9", "tab", "tab", *"x", "enter")
            await until(pilot, lambda: "max_new_tokens cannot be 'x'" in screen_text(app))
            await pilot.press("backspace", *"256", "enter")
            await until(pilot, lambda: "temp 0.95  top_p 0.9  256 tokens" in screen_text(app))
            await pilot.press("i")
            await say(pilot, pane, "hi")
            drawn = speaker.asked[0][2]
            assert (drawn["top_p"], drawn["max_new_tokens"], drawn["top_k"]) == (0.9, 256, 50)

    asyncio.run(go())


def test_an_earlier_conversation_is_found_and_gone_on_with() -> None:
    async def go() -> None:
        old = Conversation.begin()
        old.ask("what about [/nope] rivers?")
        old.answer("They run.", by="tuned")
        app, pane = table(Fake(Speaker("new"), Speaker("again")))
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await ready(pilot, pane)
            await say(pilot, pane, "hi")
            first = pane.talk.path
            await pilot.press("escape", "n")
            assert texts(pane) == []
            await pilot.press("o")
            await until(pilot, lambda: "Go on with a conversation" in screen_text(app))
            await pilot.press(*"rivers")
            await pilot.press("enter")
            await until(pilot, lambda: texts(pane) == ["what about [/nope] rivers?", "They run."])
            assert "tuned      ▌ They run." in screen_text(app)
            await pilot.press("i")
            await say(pilot, pane, "more")
            assert pane.talk.path == old.path != first
            assert old.path is not None
            assert [turn.content for turn in Conversation.load(old.path).turns][2:] == ["more", "again"]

    asyncio.run(go())


def test_a_list_of_conversations_is_not_shown_on_another_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    held, done = threading.Event(), threading.Event()

    def slow() -> list[Path]:
        held.wait(60)
        done.set()
        return []

    monkeypatch.setattr("tuitune.tui.panes.chat.earlier", slow)

    async def go() -> None:
        app, pane = table(Fake(Speaker("new")))
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await ready(pilot, pane)
            await pilot.press("escape", "o")
            app.push_screen(Screen())
            held.set()
            await until(pilot, done.is_set)
            await app.workers.wait_for_complete()
            await pilot.pause()
            app.pop_screen()
            await pilot.pause()
            assert "no conversation has been kept yet" not in screen_text(app)

    asyncio.run(go())


def test_what_was_written_survives_a_crash() -> None:
    async def go() -> None:
        speaker = Speaker("so far", " and on", held=True)
        app, pane = table(Fake(speaker))
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await ready(pilot, pane)
            await pilot.press("q", "enter")
            speaker.go.release()
            await until(pilot, speaker.said.is_set)
            path = pane.talk.path
            assert path is not None
            copy = path.with_name("crashed.jsonl")  # as it lies there when the process dies now
            copy.write_bytes(path.read_bytes())
            part = path.with_name(path.name + ".part")
            assert part.stat().st_mode & 0o077 == 0
            copy.with_name("crashed.jsonl.part").write_bytes(part.read_bytes())
            speaker.go.release()
            await until(pilot, lambda: not pane.busy)
            assert not part.exists()
            pane.resume(copy)
            await until(pilot, lambda: texts(pane) == ["q", "so far"])
            assert "(cut off)" in screen_text(app)
            assert not copy.with_name("crashed.jsonl.part").exists()

    asyncio.run(go())


def test_leaving_in_the_middle_keeps_the_answer_and_ends_the_thread() -> None:
    seen: list[Path] = []

    async def go() -> None:
        speaker = Speaker("half", "never", held=True)
        app, pane = table(Fake(speaker))
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await ready(pilot, pane)
            await pilot.press("q", "enter")
            speaker.go.release()
            await until(pilot, speaker.said.is_set)
            assert pane.talk.path is not None
            seen.append(pane.talk.path)

    asyncio.run(go())
    [path] = seen
    turns = Conversation.load(path).turns
    assert [(turn.content, turn.reason) for turn in turns] == [("q", "end"), ("half", "stopped")]
    assert not path.with_name(path.name + ".part").exists()


def test_an_unanswered_question_returns_to_the_prompt() -> None:
    async def go() -> None:
        lost = Conversation.begin()
        lost.ask("asked when it crashed")
        app, pane = table(Fake())
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await ready(pilot, pane)
            assert lost.path is not None
            pane.resume(lost.path)
            await until(pilot, lambda: pane.prompt.text == "asked when it crashed")
            assert texts(pane) == []
            pane.resume(Path("/nowhere/x.jsonl"))
            await until(pilot, lambda: "▲ /nowhere/x.jsonl cannot be read" in screen_text(app))

    asyncio.run(go())


def test_a_conversation_of_another_terminal_is_gone_on_with_as_a_copy() -> None:
    async def go() -> None:
        other = Kept()
        other.ask("a")
        other.end_answer(Turn("assistant", "b", "tuned"))
        assert other.path is not None
        app, pane = table(Fake(Speaker("new")))
        async with app.run_test(size=(60, 24), notifications=True) as pilot:
            await ready(pilot, pane)
            pane.resume(other.path)
            await until(pilot, lambda: "it is open elsewhere" in screen_text(app))
            await say(pilot, pane, "more")
            assert texts(pane) == ["a", "b", "more", "new"]
            assert [turn.content for turn in Conversation.load(other.path).turns] == ["a", "b"]
            mine = pane.talk.path
            assert mine is not None
        assert not Kept.go_on(mine).is_copy  # the app that ended has let it go

    asyncio.run(go())


def test_a_disk_that_takes_nothing_is_told_of_and_the_talk_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> None:
        app, pane = table(Fake(Speaker("still here")))
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await ready(pilot, pane)
            monkeypatch.setenv("TUITUNE_HOME", "/proc/nowhere")
            await say(pilot, pane, "hi")
            assert "still here" in screen_text(app)
            assert "this conversation is not kept" in screen_text(app)

    asyncio.run(go())


def test_a_long_conversation_is_scrolled_and_follows_again() -> None:
    async def go() -> None:
        old = Conversation.begin()
        for number in range(50):
            old.ask(f"question {number}")
            old.answer(f"answer {number}", by="base")
        speaker = Speaker("some\n\nnews\n\n", "and more", held=True)
        app, pane = table(Fake(speaker))
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await ready(pilot, pane)
            assert old.path is not None
            pane.resume(old.path)
            await until(pilot, lambda: "answer 49" in screen_text(app))
            await pilot.press("escape", "pageup", "up")
            shown = screen_text(app)
            assert "answer 49" not in shown
            assert "12 more ↓" in shown
            pane.ask("another")
            assert pane.transcript.following  # one's own question leads to the end
            await pilot.press("pageup")
            read = screen_text(app).split("\n")[2:15]
            speaker.go.release(2)
            await until(pilot, lambda: not pane.busy)
            assert screen_text(app).split("\n")[2:15] == read  # what is read stays where it is
            await pilot.press("end")
            assert "news" in screen_text(app)
            pane.refresh_turns()
            await pilot.press("home")
            assert "42 earlier turns, in" in screen_text(app)
            assert "question 20" not in screen_text(app)
            assert "question 21" in screen_text(app)

    asyncio.run(go())


def test_loading_shows_its_progress_and_is_cancelled() -> None:
    import threading

    from tuitune.chat.base import Chat

    class Slow(Fake):
        go = threading.Event()

        def partner(self, kind: str, *, progress: object = None, **more: object) -> Chat:
            assert callable(progress)
            while True:
                progress("download", 34, 100)
                self.go.wait(0.01)

    async def go() -> None:
        app, pane = table(Slow())
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await ready(pilot, pane)
            await pilot.press("q", "enter")
            await until(pilot, lambda: "live @412: download 34 %" in screen_text(app))
            await pilot.press("escape")
            await until(pilot, lambda: not pane.busy)
            assert "loading was cancelled" in screen_text(app)
            assert pane.prompt.text == "q"

    asyncio.run(go())


def test_every_key_has_a_name_a_tooltip_and_an_action() -> None:
    from textual.binding import Binding

    bindings = [binding for binding in ChatPane.BINDINGS if isinstance(binding, Binding)]
    assert len({binding.id for binding in bindings}) == len(bindings)
    for binding in bindings:
        assert binding.id is not None
        assert binding.id.startswith("chat.")
        assert binding.tooltip
        assert hasattr(ChatPane, f"action_{binding.action.partition('(')[0]}")
    named = {"chat.base", "chat.live", "chat.tuned", "chat.stop", "chat.regenerate", "chat.clear"}
    assert named <= {binding.id for binding in bindings}


def test_a_conversation_of_one_turn_is_listed_as_one(tmp_path: Path) -> None:
    talk = Conversation(tmp_path / "kept.jsonl")
    for answer, words in (("", "1 turn,"), ("fine", "2 turns,")):
        talk.answer(answer) if answer else talk.ask("How are you?")
        item = _item(tmp_path / "kept.jsonl")
        assert item is not None
        assert (item.title, item.note.startswith(words)) == ("How are you?", True)


def test_a_long_seed_comes_back_with_all_its_digits() -> None:
    async def go() -> None:
        app = bench()
        async with app.run_test(size=(80, 24)) as pilot:
            answers: list[object] = []
            app.push_screen(SamplingAsk({"seed": 12345678}, {"max_new_tokens": 2097152}), answers.append)
            await pilot.pause()
            assert "12345678" in screen_text(app)
            assert "2097152" in screen_text(app)
            await pilot.press("enter")
            await pilot.pause()
            assert answers == [{"seed": 12345678}]

    asyncio.run(go())


def test_a_seed_beyond_what_a_model_takes_is_refused_where_it_is_typed() -> None:
    with pytest.raises(UsageError, match="seed cannot be"):
        parsed("seed", str(2**63))
    assert parsed("seed", str(2**63 - 1)) == 2**63 - 1
