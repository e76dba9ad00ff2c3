"""Talking to the weights while they train, pausing, and everything else that arrives in the inbox."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.engine.given import journal, losses, same, start, weights
from tests.tiny import tiny_model, tiny_tokenizer
from tuitune.data.templates import Message, choose
from tuitune.engine.run import run
from tuitune.engine.session import Session
from tuitune.models.generate import Sampling, borrowed, reply
from tuitune.run import events
from tuitune.run.directory import RunDir
from tuitune.run.inbox import CancelReply, Continue, Generate, Inbox, Pause, Save, SetLearningRate, Stop

WHO = [{"role": "user", "content": "name three fruits"}]
WET = {"lora_dropout": 0.3, "tokens_per_batch": 60}


def at_parts(run_dir: RunDir, plan: dict[int, list[Callable[[], object]]]) -> Callable[[Session], None]:
    """Return an on_session that does something before the n-th micro-batch of the run."""
    count = [0]

    def watch(session: Session) -> None:
        taken = session.commands

        def commands():  # type: ignore[no-untyped-def]
            if session.last_phase == "train":
                count[0] += 1
                for act in plan.get(count[0], []):
                    act()
            return taken()

        session.commands = commands  # type: ignore[method-assign]

    return watch


def test_three_questions_in_the_middle_of_a_run_change_nothing(root: Path) -> None:
    silent, asked = start(root, "silent", **WET), start(root, "asked", **WET)
    run(silent)
    inbox = Inbox(asked.inbox)
    ids: list[str] = []
    ask = lambda **how: ids.append(inbox.send(Generate(WHO, **how)))  # noqa: E731
    plan = {
        3: [lambda: ask(options={"temperature": 1.5, "top_p": 1.0, "seed": 1})],
        # These two arrive in the middle of a step, when half of its gradient is there.
        8: [lambda: ask(base=True), lambda: ask(system="You are terse.", options={"do_sample": False})],
    }
    run(asked, on_session=at_parts(asked, plan))
    assert losses(asked) == losses(silent)
    assert same(weights(asked.final), weights(silent.final))
    done = {e.id: e for e in journal(asked, events.ReplyFinished)}
    assert list(done) == ids
    for identifier in ids:
        assert done[identifier].reason in ("end", "length")
        assert 1 <= done[identifier].tokens <= 8
        assert asked.reply(identifier).is_file()


def test_tools_are_offered_to_the_live_weights_too(root: Path) -> None:
    it = start(root)
    inbox = Inbox(it.inbox)
    tools = '[{"name": "weather", "description": "of a city", "parameters": {"type": "object"}}]'
    greedy = {"do_sample": False, "max_new_tokens": 2}
    plan: list[Callable[[], object]] = [
        lambda: inbox.send(Generate(WHO, options=greedy)),
        lambda: inbox.send(Generate(WHO, None, greedy, tools=tools)),
    ]
    run(it, on_session=at_parts(it, {3: plan}))
    plain, told = journal(it, events.ReplyStarted)
    assert (plain.tool_form, told.tool_form) == ("", "default")  # the tiny template has no place for tools
    assert told.prompt_tokens > plain.prompt_tokens + 20


def test_a_reply_comes_from_the_weights_of_that_moment(root: Path) -> None:
    """Greedy at step 0 equals the untouched model; greedy at the end equals the saved adapter."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    it = start(root, learning_rate=0.05, warmup_steps=0)
    inbox, ids = Inbox(it.inbox), []
    greedy = lambda: ids.append(inbox.send(Generate(WHO, options={"do_sample": False, "max_new_tokens": 12})))  # noqa: E731
    run(it, on_session=at_parts(it, {1: [greedy], 19: [greedy]}))
    tokenizer = tiny_tokenizer()
    template = choose(None, tokenizer)
    prompt = template.prompt_ids([Message("user", WHO[0]["content"])], tokenizer)
    before = AutoModelForCausalLM.from_pretrained(root / "tiny", dtype=torch.float32)
    told = reply(before, tokenizer, prompt, Sampling(12, do_sample=False), stop_ids=template.stop_ids(tokenizer)).text
    assert it.reply(ids[0]).read_text() == told
    step = journal(it, events.ReplyFinished)[-1].step
    assert 0 < step < 10
    assert it.reply(ids[-1]).read_text() != told
    PeftModel.from_pretrained(before, it.final)  # loads


