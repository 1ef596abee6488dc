"""Tables of a batch."""

import json

import pytest

from helios.batch.rows import MAX_ROWS, read_rows
from helios.errors import RequestError


def test_csv() -> None:
    """A CSV table has names in its first line; quotes keep commas and line ends, empty lines do not count."""
    data = '\ufeffname, colour\r\nAnna,red\r\n\r\n"Bert, ""the second""\nof that name",\r\n'.encode()
    rows = read_rows(data, source="names.csv")
    assert [(row.number, dict(row.values)) for row in rows] == [
        (1, {"name": "Anna", "colour": "red"}),
        (2, {"name": 'Bert, "the second"\nof that name', "colour": ""}),
    ]


def test_tabs() -> None:
    """A table whose name ends in .tsv has tabs between values."""
    assert [row.values["name"] for row in read_rows(b"name\tcolour\nA, B\tred\n", source="names.tsv")] == ["A, B"]


def test_json_lines() -> None:
    """A table of JSON lines has an object a line, whose numbers and truths are texts as JSON writes them."""
    lines = [{"name": "Anna\u2028B", "size": 3, "rate": 0.5, "bold": True}, {"name": "Bert"}]
    data = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode()
    first, second = read_rows(data, source="names.jsonl")
    assert first.values == {"name": "Anna\u2028B", "size": "3", "rate": "0.5", "bold": "true"}
    assert second.values == {"name": "Bert"}


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("t.csv", b"", "t.csv has no rows"),
        ("t.csv", b"name\n", "t.csv has no rows"),
        ("t.csv", b"name\nM\xfcller\n", r"t.csv is not UTF-8 \(byte 6\)"),
        ("t.csv", b"name,name\na,b\n", "two columns are called 'name'"),
        ("t.csv", b"name,\na,b\n", "column 2 has no name"),
        ("t.csv", b"name,size\na,b\nc\n", "line 3: 1 values for 2 columns"),
        ("t.csv", b'name\n"a\n', "not CSV"),
        ("t.csv", b"name\na\0b\n", "row 1: a NUL|line 2: not CSV"),
        ("t.csv", b"name\n" + b"a\n" * (MAX_ROWS + 1), "more than 10000 rows"),
        ("t.csv", b"name\n" + b"a" * 70_000, "row 1: more than 64 KiB"),
        ("t.csv", b"name\n" + b"a" * 200_000, "line 2: not CSV"),
        ("t.jsonl", b'{"name": "a"}\n{"name"', "line 2: not JSON"),
        ("t.jsonl", b"[1]", "line 1: no object"),
        ("t.jsonl", b'{"name": ["a"]}', "line 1, 'name': no text, no number"),
        ("t.jsonl", b'{"name": null}', "line 1, 'name': no text, no number"),
        ("t.jsonl", b'{"name": "a", "name": "b"}', "line 1: not JSON"),
    ],
)
def test_what_is_no_table(name: str, data: bytes, said: str) -> None:
    """A table that can't be read is refused with the line, and what was expected."""
    with pytest.raises(RequestError, match=said):
        read_rows(data, source=name)
