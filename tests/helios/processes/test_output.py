"""Reading a command's output in bounded memory."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

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
    assert tail == text


@given(data=st.binary(), places=st.lists(st.integers(0, 10_000), max_size=12))
def test_any_bytes_are_survived(data: bytes, places: list[int]) -> None:
    """Bytes that are not UTF-8 become the replacement character; nothing raises, nothing is lost."""
    lines, tail = read(cut(data, places))
    whole = data.decode("utf-8", "replace")
    assert tail == whole
    assert "\n".join(lines).split("\n") == whole.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split(
        "\n"
    )


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
