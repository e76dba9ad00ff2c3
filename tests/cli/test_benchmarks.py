"""`tuitune evaluate` with LLaMA-Factory's recipe of a benchmark, unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.engine.given import model_folder
from tests.evaluate.test_choice import MMLU, planted
from tuitune.run.evaluations import predictions

RECIPE = """
### model
model_name_or_path: {model}

### method
finetuning_type: lora

### dataset
task: mmlu_test  # choices: [mmlu_test, ceval_validation, cmmlu_test]
task_dir: {task_dir}
template: fewshot
lang: en
n_shot: 5

### output
save_dir: saves/eval

### eval
batch_size: 4
"""


def test_a_recipe_of_llamafactory_asks_a_benchmark(tmp_path: Path, capfd: Any) -> None:
    from tuitune.cli.main import main

    model = model_folder(tmp_path, max_position_embeddings=2048)
    planted(tmp_path / "evaluation" / "mmlu", MMLU)
    (tmp_path / "eval.yaml").write_text(RECIPE.format(model=model, task_dir=tmp_path / "evaluation"))
    code = main(["evaluate", "eval.yaml"])
    out, err = capfd.readouterr()
    assert code == 0, err
    assert all(f"\n{word}" in out for word in ("average %", "STEM %", "Other %", "anatomy %", "astronomy %"))
    [folder] = (tmp_path / "saves" / "eval").iterdir()
    items = predictions(folder)
    assert [item.id for item in items] == [f"anatomy:{n}" for n in (1, 2, 3)] + ["astronomy:1", "astronomy:2"]
    assert all(reply.text in "ABCD" for item in items for reply in item.answers.values() if reply.text is not None)


def test_a_broken_file_is_said_before_a_model_is_loaded(tmp_path: Path, capfd: Any) -> None:
    from tuitune.cli.main import main

    planted(tmp_path / "evaluation" / "mmlu", {"test/a_test.csv": "q,1,2,3,4,A\nr,1,2\n"})
    code = main(["evaluate", str(model_folder(tmp_path)), "task=mmlu_test"])
    _, err = capfd.readouterr()
    assert code == 1
    assert "a_test.csv, line 2: the row has 3 cells, the first one has 6" in " ".join(err.split())
    assert "load" not in err
