"""The model card: README.md with the YAML head that hubs read, from the recipe, the journal and the newest evaluation.

It goes wherever the model goes: names only, no path of this machine, no user, no secret, and no text of the data. What
others wrote (names, titles) is escaped. The same inputs give the same card.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.export import cardfacts, cardscores
from tuitune.export.markdown import code, escaped, table
from tuitune.export.usage import usage

if TYPE_CHECKING:
    from tuitune.export.about import About
    from tuitune.run.evaluation import Evaluation

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
    found = cardscores.newest(about)
    picture = _picture(folder, about)
    parts = [
        _head(about, facts, found), f"# {escaped(about.out.name)}", _summary(about, facts), usage(about),
        _training(facts, picture), cardscores.section(found), _export(about), _limits(facts, found),
    ]  # fmt: skip
    path = folder / NAME
    path.write_text("\n\n".join(part for part in parts if part) + "\n", "utf-8")
    return path


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
    index = cardscores.index(about, found)
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


def _export(about: About) -> str:
    if not about.checks:
        return ""
    heads = ("what", "against", "relative error", "KL", "same likeliest token")
    rows = [
        (
            escaped(made.what.rstrip(",")), escaped(made.against), f"{made.relative:.2g}",
            *(("", "") if made.kl is None or made.top1 is None else (f"{made.kl:.2g}", f"{made.top1:.0%}")),
        )
        for made in about.checks
    ]  # fmt: skip
    return "\n\n".join([
        "## This export", "How near it answers, measured before it was called done:", table(heads, rows),
        "`export.json` lists the bounds that held, the versions and the hashes of the files.",
    ])  # fmt: skip


def _limits(facts: cardfacts.Facts, found: Evaluation | None) -> str:
    lines = ["It can be wrong, and it can repeat what is wrong or unfair in its data and in the model it is made from."]
    if facts.method and found is None:
        lines.append("It was not evaluated.")
    if facts.longest:
        lines.append(f"Training rows were cut at {facts.longest:,} tokens: longer conversations were not practised.")
    said = "No licence was given" if facts.licence == "unknown" else "The licence is that of the base"
    lines.append(f"{said}: what the model and the data it is made from ask for applies in any case.")
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)
