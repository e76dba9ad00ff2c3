"""What a tool format is, declared once and written both here and as Jinja for the tokenizers that are saved."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tuitune.data.templates.tools.calls import Call, JsonObject, Unreadable, bare, dumps, wrapped

_PLACE = re.compile(r"\{(name|json_name|arguments|pairs|key|value|json_value)\}")


class Describes(Protocol):
    """How tools are told, as a text and as Jinja that writes it for the variable `tools`."""

    def text(self, tools: Sequence[JsonObject]) -> str: ...
    def jinja(self) -> str: ...


@dataclass(frozen=True)
class Listing:
    """Tools as JSON: `before` (where {name} may stand) and `after` each, or all as one list.

    bare: without OpenAI's wrapping; given: as the row has them.
    """

    head: str = ""
    foot: str = ""
    before: str = ""
    after: str = ""
    bare: bool = False
    given: bool = False
    indent: int | None = None
    as_list: bool = False

    def text(self, tools: Sequence[JsonObject]) -> str:
        """Return the text of these tools."""
        shown = [tool if self.given else bare(tool) if self.bare else wrapped(tool) for tool in tools]
        if self.as_list:
            return self.head + dumps(shown) + self.foot
        each = (
            _filled(self.before, {"name": bare(tool)["name"]}) + dumps(form, self.indent) + self.after
            for tool, form in zip(tools, shown, strict=True)
        )
        return self.head + "".join(each) + self.foot

    def jinja(self) -> str:
        """Return the same as Jinja."""
        plain = "(tool.function if tool.type == 'function' else tool)"
        full = "(tool if tool.type == 'function' else {'type': 'function', 'function': tool})"
        shown = "tool" if self.given else plain if self.bare else full
        dumped = f"{{{{ {shown} | tojson{'' if self.indent is None else f'(indent={self.indent})'} }}}}"
        between = "{% if not loop.last %}{{ ', ' }}{% endif %}" if self.as_list else quoted(self.after)
        before = _written(self.before, {"name": f"{plain}.name"})
        opened, closed = ("[", "]") if self.as_list else ("", "")
        return (
            quoted(self.head + opened)
            + f"{{% for tool in tools %}}{before}{dumped}{between}{{% endfor %}}"
            + quoted(closed + self.foot)
        )


@dataclass(frozen=True)
class Calling:
    """Calls: `each` with {name} or {json_name}, and {arguments} as JSON or {pairs}, a `pair` for every argument.

    many: what stands around several calls; single: there can be one only.
    """

    each: str
    between: str = "\n"
    head: str = ""
    foot: str = ""
    pair: str = ""
    between_pairs: str = ""
    many: tuple[str, str] = ("", "")
    single: bool = False

    def text(self, calls: Sequence[Call]) -> str:
        """Return the text of these calls; raises Unreadable where they cannot be written."""
        if self.single and len(calls) > 1:
            raise Unreadable("it calls several tools at once, which this tool format cannot write")
        opened, closed = self.many if len(calls) > 1 else ("", "")
        return f"{self.head}{opened}{self.between.join(map(self._one, calls))}{closed}{self.foot}"

    def _one(self, call: Call) -> str:
        arguments = call.arguments if isinstance(call.arguments, dict) else {}
        pairs = (
            {"key": key, "value": value if isinstance(value, str) else dumps(value), "json_value": dumps(value)}
            for key, value in arguments.items()
        )
        words = self.between_pairs.join(_filled(self.pair, each) for each in pairs)
        told = {"name": call.name, "json_name": dumps(call.name), "arguments": dumps(call.arguments), "pairs": words}
        return _filled(self.each, told)

    def jinja(self) -> str:
        """Return Jinja that writes the calls of the variable `message`."""
        count = "message.tool_calls | length > 1"
        opened, closed = (f"{{% if {count} %}}{quoted(each)}{{% endif %}}" if each else "" for each in self.many)
        refused = f"{{% if {count} %}}{{{{ raise_exception('one call at a time') }}}}{{% endif %}}"
        pair = _written(
            self.pair,
            {"key": "key", "value": "value if value is string else value | tojson", "json_value": "value | tojson"},
        )
        between = f"{{% if not loop.last %}}{quoted(self.between_pairs)}{{% endif %}}" if self.between_pairs else ""
        arguments = "call.arguments if call.arguments is string else call.arguments | tojson"
        pairs = f"{{% for key, value in call.arguments.items() %}}{pair}{between}{{% endfor %}}"
        told = {"name": "call.name", "json_name": "call.name | tojson", "arguments": arguments}
        each = "".join(
            pairs if part == "{pairs}" else _written(part, told) for part in re.split(r"(\{pairs\})", self.each)
        )
        return (
            (refused if self.single else "")
            + quoted(self.head)
            + opened
            + "{% for item in message.tool_calls %}{% set call = item.function if item.function is defined else item %}"
            + f"{each}{{% if not loop.last %}}{quoted(self.between)}{{% endif %}}{{% endfor %}}"
            + closed
            + quoted(self.foot)
        )


@dataclass(frozen=True)
class ToolFormat:
    """How tools are told and called, and how calls are read again.

    `extract` returns the text itself where it holds no call, or none that can be read. The texts are facts of the
    models' own chat templates, as LLaMA-Factory's data/tool_utils.py has them too.
    """

    name: str
    listing: Describes
    calling: Calling
    extract: Callable[[str], list[Call] | str]

    def describe(self, tools: Sequence[JsonObject]) -> str:
        """Return what is added to the system text."""
        return self.listing.text(tools)

    def say(self, calls: Sequence[Call]) -> str:
        """Return what the model says to call tools; raises Unreadable where the format cannot."""
        return self.calling.text(calls)


def quoted(text: str) -> str:
    """Return Jinja that writes `text`."""
    return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}" if text else ""


def _filled(text: str, words: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda match: words.get(match[1], match[0]), text)


def _written(text: str, expressions: Mapping[str, str]) -> str:
    """Return Jinja that writes `text` with expressions in its places."""
    parts = re.split(r"(\{[a-z_]+\})", text)
    return "".join(
        f"{{{{ {expressions[part[1:-1]]} }}}}" if part[1:-1] in expressions and part[:1] == "{" else quoted(part)
        for part in parts
    )
