"""Compare encoded pictures with those that the encoder was given: how well, by FFmpeg's filter xpsnr, and whether."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.filter import Graph
from av.video.frame import VideoFrame

from helios.encode.likeness import Likeness, Unlike
from helios.errors import OutputError
from helios.media.filter_sink import ready
from helios.media.opening import open_media

HIGHEST = 100.0
"""dB of pictures that are the same."""
WEIGHTS = {"y": 4, "u": 1, "v": 1, "g": 4, "b": 1, "r": 1}
"""Of the planes: most of what the eye sees is in the first. A picture without colours has that alone."""
KEY = "lavfi.xpsnr.xpsnr."


class Xpsnr:
    """Takes pairs of pictures, and tells their score.

    Args:
        like: A picture of the kind that will come.
    """

    def __init__(self, like: VideoFrame) -> None:
        self._errors: dict[str, list[float]] = {}
        self._pairs = 0
        words = f"video_size={like.width}x{like.height}:pix_fmt={like.format.name}:time_base=1/25:frame_rate=25"
        self._format = like.format.name
        graph = Graph()
        self._sources = graph.add("buffer", words), graph.add("buffer", words)
        filter_, self._sink = graph.add("xpsnr"), graph.add("buffersink")
        for number, source in enumerate(self._sources):
            source.link_to(filter_, 0, number)
        filter_.link_to(self._sink)
        graph.configure()
        self._graph = graph

    def add(self, reference: VideoFrame, encoded: VideoFrame) -> None:
        """Compare a picture with its encode."""
        for source, frame in zip(self._sources, (reference, encoded), strict=True):
            own = frame if frame.format.name == self._format else frame.reformat(format=self._format)
            own.pts, own.time_base = self._pairs, Fraction(1, 25)
            source.push(own)
        self._pairs += 1
        self._take()

    def _take(self) -> None:
        for found in ready(self._sink):
            for name, value in found.metadata.items():
                if name.startswith(KEY) and (plane := name.removeprefix(KEY)) in WEIGHTS:
                    self._errors.setdefault(plane, []).append(10 ** (-float(value) / 20))

    def score(self) -> float:
        """DB over all pairs, when all were added: of each plane as the filter itself sums up, then (4 Y + U + V) / 6.

        The filter takes the mean of the roots of the frames' errors, and not of the frames' decibels, so that a bad
        frame counts.
        """
        for source in self._sources:
            source.push(None)
        self._take()
        total, weights = 0.0, 0
        for plane, errors in self._errors.items():
            mean = sum(errors) / len(errors)
            total += WEIGHTS[plane] * min(HIGHEST, -20 * math.log10(mean) if mean else HIGHEST)
            weights += WEIGHTS[plane]
        return max(total / weights, 0.0) if weights else 0.0


@dataclass(frozen=True)
class Score:
    """What a comparison has found."""

    xpsnr: float
    """In dB."""
    unlike: Unlike
    """Frames that look like a neighbour."""


def score_of(reference: Iterable[VideoFrame], encoded: Path, *, on_frame: Callable[[int], None] | None = None) -> Score:
    """Compare a file with its source.

    Args:
        reference: What the encoder was given.
        encoded: What it wrote.
        on_frame: Called with the number of frames that were compared.

    Raises:
        OutputError: It has other pictures, or can't be decoded.
    """
    meter: Xpsnr | None = None
    likeness, count = Likeness(encoded.name), 0
    try:
        with open_media(encoded) as file:
            for one, other in zip(reference, file.decode(video=0), strict=True):
                meter = meter or Xpsnr(one)
                likeness.add(one, other)
                meter.add(one, other)
                count += 1
                if on_frame is not None:
                    on_frame(count)
    except (av.FFmpegError, OSError) as exc:
        raise OutputError(f"{encoded.name} can't be decoded at frame {count}: {exc.strerror}") from exc
    except ValueError:
        raise OutputError(f"{encoded.name} has not as many pictures as its source; compared {count}") from None
    if meter is None:
        raise OutputError(f"{encoded.name} has no picture to compare with its source")
    unlike = likeness.result()
    return Score(xpsnr=meter.score(), unlike=unlike)
