"""A named template written as a chat template for tokenizers, so that a saved model says the same elsewhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tuitune.data.templates.named import CONTENT, NamedTemplate, Slot, Slots, Token

if TYPE_CHECKING:
    from tuitune.data.templates.thoughts import Thoughts

_NO_TOOLS = "this chat template was made of a template with a name: give tools in the text of the system message"


def written(template: NamedTemplate) -> str:
    """Return Jinja that renders dialogues as the template's prompts and answers; tools are refused in words."""
    user, assistant = _said(template.user), _said(template.assistant)
    observation = _said(template.observation or template.user)
    system = _slots(template.system, "system")
    first = f"{{% set content = {_joined(template.system, 'system')} + content %}}"
    return (
        f"{{% if tools %}}{{{{ raise_exception({_quoted(_NO_TOOLS)}) }}}}{{% endif %}}"
        "{% set told = messages[0]['content'] if messages[0]['role'] == 'system' else '' %}"
        f"{{% set system = told or {_quoted(template.default_system)} %}}"
        "{% set turns = messages[1:] if messages[0]['role'] == 'system' else messages %}"
        + _thinking(template)
        + _slots(template.prefix, "''")
        + ("" if template.fused else f"{{% if system %}}{system}{{% endif %}}")
        + "{% for message in turns %}{% set content = message['content'] %}"
        + (f"{{% if loop.first and system %}}{first}{{% endif %}}" if template.fused else "")
        + f"{{% if message['role'] == 'user' %}}{user}{_opening(template.thoughts)}"
        + f"{{% elif message['role'] == 'tool' %}}{observation}{_opening(template.thoughts)}"
        + "{% elif message['role'] == 'assistant' %}"
        + f"{{% if message.tool_calls %}}{{{{ raise_exception({_quoted(_NO_TOOLS)}) }}}}{{% endif %}}"
        + f"{_remembered(template)}{assistant}{{% endif %}}"
        + "{% endfor %}"
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


def _said(slots: Slots) -> str:
    return _slots(slots, "content")


def _slots(slots: Slots, content: str) -> str:
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
