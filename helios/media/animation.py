"""A job's video as an animation: a GIF of one palette, or a WebP that moves, without end.

The chunks are joined as for any video, into a file of Matroska; the animation is encoded from that as a whole. In a GIF
each chunk would else have colours of its own, and one packet of WebP is the whole animation.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from helios.errors import OutputError
from helios.media.animation_kinds import GIF
from helios.media.filter_sink import ready
from helios.media.opening import open_media
from helios.media.stitching import publish
from helios.media.verify import verify_output
from helios.media.write_errors import write_errors
from helios.models.report import OutputReport
from helios.models.verification import VerifyLevel

WEBP_QUALITY = "85"
"""Of 100."""
WEBP_TICK = Fraction(1, 1000)
"""Seconds in which a WebP counts: https://developers.google.com/speed/webp/docs/riff_container."""


def animate(joined: Path, output: Path, *, report: OutputReport, fps: Fraction, temporary: Path) -> OutputReport:
    """Encode the joined video as an animation, read that back, and give it its name.

    Args:
        joined: The video, verified.
        output: The animation's name.
        report: What is known of the video.
        fps: Frames per second.
        temporary: Where the animation is written before it is whole, in the output's folder.

    Raises:
        OutputError: The video can't be read, or the animation is not what it was.
        RequestError: An encoder refuses.
        WorkerUnavailableError: The animation can't be written.
    """
    kind, warnings = output.suffix.lower(), list(report.warnings)
    if report.audio_codec is not None:
        warnings.append(f"a {kind} has no sound: that of the chunks is left out")
    try:
        with write_errors(output, "the pictures"):
            (_write_gif if kind == GIF else _write_webp)(joined, temporary, fps=fps)
        with open_media(joined) as video:
            stream = _video(video)
            width, height, aspect = stream.width, stream.height, stream.sample_aspect_ratio
        if aspect not in (None, 0, 1):
            warnings.append(f"a {kind} has square pixels: the video's of {aspect} are shown as such")
        if kind == GIF:
            verify_output(
                temporary, frames=report.frames, fps=fps, width=width, height=height, level=VerifyLevel.DECODE
            )
        else:
            _check_webp(temporary.read_bytes(), frames=report.frames, fps=fps, size=(width, height), name=output.name)
        digest, size = publish(temporary, output.name)
    finally:
        temporary.unlink(missing_ok=True)
    return report.model_copy(
        update={
            "path": str(output), "bytes": size, "sha256": digest, "audio_codec": None, "warnings": tuple(warnings),
        }
    )  # fmt: skip


def _video(container: InputContainer) -> VideoStream:
    return container.streams.video[0]


def _pictures(joined: Path, *, fps: Fraction) -> Iterator[VideoFrame]:
    """Every picture, at its time."""
    with open_media(joined) as container:
        for number, picture in enumerate(container.decode(_video(container))):
            yield _timed(picture, number, fps)


def _write_gif(joined: Path, path: Path, *, fps: Fraction) -> None:
    """Find the 256 colours of all pictures, then draw each picture with them."""
    finder = Graph()
    with open_media(joined) as container:
        source = finder.add_buffer(template=_video(container), time_base=1 / fps)
    found = finder.add("buffersink")
    finder.link_nodes(source, finder.add("palettegen"), found).configure()
    for picture in _pictures(joined, fps=fps):
        source.push(picture)
    source.push(None)
    palette = next(ready(found))
    drawer = Graph()
    with open_media(joined) as container:
        shown = drawer.add_buffer(template=_video(container), time_base=1 / fps)
    colours = drawer.add_buffer(
        width=palette.width, height=palette.height, format=palette.format, time_base=Fraction(1, 1)
    )
    use, sink = drawer.add("paletteuse"), drawer.add("buffersink")
    shown.link_to(use, 0, 0)
    colours.link_to(use, 0, 1)
    use.link_to(sink)
    drawer.configure()
    palette.pts, palette.time_base = 0, Fraction(1, 1)
    colours.push(palette)
    colours.push(None)

    def drawn() -> Iterator[VideoFrame]:
        for picture in _pictures(joined, fps=fps):
            shown.push(picture)
            yield from ready(sink)
        shown.push(None)
        yield from ready(sink)

    _encode(drawn(), path, codec="gif", container="gif", options={}, fps=fps)


def _write_webp(joined: Path, path: Path, *, fps: Fraction) -> None:
    def drawn() -> Iterator[VideoFrame]:
        for picture in _pictures(joined, fps=fps):
            has_alpha = len(picture.format.components) in (2, 4)
            yield picture.reformat(format="yuva420p" if has_alpha else "yuv420p")

    _encode(drawn(), path, codec="libwebp_anim", container="webp", options={"quality": WEBP_QUALITY}, fps=fps)


def _encode(
    pictures: Iterator[VideoFrame], path: Path, *, codec: str, container: str, options: dict[str, str], fps: Fraction
) -> None:
    first = next(pictures)
    with av.open(str(path.absolute()), "w", format=container, container_options={"loop": "0"}) as file:
        stream = file.add_stream(codec, rate=fps, options=options)
        assert isinstance(stream, VideoStream)  # noqa: S101  narrows the type
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, first.format.name
        stream.codec_context.time_base = 1 / fps
        file.mux(stream.encode(_timed(first, 0, fps)))
        for number, picture in enumerate(pictures, 1):
            file.mux(stream.encode(_timed(picture, number, fps)))
        file.mux(stream.encode(None))


def _timed(picture: VideoFrame, number: int, fps: Fraction) -> VideoFrame:
    picture.pts, picture.time_base = number, 1 / fps
    return picture


def _check_webp(data: bytes, *, frames: int, fps: Fraction, size: tuple[int, int], name: str) -> None:
    """Look whether a WebP shows its pictures for the right time; equal ones that follow each other are one in it.

    FFmpeg does not read WebPs that move: their parts say when each picture begins.

    Raises:
        OutputError: It does not.
    """
    found, begins, time = (0, 0), [], Fraction(0)
    for tag, part in _parts_of_webp(data):
        if tag == b"VP8X":
            found = (int.from_bytes(part[4:7], "little") + 1, int.from_bytes(part[7:10], "little") + 1)
        elif tag == b"ANMF":
            begins.append(time)
            time += int.from_bytes(part[12:15], "little") * WEBP_TICK
        elif tag in (b"VP8 ", b"VP8L"):  # one picture alone
            begins, time, found = [time], frames / fps, size
    are_timed = all(abs(round(begin * fps) / fps - begin) <= WEBP_TICK for begin in begins)
    if not begins or found != size or not are_timed or abs(time - frames / fps) > 2 * WEBP_TICK:
        raise OutputError(
            f"{name} shows {len(begins)} pictures of {found[0]}×{found[1]} in {float(time):.3f} s; expected {frames} "
            f"frames of {size[0]}×{size[1]} in {float(frames / fps):.3f} s"
        )


def _parts_of_webp(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 12
    while place + 8 <= len(data):
        tag, length = data[place : place + 4], struct.unpack_from("<I", data, place + 4)[0]
        yield tag, data[place + 8 : place + 8 + length]
        place += 8 + length + length % 2
