"""The outermost boxes of an MP4 or MOV file, in their order (ISO 14496-12, section 4.2)."""

from collections.abc import Iterator
from pathlib import Path

HEADER_BYTES = 8
LARGE, TO_THE_END = 1, 0
"""Sizes that stand for: the size follows in 8 bytes; the box ends with the file."""


def outer_boxes(path: Path) -> Iterator[str]:
    """The kinds of a file's outermost boxes: ftyp, moov, mdat, moof, … The content is passed over."""
    with path.open("rb") as file:
        while len(header := file.read(HEADER_BYTES)) == HEADER_BYTES:
            size, kind = int.from_bytes(header[:4]), header[4:].decode("latin-1")
            yield kind
            read = HEADER_BYTES
            if size == LARGE:
                size, read = int.from_bytes(file.read(8)), HEADER_BYTES + 8
            if size == TO_THE_END or size < read:
                return
            file.seek(size - read, 1)
