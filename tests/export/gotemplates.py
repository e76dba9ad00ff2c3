"""The part of Go's text/template that our Modelfiles use, and the way Ollama reads a Modelfile."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_WORD = re.compile(r'"(?:\\.|[^"\\])*"|[().]|[^\s()."]+')


class Shown(dict[str, Any]):
    """A value that Go prints as JSON."""

    def __str__(self) -> str:
        return json.dumps(self, ensure_ascii=False)


def render(template: str, **root: Any) -> str:
    """Return what a template writes for .System, .Messages and the others."""
    pieces = re.split(r'\{\{((?:"(?:\\.|[^"\\])*"|[^"])*?)\}\}', template)
    scope: dict[str, Any] = {"$": root, ".": root}
    return "".join(_run(_parsed(iter(enumerate(pieces)))[0], scope))


def _parsed(pieces: Iterator[tuple[int, str]]) -> tuple[list[Any], str]:
    """Return nodes up to an end or else: texts, actions, and (head, body, rest) of if and range."""
    nodes: list[Any] = []
    for number, piece in pieces:
        word = piece.strip()
        if not number % 2:
            nodes.append(piece)
        elif word == "end" or word.startswith("else"):
            return nodes, word
        elif word.startswith(("if ", "range ")):
            nodes.append(_branch(word, pieces))
        else:
            nodes.append([word])
    return nodes, ""


def _branch(head: str, pieces: Iterator[tuple[int, str]]) -> tuple[str, list[Any], list[Any]]:
    body, stop = _parsed(pieces)
    if stop.startswith("else if "):
        return head, body, [_branch(stop.removeprefix("else "), pieces)]
    return head, body, _parsed(pieces)[0] if stop == "else" else []


def _run(nodes: list[Any], scope: dict[str, Any]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, str):
            yield node
        elif isinstance(node, list):
            found = re.fullmatch(r"(\$\w+) :?= (.*)", node[0], re.DOTALL)
            value = _value(found[2] if found else node[0], scope)
            if found:
                scope[found[1]] = value
            else:
                yield "" if value is None else str(value)
        elif node[0].startswith("if "):
            yield from _run(node[1] if _value(node[0][3:], scope) else node[2], scope)
        else:
            names, _, of = node[0].removeprefix("range ").partition(" := ")
            key, name = names.split(", ")
            for place, item in enumerate(_value(of, scope) or []):
                scope |= {key: place, name: item, ".": item}
                yield from _run(node[1], scope)
            scope["."] = scope["$"]


def _value(text: str, scope: dict[str, Any]) -> Any:
    words = _WORD.findall(text)
    return _called(words, scope)


def _called(words: list[str], scope: dict[str, Any]) -> Any:
    """Evaluate words up to a closing bracket: one term, or a function and its arguments."""
    terms: list[Any] = []
    while words and words[0] != ")":
        terms.append(_term(words, scope))
    if words:
        words.pop(0)
    functions: dict[str, Any] = {
        "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "gt": lambda a, b: a > b, "not": lambda a: not a,
        "and": lambda *a: next((each for each in a if not each), a[-1]), "len": lambda a: len(a or []),
        "or": lambda *a: next((each for each in a if each), a[-1]), "slice": lambda a, b: a[b:],
        "index": lambda a, b: a[b], "json": lambda a: json.dumps(a, ensure_ascii=False),
    }  # fmt: skip
    return functions[terms[0].name](*terms[1:]) if isinstance(terms[0], _Name) else terms[0]


class _Name:
    def __init__(self, name: str) -> None:
        self.name = name


def _term(words: list[str], scope: dict[str, Any]) -> Any:
    word = words.pop(0)
    if word == "(":
        value = _called(words, scope)
    elif word.startswith('"'):
        return re.sub(r"\\(?:U(.{8})|(.))", _letter, word[1:-1])
    elif word.isdigit():
        return int(word)
    elif word in ("true", "false"):
        return word == "true"
    elif word == ".":
        words.insert(0, word)
        value = scope["."]
    elif word.startswith("$"):
        value = scope[word]
    else:
        return _Name(word)
    while len(words) > 1 and words[0] == ".":
        held = value or {}
        value, words[:2] = held.get(words[1], held.get(words[1].lower())), []  # a field has its name in JSON too
    return value


def _letter(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else {"n": "\n", "t": "\t"}.get(match[2], match[2])


def commands(modelfile: str) -> list[tuple[str, str]]:
    """Return the commands of a Modelfile as Ollama's parser finds them: a value ends with its line, unless quoted."""
    found: list[tuple[str, str]] = []
    rest = "".join(each for each in modelfile if each.isprintable() or each in "\n\t")
    while rest := rest.lstrip():
        name, _, rest = rest.partition(" ")
        if name == "PARAMETER":
            more, _, rest = rest.partition(" ")
            name += f" {more}"
        ends = [match.start() for match in re.finditer(r"\n|$", rest)]
        end = next(place for place in ends if _unquoted(rest[:place].strip()) is not None)
        found.append((name, _unquoted(rest[:end].strip()) or ""))
        rest = rest[end:]
    return found


def _unquoted(text: str) -> str | None:
    for quote in ('"""', '"'):
        if text.startswith(quote):
            closed = len(text) >= 2 * len(quote) and text.endswith(quote)
            return text[len(quote) : -len(quote)] if closed else None
    return text
