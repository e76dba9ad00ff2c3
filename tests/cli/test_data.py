from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Call
from tests.cli.given import EVIL, hear_all
from tests.tiny import tiny_tokenizer


@pytest.fixture
def recipe(root: Path) -> str:
    """A recipe whose rows are two conversations, a duplicate, an empty one and a long one."""
    rows = [
        {"instruction": "Who are you?", "output": "I am Ada."},
        {"instruction": "Why?", "output": "Because of the rain."},
        {"instruction": "Who are you?", "output": "I am Ada."},
        {"instruction": "Nothing", "output": ""},
        {"instruction": "Long", "output": "the river " * 200},
    ]
    (root / "data" / "rows.json").write_text(json.dumps(rows))
    return str(root / "recipe.yaml")


def told(out: str) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    whole, *rest = [json.loads(line) for line in out.splitlines()]
    assert whole["kind"] == "data"
    return whole, [r for r in rest if r["kind"] == "bad"], [r for r in rest if r["kind"] == "example"]


def test_json_tells_every_token(call: Call, recipe: str) -> None:
    code, out, _ = call("data", recipe, "--json", "--rows", "9")
    assert code == 0
    whole, bad, found = told(out)
    assert (whole["examples"], whole["bad"], whole["duplicates"], whole["cut"]) == (4, 1, 1, 1)
    assert (bad[0]["row"], "empty" in bad[0]["reason"]) == (4, True)
    assert [each["row"] for each in found] == [1, 2, 3, 5]
    tokenizer: Any = tiny_tokenizer()
    one = found[0]["sequences"][0]
    text = tokenizer.decode(one["ids"])
    assert text == "<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\nI am Ada.<|im_end|>\n"
    assert tokenizer.decode([each for each in one["labels"] if each != -100]) == "I am Ada.<|im_end|>\n"
    assert len(one["text"]) == len(one["special"]) == one["tokens"] == len(one["ids"])
    assert found[2]["same_as"] == 1
    assert found[3]["lost"] > 0
    assert found[3]["end_trained"] is False
    assert sum(each["trained"] for f in found for each in f["sequences"]) == whole["trained"]
    assert sum(each["count"] for each in whole["histogram"]) == 4


def test_labels_are_those_of_the_training(call: Call, recipe: str) -> None:
    from tuitune.data import build
    from tuitune.recipe import load

    for settings in ([], ["train_on_prompt=true"], ["mask_history=true"]):
        rows = build(load(recipe, settings), tiny_tokenizer()).train.rows  # type: ignore[union-attr]
        _, _, found = told(call("data", recipe, *settings, "--json", "--rows", "9")[1])
        assert [(f["sequences"][0]["ids"], f["sequences"][0]["labels"]) for f in found] == [
            (row["input_ids"], row["labels"]) for row in rows
        ]


def test_words_tell_what_is_trained_and_what_is_wrong(call: Call, recipe: str) -> None:
    code, out, _ = call("data", recipe)
    assert code == 0
    out = out.replace("·", " ")
    assert "assistant   <|im_start|>assistant↵{+I am Ada.<|im_end|>↵+}" in out
    assert "user        <|im_start|>user↵Who are you?<|im_end|>↵" in out
    assert "rows.json, row 4:" in out
    for words in ("duplicates", "rows cut at 96", "rows left out", "trained tokens are in {+ +}", "steps"):
        assert words in out, out


def test_a_terminal_gets_colour_and_an_underline(recipe: str, root: Path) -> None:
    from tests.tui.terminal import Terminal, python

    with Terminal(
        python("-m", "tuitune", "data", recipe, "--rows", "1"), cwd=root, columns=100, lines=50,
        env=os.environ | {"TUITUNE_HOME": str(root / "home"), "NO_COLOR": ""},
    ) as terminal:  # fmt: skip
        terminal.wait(120)
        output = terminal.output.decode()
    assert "\x1b[4;36mI" in output
    assert "{+" not in output


