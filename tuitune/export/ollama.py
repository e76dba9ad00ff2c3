"""A Modelfile, with which `ollama create` takes an export over: prompts as in the training, and where answers end.

The syntax is Ollama's (docs/modelfile.md and parser/parser.go): values stand in quotes, nothing in them is escaped, a
value ends at the first line break behind its closing quotes, and characters that do not print are dropped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.data.templates.named import NamedTemplate
from tuitune.export.gotemplate import printable, written
from tuitune.fit.files import read_object
from tuitune.fit.gguf import read_gguf

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tuitune.data.templates import Template
    from tuitune.export.about import About

Note = Callable[[str], None]
NAME = "Modelfile"
# What `ollama create` converts from safetensors by itself (convert/convert.go); the others need a GGUF file.
_IMPORTED = frozenset({
    "LlamaForCausalLM", "MixtralForCausalLM", "GemmaForCausalLM", "Gemma2ForCausalLM", "Gemma3ForCausalLM",
    "Phi3ForCausalLM", "Qwen2ForCausalLM", "Olmo3ForCausalLM", "CohereForCausalLM", "GptOssForCausalLM",
    "DeepseekV3ForCausalLM", "Lfm2ForCausalLM",
})  # fmt: skip
_LONGEST_CONTEXT = 4096  # tokens; more takes memory for every conversation, and is one line to change
_SAMPLING = {
    "temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "repetition_penalty": "repeat_penalty",
    "max_new_tokens": "num_predict",
}  # fmt: skip


def write(folder: Path, about: About, note: Note = lambda text: None) -> Path | None:
    """Write the Modelfile of what lies in `folder`; None, with a note why, where Ollama cannot take it."""
    source = _source(folder, about, note)
    if source is None:
        return None
    template = named(about.template, about.tokenizer)
    lines = [f"FROM {source}"]
    system = about.weights.system or ""
    if template is None:
        note(
            "the Modelfile has no TEMPLATE: the chat template is the tokenizer's own, and Ollama knows only the most "
            "common of those by itself; try the model, and write TEMPLATE where its answers do not end"
        )
    else:
        system = template.default_system
        lines += _templated(template, about.tokenizer, note)
    if system and (template is None or fits(system)):
        lines += [f"SYSTEM {_quoted(system)}"] if fits(system) else []
    lines += [f"PARAMETER {name} {value}" for name, value in _parameters(folder, about, template)]
    path = folder / NAME
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def _source(folder: Path, about: About, note: Note) -> str | None:
    if about.form == "gguf":
        return f"./{_gguf(folder).name}"
    named: Any = read_object(folder / "config.json").get("architectures")
    architecture = str(named[0]) if named else "unknown"
    if architecture in _IMPORTED:
        return "."
    note(f"no Modelfile: Ollama does not import {architecture} from safetensors; export with export_format: gguf")
    return None


def _gguf(folder: Path) -> Path:
    return next(iter(sorted(folder.glob("*.gguf"))))


def named(template: Template, tokenizer: PreTrainedTokenizerBase) -> NamedTemplate | None:
    """Return the template, or one of the named that says the same as the tokenizer's own; None where there is none."""
    if isinstance(template, NamedTemplate):
        return template
    from tuitune.data.conversation import Message
    from tuitune.data.templates.table import TEMPLATES
    from tuitune.errors import DataError

    asked = Message("user", "Who are you?")
    more = [asked, Message("assistant", "A model."), Message("user", "Since when?")]
    tried = ([asked], more, [Message("system", "Be brief."), *more])

    def said(by: Template) -> list[list[int]] | None:
        try:
            return [by.prompt_ids(talk, tokenizer) for talk in tried]
        except DataError:
            return None

    truth = said(template)
    return next((each for each in TEMPLATES.values() if truth and said(each) == truth), None)


def _templated(template: NamedTemplate, tokenizer: PreTrainedTokenizerBase, note: Note) -> Iterable[str]:
    first = tokenizer("a").input_ids[0]
    added = tokenizer.bos_token_id is not None and first == tokenizer.bos_token_id
    hidden = "" if fits(template.default_system) else template.default_system
    made = written(template, tokenizer, adds_bos=added, system=hidden)
    if not made.tools and template.tool_form != "default":
        note(f"the TEMPLATE has no tools: Ollama cannot write them in the format {template.tool_form}")
    if added and not made.begins:
        note(f"Ollama puts {tokenizer.bos_token} before every prompt; the training did not")
    yield f'TEMPLATE """{made.text}"""'


def fits(text: str) -> bool:
    """Return whether a Modelfile can hold this text as it is; see the module's text."""
    lines = text.split("\n")[:-1]
    return printable(text) and "\r" not in text and not any(line.rstrip().endswith('"""') for line in lines)


def _quoted(text: str) -> str:
    return f'"""{text}"""' if '"' in text or "\n" in text else f'"{text}"'


def _parameters(folder: Path, about: About, template: NamedTemplate | None) -> Iterable[tuple[str, str]]:
    for stop in _stops(about, template):
        if fits(stop):
            yield "stop", _quoted(stop)
    longest = _context(folder, about)
    if longest:
        yield "num_ctx", str(min(longest, _LONGEST_CONTEXT))
    yield from sampling(about.generation)


def _stops(about: About, template: NamedTemplate | None) -> list[str]:
    words = [*(template.stop if template else ()), *_ends(about)]
    return list(dict.fromkeys(word for word in words if word.strip()))


def _ends(about: About) -> Iterable[str]:
    for number in about.template.stop_ids(about.tokenizer):
        yield str(about.tokenizer.convert_ids_to_tokens(number))


def sampling(generation: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Return how answers are drawn, in Ollama's names, as far as it was asked for."""
    if generation.get("do_sample") is False:
        yield "temperature", "0"
    for name, ours in _SAMPLING.items():
        value = generation.get(name)
        settled = name == "temperature" and generation.get("do_sample") is False
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and not settled:
            yield ours, f"{value:g}"


def _context(folder: Path, about: About) -> int | None:
    """Return how many tokens the model was made for."""
    if about.form == "gguf":
        header = read_gguf(_gguf(folder))
        value: Any = header.metadata.get(f"{header.architecture}.context_length")
    else:
        value = read_object(folder / "config.json").get("max_position_embeddings")
    return value if isinstance(value, int) and value > 0 else None
