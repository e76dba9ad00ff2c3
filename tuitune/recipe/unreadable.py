"""Why a text cannot be read as a recipe at all, in our words instead of ruamel's."""

from __future__ import annotations

import re
from pathlib import Path

from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from tuitune.errors import RecipeError
from tuitune.recipe.problems import Problem, named

_COLON_HINT = "put a text with a colon in quotes; write one `key: value` per line, all starting in the first column"
# What ruamel says -> what we say, and what to do.
_SAYINGS = (
    (r"character '\\t'", "a tab is used for indentation or spacing", "use spaces"),
    (r"mapping values are not allowed", "a second ': ' on one line, or a line that is indented", _COLON_HINT),
    (
        r"cannot start any token",
        "a value starts with a character that YAML keeps for itself",
        "put the value in quotes",
    ),
    (r"unexpected end of stream", "a quote is opened and never closed", "close it, or double a quote that is meant"),
    (r"expected ',' or '[\]}]'", "a list or mapping is opened and never closed", "close the bracket"),
    (r"but found another document", "a second document starts with ---", "keep one recipe per file"),
    (r"undefined alias", "a value starts with * and is taken for a reference", "put the value in quotes"),
    (
        r"could not find expected ':'",
        "a line is neither `key: value` nor a comment",
        "put a colon and a space after the key",
    ),
    (r"must be in|out of range|integer string conversion", "a date or number that cannot be one", "put it in quotes"),
    (r"could not determine a constructor", "a value has a tag (!...), which recipes do not use", "remove the tag"),
    (r"expected <block end>", "a line is indented differently from the others", "start every key in the first column"),
)


def failure(reason: str, hint: str = "", source: Path | None = None, line: int | None = None) -> RecipeError:
    """Return the error for a text that cannot be read as a recipe at all."""
    return RecipeError([Problem("", None, reason, hint, line)], named(source))


def said(error: YAMLError, source: Path | None) -> RecipeError:
    """Return the error for what ruamel found wrong."""
    line = _line(error) if isinstance(error, MarkedYAMLError) else None
    found = str(error.problem or "") if isinstance(error, MarkedYAMLError) else str(error)
    if isinstance(error, DuplicateKeyError):
        name = re.search(r'duplicate key "?(.*?)"? with', found)
        return failure(f"'{name[1] if name else ''}' is given twice", "keep one of them", source, line)
    for pattern, reason, hint in _SAYINGS:
        if re.search(pattern, found):
            return failure(f"not valid YAML: {reason}", hint, source, line)
    if "special characters" in found:
        return failure("not valid YAML: it holds a control character", "remove it", source, line)
    return failure(f"not valid YAML: {' '.join(found.split())[:100]}", _COLON_HINT, source, line)


def _line(error: MarkedYAMLError) -> int | None:
    # What is never closed is found at the end of the text; where it was opened is what helps.
    mark = error.context_mark if "end of stream" in str(error.problem) else None
    mark = mark or error.problem_mark
    return mark.line + 1 if mark else None
