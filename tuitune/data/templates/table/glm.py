"""ChatGLM and GLM: an answer ends where the next role begins, so no answer holds its end token."""

from __future__ import annotations

from typing import Any

from tuitune.data.templates.named import CONTENT, NamedTemplate, Slots, Token
from tuitune.data.templates.thoughts import Thoughts

_STOP = ("<|user|>", "<|observation|>")


def _glm(name: str, tool_form: str = "glm4", **more: Any) -> NamedTemplate:
    given: dict[str, Any] = {"stop": _STOP, **more}
    return NamedTemplate(
        name=name,
        prefix=("[gMASK]<sop>",),
        system=("<|system|>\n{content}",),
        user=("<|user|>\n{content}<|assistant|>",),
        assistant=("\n{content}",),
        observation=("<|observation|>\n{content}<|assistant|>",),
        function=(CONTENT,),
        tool_form=tool_form,
        late=True,
        **given,
    )


def _role(token: str) -> Slots:
    return (Token(token), "\n", CONTENT)


GLM = (
    NamedTemplate(
        name="chatglm3",
        prefix=(Token("[gMASK]"), Token("sop")),
        system=_role("<|system|>"),
        user=(*_role("<|user|>"), Token("<|assistant|>")),
        assistant=("\n", CONTENT),
        observation=(*_role("<|observation|>"), Token("<|assistant|>")),
        function=(CONTENT,),
        tool_form="glm4",
        stop=_STOP,
        late=True,
    ),
    _glm("glm4"),
    _glm("glm_ocr"),
    _glm("glm4_moe", "glm4_moe", thoughts=Thoughts()),
    _glm("glm4v", stop=(*_STOP, "</answer>"), thoughts=Thoughts()),
    _glm("glm4_5v", "glm4_moe", stop=(*_STOP, "</answer>"), thoughts=Thoughts()),
    _glm("glm4_7", "glm4_moe", thoughts=Thoughts("<think>", "</think>", bare=True)),
    _glm("glmz1", thoughts=Thoughts()),
    _glm(
        "aeva",
        "glm4_moe",
        thoughts=Thoughts("<think>", "</think>", bare=True),
        default_system="You are an AI assistant named Aeva created by Zongzhi Lou. "
        "Your answer should be friendly, unbiased, faithful, informative and detailed.",
    ),
)
