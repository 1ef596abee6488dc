"""Fill a job document with the values of a row.

`{title}` stands for the row's value in the column `title`, `{row}` for the row's number, in every text of the document.
In a command a value stays in its word, whatever characters it has. `{{title}}` is `{title}` itself.
"""

import hashlib
import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from helios.batch.rows import Row
from helios.errors import RequestError
from helios.models.command_line import split_command

ROW = "row"
"""The name of the row's number. A column of this name wins."""
_COMMANDS = {"command", "mergeCommand", "merge_command"}
_OUTPUTS = {"outputFile", "output_file"}
_NAMED = re.compile(r"\{\{([^{}\n]{1,80})\}\}|\{([^{}\"':,\n]{1,80})\}")
"""A name in two pairs of braces, or in one; `{"a": 1}` and `{}` are no names."""

_Change = Callable[[str, str], str]
"""Makes a text of the document, given with its path there, into another."""


class Template:
    """A document with names of columns in its texts.

    Args:
        document: A job document, but for the names.
        source: Its path or URL, for messages.
    """

    def __init__(self, document: Mapping[str, Any], *, source: str) -> None:
        self._document, self._source = document, source

    @property
    def names(self) -> dict[str, str]:
        """The names in it, each with the path of the first text that has it."""
        found: dict[str, str] = {}

        def look(text: str, path: str) -> str:
            for name in _names(text):
                found.setdefault(name, path)
            return text

        _changed(self._document, look)
        return found

    def check(self, rows: list[Row], *, table: str) -> None:
        """Refuse a template that names no column, and rows that lack a column that it names.

        Raises:
            RequestError: Says the row, the column, and where the template names it.
        """
        names = self.names
        if not names:
            example = next(iter(rows[0].values), "title")
            raise RequestError(
                f"{self._source} names no column of {table}, so that all its jobs would be the same; write names of "
                f"columns in braces, such as {{{example}}}, in its commands and output names"
            )
        for row in rows:
            known = {ROW, *row.values}
            for name, path in names.items():
                if name not in known:
                    there = ", ".join(map(repr, row.values))
                    raise RequestError(
                        f"{table}, row {row.number}: no column {name!r}, which {self._source} names in {path}; there "
                        f"are {there} and 'row'. For the braces themselves write {{{{{name}}}}}"
                    )

    def fill(self, row: Row) -> dict[str, Any]:
        """The document of a row. Its `id` is the template's and a digest of the document, unless it names a column."""
        values = {ROW: str(row.number), **row.values}

        def fill(text: str, path: str) -> str:
            field = path.rpartition(".")[2]
            if field in _OUTPUTS:
                check_file_name(text, row)
            if field not in _COMMANDS:
                return _filled(text, values)
            try:
                words = split_command(text)
            except ValueError as exc:
                raise RequestError(f"{self._source}: {path}: {text[:80]!r}; expected {exc}") from None
            return shlex.join(_filled(word, values) for word in words) if any(_names(text)) else _filled(text, values)

        document: dict[str, Any] = _changed(self._document, fill)
        own = self._document.get("id")
        if not isinstance(own, str) or not any(_names(own)):
            content = json.dumps(document, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
            document["id"] = (
                f"{own if isinstance(own, str) and own else 'batch'}-{hashlib.sha256(content).hexdigest()[:12]}"
            )
        return document


def check_file_name(pattern: str, row: Row) -> None:
    """Refuse a value that would lead a file's name into another folder: tables come from elsewhere.

    Raises:
        RequestError: Says which value.
    """
    for name in _names(pattern):
        value = row.values.get(name, "")
        if "/" in value or "\\" in value:
            raise RequestError(
                f"Row {row.number}: {value[:80]!r} in the column {name!r} has a slash in it, and {pattern!r} makes a "
                "file's name of it; use a column without slashes there, or {row}"
            )


def _names(text: str) -> Iterator[str]:
    return (found[2] for found in _NAMED.finditer(text) if found[2] is not None)


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _NAMED.sub(lambda found: f"{{{found[1]}}}" if found[1] is not None else values[found[2]], text)


def _changed(value: Any, change: _Change, path: str = "") -> Any:
    """A copy whose texts are changed; names of fields stay."""
    if isinstance(value, str):
        return change(value, path)
    if isinstance(value, Mapping):
        return {name: _changed(one, change, f"{path}.{name}" if path else str(name)) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_changed(one, change, f"{path}[{index}]") for index, one in enumerate(value)]
    return value
