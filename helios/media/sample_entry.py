"""The boxes in a video's sample entry (ISO 14496-12, section 8.5.2): what MP4 and MOV say about its pictures.

Those that FFmpeg knows are read from the header that it writes of a stream; of the others it says nothing, so their
names are read from the file itself.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from helios.media.checked_reader import Reader
from helios.media.ebml import child, elements, video_track

PATH = (b"mdia", b"minf", b"stbl", b"stsd")
"""Boxes around the sample entries of a track, from the outside."""
BEFORE_ENTRIES = 8
"""Bytes of version and count in front of the sample entries."""
BEFORE_BOXES = 78
"""Bytes of a video's sample entry in front of the boxes in it."""
MOST_BYTES = 1 << 20
"""Of a sample entry that is read: a profile of colors has some hundred kilobytes at most."""
DIGITS = 12
"""Of a digest in a message."""

CARRIED = {
    # Headers of codecs, which are compared.
    *("avcC", "hvcC", "av1C", "vpcC", "esds", "glbl", "dvcC", "dvvC", "dvwC", "d263", "jp2h", "vvcC", "evcC"),
    *("ACLR", "APRG", "ARES", "AORD", "ADHR"),
    # Facts of the pictures, which are compared, carried and read back.
    *("pasp", "clap", "fiel", "colr", "mdcv", "SmDm", "clli", "CoLL", "amve", "st3d", "sv3d", "vexu", "hfov"),
    # What says nothing about the pictures.
    *("btrt", "free", "skip"),
}
"""Boxes that need no word, since they are looked at as what they stand for."""
MAPPING, MAPPING_KIND = 0x41E4, 0x41E7
CARRIED_MAPPINGS = {b"dvcC", b"dvvC", b"\x01", b"\x04"}
"""What Matroska keeps beside the packets and FFmpeg copies: Dolby Vision, alpha, and dynamic metadata (ITU-T T.35)."""
HEADER_BYTES = 1 << 16
"""Where the tracks of a Matroska file are described, unless it has large attachments."""


def facts_in(header: bytes) -> dict[str, Any]:
    """Facts of the pictures in a header that FFmpeg has written as MP4 or MOV, by the names in `StreamFacts`."""
    found: dict[str, Any] = {}
    boxes = list(_in_entry(header))
    for kind, content in boxes:
        if kind == b"colr" and content[:4] == b"prof":
            found["color_profile"] = _digest(content)
        if kind == b"amve" and len(content) == struct.calcsize(">I2H"):
            light, x, y = struct.unpack(">I2H", content)
            found["ambient_light"] = (light / 10_000, x / 50_000, y / 50_000)
    if spatial := [content for kind, content in boxes if kind in {b"vexu", b"hfov"}]:
        found["spatial_video"] = _digest(b"".join(spatial))
    return found


def unread(path: Path, file: Reader | None) -> list[str]:
    """Name what a file says about its pictures in a way that FFmpeg does not know, and so can't carry.

    Args:
        path: The file.
        file: The same, already open; its position is kept.
    """
    with path.open("rb") if file is None else nullcontext(file) as opened:
        place = opened.tell()
        opened.seek(0)
        start = opened.read(8)
        if start[:4] == b"\x1a\x45\xdf\xa3":
            named = _mappings(start + opened.read(HEADER_BYTES))
        else:
            named = [f"box {_name(kind)}" for kind, _ in _in_file(opened) if _name(kind) not in CARRIED]
        opened.seek(place)
    return sorted(set(named))


def _mappings(header: bytes) -> list[str]:
    """What a Matroska file keeps beside its packets, and FFmpeg does not copy."""
    track = video_track(header)
    kinds = [child(one.data, MAPPING_KIND) for one in elements(track.data if track else b"") if one.id == MAPPING]
    found = [kind.data.lstrip(b"\0") for kind in kinds if kind is not None]
    return [f"block additions {_name(kind)}" for kind in found if kind not in CARRIED_MAPPINGS]


def _in_entry(header: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The boxes in the first sample entry of a header of one track."""
    at = header.find(b"stsd")
    if at < 0:
        return
    entry = at + 4 + BEFORE_ENTRIES
    size = int.from_bytes(header[entry : entry + 4])
    yield from _boxes(header[entry + 8 + BEFORE_BOXES : entry + size])


def _in_file(file: Reader) -> Iterator[tuple[bytes, bytes]]:
    """The boxes in the first sample entry of a file's first track of pictures."""
    file.seek(0, os.SEEK_END)
    for kind, begin, end in _children(file, 0, file.tell()):
        if kind != b"moov":
            continue
        for track, start, stop in _children(file, begin, end):
            if track == b"trak" and _has(file, start, stop, b"mdia", b"minf", b"vmhd"):
                yield from _entry_of(file, start, stop)
                return


def _entry_of(file: Reader, begin: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    for wanted in PATH:
        if (found := _has(file, begin, end, wanted)) is None:
            return
        begin, end = found
    file.seek(begin + BEFORE_ENTRIES)
    size = int.from_bytes(file.read(4))
    if 8 + BEFORE_BOXES < size <= min(MOST_BYTES, end - begin):
        yield from _boxes(file.read(size - 4)[4 + BEFORE_BOXES :])


def _has(file: Reader, begin: int, end: int, *path: bytes) -> tuple[int, int] | None:
    """Begin and end of what the first box of each kind contains, one inside the other."""
    for wanted in path:
        found = next((one for one in _children(file, begin, end) if one[0] == wanted), None)
        if found is None:
            return None
        _, begin, end = found
    return begin, end


def _children(file: Reader, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin and end of the content of the boxes between two places of a file."""
    while begin + 8 <= end:
        file.seek(begin)
        size, kind = struct.unpack(">I4s", file.read(8).ljust(8, b"\0"))
        head = 8
        if size == 1:
            size, head = int.from_bytes(file.read(8)), 16
        size = size or end - begin
        if size < head:
            return
        yield kind, begin + head, min(begin + size, end)
        begin += size


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8:
            return  # QuickTime ends the boxes with a zero
        yield kind, data[at + 8 : at + size]
        at += size


def _name(kind: bytes) -> str:
    return kind.decode("latin-1") if kind.isalnum() else kind.hex()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGITS]
