"""Sizes as people write them: `50 GB`."""

import re

from helios.errors import RequestError

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15,
          "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40, "PIB": 2**50}  # fmt: skip
MAX_CHARACTERS = 40
"""Of a size as a text."""
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")


def parse_size(text: str) -> int:
    """A size in bytes: a number and its unit, decimal (kB, MB, GB, TB, PB) or binary (KiB to PiB).

    Raises:
        RequestError: It is something else, or less than a byte.
    """
    match = _SIZE.fullmatch(text) if len(text) <= MAX_CHARACTERS else None
    unit = _UNITS.get(match[2].upper()) if match else None
    size = round(float(match[1]) * unit) if match and unit else 0
    if size < 1:
        raise RequestError(
            f"{text[:MAX_CHARACTERS]!r} is not a size; expected a number above 0 and a unit, such as '50 GB' or "
            "'500 MiB'"
        )
    return size


def write_size(size: int) -> str:
    """A number of bytes as people write it, in decimal units: `1.23 GB`."""
    for unit in ("PB", "TB", "GB", "MB", "kB"):
        if size >= _UNITS[unit.upper()]:
            return f"{size / _UNITS[unit.upper()]:.3g} {unit}"
    return f"{size} bytes"
