"""Other engines' servers: how they are started, and what goes between them and a client."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.cli.given import gone, until
from tests.engine.given import model_folder
from tests.serve import fake_engine
from tests.serve.given import MESSAGES, Running, partner, served
from tuitune.chat.weights import Weights
from tuitune.errors import ModelError, UsageError
from tuitune.models.shaping import Shaping
from tuitune.recipe import Document, Recipe
from tuitune.serve import outside
from tuitune.serve.engines import check, engine_of
from tuitune.serve.limits import Limits
from tuitune.serve.outside import Command, refuse_misfits, sglang_command, vllm_command

CHAT = {"model": "tiny", "messages": MESSAGES, "max_tokens": 5, "temperature": 0}


def recipe(**values: Any) -> Recipe:
    document = Document.parse("")
    document.set("model_name_or_path", "tiny")
    for key, value in values.items():
        document.set(key, value)
    return document.recipe("serve")


def adapter(root: Path, name: str = "adapter", **config: Any) -> Path:
    folder = root / name
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", **config}))
    return folder


# How they are started


def test_vllm_is_started_as_the_recipe_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITUNE_GIVEN_DEVICES", "2,3")
    monkeypatch.setenv("TUITUNE_API_KEY", "the-users-own-token")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    path = adapter(tmp_path)
    models = [("tuned", Weights("m", (path,), trust_remote_code=True)), ("plain", Weights("m", trust_remote_code=True))]
    asked = recipe(
        infer_backend="vllm", infer_dtype="float16", vllm_maxlen=2048, vllm_gpu_util=0.5, vllm_enforce_eager=True,
        vllm_max_lora_rank=64,
        vllm_config={"max_num_seqs": 8, "enable_prefix_caching": False, "async_scheduling": True},
    )  # fmt: skip
    made = vllm_command(models, Path("/models/m"), asked, port=9, key="inner-key")
    assert list(made.argv) == [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", "/models/m",
        "--served-model-name", "plain", "--host", "127.0.0.1", "--port", "9", "--dtype", "float16",
        "--max-model-len", "2048", "--gpu-memory-utilization", "0.5", "--tensor-parallel-size", "2",
        "--uvicorn-log-level", "warning", "--trust-remote-code", "--enforce-eager", "--enable-lora",
        "--max-lora-rank", "64", "--max-loras", "1", "--lora-modules", f"tuned={path}",
        "--async-scheduling", "--no-enable-prefix-caching", "--max-num-seqs", "8",
    ]  # fmt: skip
    assert made.called == {"tuned": "tuned", "plain": "plain"}
    assert made.context == 2048
    assert made.environ["VLLM_API_KEY"] == "inner-key"
    assert made.environ["CUDA_VISIBLE_DEVICES"] == "2,3"
    assert "inner-key" not in " ".join(made.argv)
    assert "the-users-own-token" not in made.environ.values()


def test_sglang_is_started_with_its_key_in_a_private_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITUNE_GIVEN_DEVICES", "0")
    path = adapter(tmp_path)
    asked = recipe(infer_backend="sglang", sglang_maxlen=512, sglang_mem_fraction=0.6, sglang_config={"page_size": 16})
    made = sglang_command([("base", Weights("m", (path,)))], Path("/m"), asked, port=9, key="inner", private=tmp_path)
    config = tmp_path / "sglang-9.yaml"
    assert list(made.argv) == [
        sys.executable, "-m", "sglang.launch_server", "--config", str(config), "--model-path", "/m",
        "--served-model-name", "base_", "--host", "127.0.0.1", "--port", "9", "--dtype", "auto",
        "--context-length", "512", "--mem-fraction-static", "0.6", "--tp-size", "1", "--log-level", "warning",
        "--enable-lora", "--lora-backend", "triton", "--lora-paths", f"base={path}", "--page-size", "16",
    ]  # fmt: skip
    assert made.called == {"base": "base_:base"}
    assert made.files == {config: 'api-key: "inner"\n'}
    assert "inner" not in " ".join(made.argv)


@pytest.mark.parametrize("backend", ["vllm", "sglang"])
def test_an_engine_that_is_not_there_is_told_with_the_line_that_installs_it(backend: str) -> None:
    with pytest.raises(UsageError, match="is not installed") as refused:
        check([("m", Weights("m"))], recipe(infer_backend=backend))
    assert f"pip install {'vllm' if backend == 'vllm' else chr(39) + 'sglang'}" in refused.value.hint
    check([("m", Weights("m"))], recipe())


def test_what_such_an_engine_cannot_serve_is_told(tmp_path: Path) -> None:
    good = Weights("m", (adapter(tmp_path),))
    refuse_misfits([("a", good), ("b", Weights("m"))], "vllm")
    value = adapter(tmp_path, "judge")
    (value / "value_head.safetensors").write_bytes(b"")
    for weights, words in (
        (Weights("other"), "one model with its adapters"),
        (replace(good, adapters=good.adapters * 2), "several adapters"),
        (replace(good, shaping=Shaping(quantization_bit=4)), "quantised"),
        (Weights("m", (adapter(tmp_path, "ia3", peft_type="IA3"),)), "IA3, not plain LoRA"),
        (Weights("m", (adapter(tmp_path, "dora", use_dora=True),)), "DoRA"),
        (Weights("m", (adapter(tmp_path, "saved", modules_to_save=["lm_head"]),)), "whole modules"),
        (Weights("m", (value,)), "reward model"),
    ):
        with pytest.raises(UsageError, match=words):
            refuse_misfits([("a", good), ("b", weights)], "vllm")


# What goes between


class Fake:
    """A fake engine's process behind our server."""

    def __init__(self, running: Running, seen: Path, pid: int) -> None:
        self.running, self._seen, self.pid = running, seen, pid

    def seen(self) -> list[dict[str, Any]]:
        """What the engine was asked."""
        return [json.loads(line) for line in self._seen.read_text().splitlines()] if self._seen.exists() else []


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return what starts the engine of a recipe, with a fake in vLLM's place."""
    seen = tmp_path / "seen.jsonl"
    folder = model_folder(tmp_path)
    monkeypatch.setattr(outside, "refuse_absent", lambda backend: None)
    real = vllm_command

    def fake(*arguments: Any, **keywords: Any) -> Command:
        made = real(*arguments, **keywords)
        program = [sys.executable, fake_engine.__file__, *list(made.argv)[3:]]
        return replace(made, argv=program, environ={**made.environ, "FAKE_SEEN": str(seen)})

    monkeypatch.setattr(outside, "vllm_command", fake)

    def work(limits: Limits | None = None, **values: Any) -> Any:
        return engine_of(
            [("tiny", Weights(str(folder), title="tiny"))], recipe(infer_backend="vllm", **values), limits or Limits(),
            progress=lambda stage, done, total: None, note=lambda text: None,
        )  # fmt: skip

    return work


