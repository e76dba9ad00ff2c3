"""ChatML: `<|im_start|>`, a role, a line break, the content, `<|im_end|>`. Qwen and many others."""

from __future__ import annotations

from typing import Any

from tuitune.data.templates.named import NamedTemplate, Slot, Slots
from tuitune.data.templates.thoughts import Thoughts

_END = "<|im_end|>\n"
_OPENING = "<|im_start|>assistant\n"
_SYSTEM: Slots = (f"<|im_start|>system\n{{content}}{_END}",)
_USER: Slots = (f"<|im_start|>user\n{{content}}{_END}{_OPENING}",)
_ASSISTANT: Slots = (f"{{content}}{_END}",)
_TOOL: Slots = (f"<|im_start|>tool\n{{content}}{_END}{_OPENING}",)
_RESPONSE: Slots = (f"<|im_start|>user\n<tool_response>\n{{content}}\n</tool_response>{_END}{_OPENING}",)
_LFM_RESPONSE: Slots = (
    f"<|im_start|>tool\n<|tool_response_start|>{{content}}<|tool_response_end|>{_END}{_OPENING}",
)  # fmt: skip
_HELPFUL = "You are a helpful assistant."
_THINKS = Thoughts()
_CLOSE = Thoughts("<think>", "</think>")


def _chatml(name: str, **more: Any) -> NamedTemplate:
    """Return plain ChatML with what this one does otherwise."""
    given = {"system": _SYSTEM, "user": _USER, "assistant": _ASSISTANT, "stop": ("<|im_end|>",), **more}
    return NamedTemplate(name=name, **given)


def _qwen(name: str, default_system: str = "", **more: Any) -> NamedTemplate:
    """Return Qwen's: tools in its own format, `<|im_end|>` as the end token."""
    given = {"observation": _RESPONSE, "tool_form": "qwen", "own_end": True, **more}
    return _chatml(name, default_system=default_system, **given)


def _lfm(name: str, default_system: str) -> NamedTemplate:
    return _qwen(
        name, default_system, observation=_LFM_RESPONSE, tool_form="lfm2",
        call_words=("<|tool_call_start|>", "<|tool_call_end|>"),
    )  # fmt: skip


CHATML = (
    _chatml("chatml", observation=_TOOL, stop=("<|im_end|>", "<|im_start|>"), own_end=True),
    _chatml(
        "chatml_de",
        observation=_TOOL,
        stop=("<|im_end|>", "<|im_start|>"),
        own_end=True,
        default_system="Du bist ein freundlicher und hilfsbereiter KI-Assistent.",
    ),
    _chatml("cpm4", observation=_TOOL, prefix=(Slot.BOS,)),
    _chatml("falcon_h1", observation=_TOOL, prefix=(Slot.BOS,), stop=("<|im_end|>", "<|end_of_text|>")),
    _chatml("opencoder", observation=_TOOL, default_system="You are OpenCoder, created by OpenCoder Team."),
    _chatml("smollm"),
    _chatml("smollm2", default_system="You are a helpful AI assistant named SmolLM, trained by Hugging Face."),
    _chatml("yi"),
    _chatml("llava_next_yi"),
    _chatml("llava_next_video_yi"),
    _chatml("minicpm_v", default_system=_HELPFUL),
    _chatml("minicpm_v_4_6", default_system=_HELPFUL),
    _chatml(
        "minicpm_o",
        default_system=f"{_HELPFUL} You can accept audio and text input and output voice and text.",
    ),
    _chatml("qwen2_audio", default_system=_HELPFUL, own_end=True),
    _chatml("intern_s1", prefix=(Slot.BOS,)),
    _chatml(
        "intern_vl",
        prefix=(Slot.BOS,),
        default_system="你是书生·万象，英文名是InternVL，是由上海人工智能实验室、清华大学及多家合作单位联合开发的多模态大语言模型。",
    ),
    _chatml(
        "intern2",
        prefix=(Slot.BOS,),
        default_system="You are an AI assistant whose name is InternLM (书生·浦语).\n"
        "- InternLM (书生·浦语) is a conversational language model that is developed by Shanghai AI Laboratory "
        "(上海人工智能实验室). It is designed to be helpful, honest, and harmless.\n"
        "- InternLM (书生·浦语) can understand and communicate fluently in the language "
        "chosen by the user such as English and 中文.",
    ),
    _chatml(
        "ernie",
        system=("<|im_start|>system\n{content}<|im_end|>\n\n",),
        assistant=("{content}<|im_end|>\n\n",),
        user=("<|im_start|>user\n{content}<|im_end|>\n\n<|im_start|>assistant\n",),
        observation=("<|im_start|>tool\n{content}<|im_end|>\n\n<|im_start|>assistant\n",),
        default_system="<global_setting>\nthink_mode=True\n</global_setting>",
    ),
    _chatml(
        "sailor",
        user=("<|im_start|>question\n{content}<|im_end|>\n<|im_start|>answer\n",),
        default_system="You are an AI assistant named Sailor created by Sea AI Lab. "
        "Your answer should be friendly, unbiased, faithful, informative and detailed.",
    ),
    _qwen("qwen", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
    _qwen("qwen2_vl", _HELPFUL),
    _qwen("qwen2_omni", _HELPFUL),
    _qwen("llava_next_qwen", _HELPFUL),
    _qwen("qwen3", thoughts=_THINKS),
    _qwen("qwen3_vl", thoughts=_THINKS),
    _qwen("qwen3_omni", thoughts=_THINKS),
    _qwen("qwen3_5", thoughts=_THINKS, tool_form="qwen3_5"),
    _qwen("qwen3_6", thoughts=_THINKS, tool_form="qwen3_5"),
    _qwen("qwen3_nothink"),
    _qwen("qwen3_vl_nothink"),
    _qwen("qwen3_omni_nothink"),
    _qwen("qwen3_5_nothink", tool_form="qwen3_5"),
    _qwen("keye_vl", thoughts=_THINKS),
    _qwen("mimo", _HELPFUL, thoughts=_THINKS),
    _qwen("mimo_v2", "You are MiMo, a helpful AI assistant engineered by Xiaomi.", thoughts=_CLOSE),
    _qwen("mimo_vl", "You are MiMo, an AI assistant developed by Xiaomi.", thoughts=_THINKS),
    _lfm("lfm2", "You are a helpful AI assistant."),
    _lfm("lfm2_vl", "You are a helpful multimodal assistant by Liquid AI."),
)
