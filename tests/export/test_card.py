from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.tiny import tiny_tokenizer
from tuitune.chat.weights import Weights
from tuitune.data.templates.table import TEMPLATES
from tuitune.export import card
from tuitune.export.about import About, evaluated
from tuitune.export.agree import Agreement
from tuitune.export.cardfacts import data_name
from tuitune.export.markdown import code, escaped, fenced, table
from tuitune.recipe import Recipe
from tuitune.run import RunDir, evaluations
from tuitune.run.evaluation import Data, Difference, Estimate, Evaluation, Metric, Model
from tuitune.run.events import EvalLogged, StepLogged
from tuitune.run.journal import Journal

_RECIPE: dict[str, object] = {
    "model_name_or_path": "someone/small-model", "dataset": "someone/talks,/home/jane/secret/mine.json,identity",
    "dataset_dir": "/home/jane/data", "output_dir": "/home/jane/out", "template": "chatml", "stage": "sft",
    "finetuning_type": "lora", "lora_rank": 32, "learning_rate": 1e-3, "default_system": "hush hush",
    "run_name": "janes run", "logging_steps": 1, "report_to": "none", "cutoff_len": 777, "seed": 7,
}  # fmt: skip


@pytest.fixture
def about(tmp_path: Path) -> About:
    run = RunDir(tmp_path / "janes-run")
    run.path.mkdir()
    with Journal(run.events) as journal:
        for step in range(1, 41):
            journal.append(StepLogged(step=step, loss=4.0 / step, tokens=100))
        journal.append(EvalLogged(step=20, loss=1.25))
    return About(
        Weights("someone/small-model", (run.final,), template="chatml"), TEMPLATES["chatml"], tiny_tokenizer(),
        "safetensors", "bfloat16", Path("/home/jane/models/nova"), Recipe.of(_RECIPE), run,
        checks=(
            Agreement("the model in bfloat16", 0.1, 0.1, 0.02, 0.002, 0.5, against="the whole model in float32"),
            Agreement("the files, read again,", 0.0, 0.0, 0.0, 0.0, 1.0, against="the model that was written"),
            Agreement("the worst matrix", 0.1, 0.1, 0.25, None, None, against="the whole one"),
        ),
    )  # fmt: skip


def _card(folder: Path, about: About) -> tuple[dict[str, Any], str]:
    text = card.write(folder, about).read_text("utf-8")
    _, head, body = text.split("---\n", 2)
    return YAML(typ="safe").load(head), body


def test_every_comparison_is_quoted_with_what_it_was_with(tmp_path: Path, about: About) -> None:
    _, body = _card(tmp_path, about)
    assert "| the model in bfloat16 | the whole model in float32 | 0.02 | 0.002 | 50% |" in body
    assert "| the files, read again | the model that was written | 0 | 0 | 100% |" in body
    assert "| the worst matrix | the whole one | 0.25 |  |  |" in body
    assert "## This export" not in _card(tmp_path, replace(about, checks=()))[1]


def test_the_head_is_what_hubs_read(tmp_path: Path, about: About) -> None:
    head, _ = _card(tmp_path, about)
    assert head == {
        "license": "unknown", "library_name": "transformers", "pipeline_tag": "text-generation",
        "tags": ["tuitune", "sft", "lora", "conversational"], "base_model": "someone/small-model",
        "base_model_relation": "finetune", "datasets": ["someone/talks"],
    }  # fmt: skip
    gguf, _ = _card(tmp_path, replace(about, form="gguf", number="Q8_0"))
    assert (gguf["library_name"], "gguf" in gguf["tags"]) == ("gguf", True)
    plain, body = _card(tmp_path, replace(about, recipe=None, run=None, weights=Weights("/home/jane/base")))
    assert "base_model" not in plain
    assert "base, as it is" in body


