"""Two hundred texts that a terminal or a markup parser would obey: what rows, names, replies and errors may contain."""

from __future__ import annotations

import itertools

# Anything of this on the wire was meant for the terminal by somebody else: our own screen needs none of it.
CLIPBOARD = "UFdORUQ="

_STRINGS = ("]0;PWN", "]2;PWN", f"]52;c;{CLIPBOARD}", "]8;;http://pwn", "]4;1;rgb:ff/00/00", "]10;#ff0000", "]1337;PWN",
            "]777;notify;PWN", "PqPWN", "P$q\"p", "X PWN", "^PWN", "_Gpwn;PWN")  # fmt: skip
_ENDS = ("\x07", "\x1b\\", "\x9c", "")
_CSI = ("2J", "3J", "1;1H", "31m", "7m", "8m", "?1049l", "?1049h", "?25l", "?1000h", "?2004l", "6n", "c", ">c", "5i",
        "4i", "1000A", "1000B", "999;999H", "!p", "?3h", "8;1;1t", "21t", "20t", "s", "u", "L", "M", "2K", "1;2r",
        "?6h", "4h", "20h", "=1u", "?996n", "38;5;196m")  # fmt: skip
_ESCAPES = ("c", "7", "8", "D", "M", "E", "H", "=", ">", "(0", "(B", "#8", "%@", "N", "O", "Z", "l", "n", "|")
_BARE = tuple(chr(code) for code in (*range(9), *range(11, 32), 127, *range(0x80, 0xA0)))
_HIDDEN = tuple(map(chr, (0x202E, 0x202D, 0x2066, 0x2067, 0x2068, 0x200E, 0x200F, 0x061C, 0xFEFF, 0x2028, 0x2029)))
_MARKUP = ("[/nope]", "[bold]PWN[/bold]", "[@click=app.quit]PWN[/]", "[@click=app.bell]PWN[/]", "[link=http://pwn]x[/link]",
           "[red", "[[/]]", "[]", "[0]", "[/]", "list[int]", "[#ff0000]x", "\\[b]", "[$accent]x[/]", "[b]open",
           "{pwn}", "%(pwn)s", "<script>pwn</script>", "[not a tag", "[on red]x[/on red]", ":smile:",
           "[blink]x[/blink]", "![x](http://pwn)", "[x](javascript:pwn)", "``` ```", "# PWN", "| a | b |\n|---|---|",
           "\x00[b]\x00")  # fmt: skip


def _all() -> list[str]:
    strings = [f"\x1b{body}{end}" for body, end in itertools.product(_STRINGS, _ENDS)]
    found = [
        *strings,
        *(f"\x1b[{body}" for body in _CSI),
        *(f"\x9b{body}" for body in _CSI[:8]),
        *(f"\x9d{body[1:]}\x9c" for body in _STRINGS[:4]),
        *(f"\x1b{body}" for body in _ESCAPES),
        *_BARE,
        *_HIDDEN,
        *_MARKUP,
        # Torn, nested and far too long ones.
        "\x1b", "\x1b[", "\x1b]", "\x1b[31", "\x1b]52;c;", "\x1b\x1b[31m", "\x1b[\x1b[2J", "\x1b]0;a\x1b]0;b\x07",
        "\x1b[" + "1;" * 200 + "m", "\x1b]0;" + "x" * 5000, "\ud800", "\udcff", "e" + "\u0301" * 60, "a\x08\x08\x08b",
        "first\rsecond", "a\r\nb", "\x0bx\x0cx",
    ]  # fmt: skip
    return list(dict.fromkeys(found))


CORPUS = tuple(f"a{text}z" for text in _all())
# As names of files: no slash, no NUL, no surrogates that UTF-8 has no bytes for, and not too long.
NAMES = tuple(
    text for text in CORPUS if "/" not in text and "\0" not in text and "\ud800" not in text and len(text) < 60
)