def test_pause_waits_in_the_middle_of_a_step_and_answers_meanwhile(root: Path) -> None:
    whole, it = start(root, "whole", **WET), start(root, "paused", **WET)
    run(whole)
    inbox = Inbox(it.inbox)

    def later() -> None:
        deadline = time.monotonic() + 120
        while not journal(it, events.Paused) and time.monotonic() < deadline:
            time.sleep(0.02)
        inbox.send(Generate(WHO))
        inbox.send(Save())
        while len(journal(it, events.ReplyFinished)) < 1 and time.monotonic() < deadline:
            time.sleep(0.02)
        inbox.send(Continue())

    helper = threading.Thread(target=later)
    helper.start()
    run(it, on_session=at_parts(it, {6: [lambda: inbox.send(Pause())]}))
    helper.join()
    kinds = [e.kind for e in journal(it) if e.kind in ("Paused", "ReplyFinished", "Resumed", "CheckpointSaved")]
    assert kinds == ["Paused", "ReplyFinished", "CheckpointSaved", "Resumed"]
    assert losses(it) == losses(whole)
    assert same(weights(it.final), weights(whole.final))


def test_a_stop_reaches_a_paused_run(root: Path) -> None:
    it = start(root)
    inbox = Inbox(it.inbox)
    act = {9: [lambda: inbox.send(Pause()), lambda: inbox.send(Stop())]}
    assert run(it, on_session=at_parts(it, act)).status == "stopped"
    assert it.checkpoints


def test_a_long_reply_can_be_cancelled_and_a_stop_ends_it_too(root: Path) -> None:
    it = start(root)
    inbox = Inbox(it.inbox)
    ids: list[str] = []
    endless = {"max_new_tokens": 400, "do_sample": True, "temperature": 3.0, "top_k": 0, "top_p": 1.0}

    def ask_and(command: Callable[[str], object]) -> None:
        ids.append(inbox.send(Generate(WHO, options=endless)))
        command(ids[-1])

    plan = {
        2: [lambda: ask_and(lambda i: inbox.send(CancelReply(i)))],
        12: [lambda: ask_and(lambda i: inbox.send(Stop()))],
    }
    assert run(it, on_session=at_parts(it, plan)).status == "stopped"
    ended = journal(it, events.ReplyFinished)
    assert [e.reason for e in ended][:1] == ["stopped"] or ended[0].tokens < 5
    assert max(e.tokens for e in ended) < 400


def test_commands_for_another_attempt_and_rubbish_are_refused_in_words(root: Path) -> None:
    it = start(root)
    inbox = Inbox(it.inbox)
    inbox.send(SetLearningRate(1.0, attempt=7))
    (it.inbox / "rubbish.json").write_text("not json")
    run(it)
    refused = [e for e in journal(it, events.CommandDone) if e.outcome == "refused"]
    assert {e.command for e in refused} == {"set_learning_rate", "unknown"}
    assert "attempt 7" in next(e.message for e in refused if e.command == "set_learning_rate")
    assert max(e.learning_rate for e in journal(it, events.StepLogged)) <= 5e-3


def test_what_arrives_before_training_is_obeyed_when_it_begins_and_a_stop_at_once(root: Path) -> None:
    it = start(root)
    Inbox(it.inbox).send(Generate(WHO))
    run(it)
    assert len(journal(it, events.ReplyFinished)) == 1
    other = start(root, "other")
    Inbox(other.inbox).send(Stop())
    assert run(other).exit_code == 3
    assert not journal(other, events.StepLogged)


def test_a_dialogue_that_no_template_takes_is_refused_and_training_goes_on(root: Path) -> None:
    it = start(root)
    Inbox(it.inbox).send(Generate([{"role": "assistant", "content": "hello"}]))
    assert run(it).status == "finished"
    assert journal(it, events.ReplyFinished)[0].reason == "error"
    assert journal(it, events.CommandDone)[0].outcome == "failed"


def test_the_base_of_a_full_run_cannot_be_asked(root: Path) -> None:
    it = start(root, finetuning_type="full")
    Inbox(it.inbox).send(Generate(WHO, base=True))
    assert run(it).status == "finished"
    assert "not in memory" in journal(it, events.ReplyFinished)[0].error


def test_borrowing_leaves_every_mode_and_generator_as_it_was() -> None:
    model = tiny_model()
    model.train()
    model.model.layers[0].eval()
    modes = [m.training for m in model.modules()]
    state = torch.get_rng_state()
    with borrowed(model, torch.device("cpu"), 3):
        torch.rand(5)
        assert not any(m.training for m in model.modules())
        assert not torch.is_grad_enabled()
    assert [m.training for m in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("text", ["naïve café 日本語", "emoji 👩‍👩‍👧 done", "a  b\n\n c"])
def test_streamed_pieces_add_up_to_the_text_and_hold_no_half_characters(text: str) -> None:
    from tuitune.models.streamed import Streamer

    tokenizer = tiny_tokenizer()
    pieces: list[str] = []
    streamer = Streamer(tokenizer, lambda text, places: pieces.append(text), ends=[2])
    streamer.put(torch.tensor([[1, 1]]))
    for token in [*tokenizer(text * 4)["input_ids"], 2]:
        streamer.put(torch.tensor([token]))
    streamer.end()
    assert "".join(pieces) == streamer.text == text * 4
    assert not any("\ufffd" in piece for piece in pieces)
