"""Answers come from the policy's own distribution, whatever the batch, and leave no trace in the training."""

from __future__ import annotations

import pytest
import torch

from tests.stages.online.around import PROMPTS, around, prompts
from tests.tiny import tiny_model
from tuitune.errors import TrainingError
from tuitune.models.generate import Sampling, reply
from tuitune.stages.online import rollout
from tuitune.stages.online.groups import row_of
from tuitune.stages.online.reading import told


class Halted(BaseException):
    """A stop."""


def test_every_prompt_gets_its_answers_in_order() -> None:
    made, _ = around()
    found = rollout.answers(made, prompts(made), 2, 1)
    assert [answer.columns["answer"] for answer in found] == [text for text in PROMPTS for _ in range(2)]
    assert all(answer.ended or len(answer.ids) == 8 for answer in found)
    assert PROMPTS[0] in found[0].prompt
    assert "<|im" not in found[0].prompt + found[0].text


def test_an_answer_does_not_depend_on_its_batch() -> None:
    together, _ = around(tiny_model().double().train(), tokens=4000)
    apart, _ = around(together.model, tokens=1)
    one, other = (rollout.answers(each, prompts(each), 4, 7) for each in (together, apart))
    assert [answer.ids for answer in one] == [answer.ids for answer in other]
    assert len({tuple(answer.ids) for answer in one}) > 6  # they do differ from each other
    assert [answer.ids for answer in one] != [answer.ids for answer in rollout.answers(apart, prompts(apart), 4, 8)]


def test_tokens_fall_as_often_as_the_model_says() -> None:
    made, _ = around(sampling=Sampling(max_new_tokens=1))
    prompt = prompts(made)[:1]
    found = rollout.answers(made, prompt, 4000, 3)
    with torch.no_grad():
        logits = made.model.eval()(torch.tensor([prompt[0].sequences[0]["input_ids"]])).logits[0, -1]
    counts = torch.bincount(torch.tensor([answer.ids[0] for answer in found]), minlength=len(logits))
    expected = 4000 * logits.double().softmax(-1)
    chi = float(((counts - expected) ** 2 / expected).sum())  # 511 degrees of freedom: 511 +- 32
    assert 400 < chi < 640


def test_a_temperature_and_a_truncation_that_are_asked_for_are_honoured_and_the_latter_is_said() -> None:
    plain, _ = around(sampling=Sampling(top_p=0.7, top_k=50, temperature=0.95))
    assert rollout.sampling_of(plain) == Sampling(temperature=1.0, top_p=1.0, top_k=0)
    made, said = around(temperature=0.5, top_k=1, sampling=Sampling(max_new_tokens=4, temperature=0.5, top_k=1))
    rollout.say_sampling(made, 20)
    assert "top_k: 1" in said.warned[0]
    assert "temperature" not in said.warned[0]
    found = rollout.answers(made, prompts(made)[:1], 5, 1)
    assert len({tuple(answer.ids) for answer in found}) == 1  # the likeliest token always
    rollout.say_sampling(made, 510)
    assert "512 positions" in said.warned[-1]


def test_the_training_does_not_notice() -> None:
    made, _ = around(tiny_model(attention_dropout=0.5).train())
    made.model.model.layers[0].eval()  # kept so on purpose
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    rollout.answers(made, prompts(made), 2, 1)
    told(made, [[row_of(a)] for a in rollout.answers(made, prompts(made), 1, 1)], temperature=1)
    assert torch.equal(torch.rand(3), expected)
    assert made.model.training
    assert not made.model.model.layers[0].training
    assert made.model.model.layers[1].training
    assert all(p.grad is None for p in made.model.parameters())


def test_a_stop_does_not_wait_for_the_answers() -> None:
    looks: list[int] = []

    def attend() -> None:
        looks.append(1)
        if len(looks) == 3:
            raise Halted

    made, _ = around(attend=attend, sampling=Sampling(max_new_tokens=100), tokens=10_000)
    with pytest.raises(Halted):
        rollout.answers(made, prompts(made), 2, 1)
    assert len(looks) == 3
    assert made.model.training


def test_a_live_reply_in_between_changes_no_answer() -> None:
    made, _ = around(tiny_model().double().train())
    plain = [answer.ids for answer in rollout.answers(made, prompts(made), 2, 7)]
    said: list[str] = []

    def attend() -> None:
        said.append(reply(made.model, made.tokenizer, [5, 6, 7], Sampling(max_new_tokens=3, seed=1), stop_ids=[2]).text)

    made.attend = attend
    assert [answer.ids for answer in rollout.answers(made, prompts(made), 2, 7)] == plain
    assert len(said) >= 8
    assert len(set(said)) == 1


def test_short_memory_makes_smaller_batches_of_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    made, said = around(tiny_model().double().train(), tokens=4000)
    whole = rollout.answers(made, prompts(made), 2, 7)
    generate = made.model.generate
    limit = 2

    def small(**more: object) -> object:
        ids = more["input_ids"]
        assert isinstance(ids, torch.Tensor)
        if len(ids) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(**more)

    monkeypatch.setattr(made.model, "generate", small)
    assert [answer.ids for answer in rollout.answers(made, prompts(made), 2, 7)] == [answer.ids for answer in whole]
    assert "answers at once" in said.noted[-1]
    limit = 0
    with pytest.raises(TrainingError, match="not even one answer"):
        rollout.answers(made, prompts(made), 2, 7)


def test_only_the_answer_is_learned_its_end_token_included() -> None:
    made, _ = around()
    answer = rollout.answers(made, prompts(made), 1, 2)[0]
    row = row_of(answer)
    assert row["input_ids"] == [*answer.prompt_ids, *answer.ids]
    assert row["labels"] == [-100] * len(answer.prompt_ids) + list(answer.ids)


@pytest.mark.parametrize("tokens", [1, 60, 5000])
@pytest.mark.parametrize("padded", [False, True])
def test_what_is_told_is_what_plain_logits_say(tokens: int, padded: bool) -> None:
    made, _ = around(tiny_model().double().train(), padded=padded, tokens=tokens)
    rows = [row_of(answer) for answer in rollout.answers(made, prompts(made), 3, 7)]
    for groups in ([rows], [[row] for row in rows]):
        found = told(made, groups, temperature=0.7)
        assert len(found) == 9
        for row, one in zip(rows, found, strict=True):
            ids = torch.tensor([row["input_ids"]])
            with torch.no_grad():
                logps = (made.model.eval()(ids).logits[0] / 0.7).log_softmax(-1)[:-1].gather(1, ids[0, 1:, None])[:, 0]
            expected = logps[torch.tensor(row["labels"][1:]) != -100]
            assert torch.allclose(one.logps, expected, rtol=0, atol=1e-12)
            made.model.train()


def test_answers_that_have_ended_are_told_while_the_others_go_on() -> None:
    made, _ = around(tokens=20_000, sampling=Sampling(max_new_tokens=64))
    heard: list[tuple[int, int]] = []
    made.progress = lambda phase, done, total: heard.append((done, total))
    ids = [answer.ids for answer in rollout.answers(made, prompts(made), 8, 1)]
    stop = set(made.template.stop_ids(made.tokenizer))
    shorter = sum(len(each) <= 32 and each[-1] in stop for each in ids)
    assert 0 < shorter < len(ids)
    assert heard[3] == (shorter, len(ids))  # after 32 tokens, all in one batch
    assert heard[-1] == (len(ids), len(ids))
