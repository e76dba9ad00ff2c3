"""The same picture in ASCII, cell for cell, for terminals whose locale or font has none of our glyphs."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import lru_cache

from rich.cells import cell_len, split_graphemes

_PAIRS = (
    ("▁▂▃▄▅▆▇█░▒▓▀▌▐▍▎▏■▪▫□", ".:-=+*##.:%'|||||###o"),
    ("◆◇●○•·◦◉", "xo*o*..o"),
    ("✓✔✗✘▲△▼▽▾▴▸▹►◂◃◄", "++xx!^vvv^>>><<<"),
    ("↑↓←→↵⏎⇥⇧⌕⚠›‹»«…", "^v<>$$>^/!><><~"),
    ("×÷±−–—≈≤≥≠∞µ°²³½¼‘’“”„§", 'x/+---~<>=8u 2324\'\'"""S'),
)
_TABLE = {glyph: plain for glyphs, plains in _PAIRS for glyph, plain in zip(glyphs, plains, strict=True)}
_ACROSS, _UP = "─┄┈╌╴╶╼╾", "│┃┆┇┊┋╎╏╵╷╹╻╽╿║"
_HEAVY = "━┅┉╍═"
_UNKNOWN = "_"

# The two upper dot rows of a braille cell, and the two lower ones.
_UPPER, _LOWER = 0b0001_1011, 0b1110_0100
# Terminals that know no glyphs beyond their own font, whatever the locale says.
_OLD_TERMS = ("linux", "vt100", "vt102", "vt220", "ansi", "dumb")


@lru_cache(maxsize=4096)
def ascii_text(text: str) -> str:
    """Return `text` in ASCII, as wide as before: our glyphs by their likes, foreign letters by their base or `_`."""
    if text.isascii():
        return text
    spans, _width = split_graphemes(text)
    return "".join(_plain(text[start:end], width) for start, end, width in spans)


def _plain(grapheme: str, width: int) -> str:
    if grapheme.isascii():
        return grapheme
    likeness = _likeness(grapheme[0])
    if cell_len(likeness) != width:
        likeness = _UNKNOWN * width
    return likeness


def _likeness(glyph: str) -> str:
    code = ord(glyph)
    if glyph in _TABLE:
        return _TABLE[glyph]
    if 0x2800 <= code <= 0x28FF:
        return _dots(code - 0x2800)
    if 0x2500 <= code <= 0x257F:
        return "=" if glyph in _HEAVY else "-" if glyph in _ACROSS + "╸╺" else "|" if glyph in _UP else "+"
    if 0x2580 <= code <= 0x259F:
        return "#"
    base = unicodedata.normalize("NFKD", glyph)
    base = "".join(character for character in base if not unicodedata.combining(character))
    return base if base.isascii() and base.isprintable() else _UNKNOWN


def _dots(mask: int) -> str:
    """Return a braille cell by where its dots are: curves keep twice the height of the rows."""
    if mask.bit_count() >= 6:
        return "#"
    upper, lower = mask & _UPPER, mask & _LOWER
    return ":" if upper and lower else "'" if upper else "." if lower else " "


def wants_ascii(setting: str, environ: Mapping[str, str], encoding: str | None) -> bool:
    """Return whether to draw in ASCII: by the setting `ascii` or `unicode`, else by terminal, encoding and locale."""
    if setting in ("ascii", "unicode"):
        return setting == "ascii"
    if environ.get("TERM", "") in _OLD_TERMS:
        return True
    if encoding is not None and not _is_utf(encoding):
        return True
    locale = _locale(environ)
    # No locale at all is common in containers, whose terminals know UTF-8 all the same.
    return bool(locale) and not _is_utf(locale)


def _locale(environ: Mapping[str, str]) -> str:
    kind, general = environ.get("LC_CTYPE", ""), environ.get("LANG", "")
    if general in ("C", "POSIX") and kind in ("C.UTF-8", "C.utf8", "UTF-8"):
        kind = ""  # Python itself puts this there where the user's locale is C (PEP 538)
    return environ.get("LC_ALL", "") or kind or general


def _is_utf(name: str) -> bool:
    return "utf8" in name.lower().replace("-", "")
