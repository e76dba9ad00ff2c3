"""How to use an export, for its card: commands and a few lines of Python that work as they stand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tuitune.export.markdown import fenced

if TYPE_CHECKING:
    from tuitune.export.about import About

_PYTHON = """from transformers import AutoModelForCausalLM, AutoTokenizer

name = "{name}"
tokenizer = AutoTokenizer.from_pretrained(name)
model = AutoModelForCausalLM.from_pretrained(name)
messages = [{{"role": "user", "content": "Who are you?"}}]
prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
answer = model.generate(**prompt, max_new_tokens=128)
print(tokenizer.decode(answer[0, prompt["input_ids"].shape[1]:], skip_special_tokens=True))"""


def usage(about: About) -> str:
    """Return the section of the card."""
    name = about.repo or f"./{plain(about.out.name)}"
    title = plain(about.out.name).lower()
    lines = ["## How to use"]
    if about.form == "gguf":
        from tuitune.export.gguf import file_name

        file = file_name(about.out.name, about.number)
        lines += ["With llama.cpp:", fenced(f"llama-cli -m {file} -cnv", "sh")]
    elif about.recipe is not None and about.recipe.stage == "rm":
        lines += ["It is a reward model: TuiTune loads it, and gives scores.", fenced(f"tuitune serve {name}", "sh")]
        return "\n\n".join(lines)
    else:
        lines += [fenced(_PYTHON.format(name=name), "python")]
    lines += ["With Ollama, where there is a Modelfile in the folder:"]
    lines += [fenced(f"ollama create {title} -f Modelfile\nollama run {title}", "sh")]
    return "\n\n".join(lines)


def plain(name: str) -> str:
    """Return a name of letters that a shell and a string of Python take as they are."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "model"
