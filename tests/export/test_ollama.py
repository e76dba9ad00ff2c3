from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.export.gguf_given import folder_of, written
from tests.export.gotemplates import Shown, commands, render
from tests.tiny import tiny_tokenizer
from tuitune.chat.weights import Weights
from tuitune.data.conversation import BETWEEN_REPLIES, Message
from tuitune.data.templates import Style, choose
from tuitune.data.templates.table import TEMPLATES
from tuitune.errors import DataError
from tuitune.export import gotemplate, ollama
from tuitune.export.about import About

_TOOLS = [
    Shown(type="function", function=Shown(name="weather", parameters=Shown(type="object"))),
    Shown(type="function", function=Shown(name="time", parameters=Shown(type="object"))),
]
_ONE = [("weather", {"city": "Bern"})]
_TWO = [*_ONE, ("time", {"zone": "CET"})]
_CALLED = Message("function", json.dumps([{"name": n, "arguments": a} for n, a in _ONE]))
_BOTH = Message("function", json.dumps([{"name": n, "arguments": a} for n, a in _TWO]))


def _said(role: Any, content: str, calls: Any = ()) -> dict[str, Any]:
    told = [{"Function": {"Name": name, "Arguments": Shown(arguments)}} for name, arguments in calls]
    return {"Role": role, "Content": content, "ToolCalls": told, "Thinking": ""}


