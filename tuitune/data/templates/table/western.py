"""Gemma, Phi, Granite, Cohere, Zephyr and others with special tokens of their own."""

from __future__ import annotations

from tuitune.data.templates.named import CONTENT, NamedTemplate, Slot
from tuitune.data.templates.thoughts import Thoughts


def _gemma(
    name: str, stop: tuple[str, ...] = ("<end_of_turn>",), system: str = "{content}\n\n", late: bool = False
) -> NamedTemplate:
    opening = "<start_of_turn>model\n"
    return NamedTemplate(
        name=name,
        prefix=(Slot.BOS,),
        system=(system,),
        user=(f"<start_of_turn>user\n{{content}}<end_of_turn>\n{opening}",),
        assistant=("{content}<end_of_turn>\n",),
        observation=(f"<start_of_turn>tool\n{{content}}<end_of_turn>\n{opening}",),
        stop=stop,
        fused=True,
        late=late,
        own_end=not late,
    )


def _phi(name: str, end: str = "<|end|>\n", after: str = "\n", tool_form: str = "default") -> NamedTemplate:
    return NamedTemplate(
        name=name,
        system=(f"<|system|>{after}{{content}}{end}",),
        user=(f"<|user|>{after}{{content}}{end}<|assistant|>{after}",),
        assistant=(f"{{content}}{end}",),
        tool_form=tool_form,
        stop=("<|end|>",),
        own_end=True,
    )


_GRANITE_ROLE = "<|start_of_role|>{role}<|end_of_role|>{{content}}<|end_of_text|>\n"
_GRANITE_OPENING = "<|start_of_role|>assistant<|end_of_role|>"

WESTERN = (
    _gemma("gemma"),
    # No answer of gemma2 holds <eos>: it follows the last one, behind the marks of its turn.
    _gemma("gemma2", ("<eos>", "<end_of_turn>"), late=True),
    _gemma("gemma3"),
    _gemma("gemma3n"),
    _gemma("paligemma_chat", system=CONTENT),
    _phi("phi"),
    _phi("phi3"),
    _phi("phi4_mini", end="<|end|>", after="", tool_form="phi4_mini"),
    NamedTemplate(
        name="phi4",
        system=("<|im_start|>system<|im_sep|>{content}<|im_end|>",),
        user=("<|im_start|>user<|im_sep|>{content}<|im_end|><|im_start|>assistant<|im_sep|>",),
        assistant=("{content}<|im_end|>",),
        stop=("<|im_end|>",),
        own_end=True,
    ),
    NamedTemplate(
        name="zephyr",
        system=("<|system|>\n{content}", Slot.EOS),
        user=("<|user|>\n{content}", Slot.EOS, "<|assistant|>\n"),
        default_system="You are Zephyr, a helpful assistant.",
    ),
    NamedTemplate(
        name="starchat",
        system=("<|system|>\n{content}<|end|>\n",),
        user=("<|user|>\n{content}<|end|>\n<|assistant|>",),
        assistant=("{content}<|end|>\n",),
        stop=("<|end|>",),
    ),
    NamedTemplate(name="olmo", prefix=(Slot.EOS,), user=("<|user|>\n{content}<|assistant|>\n",)),
    NamedTemplate(
        name="cohere",
        prefix=(Slot.BOS,),
        system=("<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>{content}<|END_OF_TURN_TOKEN|>",),
        user=(
            "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>{content}<|END_OF_TURN_TOKEN|>"
            "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
        ),
    ),
    NamedTemplate(
        name="granite3",
        system=(_GRANITE_ROLE.format(role="system"),),
        user=(_GRANITE_ROLE.format(role="user") + _GRANITE_OPENING,),
        assistant=("{content}<|end_of_text|>\n",),
    ),
    NamedTemplate(
        name="granite4",
        system=(_GRANITE_ROLE.format(role="system"),),
        user=(_GRANITE_ROLE.format(role="user") + _GRANITE_OPENING,),
        assistant=("{content}<|end_of_text|>\n",),
        observation=(_GRANITE_ROLE.format(role="tool") + "<|start_of_role|>assistant\n",),
        default_system="You are Granite, developed by IBM. You are a helpful AI assistant.",
        stop=("<|end_of_text|>",),
    ),
    NamedTemplate(
        name="gpt_oss",
        system=("<|start|>system<|message|>{content}<|end|>",),
        user=("<|start|>user<|message|>{content}<|end|><|start|>assistant",),
        assistant=(CONTENT,),
        default_system="You are ChatGPT, a large language model trained by OpenAI.",
        thoughts=Thoughts("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
        late=True,
    ),
)
