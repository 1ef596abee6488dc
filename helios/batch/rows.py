"""Read the table of a batch: one row for each job, each value a text under its column's name."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from helios.bounded_json import read_json
from helios.errors import RequestError

MAX_ROWS = 10_000
MAX_ROW_BYTES = 64 * 1024
"""Of a row's values together: they become words of commands, of which Linux takes 2 MiB together."""
_JSON_LINES = (".jsonl", ".ndjson")


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    number: int
    """From 1; lines without anything in them do not count."""
    values: Mapping[str, str]
    """By column."""


def read_rows(data: bytes, *, source: str) -> list[Row]:
    """Read a table: JSON lines by a name that ends in .jsonl or .ndjson, CSV otherwise (.tsv: with tabs).

    A CSV file begins with the columns' names. A line of JSON is an object of texts, numbers, and true or false.

    Args:
        data: The file's content, in UTF-8.
        source: Its path or URL, for messages.

    Raises:
        RequestError: It is no such table, or has no rows, or more than `MAX_ROWS`; says which row, and why.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise RequestError(f"{source} is not UTF-8 (byte {exc.start}); save it as UTF-8") from None
    name = PurePath(source.partition("?")[0])
    found = _json_rows(text, source) if name.suffix.lower() in _JSON_LINES else _csv_rows(text, source, name.suffix)
    rows: list[Row] = []
    for values in found:
        rows.append(Row(len(rows) + 1, values))
        if len(rows) > MAX_ROWS:
            raise RequestError(f"{source}: more than {MAX_ROWS} rows; cut it into several tables")
        if sum(len(value.encode()) for value in values.values()) > MAX_ROW_BYTES:
            raise RequestError(f"{source}, row {len(rows)}: more than {MAX_ROW_BYTES // 1024} KiB of values")
        if any("\0" in value for value in values.values()):
            raise RequestError(f"{source}, row {len(rows)}: a NUL character, which no command takes")
    if not rows:
        raise RequestError(f"{source} has no rows; expected a line of column names and a line for each job")
    return rows


def _csv_rows(text: str, source: str, suffix: str) -> Iterator[dict[str, str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if suffix.lower() == ".tsv" else ",", strict=True)
    try:
        lines = (line for line in reader if any(field.strip() for field in line))
        columns = [name.strip() for name in next(lines, [])]
        _check_columns(columns, source)
        for line in lines:
            if len(line) != len(columns):
                raise RequestError(
                    f"{source}, line {reader.line_num}: {len(line)} values for {len(columns)} columns; expected one "
                    'for each. A value with a comma in it needs quotes: "Berlin, 1989"'
                )
            yield dict(zip(columns, line, strict=True))
    except csv.Error as exc:
        raise RequestError(f"{source}, line {reader.line_num}: not CSV ({exc})") from None


def _check_columns(columns: list[str], source: str) -> None:
    for number, name in enumerate(columns, start=1):
        if not name:
            raise RequestError(f"{source}: column {number} has no name; expected names in the first line")
        if name in columns[: number - 1]:
            raise RequestError(f"{source}: two columns are called {name!r}; rename one")


def _json_rows(text: str, source: str) -> Iterator[dict[str, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found = read_json(line)
        except ValueError as exc:
            raise RequestError(f"{source}, line {number}: not JSON ({exc}); expected an object on each line") from None
        if not isinstance(found, dict):
            raise RequestError(f'{source}, line {number}: no object; expected one such as {{"title": "Anna"}}')
        yield {str(name): _text(value, f"{source}, line {number}, {name!r}") for name, value in found.items()}


def _text(value: Any, where: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise RequestError(f"{where}: no text, no number, and neither true nor false; expected one of these")