# (messages as the training has them, as Ollama has them, tools)
_TALKS: dict[str, tuple[list[Message], list[dict[str, Any]], bool]] = {
    "first": ([Message("user", 'A "{{ b }}" <c>')], [_said("user", 'A "{{ b }}" <c>')], False),
    "later": (
        [Message("user", "a"), Message("assistant", "b\n\nc"), Message("user", "d")],
        [_said("user", "a"), _said("assistant", "b\n\nc"), _said("user", "d")],
        False,
    ),
    "system": (
        [Message("system", "Be brief."), Message("user", "a"), Message("assistant", "b"), Message("user", "c")],
        [_said("system", "Be brief."), _said("user", "a"), _said("assistant", "b"), _said("user", "c")],
        False,
    ),
    "offered": ([Message("user", "a")], [_said("user", "a")], True),
    "called": (
        [Message("user", "a"), _CALLED, Message("observation", "21"), Message("assistant", "b"), Message("user", "c")],
        [
            _said("user", "a"), _said("assistant", "", _ONE), _said("tool", "21"), _said("assistant", "b"),
            _said("user", "c"),
        ],
        True,
    ),
    "both": (
        [Message("user", "a"), _BOTH, Message("observation", BETWEEN_REPLIES.join(("21", "noon")))],
        [_said("user", "a"), _said("assistant", "", _TWO), _said("tool", "21"), _said("tool", "noon")],
        True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TEMPLATES)
def test_ollama_renders_what_the_training_did(name: str) -> None:
    for adds_bos in (False, True):
        _compare(name, adds_bos)


def _compare(name: str, adds_bos: bool) -> None:
    tokenizer = tiny_tokenizer()
    template: Any = choose(name, tokenizer, None, Style(enable_thinking=None if adds_bos else True))
    made = gotemplate.written(template, tokenizer, adds_bos=adds_bos)
    for talk, messages, tools in _TALKS.values():
        if tools and not made.tools:
            continue
        offered = _TOOLS if tools else []
        try:
            ids = template.prompt_ids(talk, tokenizer, json.dumps(offered) if tools else "")
        except DataError:
            continue  # needs a token that the tiny tokenizer lacks, or cannot make several calls
        asked = talk[0].content if talk[0].role == "system" else template.default_system
        found = render(made.text, System=asked, Messages=messages, Tools=offered, IsThinkSet=False, Think=False)
        want = tokenizer.decode(ids)
        if adds_bos and made.begins:
            want = want.removeprefix(str(tokenizer.bos_token))
        # Ollama writes JSON in its own way; only there may white space differ.
        if tools:
            assert re.sub(r"\s", "", found) == re.sub(r"\s", "", want)
        else:
            assert found == want


def test_thoughts_are_switched_as_asked() -> None:
    template: Any = choose("qwen3", tiny_tokenizer(), None, Style())
    made = gotemplate.written(template, tiny_tokenizer(), adds_bos=False)
    asked = {"System": "", "Messages": [_said("user", "a")], "Tools": []}
    assert render(made.text, **asked, IsThinkSet=True, Think=False).endswith("<think>\n\n</think>\n\n")
    assert render(made.text, **asked, IsThinkSet=True, Think=True).endswith("assistant\n")


def test_an_answer_that_stands_last_is_gone_on_with() -> None:
    made = gotemplate.written(TEMPLATES["chatml"], tiny_tokenizer(), adds_bos=False)
    messages = [_said("user", "a"), _said("assistant", "b")]
    assert render(made.text, System="", Messages=messages, Tools=[]).endswith("<|im_start|>assistant\nb")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    folder_of(path, "llama")
    (path / "model-F16.gguf").touch()
    return path


def _about(template: Any, form: str = "safetensors", **more: Any) -> About:
    return About(Weights("base"), template, tiny_tokenizer(), form, "F16", Path("nova"), **more)


def _commands(folder: Path, about: About, notes: list[str] | None = None) -> list[tuple[str, str]]:
    path = ollama.write(folder, about, [].append if notes is None else notes.append)
    assert path is not None
    return commands(path.read_text("utf-8"))


def test_a_modelfile_says_it_all(folder: Path) -> None:
    template = replace(TEMPLATES["chatml"], default_system="You are Nova.")
    about = _about(template, generation={"temperature": 0.5, "top_k": 20, "repetition_penalty": 1.1, "do_sample": True})
    assert dict(_commands(folder, about)) == {
        "FROM": ".", "TEMPLATE": gotemplate.written(template, tiny_tokenizer(), adds_bos=False).text,
        "SYSTEM": "You are Nova.", "PARAMETER stop": "<|im_start|>", "PARAMETER num_ctx": "512",
        "PARAMETER temperature": "0.5", "PARAMETER top_k": "20", "PARAMETER repeat_penalty": "1.1",
    }  # fmt: skip
    stops = [value for name, value in _commands(folder, about) if name == "PARAMETER stop"]
    assert stops == ["<|im_end|>", "<|im_start|>"]


def test_greedy_answers_are_of_temperature_nought() -> None:
    assert dict(ollama.sampling({"do_sample": False, "temperature": 0.9})) == {"temperature": "0"}
    assert dict(ollama.sampling({"max_new_tokens": 64, "top_p": float("nan")})) == {"num_predict": "64"}


def test_a_gguf_file_is_named_and_asked_for_its_context(folder: Path) -> None:
    (folder / "model-F16.gguf").unlink()
    written(folder, "F16")
    told = dict(_commands(folder, _about(TEMPLATES["chatml"], "gguf")))
    assert (told["FROM"], told["PARAMETER num_ctx"]) == ("./model-F16.gguf", "512")


@pytest.mark.parametrize(
    "system",
    ['say "hi"', 'ends with """', 'a """\nb', 'one line """ in it', "two\nlines", "tab\there", '"', 'x"',
     "zero\u200dwidth and \u00a0 and \r\n", "{{ .System }} }} {{", "é 你好 😶\u200d🌫️", "{"],
)  # fmt: skip
def test_every_system_text_arrives_whole(system: str, folder: Path) -> None:
    """Ollama reads no escapes, ends a value at a line that ends with quotes, and drops what does not print."""
    told = dict(_commands(folder, _about(replace(TEMPLATES["chatml"], default_system=system))))
    assert set(told) == {"FROM", "TEMPLATE", "PARAMETER stop", "PARAMETER num_ctx"} | ({"SYSTEM"} & set(told))
    text = render(told["TEMPLATE"], System=told.get("SYSTEM", ""), Messages=[_said("user", "a")], Tools=[])
    assert text.startswith(f"<|im_start|>system\n{system}<|im_end|>\n")
    own = render(told["TEMPLATE"], System="mine", Messages=[_said("user", "a")], Tools=[])
    assert own.startswith("<|im_start|>system\nmine<|im_end|>\n")


def test_the_tokenizers_own_template_is_recognised(folder: Path) -> None:
    tokenizer = tiny_tokenizer()
    found = ollama.named(choose(None, tokenizer), tokenizer)
    assert found is not None
    talk = [Message("user", "a"), Message("assistant", "b"), Message("user", "c")]
    assert found.prompt_ids(talk, tokenizer) == choose(None, tokenizer).prompt_ids(talk, tokenizer)


def test_an_unknown_template_is_left_out_and_said(folder: Path) -> None:
    tokenizer = tiny_tokenizer("{% for m in messages %}[{{ m['role'] }}|{{ m['content'] }}]{% endfor %}>")
    about = replace(_about(choose(None, tokenizer)), tokenizer=tokenizer, weights=Weights("base", system="Be Nova."))
    notes: list[str] = []
    told = dict(_commands(folder, about, notes))
    assert "TEMPLATE" not in told
    assert told["SYSTEM"] == "Be Nova."
    assert any("no TEMPLATE" in note for note in notes)


def test_what_ollama_does_not_import_has_no_modelfile(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(orjson.dumps({"architectures": ["Qwen3ForCausalLM"]}))
    notes: list[str] = []
    assert ollama.write(tmp_path, _about(TEMPLATES["chatml"]), notes.append) is None
    assert "export_format: gguf" in notes[0]
    assert not (tmp_path / "Modelfile").exists()


def test_a_first_token_that_training_did_not_have_is_said(folder: Path) -> None:
    from tokenizers import processors

    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
    )
    notes: list[str] = []
    _commands(folder, replace(_about(TEMPLATES["chatml"]), tokenizer=tokenizer), notes)
    assert any("before every prompt" in note for note in notes)