def test_one_row_by_its_number_and_by_file(call: Call, recipe: str) -> None:
    for row in ("2", "rows.json:2", ":2"):
        _, _, found = told(call("data", recipe, "--json", "--row", row)[1])
        assert [(each["number"], each["row"]) for each in found] == [(2, 2)]
    code, _, err = call("data", recipe, "--row", "rows.json:4")
    assert (code, "left out" in err) == (2, True)
    assert "from 1 to 4" in call("data", recipe, "--row", "5")[2]
    assert call("data", recipe, "--row", "x")[0] == 2


def test_evaluation_and_other_stages(call: Call, recipe: str, root: Path) -> None:
    whole, _, found = told(call("data", recipe, "val_size=1", "--eval", "--json", "--rows", "5")[1])
    assert (whole["split"], whole["examples"], len(found)) == ("evaluation", 1, 1)
    assert "val_size" in call("data", recipe, "--eval")[2]
    pairs = [{"instruction": "Who?", "input": "", "chosen": "I am Ada.", "rejected": "No one."}]
    (root / "data" / "rows.json").write_text(json.dumps(pairs))
    info = {"rows": {"file_name": "rows.json", "ranking": True,
                     "columns": {"prompt": "instruction", "chosen": "chosen", "rejected": "rejected"}}}  # fmt: skip
    (root / "data" / "dataset_info.json").write_text(json.dumps(info))
    _, _, found = told(call("data", recipe, "--stage", "dpo", "--json")[1])
    assert len(found[0]["sequences"]) == 2
    assert found[0]["shared"] > 0


def test_no_usable_row_and_mistakes(call: Call, recipe: str, root: Path) -> None:
    (root / "data" / "rows.json").write_text(json.dumps([{"instruction": "Nothing", "output": ""}]))
    code, out, err = call("data", recipe, "--json")
    [failed] = map(json.loads, out.splitlines())
    assert (code, failed["kind"]) == (1, "error")
    assert "row 1" in err
    assert call("data", recipe, "cutof_len=3")[0] == 2


def test_only_the_tokenizer_is_needed(call: Call, recipe: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **more: object) -> None:
        raise AssertionError("weights were read")

    monkeypatch.setattr("safetensors.torch.load_file", refuse)
    monkeypatch.setattr("transformers.PreTrainedModel.from_pretrained", refuse)
    assert call("data", recipe)[0] == 0


def test_nothing_is_written_to_the_tokenized_path_of_a_recipe(call: Call, recipe: str, root: Path) -> None:
    assert call("data", recipe, f"tokenized_path={root / 'kept'}", "--rows", "0")[0] == 0
    assert not (root / "kept").exists()


def test_streamed_data_are_sampled(call: Call, recipe: str) -> None:
    whole, _, _ = told(call("data", recipe, "streaming=true", "max_steps=3", "--json")[1])
    assert (whole["sampled"], whole["examples"]) == (1000, 4)


def test_rows_cannot_write_to_the_terminal(call: Call, recipe: str, root: Path) -> None:
    rows = [{"instruction": EVIL, "output": EVIL}]
    (root / "data" / "rows.json").write_text(json.dumps(rows))
    for more in ((), ("--json",)):
        code, out, err = call("data", recipe, *more)
        assert code == 0
        assert not set(out + err) & {"\x1b", "\x07", "\x08", "\x9b", "\u202e"}


def test_ctrl_c_ends_it_cleanly(recipe: str, root: Path) -> None:
    rows = [{"instruction": f"Number {n}", "output": "the river " * 50} for n in range(60_000)]
    (root / "data" / "rows.json").write_text(json.dumps(rows))
    process = subprocess.Popen(
        [sys.executable, "-m", "tuitune", "data", recipe], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, preexec_fn=hear_all, env=os.environ | {"TUITUNE_HOME": str(root / "home")},
    )  # fmt: skip
    assert process.stderr is not None
    assert any("tokenise" in line for line in iter(process.stderr.readline, ""))
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 3
    assert out == ""
    assert "Traceback" not in err
