"""Reward models score over HTTP as they do in this process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tests.serve.given import MESSAGES, Running, partner, serving, sharp_model
from tuitune.chat.base import Turn
from tuitune.chat.local import LocalChat
from tuitune.chat.score import LocalJudge
from tuitune.models.valued import ValueHead
from tuitune.serve.limits import Limits
from tuitune.stages.scorer import Scorer, path_of


def judge() -> LocalChat:
    who = partner(sharp_model(5), title="judge")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        head = ValueHead(64)
    with torch.no_grad():
        head.summary.weight.mul_(3)
    model: Any = who._model
    who.judge = LocalJudge(Scorer(model, head, path_of(model, 0), who.tokenizer, who.template))
    return who


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Running, LocalChat]]:
    who = judge()
    with serving(Limits(choices=1), judge=who, tiny=partner()) as running:
        yield running, who


def test_texts_are_scored_as_llamafactory_clients_ask(both: tuple[Running, LocalChat]) -> None:
    running, who = both
    texts = ["The capital of France is Paris.", "two plus three " * 20, "Name", *["ice and water"] * 9]
    with running.client() as client:
        found = client.post("/v1/score/evaluation", json={"model": "judge", "messages": texts}).json()
    assert found["object"] == "score.evaluation"
    assert found["model"] == "judge"
    assert who.judge is not None
    ids = [who.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    assert found["scores"] == pytest.approx(who.judge.scorer.score_ids(ids), abs=1e-4)
    assert len(set(found["scores"][:3])) == 3


def test_a_text_is_cut_where_the_client_says_so(both: tuple[Running, LocalChat]) -> None:
    running, who = both
    text, ids = "two plus three " * 300, who.tokenizer("two plus three " * 300, add_special_tokens=False)["input_ids"]
    with running.client() as client:
        refused = client.post("/v1/score/evaluation", json={"model": "judge", "messages": [text]})
        assert (refused.status_code, refused.json()["error"]["code"]) == (413, "context_length_exceeded")
        found = client.post(
            "/v1/score/evaluation", json={"model": "judge", "messages": [text], "max_length": 10}
        ).json()
    assert who.judge is not None
    assert found["scores"] == pytest.approx(who.judge.scorer.score_ids([ids[:10]]), abs=1e-4)


def test_conversations_are_scored_in_their_template(both: tuple[Running, LocalChat]) -> None:
    running, who = both
    talk = [{"role": "system", "content": "Be kind."}, *MESSAGES, {"role": "assistant", "content": "An apple."}]
    assert who.judge is not None
    right = who.judge.score([Turn("user", "Name three fruits."), Turn("assistant", "An apple.")], system="Be kind.")
    with running.client() as client:
        found = client.post("/v1/score/evaluation", json={"model": "judge", "messages": [talk]}).json()
        assert found["scores"] == pytest.approx([right], abs=1e-4)
        unanswered = client.post("/v1/score/evaluation", json={"model": "judge", "messages": [MESSAGES]})
        assert unanswered.status_code == 422
        assert "does not end with an answer" in unanswered.json()["error"]["message"]


def test_who_scores_does_not_write_and_the_other_way_round(both: tuple[Running, LocalChat]) -> None:
    running, _ = both
    with running.client() as client:
        for path, body, words in (
            ("/v1/chat/completions", {"model": "judge", "messages": MESSAGES}, "it writes no answers"),
            ("/v1/completions", {"model": "judge", "prompt": "a"}, "it writes no answers"),
            ("/v1/score/evaluation", {"model": "tiny", "messages": ["a"]}, "is no reward model"),
            ("/v1/score/evaluation", {"model": "judge", "messages": [""]}, "nothing to score"),
            ("/v1/score/evaluation", {"model": "judge", "messages": []}, "messages"),
            ("/v1/score/evaluation", {"model": "judge", "messages": [5]}, "messages"),
        ):
            found = client.post(path, json=body)
            assert found.status_code == 422, found.text
            assert words in found.json()["error"]["message"]
        assert client.post("/v1/score/evaluation", json={"model": "judge", "messages": ["a"] * 65}).status_code == 413
