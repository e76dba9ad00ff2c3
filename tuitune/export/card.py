"""The model card: README.md with the YAML head that hubs read, from the recipe, the journal and the newest evaluation.

It goes wherever the model goes: names only, no path of this machine, no user, no secret, and no text of the data. What
others wrote (names, titles) is escaped. The same inputs give the same card.
"""

from __future__ import annotations

import contextlib
import io
import math
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.errors import TuiTuneError
from tuitune.export import cardfacts
from tuitune.export.markdown import code, escaped, table
from tuitune.export.usage import usage
from tuitune.run.evaluation import DATA, Evaluation, Metric
from tuitune.run.evaluations import read

if TYPE_CHECKING:
    from tuitune.export.about import About

NAME = "README.md"
_STAGES = {
    "pt": "continued pre-training", "sft": "supervised fine-tuning", "rm": "reward modelling", "dpo": "direct "
    "preference optimisation (DPO)", "kto": "Kahneman-Tversky optimisation (KTO)", "ppo": "proximal policy "
    "optimisation (PPO)", "grpo": "group relative policy optimisation (GRPO)", "orpo": "odds ratio preference "
    "optimisation (ORPO)", "simpo": "simple preference optimisation (SimPO)",
}  # fmt: skip
_PICTURE = "training_loss.png"


def write(folder: Path, about: About) -> Path:
    """Write the card of what lies in `folder`, and beside it the picture of the loss if the run has one."""
    facts = cardfacts.of(about)
    found = _evaluation(about)
    picture = _picture(folder, about)
    parts = [
        _head(about, facts, found), f"# {escaped(about.out.name)}", _summary(about, facts), usage(about),
        _training(facts, picture), _evaluated(found), _export(about), _limits(facts, found),
    ]  # fmt: skip
    path = folder / NAME
    path.write_text("\n\n".join(part for part in parts if part) + "\n", "utf-8")
    return path


def _evaluation(about: About) -> Evaluation | None:
    """Return the newest evaluation of these weights that is done: one beside the base if there is any."""
    done: list[Evaluation] = []
    for path in about.evaluations:
        with contextlib.suppress(TuiTuneError):
            found = read(path.parent)
            if found.status == "done" and _tuned(found) is not None:
                done.append(found)
    return next((found for found in done if _compared(found)), done[0] if done else None)


def _compared(found: Evaluation) -> bool:
    return any(metric.differences for metric in found.metrics)


def _tuned(found: Evaluation) -> str | None:
    return next((model.key for model in found.models if model.role == "tuned"), None)


# The head


def _head(about: About, facts: cardfacts.Facts, found: Evaluation | None) -> str:
    from ruamel.yaml import YAML

    told: dict[str, Any] = {
        "license": facts.licence,
        "library_name": "gguf" if about.form == "gguf" else "transformers",
        "pipeline_tag": "text-classification" if facts.stage == "rm" else "text-generation",
        "tags": ["tuitune", *dict.fromkeys(each for each in (facts.stage, facts.method, *_form_tags(about)) if each)],
    }
    if facts.base_id:
        told["base_model"] = facts.base_id
        told["base_model_relation"] = "quantized" if not facts.method and about.form == "gguf" else "finetune"
    if facts.data_ids:
        told["datasets"] = list(facts.data_ids)
    index = _index(about, found)
    if index:
        told["model-index"] = index
    stream = io.StringIO()
    writer: Any = YAML(typ="safe")
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False
    writer.width = 120
    writer.dump(told, stream)
    return f"---\n{stream.getvalue()}---"


def _form_tags(about: About) -> Sequence[str]:
    return ("gguf", "conversational") if about.form == "gguf" else ("conversational",)


def _index(about: About, found: Evaluation | None) -> list[dict[str, Any]]:
    """Return the results in the form that hubs show beside the card."""
    key = _tuned(found) if found else None
    if found is None or key is None:
        return []
    results = []
    for group in dict.fromkeys(metric.group for metric in found.metrics):
        metrics = [
            {"type": metric.key, "name": cardfacts.line(metric.title), "value": round(metric.values[key].value, 6)}
            for metric in found.metrics
            if metric.group == group and key in metric.values and math.isfinite(metric.values[key].value)
        ]
        name = _rows_of(found) if group == DATA else cardfacts.line(group)
        if metrics:
            results.append(
                {
                    "task": {"type": "text-generation"},
                    "dataset": {"name": name, "type": name.split(",")[0]},
                    "metrics": metrics,
                }
            )
    return [{"name": cardfacts.line(about.out.name), "results": results}] if results else []


def _rows_of(found: Evaluation) -> str:
    """Return what the figures are of, for a place with no room for a warning."""
    if found.data is None:
        return DATA
    name = cardfacts.data_name(found.data.name)
    return f"{name}, rows that it was trained on" if found.data.kind == "trained_on" else name


# The text


