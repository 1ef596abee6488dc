"""Rows as aligned columns on a terminal."""

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with a header; the last column is as long as it is."""
    every = [header, *rows]
    widths = [max(len(row[column]) for row in every) for column in range(len(header) - 1)]
    return [
        "  ".join([*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in every
    ]
