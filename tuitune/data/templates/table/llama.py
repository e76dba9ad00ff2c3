"""Llama 2, 3 and 4, Mistral's, and what was built upon them."""

from __future__ import annotations

from typing import Any

from tuitune.data.templates.named import CONTENT, NamedTemplate, Slot


def _llama3(name: str) -> NamedTemplate:
    opening = "<|start_header_id|>assistant<|end_header_id|>\n\n"
    return NamedTemplate(
        name=name,
        prefix=(Slot.BOS,),
        system=("<|start_header_id|>system<|end_header_id|>\n\n{content}<|eot_id|>",),
        user=(f"<|start_header_id|>user<|end_header_id|>\n\n{{content}}<|eot_id|>{opening}",),
        assistant=("{content}<|eot_id|>",),
        observation=(f"<|start_header_id|>ipython<|end_header_id|>\n\n{{content}}<|eot_id|>{opening}",),
        tool_form="llama3",
        stop=("<|eot_id|>", "<|eom_id|>"),
        own_end=True,
    )


def _llama2(name: str, default_system: str = "") -> NamedTemplate:
    return NamedTemplate(
        name=name,
        system=("<<SYS>>\n{content}\n<</SYS>>\n\n",),
        user=(Slot.BOS, "[INST] {content} [/INST]"),
        default_system=default_system,
        fused=True,
    )


def _mistral(name: str, space: str, **more: Any) -> NamedTemplate:
    """Return Mistral's; older tokenizers have a space around the content, tekken ones have none."""
    given: dict[str, Any] = {"system": ("{content}\n\n",), "fused": True, **more}
    return NamedTemplate(
        name=name,
        prefix=(Slot.BOS,),
        user=(f"[INST]{space}{{content}}[/INST]",),
        assistant=(f"{space}{{content}}", Slot.EOS),
        observation=(f'[TOOL_RESULTS]{space}{{"content": {CONTENT}}}[/TOOL_RESULTS]',),
        function=(f"[TOOL_CALLS]{space}{{content}}", Slot.EOS),
        tool_form="mistral",
        **given,
    )


LLAMA = (
    _llama2("llama2"),
    _llama2("llama2_zh", "You are a helpful assistant. 你是一个乐于助人的助手。"),
    _llama3("llama3"),
    _llama3("mllama"),
    _llama3("llava_next_llama3"),
    NamedTemplate(
        name="llama4",
        prefix=(Slot.BOS,),
        system=("<|header_start|>system<|header_end|>\n\n{content}<|eot|>",),
        user=("<|header_start|>user<|header_end|>\n\n{content}<|eot|><|header_start|>assistant<|header_end|>\n\n",),
        assistant=("{content}<|eot|>",),
        observation=(
            "<|header_start|>ipython<|header_end|>\n\n{content}<|eot|><|header_start|>assistant<|header_end|>\n\n",
        ),
        tool_form="llama3",
        stop=("<|eot|>", "<|eom|>"),
        own_end=True,
    ),
    NamedTemplate(
        name="openchat-3.6",
        prefix=(Slot.BOS,),
        user=(
            "<|start_header_id|>GPT4 Correct User<|end_header_id|>\n\n{content}<|eot_id|>"
            "<|start_header_id|>GPT4 Correct Assistant<|end_header_id|>\n\n",
        ),
        stop=("<|eot_id|>",),
    ),
    _mistral("mistral", " "),
    _mistral("llava_next_mistral", " "),
    _mistral("llava_next_video_mistral", " "),
    _mistral("ministral", ""),
    _mistral("ministral3", ""),
    _mistral("pixtral", ""),
    _mistral("mistral_small", "", system=("[SYSTEM_PROMPT]{content}[/SYSTEM_PROMPT]",), fused=False),
    NamedTemplate(
        name="breeze", prefix=(Slot.BOS,), user=("[INST] {content} [/INST] ",), assistant=(CONTENT,), late=True
    ),
)
