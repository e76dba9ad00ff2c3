"""Answers that are written together are those that each would be alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM

from tests.cli.given import until
from tests.serve.given import order, partner, sharp_model, tuned
from tuitune.chat.local import LocalChat
from tuitune.models.generate import Sampling
from tuitune.serve.engine import LocalEngine
from tuitune.serve.limits import Limits
from tuitune.serve.order import Answers, End, Order, Piece

PROMPTS = [[5, 6, 7], list(range(20, 60)), [9], [300, 12, 44, 18, 77, 5, 6, 200, 31], list(range(400, 475))]


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[LocalEngine, dict[str, LocalChat]]]:
    partners = {"tiny": partner(), "tuned": tuned()}
    engine = LocalEngine(partners, Limits(rows=4))
    yield engine, partners
    asyncio.run(engine.close())


async def written(engine: LocalEngine, orders: Sequence[Order]) -> list[tuple[list[Piece], End]]:
    answers = Answers(orders, 60)
    engine.submit(answers.tickets)
    found: list[tuple[list[Piece], End]] = [([], End()) for _ in orders]
    async for number, item in answers:
        if isinstance(item, End):
            found[number] = (found[number][0], item)
        else:
            found[number][0].append(item)
    return found


def texts(found: list[tuple[list[Piece], End]]) -> list[str]:
    return ["".join(piece.text for piece in pieces) for pieces, _ in found]


def alone(who: LocalChat, asked: Order) -> str:
    return who.generate(asked.prompt, asked.sampling).text


def test_rows_of_any_length_that_join_and_leave_are_as_if_alone(
    both: tuple[LocalEngine, dict[str, LocalChat]],
) -> None:
    engine, partners = both
    orders = [
        order(prompt, name, request=f"{name}-{place}", max_new_tokens=5 + 17 * place)
        for place, prompt in enumerate(PROMPTS)
        for name in partners
    ]
    found = asyncio.run(written(engine, orders))
    assert texts(found) == [alone(partners[each.model], each) for each in orders]
    assert len(set(texts(found))) > 5
    assert [end.tokens for _, end in found] == [
        partners[each.model].generate(each.prompt, each.sampling).tokens for each in orders
    ]
    until(lambda: engine.waiting() == (0, 0))


def test_a_seed_gives_the_same_answer_whatever_else_is_written_and_as_the_chat_does(
    both: tuple[LocalEngine, dict[str, LocalChat]],
) -> None:
    engine, partners = both
    sampled = {"temperature": 1.5, "top_p": 0.95, "top_k": 40, "max_new_tokens": 20, "repetition_penalty": 1.1}
    one = order(PROMPTS[3], seed=11, **sampled)
    others = [order(prompt, seed=place, request=str(place), **sampled) for place, prompt in enumerate(PROMPTS)]
    [first] = texts(asyncio.run(written(engine, [one])))
    again, *_ = texts(asyncio.run(written(engine, [one, *others])))
    assert first == again == alone(partners["tiny"], one)
    assert first != texts(asyncio.run(written(engine, [order(PROMPTS[3], seed=12, **sampled)])))[0]


def test_answers_to_one_prompt_share_what_was_read(both: tuple[LocalEngine, dict[str, LocalChat]]) -> None:
    engine, partners = both
    prompt = PROMPTS[4]
    drawn = {"temperature": 9.0, "top_p": 1.0, "max_new_tokens": 9}
    orders = [Order("tiny", prompt, Sampling(seed=seed, **drawn), "same") for seed in (1, 2, 3)]  # type: ignore[arg-type]
    found = texts(asyncio.run(written(engine, orders)))
    assert found == [alone(partners["tiny"], each) for each in orders]
    assert len(set(found)) > 1


def test_logprobs_are_the_models_own(both: tuple[LocalEngine, dict[str, LocalChat]]) -> None:
    engine, partners = both
    asked = order(PROMPTS[1], max_new_tokens=6, logprobs=3)
    [(pieces, _)] = asyncio.run(written(engine, [asked]))
    told = [token for piece in pieces for token in piece.tokens]
    ids = list(asked.prompt)
    tokenizer = partners["tiny"].tokenizer
    with partners["tiny"].using() as model:
        for token in told:
            known = model(torch.tensor([ids])).logits[0, -1].float().log_softmax(-1)
            values, top = known.topk(3)
            assert token.logprob == pytest.approx(float(values[0]), abs=1e-4)
            assert [value for _, _, value in token.top] == pytest.approx(values.tolist(), abs=1e-4)
            assert token.top[0][0] == tokenizer.decode([int(top[0])])
            ids.append(int(top[0]))
    whole = b"".join(token.data for token in told).decode("utf-8", "replace")
    assert whole == "".join(piece.text for piece in pieces)


def test_an_echoed_prompt_comes_with_what_the_model_gave_to_it(
    both: tuple[LocalEngine, dict[str, LocalChat]],
) -> None:
    engine, partners = both
    ids = partners["tiny"].tokenizer("The capital of France is Paris.")["input_ids"]
    asked = Order("tiny", ids, Sampling(temperature=0, max_new_tokens=0, logprobs=0), "echo", echo=True)
    [(pieces, end)] = asyncio.run(written(engine, [asked]))
    told = [token for piece in pieces for token in piece.tokens]
    with partners["tiny"].using() as model:
        known = model(torch.tensor([ids])).logits[0].float().log_softmax(-1)
    right = [float(known[place, token]) for place, token in enumerate(ids[1:])]
    assert pieces[0].text == "The capital of France is Paris."
    assert told[0].logprob is None
    assert [token.logprob for token in told[1:]] == pytest.approx(right, abs=1e-4)
    assert [token.start for token in told] == [
        sum(len(before.text) for before in told[:place]) for place in range(len(told))
    ]
    assert (end.reason, end.tokens) == ("length", 0)


def test_stop_strings_end_one_row_only(both: tuple[LocalEngine, dict[str, LocalChat]]) -> None:
    engine, _ = both
    plain = order(PROMPTS[0], max_new_tokens=30)
    [(_, whole)], [text] = (found := asyncio.run(written(engine, [plain]))), texts(found)
    stop = text[10:13]
    stopped = order(PROMPTS[0], max_new_tokens=30, stop=(stop,), request="stopped")
    found = asyncio.run(written(engine, [stopped, order(PROMPTS[0], max_new_tokens=30)]))
    assert texts(found) == [text[: text.index(stop)], text]
    assert found[0][1].reason == "stop"
    assert found[0][1].tokens < whole.tokens


def test_a_window_of_attention_slides_in_every_row() -> None:
    config = MistralConfig(
        vocab_size=512, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, sliding_window=8, max_position_embeddings=512, attn_implementation="sdpa",
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MistralForCausalLM(config).eval()
    who = partner(model)
    engine = LocalEngine({"tiny": who}, Limits())
    orders = [order(prompt, request=str(place), max_new_tokens=15) for place, prompt in enumerate(PROMPTS)]
    found = texts(asyncio.run(written(engine, orders)))
    assert found == [alone(who, each) for each in orders]
    asyncio.run(engine.close())


def test_what_is_no_cache_of_keys_and_values_is_written_one_after_another() -> None:
    from transformers import MambaConfig, MambaForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = MambaConfig(vocab_size=512, hidden_size=32, state_size=4, num_hidden_layers=2, eos_token_id=2)
        who = partner(MambaForCausalLM(config).eval())
    notes: list[str] = []
    engine = LocalEngine({"tiny": who}, Limits(), notes.append)
    assert "one answer after another" in notes[0]
    orders = [order(prompt, request=str(place), max_new_tokens=6) for place, prompt in enumerate(PROMPTS)]
    assert texts(asyncio.run(written(engine, orders))) == [alone(who, each) for each in orders]
    asyncio.run(engine.close())


def test_memory_for_keys_and_values_is_given_back(both: tuple[LocalEngine, dict[str, LocalChat]]) -> None:
    engine, _ = both
    orders = [order(prompt, request=str(place)) for place, prompt in enumerate(PROMPTS)]
    asyncio.run(written(engine, orders))
    until(lambda: all(desk.rows == 0 and desk._batch._columns.layers == [] for desk in engine._loop._desks.values()))


def test_a_fault_in_one_model_leaves_the_others_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    from tuitune.serve.refusal import Refusal

    good, bad = partner(), partner(sharp_model(3), title="bad")
    engine = LocalEngine({"tiny": good, "bad": bad}, Limits())

    def broken(*arguments: object, **keywords: object) -> None:
        raise RuntimeError("the device is on fire: secret details")

    monkeypatch.setattr(bad._model, "forward", broken)

    async def work() -> tuple[list[str], str]:
        answers = Answers([order(PROMPTS[0], "bad")], 60)
        engine.submit(answers.tickets)
        with pytest.raises(Refusal) as refused:
            async for _ in answers:
                pass
        return texts(await written(engine, [order(PROMPTS[0])])), refused.value.message

    [text], words = asyncio.run(work())
    assert text == alone(good, order(PROMPTS[0]))
    assert "RuntimeError" in words
    assert "secret" not in words
    asyncio.run(engine.close())


def test_a_fault_where_an_answer_begins_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from tuitune.serve.refusal import Refusal

    def broken(*arguments: object) -> None:
        raise RuntimeError("no room for its keys and values")

    engine = LocalEngine({"tiny": partner()}, Limits())
    monkeypatch.setattr("tuitune.serve.desk.Row", broken)

    async def work() -> int:
        answers = Answers([order(PROMPTS[0])], 60)
        engine.submit(answers.tickets)
        with pytest.raises(Refusal) as refused:
            async for _ in answers:
                pass
        await engine.close()
        return refused.value.status

    assert asyncio.run(work()) == 500


def test_who_finds_no_room_for_keys_and_values_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    from tuitune.serve.desk import Desk

    who, together = partner(), list[int]()
    engine = LocalEngine({"tiny": who}, Limits(cache=100))
    take = Desk.take
    monkeypatch.setattr(Desk, "take", lambda self, ticket: (take(self, ticket), together.append(self.rows)))
    orders = [order(PROMPTS[0], request=str(place), max_new_tokens=40) for place in range(5)]  # 43 columns each
    assert texts(asyncio.run(written(engine, orders))) == [alone(who, orders[0])] * 5
    assert max(together) == 2
    asyncio.run(engine.close())


def test_when_the_engine_is_closed_everybody_is_told() -> None:
    from tuitune.serve.refusal import Refusal

    slow = partner()
    slow._model.register_forward_pre_hook(lambda *arguments: time.sleep(0.02))
    engine = LocalEngine({"tiny": slow}, Limits(rows=1))

    async def work() -> list[int]:
        answers = [Answers([order(PROMPTS[0], request=name, max_new_tokens=400)], 60) for name in "ab"]
        for each in answers:
            engine.submit(each.tickets)
        told = []
        await asyncio.sleep(0.1)
        await engine.close()
        for each in answers:
            with pytest.raises(Refusal) as refused:
                async for _ in each:
                    pass
            told.append(refused.value.status)
        with pytest.raises(Refusal, match="being stopped"):
            engine.submit(answers[0].tickets)
        return told

    assert asyncio.run(work()) == [503, 503]