def test_the_training_is_told_in_figures(tmp_path: Path, about: About) -> None:
    _, body = _card(tmp_path, about)
    assert "Data: `someone/talks`, `mine.json`, `identity`; 4,000 tokens seen in training." in body
    for line in ("| `lora_rank` | `32` |", "| `learning_rate` | `0.001` |", "| `seed` | `7` |", "| 20 | 1.25 |"):
        assert line in body
    assert "from 4 to 0.1 in 40 steps" in body
    assert "| 1 | 4 |" in body
    assert "| 40 | 0.1 |" in body
    assert "cut at 777 tokens" in body
    assert "It was not evaluated." in body
    assert "lora_dropout" not in body  # a default


def test_one_warm_up_is_told_once_and_how_the_model_is_loaded_not_at_all(tmp_path: Path, about: About) -> None:
    recipe = Recipe.of({**_RECIPE, "warmup_ratio": 0.1, "trust_remote_code": True})
    _, body = _card(tmp_path, replace(about, recipe=recipe))
    assert "| `warmup_steps` | `0.1` |" in body
    assert "warmup_ratio" not in body
    assert "trust_remote_code" not in body


def test_nothing_private_is_in_it(tmp_path: Path, about: About) -> None:
    card.write(tmp_path, about)
    text = (tmp_path / "README.md").read_text("utf-8")
    for private in ("jane", "/home", "hush", "secret", str(tmp_path), "run_name", "dataset_dir"):
        assert private not in text


def test_the_same_inputs_give_the_same_card(tmp_path: Path, about: About) -> None:
    first = card.write(tmp_path, about).read_bytes()
    assert card.write(tmp_path, about).read_bytes() == first


def test_the_usage_is_of_the_form(tmp_path: Path, about: About) -> None:
    _, body = _card(tmp_path, replace(about, repo="me/nova"))
    assert 'name = "me/nova"' in body
    compile(body.split("```python\n")[1].split("```")[0], "usage", "exec")
    _, body = _card(tmp_path, replace(about, form="gguf", number="Q4_0", out=Path("my $(nova)")))
    assert "llama-cli -m my-nova-Q4_0.gguf -cnv" in body
    assert "ollama run my-nova" in body


def test_the_picture_of_the_loss_goes_along(tmp_path: Path, about: About) -> None:
    assert about.run is not None
    (about.run.path / "training_loss.png").write_bytes(b"png")
    _, body = _card(tmp_path, about)
    assert "![Loss by step](training_loss.png)" in body
    assert (tmp_path / "training_loss.png").read_bytes() == b"png"


# The evaluation


def _evaluated(
    run: RunDir, kind: Any = "held_out", status: Any = "done", name: str = "one", *, compared: bool = True
) -> Path:
    folder = run.path / "evaluations" / name
    folder.mkdir(parents=True)
    models = (
        Model("tuned", "t", "tuned", "someone/small-model", (str(run.final),)), Model("base", "b", "base", "someone/x"),
    )  # fmt: skip
    loss = Metric(
        "data", "loss", "a <b>|title", "", "less", "how",
        {"tuned": Estimate(0.5, 0.4, 0.6, 30), "base": Estimate(2.0, 1.5, 2.5, 30)},
        {"tuned": Difference("base", -1.5, -1.75, -1.25, "better")} if compared else {},
    )  # fmt: skip
    odd = Metric(
        "mmlu_test", "average", "average", "%", "more", "how", {"tuned": Estimate(float("nan"), None, None, 1)}
    )
    data = Data("/home/jane/held.json", kind, 30, 99, "words", "sft")
    found = Evaluation(
        folder, "run", name, 1.0, status, models, data, ("data",), (loss, odd), (), (), 1.0, {}, {}
    )  # fmt: skip
    evaluations.write(found, pid=1, born=0.0)
    return folder / "results.json"


