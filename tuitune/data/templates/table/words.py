"""Templates of base models: words instead of special tokens."""

from __future__ import annotations

from tuitune.data.templates.named import CONTENT, NamedTemplate, Slot

_CURIOUS = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)

WORDS = (
    NamedTemplate(
        name="alpaca",
        user=("### Instruction:\n{content}\n\n### Response:\n",),
        assistant=(CONTENT, Slot.EOS, "\n\n"),
        default_system="Below is an instruction that describes a task. "
        "Write a response that appropriately completes the request.\n\n",
    ),
    NamedTemplate(
        name="default",
        system=("System: {content}", Slot.EOS, "\n"),
        user=("Human: {content}", Slot.EOS, "\nAssistant:"),
        assistant=(CONTENT, Slot.EOS, "\n"),
    ),
    NamedTemplate(name="empty", assistant=(CONTENT,)),
    NamedTemplate(name="fewshot", assistant=("{content}\n\n",), late=True),
    NamedTemplate(name="falcon", user=("User: {content}\nFalcon:",), assistant=("{content}\n",), late=True),
    NamedTemplate(
        name="solar",
        system=("### System:\n{content}\n\n",),
        user=("### User:\n{content}\n\n### Assistant:\n",),
        assistant=(CONTENT,),
        late=True,
    ),
    *(
        NamedTemplate(name=name, user=("USER: {content} ASSISTANT:",), default_system=_CURIOUS)
        for name in ("vicuna", "llava", "llava_next", "llava_next_video", "video_llava")
    ),
    NamedTemplate(
        name="openchat", prefix=(Slot.BOS,), user=("GPT4 Correct User: {content}", Slot.EOS, "GPT4 Correct Assistant:")
    ),
    NamedTemplate(
        name="deepseek",
        prefix=(Slot.BOS,),
        system=("{content}\n\n",),
        user=("User: {content}\n\nAssistant:",),
    ),
    NamedTemplate(
        name="deepseekcoder",
        prefix=(Slot.BOS,),
        user=("### Instruction:\n{content}\n### Response:",),
        assistant=("\n{content}\n<|EOT|>\n",),
        default_system="You are an AI programming assistant, utilizing the DeepSeek Coder model, "
        "developed by DeepSeek Company, and you only answer questions related to computer science. "
        "For politically sensitive questions, security and privacy issues, "
        "and other non-computer science questions, you will refuse to answer.\n",
    ),
    NamedTemplate(
        name="exaone",
        system=("[|system|]{content}[|endofturn|]\n",),
        user=("[|user|]{content}\n[|assistant|]",),
        assistant=(CONTENT, Slot.EOS, "\n"),
    ),
    NamedTemplate(
        name="ernie_nothink",
        prefix=("<|begin_of_sentence|>",),
        system=("{content}\n",),
        user=("User: {content}\nAssistant: ",),
        assistant=("{content}<|end_of_sentence|>",),
        stop=("<|end_of_sentence|>",),
    ),
    NamedTemplate(
        name="granite3_vision",
        system=("<|system|>\n{content}\n",),
        user=("<|user|>\n{content}\n<|assistant|>\n",),
        default_system=_CURIOUS,
    ),
    NamedTemplate(name="paligemma", prefix=(Slot.BOS,), user=("{content}\n",), fused=True),
)
