"""A named template in the language of Go's text/template, as Ollama runs it for every prompt.

Ollama gives .System (all system messages joined), .Messages (with .Role, .Content, .Thinking, .ToolCalls) and .Tools;
neighbouring messages of one role, tools' replies apart, it joins before. See its docs/template.md and
template/template.go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tuitune.data.templates.named import CONTENT, NamedTemplate, Slot, Slots, Token
from tuitune.data.templates.tools import tool_format
from tuitune.data.templates.tools.formats import Calling, Listing

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Implied = Literal["", "always", "first"]
_PLACE = re.compile(r"(\{(?:name|json_name|arguments)\})")
_CALLED = {
    "{name}": "{{ $c.Function.Name }}",
    "{json_name}": "{{ json $c.Function.Name }}",
    "{arguments}": "{{ $c.Function.Arguments }}",
}


@dataclass(frozen=True)
class Written:
    """tools: they are in it, not only the messages; begins: it counts on Ollama to put the first token there."""

    text: str
    tools: bool
    begins: bool


def written(
    template: NamedTemplate, tokenizer: PreTrainedTokenizerBase, *, adds_bos: bool, system: str = ""
) -> Written:
    """Return the template; adds_bos: the runtime begins every prompt with the first token by itself.

    system: stands where no system message is given, for texts that a Modelfile's SYSTEM cannot hold.
    """
    writer = _Writer(template, str(tokenizer.eos_token or ""), str(tokenizer.bos_token or ""), adds_bos, system)
    first = (*template.prefix, *template.user)[0]
    return Written(writer.text(), writer.calling is not None, adds_bos and first is Slot.BOS)


class _Writer:
    def __init__(self, template: NamedTemplate, end: str, first: str, adds_bos: bool, system: str) -> None:
        self._template = template
        self._end = template.stop[0] if template.own_end and template.stop else end
        self._first, self._adds_bos, self._default = first, adds_bos, system
        form = tool_format(template.tool_form)
        self._listing = form.listing if isinstance(form.listing, Listing) else None
        told = self._listing is not None and "{pairs}" not in form.calling.each
        self.calling: Calling | None = form.calling if told else None

    def text(self) -> str:
        """Return the whole template."""
        template = self._template
        start = self._slots(template.prefix, "", implied="always")
        system = "" if template.fused else self._system()
        tools = self._observation() if self.calling is not None else ""
        user = self._user()
        if "$begun" in user:
            start += "{{ $begun := false }}"
            user += "{{ $begun = true }}"
        start += system + ('{{ $before := "" }}' if tools else "")
        return (
            start
            + "{{ range $i, $m := .Messages }}{{ $rest := slice $.Messages $i }}{{ $last := eq (len $rest) 1 }}"
            + f'{{{{ if eq $m.Role "user" }}}}{user}{tools}'
            + f'{{{{ else if eq $m.Role "assistant" }}}}{self._assistant()}{{{{ end }}}}'
            + ("{{ $before = $m.Role }}" if tools else "")
            + "{{ end }}"
        )

    def _system(self) -> str:
        """Write what stands around the system text, where there is any."""
        plain = f"{{{{ if $.System }}}}{{{{ $.System }}}}{{{{ else }}}}{said(self._default)}{{{{ end }}}}"
        text = plain if self._default else "{{ $.System }}"
        around = self._slots(self._template.system, text + self._tools(), implied="" if self._starts else "always")
        if self._late_first and not self._template.fused:
            around += "{{ $begun = true }}"
        if self._default:
            return around
        asked = "or $.System $.Tools" if self.calling is not None else "$.System"
        return f"{{{{ if {asked} }}}}{around}{{{{ end }}}}"

    def _tools(self) -> str:
        if self.calling is None or self._listing is None:
            return ""
        listing = self._listing
        opened, closed = ("[", "]") if listing.as_list else ("", "")
        between = "{{ if $j }}, {{ end }}" if listing.as_list else ""
        named = "{{ $t.Function.Name }}".join(map(said, listing.before.split("{name}")))
        shown = "{{ $t.Function }}" if listing.bare else "{{ $t }}"
        after = "" if listing.as_list else said(listing.after)
        each = f"{{{{ range $j, $t := $.Tools }}}}{between}{named}{shown}{after}{{{{ end }}}}"
        return f"{{{{ if $.Tools }}}}{said(listing.head + opened)}{each}{said(closed + listing.foot)}{{{{ end }}}}"

    def _user(self) -> str:
        template = self._template
        system = f"{{{{ if not $begun }}}}{self._system()}{{{{ end }}}}" if template.fused else ""
        implied: Implied = "first" if self._late_first else ""
        return self._slots(template.user, system + "{{ $m.Content }}", implied=implied) + self._opening()

    def _opening(self) -> str:
        """Write the empty thought of an answer to come."""
        thoughts = self._template.thoughts
        if thoughts is None:
            return ""
        if self._template.style.enable_thinking:
            asked = "and $last $.IsThinkSet (not $.Think)"
        else:
            asked = "and $last (not (and $.IsThinkSet $.Think))"
        return f"{{{{ if {asked} }}}}{said(thoughts.empty)}{{{{ end }}}}"

    def _observation(self) -> str:
        """Write what tools replied, several replies as one."""
        template = self._template
        before, after = self._around(template.observation or template.user)
        following = '{{ $next := "" }}{{ if not $last }}{{ $next = (index $rest 1).Role }}{{ end }}'
        return (
            f'{{{{ else if eq $m.Role "tool" }}}}{following}{{{{ if eq $before "tool" }}}}'
            f"{said(template.between_replies)}{{{{ else }}}}{before}{{{{ end }}}}{{{{ $m.Content }}}}"
            f'{{{{ if ne $next "tool" }}}}{after}{self._opening()}{{{{ end }}}}'
        )

    def _assistant(self) -> str:
        """Write an answer; one that stands last is to be gone on with, and has no end."""
        template = self._template
        before, after = self._around(template.assistant)
        content = self._thought() + "{{ $m.Content }}"
        plain = f"{before}{content}{{{{ if not $last }}}}{after}{{{{ end }}}}"
        if self.calling is None:
            return plain
        calls = self._slots(template.function or template.assistant, content + self._calls(self.calling))
        return f"{{{{ if $m.ToolCalls }}}}{calls}{{{{ else }}}}{plain}{{{{ end }}}}"

    def _thought(self) -> str:
        thoughts = self._template.thoughts
        if thoughts is None:
            return ""
        around = f"{said(thoughts.opening)}{{{{ $m.Thinking }}}}{said(thoughts.closing)}"
        return f"{{{{ if and $last $m.Thinking }}}}{around}{{{{ end }}}}"

    @staticmethod
    def _calls(calling: Calling) -> str:
        several = "{{ if gt (len $m.ToolCalls) 1 }}"
        opened, closed = (f"{several}{said(each)}{{{{ end }}}}" if each else "" for each in calling.many)
        each = "".join(_CALLED.get(part) or said(part) for part in _PLACE.split(calling.each))
        between = f"{{{{ if $k }}}}{said(calling.between)}{{{{ end }}}}"
        calls = f"{{{{ range $k, $c := $m.ToolCalls }}}}{between}{each}{{{{ end }}}}"
        return f"{said(calling.head)}{opened}{calls}{closed}{said(calling.foot)}"

    def _around(self, slots: Slots) -> tuple[str, str]:
        """Return what stands before and after the content."""
        before, _, after = self._slots(slots, "\0").partition("\0")
        return before, after

    @property
    def _starts(self) -> bool:
        """Whether every prompt starts with the same text, so that nothing after it can be the first token."""
        return bool(self._template.prefix) or self._template.fused

    @property
    def _late_first(self) -> bool:
        """Whether users' turns begin with the first token, which is implied in the first of them."""
        return self._adds_bos and not self._template.prefix and self._template.user[0] is Slot.BOS

    def _slots(self, slots: Slots, content: str, *, implied: Implied = "") -> str:
        """Return the slots around `content`, which is Go already.

        implied: where the runtime puts the first token of the vocabulary before the first of the slots by itself.
        """
        parts: list[str] = []
        for place, slot in enumerate(slots):
            if isinstance(slot, str):
                before, found, after = slot.partition(CONTENT)
                parts += [said(before), content if found else "", said(after)]
            elif isinstance(slot, Token):
                parts.append(said(slot.text))
            elif slot is Slot.EOS:
                parts.append(said(self._end))
            elif place or not implied or not self._adds_bos:
                parts.append(said(self._first))
            elif implied == "first":
                parts.append(f"{{{{ if $begun }}}}{said(self._first)}{{{{ end }}}}")
        return "".join(parts)


def printable(text: str) -> bool:
    """Return whether every character is one that Ollama's reader of Modelfiles keeps."""
    return all(each.isprintable() or each in "\n\t" for each in text)


def said(text: str) -> str:
    """Return Go that writes `text`: as it is where that is safe, quoted otherwise."""
    if not text:
        return ""
    plain = printable(text) and not any(each in text for each in ("{{", "}}", '"""')) and not text.endswith("{")
    return text if plain else f"{{{{ {quoted(text)} }}}}"


def quoted(text: str) -> str:
    """Return `text` as a string of Go, in ASCII where it does not print."""
    return '"' + "".join(map(_character, text)) + '"'


def _character(each: str) -> str:
    if each in '"\\':
        return "\\" + each
    if each.isprintable():
        return each
    return {"\n": "\\n", "\t": "\\t"}.get(each) or f"\\U{ord(each):08x}"
