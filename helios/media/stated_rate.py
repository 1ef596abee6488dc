"""The frame rate that a container states, as opposed to the one that FFmpeg guesses from a few frames."""

from fractions import Fraction
from pathlib import Path

from helios.media.checked_reader import Reader
from helios.media.ebml import DEFAULT_DURATION, child, video_track

HEADER_BYTES = 1 << 16
"""Where the tracks of a Matroska file are described at the latest, unless it has large attachments."""
RATE_TOLERANCE = Fraction(1, 10_000)
"""Tells 24 from 24000/1001 fps (1 in 1000) apart, and lets 29.97 pass for 30000/1001 (1 in 1,000,000)."""
MILLISECOND = Fraction(1, 1000)


def matroska_duration(path: Path, file: Reader | None) -> Fraction | None:
    """Seconds of a frame, as the header of a Matroska file states them; None where it does not.

    Args:
        path: The file.
        file: The same, already open; its position is kept.
    """
    if file is None:
        with path.open("rb") as opened:
            header = opened.read(HEADER_BYTES)
    else:
        place = file.tell()
        file.seek(0)
        header = file.read(HEADER_BYTES)
        file.seek(place)
    track = video_track(header)
    stated = child(track.data, DEFAULT_DURATION) if track else None
    return Fraction(stated.number, 1_000_000_000) if stated and stated.number else None


def contradicts(stated: Fraction, fps: Fraction, *, frames: int, tick: Fraction) -> bool:
    """Whether a stated duration of frames speaks against a rate, at which all time stamps are.

    It does not if it is rounded to the file's ticks, nor if the time stamps themselves speak against it.

    Args:
        stated: Seconds of a frame.
        fps: The rate, in frames per second.
        frames: How many the file has.
        tick: Seconds between two time stamps of the file.
    """
    expected = 1 / fps
    if abs(stated / expected - 1) <= RATE_TOLERANCE:
        return False
    coarse = max(tick, MILLISECOND)
    is_rounded = (stated / coarse).denominator == 1 and abs(stated - expected) < coarse
    is_refuted = (frames - 1) * abs(stated - expected) > 2 * coarse
    return not is_rounded and not is_refuted
