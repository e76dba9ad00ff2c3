"""What one can do with an adapter besides training it: talk to it, load it elsewhere, train it on, merge it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.engine.given import journal, losses, model_folder, same, start, weights
from tests.methods.cycle import Ended, loaded_logits, logits, train
from tests.tiny import tiny_tokenizer
from tuitune.data import Message
from tuitune.data.templates import choose
from tuitune.engine.run import run
from tuitune.methods import method
from tuitune.models.generate import Sampling, reply
from tuitune.recipe import load
from tuitune.run import events
from tuitune.run.directory import RunDir
from tuitune.run.inbox import Generate, Inbox

ASKED = [{"role": "user", "content": "name three fruits"}]
GREEDY = {"do_sample": False, "max_new_tokens": 8}


def base_model(root: Path) -> Any:
    """Return the untouched model."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(root / "tiny", dtype=torch.float32).eval()


def far(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the largest difference."""
    return float((a - b).abs().max())


def answered(model: Any) -> str:
    """Return the greedy answer to ASKED."""
    tokenizer = tiny_tokenizer()
    template = choose(None, tokenizer)
    prompt = template.prompt_ids([Message("user", ASKED[0]["content"])], tokenizer)
    stop = template.stop_ids(tokenizer)
    return reply(model, tokenizer, prompt, Sampling(8, do_sample=False), stop_ids=stop).text


def talks_while_it_learns(root: Path, **recipe: Any) -> None:
    """Ask in the middle of a step: with `base` the untouched model answers, without it another; nothing is changed."""
    model_folder(root, num_hidden_layers=4, initializer_range=0.2)  # one that answers otherwise after a few steps
    recipe["learning_rate"] = 4 * recipe.get("learning_rate", 5e-3)
    silent, asked = start(root, "silent", **recipe), start(root, "asked", **recipe)
    run(silent)
    ids: list[str] = []
    parts = [0]

    def watch(session: Any) -> None:
        taken = session.commands

        def commands() -> Any:
            parts[0] += session.last_phase == "train"
            if parts[0] == 16 and not ids:
                ids.extend(
                    Inbox(asked.inbox).send(Generate(ASKED, options=GREEDY, base=base)) for base in (True, False)
                )
            return taken()

        session.commands = commands

    run(asked, on_session=watch)
    done = {event.id: event for event in journal(asked, events.ReplyFinished)}
    assert [done[identifier].reason for identifier in ids] == ["length"] * 2, done
    assert asked.reply(ids[0]).read_text() == answered(base_model(root))
    assert asked.reply(ids[0]).read_text() != asked.reply(ids[1]).read_text()
    assert losses(asked) == losses(silent)
    assert same(weights(asked.final), weights(silent.final))


def goes_elsewhere_and_on(root: Path, monkeypatch: Any, *, merges: bool, **recipe: Any) -> RunDir:
    """Check that plain peft loads the result, that it can be trained on, and merged into the model where it can."""
    from peft import PeftModel

    ended = Ended(monkeypatch)
    first = train(root, "first", **recipe)
    result = ended.logits
    plain: Any = PeftModel.from_pretrained(base_model(root), str(first.final))
    assert far(logits(plain), result) <= 1e-5
    tokens = logits(base_model(root)).shape[1]
    assert far(logits(base_model(root)), result[:, -tokens:]) > 1e-3
    further = train(root, "further", adapter_name_or_path=str(first.path), **recipe)
    assert far(logits(_prepared(further, root)), result) <= 1e-5, "it does not begin where the first one ended"
    assert far(loaded_logits(further), ended.logits) <= 1e-5
    assert far(ended.logits, result) > 1e-4
    if merges:
        assert far(logits(plain.merge_and_unload()), result) <= 1e-5
        fresh = train(root, "fresh", adapter_name_or_path=str(first.path), create_new_adapter=True, **recipe)
        assert far(loaded_logits(fresh), ended.logits) <= 1e-5
    return first


def _prepared(made: RunDir, root: Path) -> Any:
    recipe = load(made.recipe)
    return method(recipe.finetuning_type).prepare(base_model(root), recipe)
