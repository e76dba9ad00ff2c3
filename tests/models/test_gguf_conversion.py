from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.models.ggufs import write_gguf
from tests.tiny import tiny_tokenizer
from tuitune.errors import ModelError
from tuitune.fit import embedded
from tuitune.fit.embedded import MARKER
from tuitune.fit.gguf import read_gguf
from tuitune.fit.models import resolve, scan
from tuitune.models import converted, gguf
from tuitune.models.converted import convert_file, is_converted
from tuitune.models.load import load_model, load_tokenizer
from tuitune.models.prepare import prepare


class Stop(Exception):
    pass


def _quiet(stage: str, done: int, total: int | None) -> None:
    """Drop progress."""


def _nothing() -> None:
    """Go on."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUITUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    path = tmp_path_factory.mktemp("gguf") / "tiny model.gguf"
    return path, write_gguf(path)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Convert in this process: the child of each test would import torch anew."""
    calls: list[str] = []

    def run(task: str, arguments: Mapping[str, str], **rest: Any) -> str:
        calls.append(task)
        return gguf.convert(**arguments, progress=rest["progress"])

    monkeypatch.setattr(converted, "run_task", run)
    return calls


def test_weights_tokenizer_and_template_come_through(source: tuple[Path, Any], in_process: list[str]) -> None:
    import torch

    path, original = source
    stages: list[str] = []
    found = resolve(str(path))

    folder = prepare(found, progress=lambda stage, done, total: stages.append(stage), check=_nothing)

    model = load_model(folder, dtype="float32", device="cpu", attention="sdpa")
    tokenizer, expected = load_tokenizer(folder), tiny_tokenizer()
    for name, value in original.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    assert model.lm_head.weight is model.model.embed_tokens.weight
    text = "The capital of France is Paris.<|im_end|>\n"
    assert tokenizer(text)["input_ids"] == expected(text)["input_ids"]
    messages = [{"role": "user", "content": "Hi"}]
    assert tokenizer.apply_chat_template(messages, tokenize=False) == expected.apply_chat_template(
        messages, tokenize=False
    )
    assert (model.config.eos_token_id, model.generation_config.eos_token_id, tokenizer.pad_token_id) == (2, 2, 0)
    assert list(dict.fromkeys(stages)) == ["verify the file", "read the file", "de-quantise", "write"]
    assert folder.name.startswith("tiny-model-")


def test_every_tensor_is_counted_and_the_names_are_looked_up_once(
    source: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gguf as library

    heard: list[tuple[str, int, int | None]] = []
    tables: list[object] = []
    plain = library.get_tensor_name_map
    monkeypatch.setattr(library, "get_tensor_name_map", lambda *told: tables.append(told) or plain(*told))
    parts = (library.dequantize, library.GGUFReader, library.get_tensor_name_map)
    gguf.read_model(source[0], progress=lambda *told: heard.append(told))
    total = len(read_gguf(source[0]).shapes)
    assert heard == [("de-quantise", number, total) for number in range(1, total + 1)]
    assert len(tables) == 1
    assert (library.dequantize, library.GGUFReader, library.get_tensor_name_map) == parts


def test_the_result_can_be_trained_and_saved(source: tuple[Path, Any], in_process: list[str], tmp_path: Path) -> None:
    import torch
    from transformers import Trainer, TrainingArguments

    folder = convert_file(source[0], progress=_quiet, check=_nothing)
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
    model = load_model(folder, dtype=torch.float32, device="cpu", attention="sdpa")
    before = model.model.norm.weight.detach().clone()
    row = {"input_ids": [3, 4, 5, 6], "labels": [3, 4, 5, 6]}
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "out"), max_steps=1, report_to=[], use_cpu=True, bf16=False, save_strategy="no",
        disable_tqdm=True, per_device_train_batch_size=1, learning_rate=0.1,
    )  # fmt: skip
    trainer = Trainer(model=model, args=arguments, train_dataset=[row])

    trainer.train()
    trainer.save_model(str(tmp_path / "saved"))

    again = load_model(tmp_path / "saved", dtype="float32", device="cpu", attention="sdpa")
    assert not torch.equal(again.model.norm.weight, before)


