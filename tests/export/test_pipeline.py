"""What stands around the weights: shards, records, generation, memory, cards and pushing in their order."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from tests.engine.given import model_folder
from tests.export.conftest import write
from tests.methods.cycle import train
from tests.tiny import tiny_model
from tuitune import amounts
from tuitune.chat import weights
from tuitune.chat.weights import Weights
from tuitune.errors import ModelError, UsageError
from tuitune.export import folder, memory
from tuitune.export.history import Done, commands, known, remember
from tuitune.export.order import Order, Quantised
from tuitune.export.outline import outline
from tuitune.export.pipeline import export
from tuitune.models import valued
from tuitune.recipe import Recipe, load


def whole(root: Path) -> Weights:
    return Weights(str(root / "tiny"), title="tiny")


def asked(**values: object) -> Recipe:
    return Recipe.of({"model_name_or_path": "x", "dataset": "rows", **values})


def test_the_record_has_sources_hashes_and_checks_and_no_path_of_this_machine(root: Path) -> None:
    made = train(root, "run", max_steps=2)
    done = write(weights.of_run(made, load(made.recipe)), root / "out")
    text = (root / "out" / "export.json").read_text()
    told = json.loads(text)
    for name, listed in told["files"].items():
        data = (root / "out" / name).read_bytes()
        assert listed == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= set(told["files"])
    assert told["adapters"][0]["sha256"] == hashlib.sha256(
        (made.final / "adapter_model.safetensors").read_bytes()).hexdigest()  # fmt: skip
    assert (told["model"], told["adapters"][0]["name"], told["number"]) == ("tiny", "run/final", "bfloat16")
    assert str(root) not in text
    assert [check["what"] for check in told["checks"]] == [check.what for check in done.checks]
    assert {"torch", "transformers", "peft"} <= set(told["versions"])


def test_large_weights_come_in_files_with_an_index(root: Path) -> None:
    write(whole(root), root / "out", dtype="float32", shard=200_000)
    index = json.loads((root / "out" / "model.safetensors.index.json").read_text())["weight_map"]
    files = sorted(set(index.values()))
    assert len(files) > 2
    assert all((root / "out" / name).stat().st_size < 250_000 for name in files)
    model = AutoModelForCausalLM.from_pretrained(root / "out")
    plain = tiny_model(num_hidden_layers=4).state_dict()
    assert all((tensor == plain[name]).all() for name, tensor in model.state_dict().items())


def test_sampling_that_was_asked_for_is_written_and_what_does_not_fit_is_mended(root: Path) -> None:
    (root / "tiny" / "generation_config.json").write_text(json.dumps({"do_sample": False, "temperature": 0.6}))
    notes: list[str] = []
    write(whole(root), root / "out", generation=(("top_k", 7),), note=notes.append)
    config = json.loads((root / "out" / "generation_config.json").read_text())
    assert (config["top_k"], config["temperature"], config["do_sample"]) == (7, 0.6, True)
    assert any("do_sample" in note for note in notes)


def test_too_little_memory_is_said_before_anything_is_loaded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tuitune.fit.machine import Memory

    monkeypatch.setattr("tuitune.export.memory.machine.memory", lambda: Memory(10**9, 10**8, None))
    monkeypatch.setattr("tuitune.export.memory.psutil.swap_memory", lambda: types.SimpleNamespace(free=0))
    monkeypatch.setattr("tuitune.export.pipeline.load_whole", None)
    with pytest.raises(ModelError, match=r"needs [0-9.]+ MB of memory, 100.0 MB are free"):
        write(whole(root), root / "out")


def test_what_is_needed_follows_the_order(root: Path) -> None:
    order = Order(whole(root), root / "out", dtype="bfloat16")
    count = memory.parameters_of(order)
    assert count == sum(p.numel() for p in tiny_model(num_hidden_layers=4).parameters())
    assert memory.needed(order, 10**9) == int(4.4e9) + (600 << 20)
    shared = Order(Weights("x", (root, root)), root / "out", shares=(0.5, 0.5))
    assert memory.needed(shared, 10**9) == int(13.2e9) + (600 << 20)
    assert memory.on_disk(order, 10**9) == 2 * 10**9
    ends = memory.Ends(10**8, 10**8 // 2)
    assert memory.result_size(Order(whole(root), root / "o", quantised=Quantised(4, "bnb")), 10**9, ends) == int(
        9e8 * 4.4 / 8 + 2e8
    )
    packed = Order(whole(root), root / "o", form="gguf", gguf_type="Q4_0")
    assert memory.result_size(packed, 10**9, ends) == int(9.5e8 * 4.5 / 8 + 0.5e8 * 8.5 / 8)  # the head is Q8_0
    assert memory.on_disk(packed, 10**9, ends) == 4 * 10**9 + memory.result_size(packed, 10**9, ends)
    made = outline(Order(whole(root), root / "tiny", form="gguf"))
    assert made.exists
    assert made.problems == [f"{root / 'tiny'} exists already"]
    assert made.files[0][0] == "tiny-Q8_0.gguf"


def lies_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_what_is_told_before_has_room_for_all_that_is_written(root: Path) -> None:
    """The tokenizer's file is counted as it will be written: on lines of its own each, and merges as pairs."""
    path = root / "tiny" / "tokenizer.json"
    rules = json.loads(path.read_text())
    rules["model"]["merges"] = [" ".join(pair) for pair in rules["model"]["merges"]]
    path.write_text(json.dumps(rules, separators=(",", ":"), ensure_ascii=False))
    made = outline(Order(whole(root), root / "out", dtype="float32"))
    assert made.size is not None
    assert made.disk is not None
    done = write(whole(root), root / "out", dtype="float32", card=True, ollama=True)
    written = (root / "out" / "tokenizer.json").stat().st_size
    assert dict(made.files)["tokenizer.json"] == written > 2 * path.stat().st_size
    assert made.size == dict(made.files)["model.safetensors"] + written
    assert made.size < done.size < made.disk < made.size + (1 << 20)
    packed = outline(Order(whole(root), root / "packed", form="gguf"))
    write(whole(root), root / "packed", form="gguf")
    assert packed.disk is not None
    assert packed.disk > lies_in(root / "out") + lies_in(root / "packed")  # the merged weights in fp32 come first


