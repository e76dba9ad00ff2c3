"""The one door through which foreign text reaches a terminal.

Model output, rows, file names, log lines and exception messages can carry escape sequences that write the clipboard,
move the cursor or swallow the rest of a frame. `clean` takes them out; what it lets through is printable text, newlines
and tabs.
"""

from __future__ import annotations

import re

# ECMA-48, the 7-bit forms. Every part is bounded, and a string control (OSC, DCS, SOS, PM, APC) ends on its line or is
# none: else a single stray introducer would hide, or hold back, all the text after it.
_BODY = r"[^\x07\x1b\x9c\r\n]{0,4096}"
_CSI = r"\x1b\[[0-?]{0,64}[ -/]{0,8}"
_ESCAPE = r"\x1b[ -/]{0,8}"
_SEQUENCES = re.compile(rf"\x1b[\]PX^_]{_BODY}(?:\x07|\x1b\\|\x9c)|{_CSI}[@-~]?|{_ESCAPE}[0-~]?")
# What the next piece of a stream may still complete.
_UNFINISHED = re.compile(rf"(?:\r|\x1b[\]PX^_]{_BODY}\x1b?|{_CSI}|{_ESCAPE})\Z")
# C0 but newline and tab, DEL, C1; then what reorders or hides text: marks, embeddings, overrides, isolates, BOM, line
# separators. C1 characters go alone: as introducers they are unheard of, in wrongly decoded text they are common, and
# without them what follows is mere text.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff]")
# Lone surrogates cannot be encoded: writing one would raise instead of showing.
_SURROGATES = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """Return `text` without anything a terminal would obey; newlines and tabs stay, a carriage return ends a line."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub("", _SEQUENCES.sub("", text)))


def clean_line(text: str) -> str:
    """Return `text` cleaned and on one line, for names, titles and table cells."""
    return " ".join(clean(text).split())


class StreamCleaner:
    """`clean` for text that arrives in pieces: however it is cut, the pieces add up to `clean` of the whole."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """Return what of the text so far may be shown now; an unfinished sequence is held back."""
        text = self._held + piece
        match = _UNFINISHED.search(text)
        cut = match.start() if match else len(text)
        self._held = text[cut:]
        return clean(text[:cut])

    def flush(self) -> str:
        """Return the cleaned rest at the end of the stream."""
        rest, self._held = self._held, ""
        return clean(rest)
