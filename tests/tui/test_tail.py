from __future__ import annotations

from pathlib import Path

from tuitune.tui.tail import LINES, Tail


def test_follows_a_file_as_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    tail = Tail(path)
    assert not tail.read()
    path.write_bytes(b"one\ntwo\nthr")
    assert tail.read()
    assert list(tail.lines) == ["one", "two"]
    assert tail.unfinished == "thr"
    assert not tail.read()
    with path.open("ab") as stream:
        stream.write(b"ee\n")
    assert tail.read()
    assert list(tail.lines) == ["one", "two", "three"]
    assert tail.unfinished == ""


def test_keeps_the_last_lines_and_counts_the_others(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    path.write_text("".join(f"{number}\n" for number in range(LINES + 20)))
    tail = Tail(path)
    tail.read()
    assert (tail.lines[0], len(tail.lines), tail.first) == ("20", LINES, 20)


def test_begins_with_a_whole_line_near_the_end_of_a_long_file(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    path.write_text("".join(f"{number:08} {'x' * 990}\n" for number in range(2000)))
    tail = Tail(path)
    tail.read()
    assert tail.lines[-1].startswith("00001999")
    assert all(len(line) == 999 for line in tail.lines)


def test_a_bar_that_was_redrawn_is_one_line_and_nothing_is_obeyed(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    path.write_bytes(b"10%\r 50%\r100%\r\n\x1b]0;title\x07plain \x1b[31mred\x1b[0m\nbroken \xff\n")
    tail = Tail(path)
    tail.read()
    assert list(tail.lines) == ["100%", "plain red", "broken \ufffd"]


def test_a_file_that_was_cut_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    path.write_text("one\ntwo\nthree\n")
    tail = Tail(path)
    tail.read()
    path.write_text("new\n")
    tail.read()
    assert list(tail.lines) == ["new"]
