"""Sizes as people write them."""

import pytest

from helios.errors import RequestError
from helios.sizes import parse_size, write_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("50 GB", 50 * 10**9), ("1.5TB", 1_500_000_000_000), (" 10 mib ", 10 * 2**20), ("1 B", 1), ("0.5 kB", 500)],
)
def test_sizes_that_are_known(text: str, size: int) -> None:
    """A number and a unit are a number of bytes, in any case and with or without a space."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "50", "GB", "0 GB", "-1 GB", "1,5 GB", "fifty GB", "1 GBit", "0.1 B", "1e3 B"])
def test_sizes_that_are_refused(text: str) -> None:
    """Anything else is refused, a number without a unit too: it may mean bytes or gigabytes."""
    with pytest.raises(RequestError, match="expected a number above 0 and a unit"):
        parse_size(text)


def test_sizes_are_written_short() -> None:
    """A size has three digits and a unit."""
    assert [write_size(size) for size in (999, 1000, 1_234_000_000)] == ["999 bytes", "1 kB", "1.23 GB"]
