"""A named template written as a chat template for tokenizers, so that a saved model says the same elsewhere."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from tuitune.data.templates.named import CONTENT, NamedTemplate, Slot, Slots, Token
from tuitune.data.templates.tools import tool_format

if TYPE_CHECKING:
    from tuitune.data.templates.thoughts import Thoughts


def written(template: NamedTemplate) -> str:
    """Return Jinja that renders dialogues as the template's prompts and answers.

    A user's message opens the answer by itself. Tools and calls are written in the template's tool format; messages of
    tools that follow one another are one observation.
    """
    template = _ended(template)
    function = _slots(template.function or template.assistant)
    return (
        _system(template)
        + _thinking(template)
        + _slots(template.prefix)
        + ("" if template.fused else f"{{% if system %}}{_slots(template.system, 'system')}{{% endif %}}")
        + "{% set heard = namespace(said='') %}"
        + "{% for message in turns %}{% set content = message['content'] or '' %}"
        + (_fused(template) if template.fused else "")
        + f"{{% if message['role'] == 'user' %}}{_slots(template.user)}{_opening(template.thoughts)}"
        + f"{{% elif message['role'] == 'tool' %}}{_observation(template)}"
        + f"{{% elif message['role'] == 'assistant' %}}{_remembered(template)}"
        + "{% if message.tool_calls %}{% set calls %}"
        + tool_format(template.tool_form).calling.jinja()
        + f"{{% endset %}}{{% set content = content ~ calls %}}{function}"
        + f"{{% else %}}{_slots(template.assistant)}{{% endif %}}{{% endif %}}{{% endfor %}}"
    )


def _ended(template: NamedTemplate) -> NamedTemplate:
    """Spell the end token of a template that has its own, whatever the tokenizer says."""
    if not template.own_end:
        return template

    def spelled(slots: Slots) -> Slots:
        return tuple(template.stop[0] if slot is Slot.EOS else slot for slot in slots)

    return replace(
        template, user=spelled(template.user), assistant=spelled(template.assistant), system=spelled(template.system),
        prefix=spelled(template.prefix), function=spelled(template.function), observation=spelled(template.observation),
    )  # fmt: skip


def _system(template: NamedTemplate) -> str:
    return (
        "{% set told = messages[0]['content'] if messages[0]['role'] == 'system' else '' %}"
        f"{{% set system = told or {_quoted(template.default_system)} %}}"
        "{% set turns = messages[1:] if messages[0]['role'] == 'system' else messages %}"
        f"{{% if tools %}}{{% set offered %}}{tool_format(template.tool_form).listing.jinja()}{{% endset %}}"
        "{% set system = system ~ offered %}{% endif %}"
    )


def _fused(template: NamedTemplate) -> str:
    joined = _joined(template.system, "system")
    return f"{{% if loop.first and system %}}{{% set content = {joined} + content %}}{{% endif %}}"


def _observation(template: NamedTemplate) -> str:
    """Write what tools replied, several replies as one."""
    between = _quoted(template.between_replies)
    return (
        "{% set following = not loop.first and loop.previtem['role'] == 'tool' %}"
        f"{{% set heard.said = heard.said ~ {between} ~ content if following else content %}}"
        "{% if loop.last or loop.nextitem['role'] != 'tool' %}{% set content = heard.said %}"
        f"{_slots(template.observation or template.user)}{_opening(template.thoughts)}{{% endif %}}"
    )


def _thinking(template: NamedTemplate) -> str:
    if template.thoughts is None:
        return ""
    asked = {True: "true", False: "false", None: "none"}[template.style.enable_thinking]
    return f"{{% set thinking = enable_thinking if enable_thinking is defined else {asked} %}}"


def _opening(thoughts: Thoughts | None) -> str:
    """Write the empty thought of an answer to come."""
    if thoughts is None:
        return ""
    return f"{{% if loop.last and not thinking %}}{{{{ {_quoted(thoughts.empty)} }}}}{{% endif %}}"


def _remembered(template: NamedTemplate) -> str:
    """Take earlier thoughts away, and give the last answer an empty one where it has none."""
    thoughts = template.thoughts
    if thoughts is None:
        return ""
    opening, closing = _quoted(thoughts.opening.strip()), _quoted(thoughts.closing.strip())
    gone = "thinking == false" if template.style.preserve_thinking else "not loop.last or thinking == false"
    bare = f"(content.split({opening})[0] + content.split({closing})[-1]).lstrip('\\n')"
    return (
        f"{{% if ({gone}) and {opening} in content and {closing} in content %}}"
        f"{{% set content = {bare} %}}{{% endif %}}"
        f"{{% if loop.last and {opening} not in content and {closing} not in content %}}"
        f"{{{{ {_quoted(thoughts.empty)} }}}}{{% endif %}}"
    )


def _slots(slots: Slots, content: str = "content") -> str:
    return f"{{{{ {_joined(slots, content)} }}}}" if slots else ""


def _joined(slots: Slots, content: str) -> str:
    """Return the Jinja expression of the slots around the expression `content`."""
    parts: list[str] = []
    for slot in slots:
        if isinstance(slot, str):
            before, found, after = slot.partition(CONTENT)
            parts += [_quoted(before)] if before else []
            parts += [content] if found else []
            parts += [_quoted(after)] if after else []
        elif isinstance(slot, Token):
            parts.append(_quoted(slot.text))
        else:
            parts.append("eos_token" if slot is Slot.EOS else "(bos_token or '')")
    return " + ".join(parts) or "''"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