def test_a_second_time_nothing_is_read_or_converted(
    source: tuple[Path, Any], in_process: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    os.utime(source[0], (1, 1))  # older than the clock's grain
    first = convert_file(source[0], progress=_quiet, check=_nothing)
    stages: list[str] = []
    assert convert_file(source[0], progress=lambda s, d, t: stages.append(s), check=_nothing) == first
    assert (in_process, stages) == (["convert"], [])
    assert [info.name for info in scan(first.parent, []) if info.path == first] == ["tiny model.gguf"]


def test_a_conversion_with_a_cut_off_file_is_made_again(source: tuple[Path, Any], in_process: list[str]) -> None:
    folder = convert_file(source[0], progress=_quiet, check=_nothing)
    with (folder / "model.safetensors").open("r+b") as weights:
        weights.truncate(1000)
    assert convert_file(source[0], progress=_quiet, check=_nothing) == folder
    assert in_process == ["convert", "convert"]
    assert (folder / "model.safetensors").stat().st_size > 1000


def test_a_marker_of_other_weights_does_not_count(source: tuple[Path, Any], in_process: list[str]) -> None:
    folder = convert_file(source[0], progress=_quiet, check=_nothing)
    sha256 = json.loads((folder / MARKER).read_text())["sha256"]
    assert is_converted(folder, sha256)
    assert not is_converted(folder, "0" * 64)


def test_a_newer_way_of_converting_has_a_folder_of_its_own(
    source: tuple[Path, Any], in_process: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = convert_file(source[0], progress=_quiet, check=_nothing)
    newer = embedded.CONVERSION + 1
    for module in (embedded, converted):
        monkeypatch.setattr(module, "CONVERSION", newer)
    second = convert_file(source[0], progress=_quiet, check=_nothing)
    assert in_process == ["convert", "convert"]
    assert second != first
    assert (first / "model.safetensors").is_file()  # another program may be reading it
    assert [info.path for info in scan(first.parent, []) if info.name == source[0].name] == [second]


def test_a_file_that_changes_is_another_model(in_process: list[str], tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf")
    first = convert_file(tmp_path / "m.gguf", progress=_quiet, check=_nothing)
    write_gguf(tmp_path / "m.gguf", seed=1)
    assert convert_file(tmp_path / "m.gguf", progress=_quiet, check=_nothing) != first


def test_an_end_in_the_middle_leaves_nothing_behind(
    source: tuple[Path, Any], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(task: str, arguments: Mapping[str, str], **rest: Any) -> str:
        (Path(arguments["target"]) / "config.json").write_text("{}")
        raise Stop

    monkeypatch.setattr(converted, "run_task", stopped)
    with pytest.raises(Stop):
        convert_file(source[0], progress=_quiet, check=_nothing)
    assert [p.name for p in (cache / "models").iterdir() if p.is_dir()] == []


def test_missing_tensors_are_refused(in_process: list[str], tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf", drop="model.layers.1.mlp.up_proj.weight")
    with pytest.raises(ModelError, match="up_proj"):
        convert_file(tmp_path / "m.gguf", progress=_quiet, check=_nothing)


@pytest.mark.parametrize("content", [b"nonsense", b"GGUF\x03\x00\x00\x00" + bytes(8), b""])
def test_files_that_are_no_gguf(tmp_path: Path, content: bytes, in_process: list[str]) -> None:
    (tmp_path / "m.gguf").write_bytes(content)
    with pytest.raises(ModelError, match=r"m\.gguf"):
        convert_file(tmp_path / "m.gguf", progress=_quiet, check=_nothing)


def test_a_full_disk_is_said_before(
    source: tuple[Path, Any], in_process: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 1000

    monkeypatch.setattr(converted.shutil, "disk_usage", lambda path: Usage)
    with pytest.raises(ModelError) as raised:
        convert_file(source[0], progress=_quiet, check=_nothing)
    assert "TUITUNE_CACHE" in raised.value.hint
    assert in_process == []


_TWICE = """
import sys, time, pathlib
from tuitune.models import converted

def run(task, arguments, **rest):
    with open(sys.argv[2], "a") as log:
        log.write("built\\n")
    time.sleep(0.5)
    (pathlib.Path(arguments["target"]) / "config.json").write_text("{}")

converted.run_task = run
print(converted.convert_file(pathlib.Path(sys.argv[1]), progress=lambda *a: None, check=lambda: None))
"""


def test_two_processes_convert_once(source: tuple[Path, Any], tmp_path: Path) -> None:
    command = [sys.executable, "-c", _TWICE, str(source[0]), str(tmp_path / "log")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    results = {process.communicate()[0] for process in both}
    assert len(results) == 1
    assert (tmp_path / "log").read_text() == "built\n"


def test_waiting_for_another_can_be_ended(source: tuple[Path, Any], cache: Path) -> None:
    from tuitune.models.locks import locked

    calls: list[str] = []

    def check() -> None:
        if calls:
            raise Stop

    with (
        locked(cache / "x.lock", progress=_quiet, check=_nothing),
        pytest.raises(Stop),
        locked(cache / "x.lock", progress=lambda stage, done, total: calls.append(stage), check=check),
    ):
        pass
    assert calls == ["wait for another process"]


@pytest.mark.slow
def test_the_conversion_in_its_own_process(source: tuple[Path, Any]) -> None:
    stages: list[tuple[str, int, int | None]] = []
    folder = convert_file(source[0], progress=lambda *report: stages.append(report), check=_nothing)
    assert (folder / "model.safetensors").is_file()
    assert any(stage == "de-quantise" and done and total for stage, done, total in stages)


@pytest.mark.slow
def test_the_conversion_in_its_own_process_can_be_ended(source: tuple[Path, Any], cache: Path) -> None:
    began = threading.Event()

    def check() -> None:
        if began.is_set():
            raise Stop

    def progress(stage: str, done: int, total: int | None) -> None:
        if stage == "read the file":
            began.set()

    with pytest.raises(Stop):
        convert_file(source[0], progress=progress, check=check)
    assert [p.name for p in (cache / "models").iterdir() if p.is_dir()] == []
