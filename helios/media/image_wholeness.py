"""Find images that were not written to their end, where FFmpeg's decoder shows what there is without a word.

Of PNG, DPX and BMP the decoder refuses a part. Of JPEG and WebP it may fill in what is missing, of TIFF it does not
look for the values of tags, and of EXR it leaves rows black: seen in files that were cut at ten places each.
"""

import struct
from collections.abc import Iterator

EXR_SCANLINES = {0: 1, 1: 1, 2: 1, 3: 16, 4: 32, 5: 16, 6: 32, 7: 32, 8: 32, 9: 256}
"""Rows of a block by the number of the compression (OpenEXR's file layout)."""
EXR_TILED, EXR_LONG_NAMES, EXR_DEEP, EXR_MULTIPART = 0x200, 0x400, 0x800, 0x1000
TIFF_SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8)
"""Bytes of a value of each type (TIFF 6.0, section 2)."""
STRIPS = {273: 279, 324: 325}
"""TIFF's tags of the places of the pixels, and those of their sizes."""
EXR_DEPTHS = {0: "32-bit integers", 1: "16-bit float", 2: "32-bit float"}


def what_is_missing(data: bytes, codec: str) -> str | None:
    """Say what of an image is not there; None where nothing is known to be missing.

    Args:
        data: The file.
        codec: FFmpeg's name of its decoder.
    """
    look = {"mjpeg": _jpeg, "tiff": _tiff, "exr": _exr, "webp": _webp}.get(codec)
    try:
        return None if look is None else look(data)
    except (struct.error, IndexError, ValueError):
        return "its headers are incomplete"


def exr_depth(data: bytes) -> str | None:
    """The kind of numbers of an EXR's channels, where all have one: the decoder may widen them."""
    try:
        channels = dict(_exr_attributes(data, _Position(8))).get(b"channels", b"")
        kinds, at = set(), 0
        while at < len(channels) and channels[at]:
            at = channels.index(b"\0", at) + 1
            kinds.add(struct.unpack_from("<i", channels, at)[0])
            at += 16
        return " and ".join(EXR_DEPTHS.get(kind, "?") for kind in sorted(kinds)) or None
    except (struct.error, IndexError, ValueError):
        return None


def exr_size(data: bytes) -> tuple[int, int] | None:
    """The width and the height of an EXR's picture, by its header: FFmpeg says none of layers and parts."""
    try:
        window = dict(_exr_attributes(data, _Position(8)))[b"displayWindow"]
        left, top, right, bottom = struct.unpack("<4i", window)
    except (struct.error, IndexError, ValueError, KeyError):
        return None
    return right - left + 1, bottom - top + 1


def _jpeg(data: bytes) -> str | None:
    """The end of the picture's own data: a thumbnail, which stands before, has an end as well."""
    at = 2
    while data[at] == 0xFF and data[at + 1] != 0xDA:
        at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    return None if data.find(b"\xff\xd9", at) >= 0 else "its end is missing"


def _webp(data: bytes) -> str | None:
    (size,) = struct.unpack_from("<I", data, 4)
    return None if 8 + size <= len(data) else "its end is missing"


def _tiff(data: bytes) -> str | None:
    order = "<" if data[:2] == b"II" else ">"
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, at)
    values: dict[int, list[int]] = {}
    for entry in range(count):
        tag, kind, number, _ = struct.unpack_from(f"{order}HHII", data, at + 2 + 12 * entry)
        size = (TIFF_SIZES[kind] if kind < len(TIFF_SIZES) else 0) * number
        place = at + 10 + 12 * entry
        if size > 4:
            (place,) = struct.unpack_from(f"{order}I", data, place)
        if place + size > len(data):
            return "a part of its tags is missing"
        if tag in (*STRIPS, *STRIPS.values()) and kind in (3, 4):
            values[tag] = list(struct.unpack_from(f"{order}{number}{'H' if kind == 3 else 'I'}", data, place))
    for places, sizes in STRIPS.items():
        ends = [place + size for place, size in zip(values.get(places, []), values.get(sizes, []), strict=False)]
        if any(end > len(data) for end in ends):
            return "a part of its pixels is missing"
    return None


class _Position:
    """Where one reads."""

    def __init__(self, at: int) -> None:
        self.at = at


def _exr_attributes(data: bytes, position: _Position) -> Iterator[tuple[bytes, bytes]]:
    """The attributes of a header; afterwards the position is behind it."""
    while data[position.at]:
        name_end = data.index(b"\0", position.at)
        type_end = data.index(b"\0", name_end + 1)
        (size,) = struct.unpack_from("<I", data, type_end + 1)
        begin = type_end + 5
        if begin + size > len(data):
            raise ValueError
        yield data[position.at : name_end], data[begin : begin + size]
        position.at = begin + size
    position.at += 1


def _exr(data: bytes) -> str | None:
    """Each block's place stands in a table, which is written last; each block says its size."""
    (flags,) = struct.unpack_from("<I", data, 4)
    if flags & (EXR_DEEP | EXR_MULTIPART):
        return None  # laid out otherwise; FFmpeg reads the first part alone
    position = _Position(8)
    attributes = dict(_exr_attributes(data, position))
    count = _exr_blocks(attributes, is_tiled=bool(flags & EXR_TILED))
    if count is None:
        return None
    places = struct.unpack_from(f"<{count}Q", data, position.at)
    before_size = 16 if flags & EXR_TILED else 4
    for place in places:
        if place < position.at:
            return "a part of its pixels was not written"
        (size,) = struct.unpack_from("<i", data, place + before_size)
        if size < 0 or place + before_size + 4 + size > len(data):
            return "a part of its pixels is missing"
    return None


def _exr_blocks(attributes: dict[bytes, bytes], *, is_tiled: bool) -> int | None:
    """The number of blocks; None where the header of a tiled image does not say it."""
    if b"chunkCount" in attributes:
        return int(struct.unpack("<i", attributes[b"chunkCount"])[0])
    window: tuple[int, int, int, int] = struct.unpack("<4i", attributes[b"dataWindow"])
    left, top, right, bottom = window
    if not is_tiled:
        return -(-(bottom - top + 1) // EXR_SCANLINES[attributes[b"compression"][0]])
    tiles: tuple[int, int, int] = struct.unpack("<IIB", attributes[b"tiles"])
    width, height, mode = tiles
    if mode & 0xF:
        return None  # several levels
    return -(-(right - left + 1) // width) * -(-(bottom - top + 1) // height)