def test_what_an_adapter_brings_is_counted_and_what_is_not_there_is_estimated(root: Path) -> None:
    adapter = root / "adapter"
    adapter.mkdir()
    plain = outline(Order(whole(root), root / "out"))
    for name in ("tokenizer_config.json", "tokenizer.json"):
        (adapter / name).write_text(json.dumps({"x": "y" * 10**6}))
    (adapter / valued.FILE).write_bytes(bytes(3_000_000))
    brought = outline(Order(Weights(str(root / "tiny"), (adapter,)), root / "out"))
    assert dict(brought.files)[valued.FILE] == 3_000_000
    assert 10**6 < dict(brought.files)["tokenizer.json"] < 10**6 + 100
    assert plain.disk is not None
    assert brought.disk is not None
    assert brought.disk - plain.disk > 4_900_000
    (root / "tiny" / "tokenizer.json").unlink()
    assert dict(outline(Order(whole(root), root / "out")).files)["tokenizer.json"] == 128 * 512


def test_a_disk_that_is_nearly_full_is_told_before_as_it_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = Order(whole(root), root / "out")
    monkeypatch.setattr("tuitune.export.pipeline.load_whole", None)
    need = (outline(order).disk or 0) + folder.SLACK
    for name in ("tuitune.export.folder.disk_free", "tuitune.export.outline.machine.disk_free"):
        monkeypatch.setattr(name, lambda _: need - 1)
    [said] = outline(order).problems
    with pytest.raises(ModelError, match=re.escape(f"needs {amounts.size(need)}")):
        export(order)
    assert f"{amounts.size(need)} are needed" in said


