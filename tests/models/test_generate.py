"""One reply, token by token: stop strings, seeds, probabilities, against plain generate and a plain forward."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch

from tests.tiny import tiny_model, tiny_tokenizer
from tuitune.models.generate import Piece, Reply, Sampling, reply

PROMPT = [1, 60, 61, 62, 63]
ENDS = [2]


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_model()


def asked(model: Any, pieces: list[Piece] | None = None, keep: tuple[int, ...] = (), **sampling: Any) -> Reply:
    wanted = {"max_new_tokens": 24, "temperature": 0.0} | sampling
    take = (lambda piece: None) if pieces is None else pieces.append
    return reply(
        model, tiny_tokenizer(), PROMPT, Sampling(**wanted), stop_ids=ENDS, on_piece=take, keep_ids=keep
    )  # fmt: skip


def by_transformers(model: Any, seed: int, **sampling: Any) -> list[int]:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        made = model.generate(
            input_ids=torch.tensor([PROMPT]), max_new_tokens=24, do_sample=True, eos_token_id=2, pad_token_id=0,
            **sampling,
        )  # fmt: skip
    return list(made[0, len(PROMPT) :].tolist())


@pytest.mark.parametrize(
    "sampling",
    [
        {"temperature": 0.7, "top_p": 0.8, "top_k": 20},
        {"temperature": 1.0, "top_p": 1.0, "top_k": 0},
        {"temperature": 1.3, "top_p": 0.9, "top_k": 0, "repetition_penalty": 1.3},
    ],
)
def test_a_seed_draws_what_transformers_draws(model: Any, sampling: dict[str, Any]) -> None:
    done = asked(model, seed=5, logprobs=0, **sampling)
    assert [drawn.id for drawn in done.drawn] == [i for i in by_transformers(model, 5, **sampling) if i not in ENDS]


def test_global_random_numbers_are_neither_used_nor_changed(model: Any) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = asked(model, seed=3, temperature=1.0).text
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert asked(model, seed=3, temperature=1.0).text == first != asked(model, seed=4, temperature=1.0).text


def test_threads_do_not_change_each_others_answers(model: Any) -> None:
    plain = [asked(model, seed=seed, temperature=1.0).text for seed in range(4)]
    found: dict[int, str] = {}
    others = [tiny_model() for _ in range(4)]
    threads = [
        threading.Thread(target=lambda s=seed: found.update({s: asked(others[s], seed=s, temperature=1.0).text}))
        for seed in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[seed] for seed in range(4)] == plain


def test_logprobs_are_those_of_a_plain_forward(model: Any) -> None:
    done = asked(model, seed=2, temperature=0.6, top_k=5, repetition_penalty=1.2, logprobs=3)
    ids = PROMPT + [drawn.id for drawn in done.drawn]
    with torch.no_grad():
        known = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
    assert len(done.drawn) > 5
    for place, drawn in enumerate(done.drawn, len(PROMPT) - 1):
        assert drawn.logprob == pytest.approx(float(known[place, drawn.id]), abs=1e-4)
        values, likeliest = known[place].topk(3)
        assert [each for each, _ in drawn.top] == likeliest.tolist()
        assert [value for _, value in drawn.top] == pytest.approx(values.tolist(), abs=1e-4)
    assert "".join(drawn.text for drawn in done.drawn) == done.text


def test_without_the_wish_there_are_no_logprobs(model: Any) -> None:
    assert asked(model).drawn == ()
    assert all(drawn.top == () for drawn in asked(model, logprobs=0).drawn)


def test_the_text_ends_before_a_stop_string_wherever_its_tokens_end(model: Any) -> None:
    whole = asked(model).text
    assert len(whole) > 20
    for start in range(2, len(whole) - 6, 3):
        for length in (1, 3, 6):
            stop = whole[start : start + length]
            pieces: list[Piece] = []
            done = asked(model, pieces, stop=("not there", stop), logprobs=0)
            assert done.text == whole[: whole.find(stop)] == "".join(piece.text for piece in pieces)
            assert (done.reason, done.stopped_by) == ("end", stop)
            assert "".join(drawn.text for drawn in done.drawn) == done.text
            assert [drawn for piece in pieces for drawn in piece.drawn] == list(done.drawn)


def test_what_only_begins_like_a_stop_string_is_shown_in_the_end(model: Any) -> None:
    whole = asked(model).text
    done = asked(model, stop=(whole[-3:] + "never", "never"))
    assert (done.text, done.stopped_by) == (whole, None)


def test_nothing_is_drawn_after_a_stop_string(model: Any) -> None:
    whole = asked(model, logprobs=0)
    stop = whole.drawn[4].text
    assert asked(model, stop=(stop,)).tokens <= 5


def test_special_tokens_stay_where_they_are_kept() -> None:
    tokenizer = tiny_tokenizer()
    said: list[str] = []

    class Says:
        """Stands in for a model: writes what it is told."""

        def parameters(self) -> Any:
            return iter([torch.zeros(1)])

        def modules(self) -> list[Any]:
            return []

        def eval(self) -> None: ...

        def generate(self, input_ids: Any, streamer: Any, **_: Any) -> None:
            streamer.put(input_ids)
            for token in [1, *tokenizer("Name", add_special_tokens=False)["input_ids"], 0, 2]:
                streamer.put(torch.tensor([token]))
            streamer.end()

    for keep, text in (((), "Name"), ((1,), "<|im_start|>Name"), ((0, 1, 2), "<|im_start|>Name<|endoftext|>")):
        done = reply(Says(), tokenizer, PROMPT, Sampling(), stop_ids=ENDS, on_text=said.append, keep_ids=keep)
        assert done.text == text
    assert done.reason == "end"
