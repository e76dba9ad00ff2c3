"""DeepSeek, Baichuan, Kimi, MiniMax, Hunyuan, Seed and others with special tokens of their own."""

from __future__ import annotations

from tuitune.data.templates.named import CONTENT, NamedTemplate, Slot, Token
from tuitune.data.templates.thoughts import Thoughts

_HELPFUL = "You are a helpful assistant."


def _baichuan(name: str, user: int) -> NamedTemplate:
    """Return Baichuan's: two reserved tokens stand for user and assistant."""
    return NamedTemplate(
        name=name,
        user=(Token(f"<reserved_{user}>"), CONTENT, Token(f"<reserved_{user + 1}>")),
        assistant=(CONTENT,),
        late=True,
    )


def _deepseek(name: str, thoughts: Thoughts | None = None) -> NamedTemplate:
    return NamedTemplate(
        name=name, prefix=(Slot.BOS,), user=("<｜User｜>{content}<｜Assistant｜>",), thoughts=thoughts
    )  # fmt: skip


def _kimi(name: str, default_system: str, own_end: bool, thoughts: Thoughts | None = None) -> NamedTemplate:
    return NamedTemplate(
        name=name,
        system=("<|im_system|>system<|im_middle|>{content}<|im_end|>",),
        user=("<|im_user|>user<|im_middle|>{content}<|im_end|><|im_assistant|>assistant<|im_middle|>",),
        assistant=("{content}<|im_end|>",),
        default_system=default_system,
        stop=("<|im_end|>",),
        thoughts=thoughts,
        own_end=own_end,
    )


_SEED_SYSTEM = (Slot.BOS, "system\n{content}", Slot.EOS)
_SEED_USER = (Slot.BOS, "user\n{content}", Slot.EOS, Slot.BOS, "assistant\n")

