from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tui.given import rows_text
from tuitune.text import clean
from tuitune.tui.kit.rows import width_of
from tuitune.tui.panes.markdown import Growing, rows_of
from tuitune.tui.panes.wrapping import wrapped

TEXT = """# Title

Some **bold**, *slanted* and `code`,
on two lines. [here](http://x.y)

- one
- two which is long enough to be broken
  1. deep

> said

```python
def f():
\treturn 1
```

| a | much |
|---|---|
| 1 | two and a lot of other words |

---
<b>raw</b>
"""


def test_all_blocks_are_drawn() -> None:
    assert rows_text(rows_of(TEXT, 30)) == [
        "Title", "",
        "Some bold, slanted and code,", "on two lines. here", "(http://x.y)", "",
        "• one", "• two which is long enough to", "  be broken", "  1. deep", "",
        "│ said", "",
        " def f():", "     return 1", "",
        "a  much", "─" * 30, "1  two and a lot of other", "   words", "",
        "─" * 30, "",
        "<b>raw</b>",
    ]  # fmt: skip


def test_roles_say_what_it_is() -> None:
    row = rows_of("a **b** *c* `d` ~~e~~", 40)[0]
    assert {text.strip(): role for text, role in row if text.strip()} == {
        "a": "ink", "b": "strong b", "c": "ink i", "d": "ink on tint", "e": "faint",
    }  # fmt: skip


@pytest.mark.parametrize("width", [12, 30, 73])
def test_written_in_pieces_it_is_the_same(width: int) -> None:
    for size in (1, 7):
        growing = Growing()
        for i in range(0, len(TEXT), size):
            growing.add(TEXT[i : i + size])
            growing.rows(width)
        assert growing.rows(width) == rows_of(TEXT, width)
    assert growing.rows(width + 5) == rows_of(TEXT, width + 5)


def test_entities_become_nothing_that_a_terminal_obeys() -> None:
    shown = "".join(rows_text(rows_of("&#27;]52;c;x&#7; &#x9b;2J &#8238; [l](%1b) &#0;", 60)))
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 or char == "\u202e" for char in shown)


@given(st.text("ab *_`#>-|[]()\n\t漢é\u0301&;1.!<~", max_size=200), st.integers(12, 40))
def test_no_text_breaks_it_or_is_wider(text: str, width: int) -> None:
    rows = rows_of(clean(text), width)
    assert all(width_of(row) <= width for row in rows)
    assert bool(rows) == bool(clean(text).strip())


@pytest.mark.parametrize(
    "text", ["> " * 3000 + "x", "*" * 20000, "[" * 20000, "`" * 5001 + "a", "- " * 2000, "x" * 50000]
)
def test_pathological_text_ends(text: str) -> None:
    assert rows_of(text, 40)


def test_rows_break_at_blanks_between_wide_characters_and_inside_long_words() -> None:
    def lines(text: str, width: int) -> list[str]:
        return rows_text(wrapped([(text, "ink")], width))

    assert lines("one two three", 7) == ["one two", "three"]
    assert lines("漢字漢字漢字", 5) == ["漢字", "漢字", "漢字"]
    assert lines("abcdefghij k", 4) == ["abcd", "efgh", "ij k"]
    assert lines("a\n\nb", 4) == ["a", "", "b"]
    assert wrapped([("bo", "strong b"), ("ld x", "ink")], 4) == [[("bo", "strong b"), ("ld", "ink")], [("x", "ink")]]