def test_what_refuses_a_source_or_a_place_is_known_before_anything_is_loaded(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuitune.export.pipeline.load_whole", None)
    config = root / "tiny" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "quantization_config": {"quant_method": "gptq"}}))
    order = Order(whole(root), root / "out")
    words = "the weights of tiny are quantised (gptq): no other form can be made of them"
    assert outline(order).problems == [words]
    with pytest.raises(ModelError, match=re.escape(words)):
        export(order)
    merging = Order(Weights(str(root / "tiny"), (root / "a",)), root / "out")
    assert "what is merged into them would be rounded away" in outline(merging).problems[0]
    (root / "closed").mkdir()
    monkeypatch.setattr("os.access", lambda path, *_: path != root / "closed")
    shut = Order(Weights("a/name-on-the-hub"), root / "closed" / "out")
    words = f"{root / 'closed/out'} cannot be written: nothing can be made in {root / 'closed'}"
    assert outline(shut).problems == [words]
    with pytest.raises(UsageError, match=re.escape(words)):
        export(shut)


def test_every_key_of_the_recipe_arrives(root: Path) -> None:
    recipe = asked(
        export_format="safetensors", infer_dtype="float16", export_size=2, export_device="auto", top_k=5,
        export_quantization_bit=4, export_quantization_method="bnb", quantization_type="fp4",
        double_quantization=False, export_model_card=False, export_ollama=False, export_hub_model_id="a/b",
        export_hub_private=False,
    )  # fmt: skip
    order = Order.of(whole(root), root / "out", recipe)
    assert (order.dtype, order.shard, order.device, order.generation) == ("float16", 2 * 10**9, "auto", (("top_k", 5),))
    assert order.quantised == Quantised(4, "bnb", type="fp4", double=False)
    assert (order.card, order.ollama, order.repo, order.private) == (False, False, "a/b", False)
    order = Order.of(
        whole(root), root / "out", asked(export_format="gguf", export_gguf_type="Q4_0", export_dtype="float16")
    )
    assert (order.form_words, order.quantised) == ("GGUF Q4_0", None)


def test_pushing_comes_last_and_its_failure_leaves_the_files(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    fake: Any = types.ModuleType("tuitune.export.push")
    fake.refuse_impossible = seen.append

    def push(out: Path, repo: str, **more: Any) -> str:
        seen.append((sorted(path.name for path in out.iterdir())[:2], repo, more["private"]))
        raise ModelError("no network")

    fake.push = push
    monkeypatch.setitem(sys.modules, "tuitune.export.push", fake)
    with pytest.raises(ModelError, match="no network"):
        write(whole(root), root / "out", repo="me/it", private=False)
    assert seen == ["me/it", (["chat_template.jinja", "config.json"], "me/it", False)]
    assert (root / "out" / "export.json").is_file()


def test_a_reward_model_is_no_gguf(tmp_path: Path) -> None:
    model_folder(tmp_path)
    (tmp_path / "tiny" / valued.FILE).write_bytes(b"x")
    with pytest.raises(ModelError, match="no place for the value head"):
        write(Weights(str(tmp_path / "tiny")), tmp_path / "out", form="gguf")


def test_exports_are_remembered_while_they_lie_there(root: Path) -> None:
    write(whole(root), root / "one", subject="a word")
    write(whole(root), root / "two", subject="another word", ollama=False)
    assert [Path(done.path).name for done in known()] == ["two", "one"]
    (root / "two" / "export.json").unlink()
    remember(Done("/nowhere", "it", "", "gguf", "Q8_0", 1))
    [left] = known()
    assert (Path(left.path).name, left.subject, left.form) == ("one", str(root / "tiny"), "safetensors")
    assert left.size == sum(path.stat().st_size for path in (root / "one").iterdir())
    assert list(commands(root / "one")) == [f"tuitune chat --model {root / 'one'}", f"vllm serve {root / 'one'}"]


def test_progress_is_told_in_every_stage(root: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    made = train(root, "run", max_steps=2)
    write(weights.of_run(made, load(made.recipe)), root / "out", quantised=Quantised(8, "bnb"),
          progress=lambda *told: seen.append(told))  # fmt: skip
    assert list(dict.fromkeys(stage for stage, _, _ in seen)) == ["load", "merge", "write", "check", "quantise", "hash"]
    assert all(done <= total for _, done, total in seen if total is not None)


def test_a_name_for_the_hub_is_judged_first(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuitune.export.pipeline.prepare", None)
    with pytest.raises(UsageError):
        write(whole(root), root / "out", repo="no name at all")