def _is_fake(process: psutil.Process) -> bool:
    try:
        return "fake_engine" in " ".join(process.cmdline())
    except psutil.Error:  # another test's child, which has ended
        return False


@pytest.fixture
def fake(begin: Callable[..., Any], tmp_path: Path) -> Iterator[Fake]:
    with served(begin(), Limits()) as running:
        [process] = filter(_is_fake, psutil.Process().children())
        yield Fake(running, tmp_path / "seen.jsonl", process.pid)
    assert gone(process.pid)


def test_answers_of_another_engine_come_through(fake: Fake) -> None:
    with fake.running.client() as client:
        whole = client.post("/v1/chat/completions", json={**CHAT, "logprobs": True, "top_logprobs": 1}).json()
        assert whole["choices"][0]["message"]["content"] == "one two three"
        assert whole["usage"]["completion_tokens"] == 3
        assert [each["token"] for each in whole["choices"][0]["logprobs"]["content"]] == ["one", " two", " three"]
        streamed = client.post("/v1/chat/completions", json={**CHAT, "stream": True, "stop": ["never"], "seed": 3})
        assert streamed.text.count("data: ") > 4
        [first, second] = [each["asked"] for each in fake.seen()]
        assert first["prompt"] == partner().prompt_ids([_turn()])  # the template of the training, as token ids
        assert (first["temperature"], first["max_tokens"], first["logprobs"]) == (0.0, 5, 1)
        assert first["stop_token_ids"] == partner().template.stop_ids(partner().tokenizer)
        assert (second["stop"], second["seed"], second["stream"]) == (["never"], 3, True)
        refused = client.post("/v1/chat/completions", json={**CHAT, "max_tokens": 5000})
        assert refused.status_code == 413  # vllm_maxlen, before the engine is asked
        assert len(fake.seen()) == 2


def _turn() -> Any:
    from tuitune.chat.base import Turn

    return Turn("user", "Name three fruits.")


def test_an_engines_refusals_and_faults_are_told(fake: Fake) -> None:
    asked = {"model": "tiny", "max_tokens": 5}
    with fake.running.client() as client:
        refused = client.post("/v1/completions", json={**asked, "prompt": [66]})
        assert refused.status_code == 422
        assert refused.json()["error"]["message"] == "the engine refuses this: this cannot be done"
        assert client.post("/v1/completions", json={**asked, "prompt": [77]}).status_code == 502
        torn = client.post("/v1/completions", json={**asked, "prompt": [99]})
        assert (torn.status_code, "broke off" in torn.json()["error"]["message"]) == (502, True)
        assert client.post("/v1/score/evaluation", json={"model": "tiny", "messages": ["a"]}).status_code == 422
        psutil.Process(fake.pid).kill()
        until(lambda: gone(fake.pid))
        cut = client.post("/v1/completions", json={**asked, "prompt": [1]})
        assert (cut.status_code, cut.json()["error"]["type"]) == (502, "server_error")


def test_a_client_that_leaves_stops_the_other_engine(fake: Fake) -> None:
    asked = {"model": "tiny", "prompt": [88], "stream": True, "max_tokens": 2000}
    with fake.running.client() as client, client.stream("POST", "/v1/completions", json=asked) as answer:
        next(answer.iter_lines())
    until(lambda: {"left": True} in fake.seen())
    fake.running.settled()


def test_an_engine_that_does_not_start_is_told_with_its_last_words(begin: Callable[..., Any]) -> None:
    with pytest.raises(ModelError, match="ended with exit status 1") as failed:
        begin(vllm_config={"broken": True})
    assert failed.value.hint == "no GPU is left for this"
