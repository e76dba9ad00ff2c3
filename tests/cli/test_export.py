"""`tuitune export`: what may be named, what is written, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.engine.given import start
from tuitune.engine.run import run
from tuitune.run.directory import RunDir


@pytest.fixture
def trained(root: Path) -> RunDir:
    """A run of three steps with a checkpoint at the second."""
    made = start(root, "run", max_steps=3, save_strategy="steps", save_steps=2, warmup_steps=0)
    assert run(made).status == "finished"
    return made


def test_a_run_an_adapter_and_a_checkpoint_become_models(trained: RunDir, root: Path, call: Call) -> None:
    code, out, _ = call("export", str(trained.path), "a")
    assert code == 0
    assert out.startswith(f"{root / 'a'}: ")
    said = " ".join(out.split())
    assert "safetensors, bfloat16 checked: merged and read again it answers alike, logits within" in said
    assert f"tuitune chat --model {root / 'a'}" in said
    assert call("export", str(trained.final), "b", "--dtype", "float32")[0] == 0
    assert call("export", str(trained.path / "checkpoint-2"), "c", "--json")[0] == 0
    alone = root / "alone"
    trained.final.rename(alone)
    code, out, _ = call("export", str(alone), "d", "--model", str(root / "tiny"), "--json")
    done = json.loads(out.splitlines()[-1])
    assert done["kind"] == "result"
    assert (code, done["dtype"], done["path"]) == (0, "bfloat16", str(root / "d"))
    assert done["difference"] < 1e-4
    for name in "abcd":
        assert (root / name / "model.safetensors").is_file()
        assert (root / name / "tokenizer.json").is_file()
        assert not (root / name / "adapter_config.json").exists()


def test_what_is_in_the_way_or_no_run_is_refused(trained: RunDir, root: Path, call: Call) -> None:
    (root / "there").mkdir()
    code, out, err = call("export", str(trained.path), "there")
    assert (code, out) == (2, "")
    assert "exists already" in err
    code, _, err = call("export", "nosuchrun", "out")
    assert code == 2
    assert "nosuchrun" in err
    assert not (root / "out").exists()


def test_a_recipe_of_llamafactory_is_all_that_is_needed(trained: RunDir, root: Path, call: Call) -> None:
    text = (
        "### model\nmodel_name_or_path: ./tiny\nadapter_name_or_path: ./run\ntemplate: chatml\n"
        "trust_remote_code: false\n### export\nexport_dir: out/merged\nexport_size: 5\nexport_device: cpu\n"
        "export_legacy_format: true\n"
    )
    (root / "merge.yaml").write_text(text)
    code, _, err = call("export", "merge.yaml", "infer_dtype=float32")
    assert code == 0
    assert "pickled files can run code" in " ".join(err.split())
    assert "tuitune serve" not in err  # infer_dtype is read here too
    told = json.loads((root / "out" / "merged" / "export.json").read_text())
    assert (told["number"], told["template"]) == ("float32", "chatml")
    assert [each["name"] for each in told["adapters"]] == ["run/final"]
    assert str(root) not in (root / "out" / "merged" / "export.json").read_text()


def test_a_dry_run_writes_nothing_and_says_what_it_would(trained: RunDir, root: Path, call: Call) -> None:
    before = sorted(path.name for path in root.iterdir() if path.name != "home")
    code, out, _ = call("export", str(trained.path), "a", "--dry-run", "--gguf", "q8_0", "--json")
    told = json.loads(out.splitlines()[-1])
    assert (code, told["dry_run"], told["problems"]) == (0, True, [])
    assert told["files"][0][0] == "a-Q8_0.gguf"
    assert told["size"] < told["disk"] < told["memory"]
    code, out, _ = call("export", str(trained.path), "run", "--dry-run")
    assert code == 0
    assert "it would be refused: " in out
    (root / "a-file").touch()
    _, out, _ = call("export", str(trained.path), "a-file/x/y", "--dry-run")
    below = f"{root / 'a-file/x/y'} cannot be written: {root / 'a-file'} is no folder"
    assert f"it would be refused: {below}" in " ".join(out.split())
    code, _, err = call("export", str(trained.path), "a-file/x/y")
    assert (code, below in " ".join(err.split())) == (2, True)
    (root / "a-file").unlink()
    with_shares = ("--with", str(trained.path / "checkpoint-2"), "--weights", "1,0.5")
    _, out, _ = call("export", str(trained.path), "a", "--dry-run", *with_shares)
    said = " ".join(out.split())
    assert f"merged: {trained.final} merged: {trained.path / 'checkpoint-2'}, 0.5 times what it changes" in said
    assert sorted(path.name for path in root.iterdir() if path.name != "home") == before


def test_words_that_contradict_each_other_are_refused(trained: RunDir, root: Path, call: Call) -> None:
    for words, said in {
        ("a", "b"): "neither OUT",
        (): "no folder is named",
        ("a", "export_dtype=float32", "--dtype", "float16"): "given twice",
        ("a", "--bits", "3"): "the command line has 1 problem error: export_quantization_bit: the library does not",
        ("a", "--bits", "0"): "0 is out of range",
        ("a", "--bits", "4", "--gguf", "q8_0"): "--bits and --gguf do not go together",
        ("a", "--dtype", "float32", "--gguf", "Q8_0"): "--dtype and --gguf do not go together",
        ("a", "--bits", "4", "export_format=gguf"): "--bits has no effect here",
        ("a", "--gguf", "Q5"): "'--gguf': 'Q5' is not one of",
        ("a", "--weights", "0.5,0.5"): "must have one number for each adapter",
        ("a", "--weights", ","): "--weights ',' names no number",
        ("a", "--weights", ""): "--weights '' names no number",
        ("a", "export_quantization_bit=4"): "need texts to calibrate on",
        ("a", "export_dytpe=float32"): "export_dtype",
    }.items():
        code, out, err = call("export", str(trained.path), *words)
        assert (code, out) == (2, ""), words
        assert said in " ".join(err.split()), words
    assert not (root / "a").exists()


def test_shares_of_several_adapters_come_from_options(trained: RunDir, root: Path, call: Call) -> None:
    words = ("export", str(trained.path), "a", "--with", str(trained.path / "checkpoint-2"), "--weights", "0.5,0.5")
    assert call(*words, "--dtype", "float32", "export_model_card=false")[0] == 0
    told = json.loads((root / "a" / "export.json").read_text())
    assert [(each["name"], each["weight"]) for each in told["adapters"]] == [
        ("run/final", 0.5), ("run/checkpoint-2", 0.5),
    ]  # fmt: skip


def test_ctrl_c_says_whether_anything_was_written(
    trained: RunDir, root: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*asked: object, **rest: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tuitune.export.pipeline.load_whole", interrupted)
    code, _, err = call("export", str(trained.path), "a")
    assert (code, err.splitlines()[-1]) == (3, "cancelled: nothing was written")
    assert not (root / "a").exists()
    monkeypatch.undo()
    monkeypatch.setenv("TUITUNE_HOME", str(root / "home"))
    monkeypatch.chdir(root)
    monkeypatch.setattr("tuitune.export.pipeline.remember", interrupted)
    code, _, err = call("export", str(trained.path), "a")
    assert (code, err.splitlines()[-1]) == (3, f"cancelled; {root / 'a'} is written whole")
