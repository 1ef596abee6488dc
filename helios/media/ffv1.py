"""Check the checksums in FFV1's slices: FFmpeg's decoder only logs a wrong one, and shows the frame before instead."""

import zlib

FOOTER_BYTES = 8
"""Of a slice with a checksum: 3 bytes of size, 1 of error status, 4 of CRC (RFC 9043, section 4.9)."""
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits in the other order."""


class Ffv1Checksums:
    """Finds the frame of a file whose slices do not have the checksums that they state.

    Whether a file has checksums at all is said in a header that only a decoder can read. It has them when they are
    right in one frame: by chance that happens once in 4 billion.
    """

    def __init__(self) -> None:
        self._has_them = False
        self._suspect: int | None = None

    def wrong(self, packet: bytes, index: int) -> int | None:
        """Check a frame.

        Args:
            packet: Its bytes.
            index: Its number.

        Returns:
            The number of a frame, this one or one before, whose checksum is wrong; None as long as all is well.
        """
        if _are_right(packet):
            self._has_them = True
        elif self._suspect is None:
            self._suspect = index
        return self._suspect if self._has_them else None


def _are_right(packet: bytes) -> bool:
    end = len(packet)
    while end > FOOTER_BYTES:
        size = int.from_bytes(packet[end - FOOTER_BYTES : end - FOOTER_BYTES + 3]) + FOOTER_BYTES
        if size > end or not _is_zero(packet[end - size : end]):
            return False
        end -= size
    return end == 0


def _is_zero(piece: bytes) -> bool:
    """Whether the CRC-32 of RFC 9043, section 4.9.3, over a slice and its own CRC is 0, as it must be.

    It is zlib's with the bits of each byte in the other order, and without zlib's inversion before and after.
    """
    return zlib.crc32(piece.translate(_REVERSED), 0xFFFFFFFF) == 0xFFFFFFFF
