"""JSON from others, read within bounds: what is too large, too deep or too long is refused before it is computed with.

A document of 64 MiB can be 30 million empty lists, which take 2 GB, or one number whose value takes hours. So signs are
counted in the text before it is parsed, numbers are measured before they are made, and every value of a document is
looked at once before anything else is done with it.
"""

import json
import math
import re
import sys
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, NoReturn

MAX_TEXT_MEMORY = 128 * 1024 * 1024
"""Bytes of a document's text in memory, where one character of an alphabet beyond Latin makes each take two or four."""
MAX_VALUES = 3_000_000
"""Texts, brackets and commas of a document: 100,000 chunks with ten further fields each have as many."""
MAX_DEPTH = 32
"""Arrays and objects inside each other."""
MAX_FIELDS = 1000
"""Of one object."""
MAX_NAME = 1000
"""Characters of a field's name."""
MAX_TEXT = 2 * 1024 * 1024
"""Characters of one text: more than any argument list that Linux takes."""
MAX_DIGITS = 64
"""Characters of one number."""
MAX_INTEGER = 2**63 - 1
"""Of a number without a point: what databases and other programs hold."""
# Possessive, so that no text makes it try twice.
_SIGNS = re.compile(r'[\[{,]|"(?:[^"\\]++|\\.)*+"', re.DOTALL)


class OutOfBoundsError(ValueError):
    """A value is beyond a bound.

    Args:
        found: What stands there.
        expected: The bound.
        path: Where, as `metadata.title[3]`; empty for the whole document, or where it is not known.
    """

    def __init__(self, found: str, expected: str, *, path: str = "") -> None:
        self.found, self.expected, self.path = found, expected, path
        super().__init__(f"{path + ': ' if path else ''}{found}; expected {expected}")


def read_json(data: bytes | str) -> Any:
    """Parse JSON, within all bounds.

    Raises:
        OutOfBoundsError: It is too large in some way.
        ValueError: It is not JSON.
    """
    try:
        text = data if isinstance(data, str) else data.decode(json.detect_encoding(data))
        _count(text)
        found = json.loads(
            text, parse_constant=_refuse_constant, parse_int=_whole, parse_float=_number, object_pairs_hook=_once
        )
    except RecursionError:
        raise _too_deep() from None
    check_bounds(found)
    return found


def check_bounds(document: object) -> None:
    """Look at every value of a document that consists of objects, arrays, texts and numbers.

    Raises:
        OutOfBoundsError: Says which value.
    """
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for value in level:
            if isinstance(value, str | int | float):
                if (problem := _out_of_bounds(value)) is not None:
                    raise _located(problem, document, value)
            elif isinstance(value, Mapping):
                if (problem := _bad_fields(value)) is not None:
                    raise _located(problem, document, value)
                below.extend(value.values())
            elif isinstance(value, list | tuple):
                below.extend(value)
        if len(below) > MAX_VALUES:
            raise OutOfBoundsError(f"{len(below)} values", f"at most {MAX_VALUES}")
        if not below:
            return
        level = below
    raise _too_deep()


def _count(text: str) -> None:
    """Refuse a text that would become too many values."""
    if sys.getsizeof(text) > MAX_TEXT_MEMORY:
        mebibytes = MAX_TEXT_MEMORY // 2**20
        raise OutOfBoundsError(f"text that takes {sys.getsizeof(text) // 2**20} MiB in memory", f"at most {mebibytes}")
    # Signs inside of texts count here too. Counting takes milliseconds, and most documents are done with it.
    if text.count('"') // 2 + text.count(",") + text.count("[") + text.count("{") <= MAX_VALUES:
        return
    if sum(1 for _ in islice(_SIGNS.finditer(text), MAX_VALUES + 1)) > MAX_VALUES:
        raise OutOfBoundsError("too many values", f"at most {MAX_VALUES} texts, brackets and commas")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; programs differ in which of two equal keys they take."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1) if len(names) <= MAX_FIELDS else ""
        raise OutOfBoundsError(f"the key {twice[:80]!r} twice in one object", "each key once")
    return found


def _whole(digits: str) -> int:
    return int(_measured(digits))


def _number(digits: str) -> float:
    return float(_measured(digits))


def _measured(digits: str) -> str:
    if len(digits) > MAX_DIGITS:
        raise OutOfBoundsError(f"a number of {len(digits)} characters ({digits[:20]}…)", f"at most {MAX_DIGITS}")
    return digits


def _out_of_bounds(value: str | float) -> OutOfBoundsError | None:
    if isinstance(value, str):
        if len(value) <= MAX_TEXT:
            return None
        return OutOfBoundsError(f"a text of {len(value)} characters", f"at most {MAX_TEXT}")
    if isinstance(value, int):
        if abs(value) <= MAX_INTEGER:
            return None
        return OutOfBoundsError(f"a whole number of {value.bit_length()} bits", "at most 63")
    return None if math.isfinite(value) else OutOfBoundsError(f"the number {value}", "a finite one")


def _bad_fields(fields: Mapping[Any, Any]) -> OutOfBoundsError | None:
    if len(fields) > MAX_FIELDS:
        return OutOfBoundsError(f"an object of {len(fields)} fields", f"at most {MAX_FIELDS}")
    if longest := next((name for name in fields if isinstance(name, str) and len(name) > MAX_NAME), None):
        return OutOfBoundsError(f"a field whose name has {len(longest)} characters", f"at most {MAX_NAME}")
    return None


def _too_deep() -> OutOfBoundsError:
    return OutOfBoundsError("arrays or objects inside each other", f"at most {MAX_DEPTH}")


def _located(problem: OutOfBoundsError, document: object, value: object) -> OutOfBoundsError:
    """The problem with the path of the value that has it."""
    waiting: list[tuple[str, object]] = [("", document)]
    while waiting:
        path, found = waiting.pop()
        if found is value:
            return OutOfBoundsError(problem.found, problem.expected, path=path)
        waiting.extend(_parts(path, found))
    return problem


def _parts(path: str, value: object) -> Iterable[tuple[str, object]]:
    if isinstance(value, Mapping):
        return [(f"{path}.{str(name)[:80]}".lstrip("."), part) for name, part in value.items()]
    if isinstance(value, list | tuple):
        return [(f"{path}[{index}]", part) for index, part in enumerate(value)]
    return []
