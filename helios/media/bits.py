"""Read the numbers of codecs' headers bit by bit."""

from collections.abc import Iterator


class Bits:
    """The bits of a header, in their order.

    Args:
        data: The header.
        escaped: Whether a 3 stands behind each two zeros, as in NAL units (ITU-T H.264, 7.4.1); it is taken out.
    """

    def __init__(self, data: bytes, *, escaped: bool = False) -> None:
        plain = _unescaped(data) if escaped else data
        self._number = int.from_bytes(plain)
        self._left = 8 * len(plain)

    def number(self, bits: int) -> int:
        """A number of so many bits.

        Raises:
            IndexError: There are not so many.
        """
        if bits > self._left:
            raise IndexError
        self._left -= bits
        return self._number >> self._left & ((1 << bits) - 1)

    def flag(self) -> bool:
        """One bit.

        Raises:
            IndexError: There is none.
        """
        return self.number(1) == 1

    def unsigned(self) -> int:
        """An Exp-Golomb number (ITU-T H.264, 9.1).

        Raises:
            IndexError: There is none.
        """
        zeros = 0
        while not self.flag():
            zeros += 1
        return (1 << zeros) - 1 + self.number(zeros)

    def signed(self) -> int:
        """A signed Exp-Golomb number (ITU-T H.264, 9.1.1).

        Raises:
            IndexError: There is none.
        """
        code = self.unsigned()
        return (code + 1) // 2 if code % 2 else -(code // 2)

    @property
    def has_more(self) -> bool:
        """Whether there is more than the bit that ends a NAL unit's content, and zeros (`more_rbsp_data`)."""
        rest = self._number & ((1 << self._left) - 1)
        return rest & (rest - 1) != 0


def _unescaped(data: bytes) -> bytes:
    return bytes(_kept(data))


def _kept(data: bytes) -> Iterator[int]:
    zeros = 0
    for byte in data:
        if zeros >= 2 and byte == 3:
            zeros = 0
            continue
        zeros = 0 if byte else zeros + 1
        yield byte
