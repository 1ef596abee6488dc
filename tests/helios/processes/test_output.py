"""Reading a command's output in bounded memory."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios.plain_text import plain
from helios.processes.output import MAX_LINE_CHARACTERS, TAIL_BYTES, OutputReader


def read(pieces: list[bytes]) -> tuple[list[str], str]:
    lines: list[str] = []
    reader = OutputReader("stdout", lambda _stream, line: lines.append(line))
    for piece in pieces:
        reader.feed(piece)
    reader.close()
    return lines, reader.tail


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(text=st.text(st.sampled_from("aé日🎬\n\r ")), places=st.lists(st.integers(0, 10_000), max_size=12))
def test_lines_do_not_depend_on_where_reads_end(text: str, places: list[int]) -> None:
    """A character or a line end that is split across reads is put together again."""
    lines, tail = read(cut(text.encode(), places))
    expected = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert lines == (expected if expected[-1] else expected[:-1])
    assert tail == "\n".join(expected)


@given(data=st.binary(), places=st.lists(st.integers(0, 10_000), max_size=12))
def test_any_bytes_are_survived(data: bytes, places: list[int]) -> None:
    """Bytes that are not UTF-8 become the replacement character; nothing raises, nothing is lost."""
    lines, tail = read(cut(data, places))
    whole = plain(data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n"))
    assert tail == whole
    assert "\n".join(lines).split("\n") == whole.removesuffix("\n").split("\n")


ATTACKS = {
    "\x1b[31mred\x1b[0m": "red",
    "\x1b]0;a title of theirs\x07done": "done",
    "\x1b]52;c;aGk=\x1b\\done": "done",  # writes into the clipboard
    "\x1b[2J\x1b[3;1Hover it": "over it",
    "\x1bPqsixel\x1b\\done": "done",
    "\x1b]0;without an end": "\\u001b]0;without an end",
    "\x9b31mred": "\\u009b31mred",
    "a\x08b\x00c\x7f": "a\\u0008b\\u0000c\\u007f",
    "\u202egnp.exe": "\\u202egnp.exe",
    "tab\tand 日本": "tab\tand 日本",
}


@pytest.mark.parametrize(("printed", "kept"), ATTACKS.items())
def test_nothing_of_a_command_is_carried_out_by_a_terminal(printed: str, kept: str) -> None:
    """Colours, titles, the clipboard and moves of the cursor are left out; other control characters are visible."""
    assert read([f"{printed}\n".encode()]) == ([kept], f"{kept}\n")
    assert read([printed.encode()]) == ([kept], kept)


def test_long_lines_come_in_pieces() -> None:
    """A line of any length reaches the sink whole, in bounded pieces, also without any line end."""
    lines, _ = read([b"x" * 50_000] * 5)
    assert max(map(len, lines)) <= MAX_LINE_CHARACTERS
    assert "".join(lines) == "x" * 250_000
    lines, _ = read([b"y" * 200_000 + b"\nend\n"])
    assert max(map(len, lines)) <= MAX_LINE_CHARACTERS
    assert lines[-1] == "end"


def test_the_tail_is_bounded_and_cut_at_a_character() -> None:
    """The tail keeps only the end of the output, and does not begin within a character."""
    _, tail = read([("日" * 1000).encode()] * 100)
    assert len(tail.encode()) <= TAIL_BYTES
    assert set(tail) == {"日"}
