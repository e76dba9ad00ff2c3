"""Themes: one YAML file each, a colour for every role. A role is what a colour means, never what it looks like."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from textual.color import Color, ColorParseError
from textual.theme import BUILTIN_THEMES, Theme

from tuitune import resources
from tuitune.run import places
from tuitune.text import clean_line
from tuitune.tui.yamlfile import read_mapping

DEFAULT = "night"

ROLES = (
    "background", "surface",
    "ink", "strong", "quiet", "faint", "hair",
    "accent", "raw", "smooth", "eval", "warn", "error", "ok",
    "sel", "lift", "tint", "spark",
    "weights", "adapters", "grads", "optim", "activ", "logits", "runtime",
)  # fmt: skip
# These two are fields of Textual's Theme; a variable of the same name would hide the shades it derives from them.
_GROUNDS = ("background", "surface")

_PLAIN = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
SIXTEEN = ("default", *_PLAIN, *(f"bright_{name}" for name in _PLAIN))
"""Colours that the terminal itself defines; a theme that names one of them is drawn in the terminal's colours."""

# What Textual's own widgets take their colours from, in our roles: they must look as if we had drawn them.
_WIDGETS = {
    "foreground-muted": "quiet",
    "foreground-disabled": "faint",
    "text-muted": "quiet",
    "text-disabled": "faint",
    "border": "accent",
    "border-blurred": "hair",
    "block-cursor-foreground": "strong",
    "block-cursor-background": "sel",
    "block-cursor-blurred-foreground": "strong",
    "block-cursor-blurred-background": "sel",
    "block-hover-background": "lift",
    "input-cursor-background": "accent",
    "input-cursor-foreground": "background",
    "input-selection-background": "sel",
    "input-selection-foreground": "strong",
    "screen-selection-background": "sel",
    "screen-selection-foreground": "strong",
    "panel-darken-1": "surface",  # the ground of Textual's command palette
    "scrollbar": "hair",
    "scrollbar-hover": "quiet",
    "scrollbar-active": "accent",
    "link-color": "accent",
    "markdown-h1-color": "strong",
    "markdown-h2-color": "strong",
    "markdown-h3-color": "strong",
    "markdown-h4-color": "quiet",
    "markdown-h5-color": "quiet",
    "markdown-h6-color": "quiet",
}
# Sixteen unknown colours: only these pairs are sure to be readable, so the widgets' cursors stay Textual's.
_ANSI_WIDGETS = ("foreground-muted", "text-muted", "border", "border-blurred", "scrollbar", "scrollbar-active")


def load_themes(folders: Sequence[Path] | None = None) -> tuple[list[Theme], list[str]]:
    """Return the themes in `folders` (default: ours, then the user's) and, in words, what is wrong with the others."""
    if folders is None:
        folders = (resources.themes(), places.home() / "themes")
    found: dict[str, Theme] = {}
    problems: list[str] = []
    for path in (path for folder in folders for path in sorted(folder.glob("*.yaml"))):
        try:
            theme = read_theme(path)
        except ValueError as error:
            problems.append(f"theme {error}")
        else:
            found[theme.name] = theme
    return list(found.values()), problems


def read_theme(path: Path) -> Theme:
    """Return the theme in the file `path`; raises ValueError in words that name the file and the role."""
    values, name = read_mapping(path), clean_line(path.name)
    dark = values.get("dark", True)
    if not isinstance(dark, bool):
        raise ValueError(f"{name}: dark must be true or false")
    given = values.get("colours")
    if not isinstance(given, Mapping):
        raise ValueError(f"{name}: the colours are missing: give each role one, below `colours:`")
    return _theme(_name(values, path), _colours(given, name), dark)


def role_defaults() -> dict[str, str]:
    """Return every role with night's colour, for `App.get_theme_variable_defaults`: CSS parses in any theme."""
    return dict(_night())


@lru_cache(maxsize=1)
def _night() -> dict[str, str]:
    theme = read_theme(resources.themes() / f"{DEFAULT}.yaml")
    return {role: theme.variables[role] for role in ROLES if role not in _GROUNDS}


def _name(values: Mapping[str, object], path: Path) -> str:
    name = str(values.get("name") or path.stem)
    if not re.fullmatch(r"[\w][\w .-]{0,39}", name):
        raise ValueError(f"{clean_line(path.name)}: the name must be a short word of letters, digits, - and _")
    return name


def _colours(given: Mapping[object, object], name: str) -> dict[str, str]:
    """Return the colour of every role, as Textual writes it."""
    unknown = [clean_line(str(role)) for role in given if role not in ROLES]
    missing = [role for role in ROLES if role not in given]
    if unknown or missing:
        said = (_listed(unknown, "{} is no role"), _listed(missing, "no colour for {}"))
        raise ValueError(f"{name}: {'; '.join(filter(None, said))}")
    return {role: _colour(given[role], role, name) for role in ROLES}


def _listed(names: Sequence[str], saying: str, most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return saying.format(", ".join(names[:most]) + more) if names else ""


def _colour(value: object, role: str, name: str) -> str:
    if value is None:
        raise ValueError(f"{name}: no colour for {role}; # begins a comment, so put the colour in quotes")
    if value in SIXTEEN:
        return f"ansi_{value}"
    text = str(value).strip()
    try:
        solid = isinstance(value, str) and Color.parse(text).a == 1.0
    except ColorParseError:
        solid = False
    if not solid:
        raise ValueError(f'{name}: {role} is no colour: {clean_line(text)[:30]!r}; write "#rrggbb" or a name')
    return text


def _theme(name: str, role: Mapping[str, str], dark: bool) -> Theme:
    ansi = any(colour.startswith("ansi_") for colour in role.values())
    variables = dict(BUILTIN_THEMES["ansi-dark" if dark else "ansi-light"].variables) if ansi else {}
    variables |= {key: role[_WIDGETS[key]] for key in (_ANSI_WIDGETS if ansi else _WIDGETS)}
    variables |= {key: colour for key, colour in role.items() if key not in _GROUNDS}
    if ansi:  # Textual would make the raised ground transparent, which has no colour to draw with
        variables |= {"surface": role["surface"], "panel": role["surface"]}
    else:
        variables |= {f"scrollbar-{part}": role["surface"] for part in ("background", "background-hover")}
        variables |= {"scrollbar-background-active": role["surface"], "scrollbar-corner-color": role["surface"]}
    return Theme(
        name, primary=role["accent"], secondary=role["eval"], accent=role["accent"], warning=role["warn"],
        error=role["error"], success=role["ok"], foreground=role["ink"], background=role["background"],
        surface=role["surface"], panel=role["surface"], dark=dark, ansi=ansi, variables=variables,
    )  # fmt: skip
