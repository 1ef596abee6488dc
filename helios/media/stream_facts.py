"""What a container says about the pictures of a video stream, besides what its codec says.

PyAV does not show the side data of a stream. FFmpeg's muxers write them all down, so two headers are written into
memory and read (0.3 ms).
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, fields
from fractions import Fraction
from hashlib import sha256
from typing import Any

import av
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from helios.media.ebml import VIDEO, child, elements, video_track
from helios.media.sample_entry import facts_in

UNOFFICIAL = {"strict": "unofficial"}
"""Has FFmpeg write Dolby Vision and spherical video into MP4, which it holds for no part of the standard."""
COLOR_PROFILE = "prefer_icc"
"""Has FFmpeg write an ICC profile into MP4 and MOV, instead of the numbers of the colors: it never writes both."""
FIELD_ORDERS = {2: "top first", 3: "bottom first", 4: "bottom first (stored second)", 5: "top first (stored second)"}
"""FFmpeg's numbers of the field orders that are not progressive (AVFieldOrder)."""
STEREO_MODE, ALPHA_MODE, PROJECTION, COLOUR = 0x53B8, 0x53C0, 0x7670, 0x55B0
PROJECTION_TYPE, ROLL = 0x7671, 0x7675
MAX_CLL, MAX_FALL, MASTERING = 0x55BC, 0x55BD, 0x55D0
CROPPING = (0x54BB, 0x54AA, 0x54CC, 0x54DD)
"""Matroska's numbers of pixels that are not shown at the top, the bottom, the left and the right."""
SITING = (0x55B7, 0x55B8)
"""Matroska's horizontal and vertical place of chroma samples: 1 is at the first luma sample, 2 is half-way."""
LEFT = (1, 2)
"""The place that players assume where nothing is said, as in MPEG-2 and H.264."""
BLOCK_ADDITION_MAPPING, EXTRA_DATA = 0x41E4, 0x41ED
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
ROUNDING = 1e-4
"""By how much the same number differs in two containers: MP4 keeps luminances in 1/10,000 cd/m² (ISO 14496-12)."""


@dataclass(frozen=True)
class StreamFacts:
    """Facts that hold for a whole stream; each field has its default where the container says nothing special."""

    sample_aspect_ratio: Fraction = Fraction(1)
    """Shape of a pixel, width to height."""
    rotation: str = "none"
    """How the picture is to be turned before it is shown: `90°` counter-clockwise, or the matrix that mirrors it."""
    cropping: tuple[int, ...] = ()
    """Pixels that are not shown at the top, the bottom, the left and the right, though they are coded."""
    alpha: bool = False
    """Whether the pictures have transparency."""
    field_order: str = "progressive"
    """Which of two interlaced fields comes first."""
    chroma_siting: tuple[int, ...] = LEFT
    """Where samples of chroma lie between those of luma: Matroska's numbers, horizontally and vertically."""
    stereo_mode: int = 0
    """Matroska's number for the arrangement of two views; 0 for one view."""
    projection: str = "flat"
    """Digits of the projection of a spherical video."""
    mastering_display: tuple[float, ...] = ()
    """Primaries and white as x and y, then the largest and the smallest luminance in cd/m² (SMPTE ST 2086)."""
    light_level: tuple[int, int] = (0, 0)
    """Of the brightest pixel, and of the brightest frame's mean, in cd/m² (CTA-861.3)."""
    dolby_vision: str = "none"
    """Profile and level, and the digest of the whole configuration."""
    color_profile: str = "none"
    """Digest of an ICC profile."""
    ambient_light: tuple[float, ...] = ()
    """For which the pictures were made: in lux, and its color as x and y (ambient viewing environment)."""
    spatial_video: str = "none"
    """Digest of what Apple's devices need to show two views: cameras, their distance, their field of view."""

    @classmethod
    def of(cls, stream: VideoStream) -> StreamFacts:
        """Read them from an open stream."""
        track = video_track(header_of(stream, "matroska") or b"")
        boxes = header_of(stream, "mov") or header_of(stream, "mp4")
        return cls(
            sample_aspect_ratio=stream.sample_aspect_ratio or Fraction(1),
            alpha=has_alpha(stream),
            field_order=FIELD_ORDERS.get(stream.codec_context.field_order, "progressive"),
            **_from_matroska(track.data if track else b""),
            **facts_in(boxes or b""),
            rotation=_rotation(boxes, track.data if track else b""),
        )

    def lost_in(self, other: StreamFacts) -> Iterator[str]:
        """Name what stands here and not in `other`: `rotation 90° (found: none)`."""
        for field in fields(self):
            mine, its = getattr(self, field.name), getattr(other, field.name)
            if mine != field.default and not _is_same(mine, its):
                yield f"{field.name.replace('_', ' ')} {mine} (found: {its})"