def _summary(about: About, facts: cardfacts.Facts) -> str:
    base = f"[{escaped(facts.base)}](https://huggingface.co/{facts.base_id})" if facts.base_id else escaped(facts.base)
    if not facts.method:
        return f"{base}, as it is, written by [TuiTune](https://pypi.org/project/tuitune/) as {_form(about)}."
    how = _STAGES.get(facts.stage, escaped(facts.stage))
    return f"{base} after {how} with the method {code(facts.method)}, by TuiTune; {_form(about)}."


def _form(about: About) -> str:
    return f"one GGUF file, {about.number}" if about.form == "gguf" else f"safetensors, {about.number}"


def _training(facts: cardfacts.Facts, picture: bool) -> str:
    if not facts.method:
        return ""
    lines = ["## Training"]
    if facts.data:
        lines.append("Data: " + ", ".join(code(name) for name in facts.data) + _rows(facts))
    if facts.settings:
        lines.append("Settings that differ from TuiTune's defaults:")
        lines.append(table(("key", "value"), ((code(key), code(value)) for key, value in facts.settings)))
    lines += _loss(facts)
    if picture:
        lines.append(f"![Loss by step]({_PICTURE})")
    if facts.versions:
        lines.append("Versions: " + ", ".join(f"{escaped(name)} {escaped(v)}" for name, v in facts.versions) + ".")
    return "\n\n".join(lines)


def _rows(facts: cardfacts.Facts) -> str:
    return f"; {facts.tokens:,} tokens seen in training." if facts.tokens else "."


def _loss(facts: cardfacts.Facts) -> Iterable[str]:
    if not facts.losses:
        return
    yield f"Loss, from {_figure(facts.losses[0][1])} to {_figure(facts.losses[-1][1])} in {facts.steps} steps:"
    yield table(("step", "loss"), ((str(step), _figure(value)) for step, value in facts.losses))
    if facts.eval_losses:
        yield "Loss on held-out rows:"
        yield table(("step", "loss"), ((str(step), _figure(value)) for step, value in facts.eval_losses))


def _figure(value: float) -> str:
    return f"{value:.4g}"


def _picture(folder: Path, about: About) -> bool:
    source = about.run.path / _PICTURE if about.run is not None else None
    if source is None or not source.is_file():
        return False
    shutil.copyfile(source, folder / _PICTURE)
    return True


def _evaluated(found: Evaluation | None) -> str:
    if found is None:
        return ""
    shown = [model for model in found.models if model.role in ("tuned", "base")]
    compared = _compared(found)
    heads = ("", *(f"{model.role}" for model in shown), *(["difference"] if compared else []))
    rows = [
        (
            escaped(metric.title), *(_estimate(metric, model.key) for model in shown),
            *([_difference(metric, found)] if compared else []),
        )
        for metric in found.metrics
    ]  # fmt: skip
    data = found.data
    how = {"held_out": ", held out of the training", "trained_on": "", "given": ""}
    rows_of = (
        f"{data.rows} of {data.of} rows of {code(cardfacts.data_name(data.name))}{how[data.kind]}." if data else ""
    )
    words = [rows_of] if data else []
    if data is not None and data.kind == "trained_on":
        words.append("**The model was trained on these rows: the figures say how well it learned them, not more.**")
    words.append("Between brackets: 95 % intervals.")
    if compared:
        words.append("A difference is called better or worse where its own excludes 0.")
    return "\n\n".join(["## Evaluation", " ".join(words), table(heads, rows)])


def _estimate(metric: Metric, key: str) -> str:
    value = metric.values.get(key)
    if value is None:
        return "–"
    between = "" if value.low is None or value.high is None else f" [{value.low:.4g}, {value.high:.4g}]"
    unit = f" {escaped(metric.unit)}" if metric.unit else ""
    return f"{value.value:.4g}{unit}{between}"


def _difference(metric: Metric, found: Evaluation) -> str:
    made = metric.differences.get(_tuned(found) or "")
    if made is None:
        return ""
    between = "" if made.low is None or made.high is None else f" [{made.low:+.3g}, {made.high:+.3g}]"
    return f"{made.value:+.3g}{between}, {made.verdict}"


def _export(about: About) -> str:
    made = about.checked
    if made is None:
        return ""
    return (
        f"## This export\n\nRead back and compared with the trained model on a fixed text: {escaped(made.words())}. "
        f"`export.json` lists what was compared, the versions and the hashes of the files."
    )


def _limits(facts: cardfacts.Facts, found: Evaluation | None) -> str:
    lines = ["It can be wrong, and it can repeat what is wrong or unfair in its data and in the model it is made from."]
    if facts.method and found is None:
        lines.append("It was not evaluated.")
    if facts.longest:
        lines.append(f"Training rows were cut at {facts.longest:,} tokens: longer conversations were not practised.")
    said = "No licence was given" if facts.licence == "unknown" else "The licence is that of the base"
    lines.append(f"{said}: what the model and the data it is made from ask for applies in any case.")
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)