ASIAN = (
    _baichuan("baichuan", 102),
    _baichuan("baichuan2", 106),
    _deepseek("deepseek3"),
    _deepseek("deepseekr1", Thoughts()),
    _kimi("kimi_vl", "You are a helpful assistant", own_end=False, thoughts=Thoughts("◁think▷", "◁/think▷")),
    _kimi("moonlight", "You are a helpful assistant provided by Moonshot-AI.", own_end=True),
    NamedTemplate(
        name="bailing",
        system=("<role>SYSTEM</role>{content}",),
        user=("<role>HUMAN</role>{content}<role>ASSISTANT</role>",),
        assistant=(CONTENT,),
        observation=("<role>OBSERVATION</role>{content}<role>ASSISTANT</role>",),
        stop=("<|endoftext|>",),
        late=True,
    ),
    NamedTemplate(
        name="bailing_v2",
        system=("<role>SYSTEM</role>{content}<|role_end|>",),
        user=("<role>HUMAN</role>{content}<|role_end|><role>ASSISTANT</role>",),
        assistant=("{content}<|role_end|>",),
        observation=(
            "<role>OBSERVATION</role>\n<tool_response>\n{content}\n</tool_response><|role_end|><role>ASSISTANT</role>",
        ),
        tool_form="ling",
        stop=("<|endoftext|>",),
        late=True,
    ),
    NamedTemplate(
        name="dots_ocr",
        system=("<|system|>{content}<|endofsystem|>\n",),
        user=("<|user|>{content}<|endofuser|><|assistant|>",),
        assistant=("{content}<|endofassistant|>",),
        stop=("<|endofassistant|>",),
        late=True,
    ),
    NamedTemplate(
        name="ernie_vl",
        system=("{content}\n",),
        user=("User: {content}",),
        assistant=("\nAssistant: {content}<|end_of_sentence|>",),
        stop=("<|end_of_sentence|>",),
        thoughts=Thoughts(),
        own_end=True,
    ),
    NamedTemplate(
        name="hunyuan",
        prefix=("<|startoftext|>",),
        system=("{content}<|extra_4|>",),
        user=("{content}<|extra_0|>",),
        assistant=("{content}<|eos|>",),
        stop=("<|eos|>",),
    ),
    NamedTemplate(
        name="hunyuan_small",
        prefix=("<｜hy_begin▁of▁sentence｜>",),
        system=("{content}<｜hy_place▁holder▁no▁3｜>",),
        user=("<｜hy_User｜>{content}<｜hy_place▁holder▁no▁8｜>",),
        assistant=("{content}<｜hy_place▁holder▁no▁2｜>",),
        stop=("<｜hy_place▁holder▁no▁2｜>",),
    ),
    NamedTemplate(
        name="hy_dense_1_8b",
        prefix=(Slot.BOS,),
        system=("{content}<｜hy_place▁holder▁no▁3｜>",),
        user=("<｜hy_User｜>{content}",),
        assistant=("<｜hy_Assistant｜>{content}",),
        stop=("<｜hy_place▁holder▁no▁2｜>",),
        late=True,
    ),
    NamedTemplate(
        name="hy_dense_7b",
        prefix=(Slot.BOS,),
        system=("{content}<|extra_4|>",),
        user=("{content}<|extra_0|>",),
        assistant=(CONTENT,),
        stop=("<|eos|>",),
        late=True,
    ),
    NamedTemplate(
        name="hy3",
        prefix=(Slot.BOS,),
        user=("<｜hy_User｜>{content}<｜hy_Assistant｜>",),
        assistant=("{content}<｜hy_eos｜>",),
        stop=("<｜hy_eos｜>",),
        thoughts=Thoughts("<think>", "</think>"),
        own_end=True,
    ),
    NamedTemplate(
        name="index",
        system=("<unk>{content}",),
        user=("reserved_0{content}reserved_1",),
        assistant=(CONTENT,),
        late=True,
    ),
    NamedTemplate(
        name="minimax1",
        system=("<beginning_of_sentence>system ai_setting=assistant\n{content}<end_of_sentence>\n",),
        user=(
            "<beginning_of_sentence>user name=user\n{content}<end_of_sentence>\n"
            "<beginning_of_sentence>ai name=assistant\n",
        ),
        assistant=("{content}<end_of_sentence>\n",),
        observation=(
            "<beginning_of_sentence>tool name=tools\n{content}<end_of_sentence>\n"
            "<beginning_of_sentence>ai name=assistant\n",
        ),
        default_system=_HELPFUL,
        tool_form="minimax1",
        stop=("<end_of_sentence>",),
    ),
    NamedTemplate(
        name="minimax2",
        system=("]~!b[]~b]system\n{content}[e~[\n",),
        user=("]~b]user\n{content}[e~[\n]~b]ai\n",),
        assistant=("{content}[e~[\n",),
        observation=("]~b]tool\n<response>{content}</response>[e~[\n]~b]ai\n",),
        default_system=f"{_HELPFUL} Your name is MiniMax-M2.1 and is built by MiniMax.",
        tool_form="minimax2",
        call_words=("<minimax:tool_call>", "</minimax:tool_call>"),
        stop=("[e~[",),
        thoughts=Thoughts(),
    ),
    NamedTemplate(
        name="seed_coder",
        system=_SEED_SYSTEM,
        user=_SEED_USER,
        default_system="You are an AI programming assistant, utilizing the Seed-Coder model, developed by ByteDance "
        "Seed, and you only answer questions related to computer science. For politically sensitive questions, "
        "security and privacy issues, and other non-computer science questions, you will refuse to answer.\n\n",
    ),
    NamedTemplate(
        name="seed_oss",
        system=_SEED_SYSTEM,
        user=_SEED_USER,
        function=(Slot.BOS, "\n{content}", Slot.EOS),
        tool_form="seed_oss",
        thoughts=Thoughts("<seed:think>", "</seed:think>"),
    ),
    NamedTemplate(
        name="telechat2",
        system=("<_system>{content}",),
        user=("<_user>{content}<_bot>",),
        default_system="你是中国电信星辰语义大模型，英文名是TeleChat，"
        "你是由中电信人工智能科技有限公司和中国电信人工智能研究院（TeleAI）研发的人工智能助手。",
    ),
    NamedTemplate(
        name="xuanyuan",
        user=("Human: {content} Assistant:",),
        default_system="以下是用户和人工智能助手之间的对话。用户以Human开头，人工智能助手以Assistant开头，"
        "会对人类提出的问题给出有帮助、高质量、详细和礼貌的回答，并且总是拒绝参与与不道德、"
        "不安全、有争议、政治敏感等相关的话题、问题和指示。\n",
    ),
    NamedTemplate(
        name="yi_vl",
        user=("### Human: {content}\n### Assistant:",),
        assistant=("{content}\n",),
        default_system="This is a chat between an inquisitive human and an AI assistant. "
        "Assume the role of the AI assistant. Read all the images carefully, "
        "and respond to the human's questions with informative, helpful, detailed and polite answers. "
        "这是一个好奇的人类和一个人工智能助手之间的对话。假设你扮演这个AI助手的角色。"
        "仔细阅读所有的图像，并对人类的问题做出信息丰富、有帮助、详细的和礼貌的回答。\n\n",
        stop=("###",),
        late=True,
    ),
    NamedTemplate(
        name="youtu",
        prefix=(Slot.BOS,),
        user=("<|User|>{content}<|Assistant|>",),
        assistant=("{content}<|end_of_text|>",),
        observation=("<tool_response>\n{content}\n</tool_response><|Assistant|>",),
        function=(CONTENT,),
        stop=("<|end_of_text|>",),
        thoughts=Thoughts(),
        own_end=True,
    ),
    NamedTemplate(
        name="youtu_vl",
        system=("<|begin_of_text|>system\n{content}<|end_of_text|>\n",),
        user=("<|begin_of_text|>user\n{content}<|end_of_text|>\n<|begin_of_text|>assistant\n",),
        assistant=("{content}<|end_of_text|>\n",),
        default_system=_HELPFUL,
        stop=("<|end_of_text|>",),
    ),
    NamedTemplate(
        name="yuan", user=(CONTENT, Token("<sep>")), assistant=("{content}<eod>\n",), stop=("<eod>",)
    ),
)  # fmt: skip