def has_alpha(stream: VideoStream) -> bool:
    """Whether a stream's pictures have transparency; VP8 and VP9 keep it beside the coded picture."""
    keys = {key.lower(): value for key, value in stream.metadata.items()}
    if keys.get("alpha_mode", "0") == "1":
        return True
    layout = stream.codec_context.format
    return layout is not None and len(layout.components) in {2, 4} and any(part.is_alpha for part in layout.components)


def header_of(stream: VideoStream | AudioStream, container: str, *, tag: str | None = None) -> bytes | None:
    """The beginning of a file that would have a copy of this stream.

    Args:
        stream: To be copied.
        container: FFmpeg's name of the format.
        tag: The name of the codec in the file (fourcc); by default FFmpeg's.

    Returns:
        The bytes; None when the container has no place for the stream, or not under this tag.
    """
    options = UNOFFICIAL | ({} if container == "matroska" else {"movflags": f"empty_moov+{COLOR_PROFILE}"})
    file = io.BytesIO()
    try:
        with av.open(file, "w", format=container, container_options=options) as output:
            copy = output.add_stream_from_template(stream, opaque=True)
            if tag is not None:
                copy.codec_context.codec_tag = tag
            output.start_encoding()
            return file.getvalue()  # before it is closed, when its end is written
    except (av.FFmpegError, ValueError):
        return None


def _is_same(mine: object, its: object) -> bool:
    if isinstance(mine, tuple) and isinstance(its, tuple) and len(mine) == len(its):
        return all(
            math.isclose(one, two, rel_tol=ROUNDING, abs_tol=ROUNDING) for one, two in zip(mine, its, strict=True)
        )
    return mine == its


def _from_matroska(track: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if mapping := child(track, BLOCK_ADDITION_MAPPING):
        found["dolby_vision"] = _dolby_vision(mapping.data)
    pictures = child(track, VIDEO)
    numbers_of = {one.id: one.number for one in elements(pictures.data)} if pictures else {}
    if any(cropping := tuple(numbers_of.get(side, 0) for side in CROPPING)):
        found["cropping"] = cropping
    if mode := child(track, VIDEO, STEREO_MODE):
        found["stereo_mode"] = mode.number
    kind = child(track, VIDEO, PROJECTION, PROJECTION_TYPE)
    projection = child(track, VIDEO, PROJECTION)
    if projection and kind and kind.number:
        found["projection"] = projection.data.hex()
    colour = child(track, VIDEO, COLOUR)
    if colour and any(siting := tuple(place.number for one in SITING if (place := child(colour.data, one)))):
        found["chroma_siting"] = siting
    if colour and (mastering := child(colour.data, MASTERING)):
        numbers = {one.id: one.real for one in elements(mastering.data)}
        found["mastering_display"] = tuple(numbers.get(number, 0.0) for number in range(0x55D1, 0x55DB))
    if colour and (light := child(colour.data, MAX_CLL)):
        mean = child(colour.data, MAX_FALL)
        found["light_level"] = (light.number, mean.number if mean else 0)
    return found


def _dolby_vision(mapping: bytes) -> str:
    """Of a configuration record (Dolby Vision Streams within the ISO Base Media File Format, section 3.2)."""
    record, digest = child(mapping, EXTRA_DATA), sha256(mapping).hexdigest()[:8]
    if record is None or len(record.data) < 4:
        return digest
    numbers = int.from_bytes(record.data[2:4])
    return f"profile {numbers >> 9} level {numbers >> 3 & 63} ({digest})"


def _rotation(header: bytes | None, track: bytes) -> str:
    """Of the display matrix: MP4 has it whole, Matroska its angle."""
    if header is None:
        roll = child(track, VIDEO, PROJECTION, ROLL)
        return _angle(roll.real) if roll else "none"
    # The track header (ISO 14496-12, section 8.3.2), version 0: the matrix is 40 bytes after its version.
    numbers = struct.unpack_from(">9i", header, header.index(b"tkhd") + 4 + 40)
    # 16.16 fixed point, but for the last column, which has 2.30.
    matrix = tuple(number / (1 << (30 if column % 3 == 2 else 16)) for column, number in enumerate(numbers))
    if (matrix[0], matrix[1]) == (matrix[4], -matrix[3]) and math.isclose(
        math.hypot(matrix[0], matrix[1]), 1, abs_tol=1e-3
    ):
        return _angle(-math.degrees(math.atan2(matrix[1], matrix[0])))
    return "none" if matrix == IDENTITY else f"matrix {' '.join(f'{number:g}' for number in matrix)}"


def _angle(degrees: float) -> str:
    whole = round(degrees) % 360
    return f"{whole}°" if whole else "none"
