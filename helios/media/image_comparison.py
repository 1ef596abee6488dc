"""Compare the images of two renders of one chunk, image by image."""

from __future__ import annotations

import hashlib
import math
import threading
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from av.video.frame import VideoFrame

from helios.errors import OutputError
from helios.media.comparison import EQUAL, Comparison, FramePair, PictureMeter
from helios.media.image_encoding import DISPLAY_CURVE
from helios.media.image_file import decode_image
from helios.media.stills import beside, whole
from helios.media.verify import VerificationStoppedError
from helios.models.images import Known

LOSSLESS = {"png", "tiff", "exr", "dpx", "bmp"}
"""Decoders of images that have to be equal. A WebP does not say whether it is lossless, and counts as lossy."""
FLOAT_BYTES = 4
"""FFmpeg gives out the light of EXR, of halves too, as 32-bit floats."""
MOST_VALUES = 400_000
"""Floats of a picture that are subtracted to say how far it is apart, in a tenth of a second. All are compared."""


@dataclass(frozen=True)
class ImagePair:
    """One frame, rendered twice."""

    accepted: Path
    """The accepted image."""
    known: Known
    """What it was accepted as."""
    again: Path
    """The second one."""


def compare_images(
    pairs: Sequence[ImagePair], *, codec: str, least_psnr: float, stop: threading.Event | None = None
) -> Comparison:
    """Compare the images of a chunk with those of a second render. Images with the same bytes are not decoded.

    Args:
        pairs: In the order of their frames.
        codec: FFmpeg's name of their decoder.
        least_psnr: The PSNR of two images that is good enough, in dB. Those of lossless kinds must be equal.
        stop: Set by another thread to end the comparison early, before the next image.

    Raises:
        VerificationStoppedError: `stop` was set.
        OutputError: One of them is missing, damaged, or not what was accepted.
    """
    exact, lowest, frame, different = codec in LOSSLESS, EQUAL, None, 0
    worst: tuple[bytes, bytes] | None = None
    for index, pair in enumerate(pairs):
        if stop is not None and stop.is_set():
            raise VerificationStoppedError(f"Comparing {pair.accepted.name} was stopped")
        both = _accepted(pair), _read(pair.again)
        if both[0] == both[1]:
            continue
        pictures = [decode_image(data, codec=codec, name=pair.accepted.name) for data in both]
        if difference := _format_difference(*pictures, index=index):
            return Comparison(is_lossless=exact, format=difference)
        psnr = _psnr(*pictures)
        is_different = psnr < (EQUAL if exact else least_psnr)
        different += is_different
        if psnr < lowest:
            lowest, frame, worst = psnr, index, both if is_different else None
    return Comparison(exact, lowest, frame, different, _for_people(*worst, codec=codec) if worst else None)


def _accepted(pair: ImagePair) -> bytes:
    data = _read(pair.accepted)
    if (len(data), hashlib.sha256(data).hexdigest()) != pair.known:
        raise OutputError(f"{pair.accepted.name} was changed since it was accepted: another program writes to the file")
    return data


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise OutputError(f"{path.name} can't be read: {exc.strerror}") from exc


def _format_difference(one: VideoFrame, other: VideoFrame, *, index: int) -> str:
    mine, its = ((picture.width, picture.height, picture.format.name) for picture in (one, other))
    if mine == its:
        return ""
    said = ["{}×{} {}".format(*shape) for shape in (its, mine)]
    return f"image {index} (counted from 0) is {said[0]} instead of {said[1]}"


def _psnr(one: VideoFrame, other: VideoFrame) -> float:
    if "f32" in one.format.name:
        return _float_psnr(one, other)
    return PictureMeter(one).measure(0, one, other)


def _float_psnr(one: VideoFrame, other: VideoFrame) -> float:
    """The PSNR of light, by its own values and without a curve; the largest value, or 1, is its peak.

    Infinite only where all values are equal. Where many differ, some of the rows that do stand for all of them.
    """
    rows = [pair for pair in zip(_rows(one), _rows(other), strict=True) if pair[0] != pair[1]]
    if not rows:
        return EQUAL
    width = max(one.width, 1)
    step = max(1, len(rows) * width // MOST_VALUES)
    peak, squares, taken = 1.0, 0.0, rows[::step]
    differences: list[float] = []
    for mine, its in taken:
        values, others = array("f", mine), array("f", its)
        peak = max(peak, *(abs(value) for value in values if math.isfinite(value)))
        differences += [a - b for a, b in zip(values, others, strict=True)]
    for difference in differences:
        squares += (difference if math.isfinite(difference) else peak) ** 2
    total = len(one.planes) * one.height * width
    mean = squares * (len(rows) / len(taken)) / total
    return EQUAL if mean == 0 else 10 * math.log10(peak * peak / mean)


def _rows(picture: VideoFrame) -> Iterator[bytes]:
    """The rows of a picture's planes, without what lies between two of them."""
    for plane in picture.planes:
        data, length = memoryview(plane), picture.width * FLOAT_BYTES
        for start in range(0, plane.line_size * plane.height, plane.line_size):
            yield bytes(data[start : start + length])


def _for_people(accepted: bytes, again: bytes, *, codec: str) -> FramePair:
    """Both images as they look: light gets the display's curve."""
    options = DISPLAY_CURVE if codec == "exr" else None
    one, other = (decode_image(data, codec=codec, name="image", options=options) for data in (accepted, again))
    return FramePair(whole(one), whole(other), beside([one, other]))