def test_the_newest_evaluation_is_a_table_with_intervals(tmp_path: Path, about: About) -> None:
    assert about.run is not None
    paths = (_evaluated(about.run, status="interrupted", name="two"), _evaluated(about.run))
    head, body = _card(tmp_path, replace(about, evaluations=paths))
    assert r"| a &lt;b&gt;\|title | 0.5 [0.4, 0.6] | 2 [1.5, 2.5] | -1.5 [-1.75, -1.25], better |" in body
    assert "30 of 99 rows of `held.json`, held out of the training." in body
    assert "It was not evaluated." not in body
    [model] = head["model-index"]
    assert model["name"] == "nova"
    assert [each["dataset"]["name"] for each in model["results"]] == ["held.json"]
    assert model["results"][0]["metrics"] == [{"type": "loss", "name": "a <b>|title", "value": 0.5}]
    assert "jane" not in body


def test_an_evaluation_beside_the_base_goes_before_a_newer_one_without(tmp_path: Path, about: About) -> None:
    assert about.run is not None
    paths = (_evaluated(about.run, compared=False, name="alone"), _evaluated(about.run, name="beside"))
    _, body = _card(tmp_path, replace(about, evaluations=paths))
    assert "-1.5 [-1.75, -1.25], better" in body
    _, body = _card(tmp_path, replace(about, evaluations=paths[:1]))
    assert "0.5 [0.4, 0.6]" in body
    assert "difference" not in body.lower()


def test_evaluations_are_found_again_in_a_run_that_was_moved(tmp_path: Path, about: About) -> None:
    assert about.run is not None
    _evaluated(about.run)
    moved = RunDir(about.run.path.rename(tmp_path / "elsewhere"))
    there = replace(about.weights, adapters=(moved.final,))
    assert [path.parent.name for path in evaluated(moved, there)] == ["one"]
    assert evaluated(moved, replace(there, adapters=(moved.checkpoint(3),))) == ()


def test_the_licence_is_that_of_the_base(tmp_path: Path, about: About) -> None:
    recipe = Recipe.of(_RECIPE | {"model_name_or_path": "smollm2-135m"})
    head, body = _card(tmp_path, replace(about, recipe=recipe))
    assert head["license"] == "apache-2.0"
    assert "licence is that of the base" in body


def test_rows_that_were_trained_on_are_said_to_be(tmp_path: Path, about: About) -> None:
    assert about.run is not None
    head, body = _card(tmp_path, replace(about, evaluations=(_evaluated(about.run, "trained_on"),)))
    assert "trained on these rows" in body
    assert "trained on" in head["model-index"][0]["results"][0]["dataset"]["name"]


def test_damaged_results_are_passed_over(tmp_path: Path, about: About) -> None:
    (tmp_path / "results.json").write_text("{")
    _, body = _card(tmp_path, replace(about, evaluations=(tmp_path / "results.json",)))
    assert "It was not evaluated." in body


# Foreign text


def test_foreign_text_is_no_markup() -> None:
    assert escaped("[a](b) <img src=x> *c* | `d` # e") == (
        r"\[a\]\(b\) &lt;img src=x&gt; \*c\* \| \`d\` \# e"
    )  # fmt: skip
    assert escaped("SmolLM2-135M v1.5\x1b[31m\n# x") == r"SmolLM2-135M v1.5 \# x"
    assert code("a`b|c") == "``a`b¦c``"
    assert code("`x") == "`` `x ``"
    assert fenced("a\n```\nb") == "````\na\n```\nb\n````"
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


@pytest.mark.parametrize(
    ("name", "shown"),
    [("identity", "identity"), ("org/talks", "org/talks"), ("/a/b/c.json", "c.json"), ("./d.json", "d.json"),
     ("~/e/f", "f"), ("x/y/z.jsonl", "z.jsonl")],
)  # fmt: skip
def test_data_sets_are_named_without_their_place(name: str, shown: str) -> None:
    assert data_name(name) == shown


def test_a_title_of_markup_stays_text(tmp_path: Path, about: About) -> None:
    head, body = _card(tmp_path, replace(about, out=Path("# <script>alert(1)</script>: [x]")))
    assert "<script>" not in body
    assert isinstance(head, dict)
