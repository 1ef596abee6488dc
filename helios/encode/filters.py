"""A chain of FFmpeg's filters between the decoder and the encoder: what `--vf` says, one picture out for each in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

import av
from av.filter import Graph
from av.filter.context import FilterContext
from av.video.frame import VideoFrame

from helios.errors import RequestError
from helios.media.filter_sink import ready

_PIECE = re.compile(r"'[^']*'|\\.|[^'\\]", re.DOTALL)
RUN_IN, RUN_OUT = 8, 2
"""Pictures before and after a chunk that filters see too: those that look at neighbours, such as deinterlacers."""
ASPECT_UNIT = 10_000
"""The shape of a pixel is measured in this unit."""


def parse_chain(text: str) -> list[tuple[str, str]]:
    """Split `scale=1280:-2,crop=…` into names and arguments, as ffmpeg's -vf reads them.

    Raises:
        RequestError: It is no chain of filters that this PyAV has.
    """
    found = []
    for part in _split(text):
        name, _, arguments = part.strip().partition("=")
        if name not in av.filter.filters_available:
            raise RequestError(
                f"The filter {name[:40]!r} is not known to this PyAV (--vf); expected a chain of FFmpeg's filters "
                "such as scale=1280:-2,crop=1280:640"
            )
        found.append((name, arguments))
    return found


def _split(text: str) -> Iterator[str]:
    """Split at commas that are neither quoted nor escaped; one level of quotes and escapes is taken off."""
    if ";" in text or "[" in text:
        raise RequestError(f"--vf {text[:60]!r}: expected one chain of filters, without labels and branches")
    part = ""
    for piece in _PIECE.findall(text):
        if piece == ",":
            yield part
            part = ""
        elif piece[0] == "'":
            part += piece[1:-1]
        else:
            # What the filter itself reads keeps its escapes; the comma's was for the chain.
            part += "," if piece == r"\," else piece
    yield part


class FilterChain:
    """Filters pictures.

    Args:
        chain: As `parse_chain` gives it; may be empty.
        like: A picture of the kind that will come.
        time_base: Of their time stamps.
        aspect: Shape of their pixels.
        format: Pixel format of what comes out.

    Raises:
        RequestError: A filter refuses its arguments, or these pictures.
    """

    def __init__(
        self,
        chain: list[tuple[str, str]],
        *,
        like: VideoFrame,
        time_base: Fraction,
        aspect: Fraction = Fraction(1),
        format: str | None = None,  # noqa: A002  FFmpeg's word
    ) -> None:
        self._graph = Graph()
        words = {
            "video_size": f"{like.width}x{like.height}", "pix_fmt": like.format.name, "time_base": str(time_base),
            "pixel_aspect": f"{aspect.numerator}/{aspect.denominator}",
            "colorspace": str(int(like.colorspace)), "range": str(int(like.color_range)),
        }  # fmt: skip
        try:
            nodes = [self._add("buffer", ":".join(f"{name}={value}" for name, value in words.items()))]
            nodes += [self._add(name, arguments) for name, arguments in chain]
            if format is not None:
                nodes.append(self._add("format", format))
            nodes.append(self._add("buffersink", ""))
            self._graph.link_nodes(*nodes).configure()
        except (av.FFmpegError, ValueError, OSError) as exc:
            told = ",".join(f"{name}={arguments}" if arguments else name for name, arguments in chain)
            raise RequestError(
                f"The filters {told!r} can't be used on {like.width}×{like.height} {like.format.name} (--vf): "
                f"{getattr(exc, 'strerror', None) or exc}"
            ) from None
        self._source, self._sink = nodes[0], nodes[-1]

    def _add(self, name: str, arguments: str) -> FilterContext:
        return self._graph.add(name, arguments or None)

    def feed(self, frame: VideoFrame | None) -> Iterator[VideoFrame]:
        """Put a picture in, or the end (None); get those that are ready."""
        self._source.push(frame)
        yield from ready(self._sink)


def filtered_aspect(
    chain: list[tuple[str, str]], *, like: VideoFrame, time_base: Fraction, aspect: Fraction
) -> Fraction:
    """Shape of the pixels that come out of a chain.

    PyAV does not show it: so a further filter makes pictures of so many pixels.
    """
    measure = [*chain, ("scale", f"w=trunc({ASPECT_UNIT}*sar+0.5):h=16")]
    filters = FilterChain(measure, like=like, time_base=time_base, aspect=aspect)
    found = next(iter([*filters.feed(like), *filters.feed(None)]), None)
    return Fraction(found.width, ASPECT_UNIT).limit_denominator(255) if found else aspect
