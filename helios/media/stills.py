"""Pictures of a video for people: one frame, or a sheet of several. FFmpeg's own scaler, tiles and JPEG, nothing else.

What is read here was verified before; a file that has gone meanwhile raises what opening it raises.
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.filter import Graph
from av.video.frame import VideoFrame

from helios.media.chunk_file import moving_pictures
from helios.media.first_frame import first_frame
from helios.media.opening import open_media

STILL_WIDTH = 480
"""Pixels. A JPEG of this size has 10 to 40 kB."""
SHEET_COLUMNS = 4
SHEET_STILLS = 12
TILE_WIDTH = 240
"""Pixels of one picture of a sheet; a sheet has 40 to 150 kB."""
GAP = 4
"""Pixels between two pictures."""
BEST, WORST = 3, 8
"""FFmpeg's quality scale of JPEG: 2 is the best, 31 the worst."""


def still(video: Path, *, width: int = STILL_WIDTH) -> bytes:
    """Make a JPEG of a video's first frame: any other would cost the decoding of those before it.

    Args:
        video: A file that FFmpeg can read.
        width: Pixels; a smaller video is not enlarged. The height follows from the video's shape.

    Raises:
        OSError: The file can't be read.
        ValueError: It has no frame.
    """
    return _jpeg(_scaled(first_frame(video), width))


def contact_sheet(videos: Sequence[Path]) -> bytes:
    """Make a JPEG of the first frames of videos that lie evenly over a list, in its order.

    Args:
        videos: Files in the order of their frames, of one size; at least one.

    Raises:
        OSError: A file can't be read.
        ValueError: One has no frame.
    """
    count = min(len(videos), SHEET_STILLS)
    chosen = [videos[len(videos) * number // count] for number in range(count)]
    frames = [_scaled(first_frame(video), TILE_WIDTH) for video in chosen]
    return _jpeg(_tiled(frames, columns=min(count, SHEET_COLUMNS)))


def side_by_side(*places: tuple[Path, int]) -> bytes:
    """Make a JPEG of frames beside each other.

    Args:
        places: Of each frame: its file, and its index in that, counted from 0. The files have one size.

    Raises:
        OSError: A file can't be read.
        ValueError: One has no frame.
    """
    return beside([_frame_at(video, index) for video, index in places])


def beside(frames: Sequence[VideoFrame]) -> bytes:
    """Make a JPEG of decoded frames of one size, beside each other."""
    return _jpeg(_tiled([_scaled(frame, STILL_WIDTH) for frame in frames], columns=len(frames)))


def whole(frame: VideoFrame) -> bytes:
    """Make a PNG of a decoded frame, in its own size; 8 bits for each colour, and alpha where the frame has some."""
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height = frame.width, frame.height
    encoder.pix_fmt = "rgba" if any(component.is_alpha for component in frame.format.components) else "rgb24"
    encoder.time_base = Fraction(1, 1)
    picture = frame.reformat(format=encoder.pix_fmt)
    picture.pts = None
    return b"".join(bytes(packet) for packet in (*encoder.encode(picture), *encoder.encode(None)))


def _frame_at(video: Path, index: int) -> VideoFrame:
    """A frame by its index; decodes from the key frame before it."""
    found = first_frame(video)
    if index == 0 or found.pts is None:
        return found
    with open_media(video) as container:
        stream = moving_pictures(container)[0]
        if not stream.average_rate or stream.time_base is None:
            return found
        ticks = 1 / (stream.average_rate * stream.time_base)
        wanted = found.pts + index * ticks - ticks / 2
        container.seek(round(found.pts + index * ticks), stream=stream)
        for frame in container.decode(stream):
            found = frame
            if frame.pts is not None and frame.pts >= wanted:
                break
        return found


def _tiled(frames: Sequence[VideoFrame], *, columns: int) -> VideoFrame:
    """Frames of one size as one picture, in rows."""
    first, graph = frames[0], Graph()
    source = graph.add_buffer(width=first.width, height=first.height, format=first.format, time_base=Fraction(1, 1))
    tiles = graph.add("tile", f"{columns}x{-(-len(frames) // columns)}:padding={GAP}:margin={GAP}:color=black")
    sink = graph.add("buffersink")
    source.link_to(tiles)
    tiles.link_to(sink)
    graph.configure()
    for frame in (*frames, None):
        source.push(frame)
    sheet = sink.pull()
    assert isinstance(sheet, VideoFrame)  # noqa: S101  it is a graph of pictures
    return sheet


def _scaled(frame: VideoFrame, width: int) -> VideoFrame:
    """A frame of at most a width, both sides even, in the format of JPEG pictures."""
    width = min(width, frame.width)
    height = max(2, round(frame.height * width / frame.width / 2) * 2)
    scaled = frame.reformat(max(2, width // 2 * 2), height, "yuvj420p")
    scaled.pts, scaled.time_base = None, Fraction(1, 1)
    return scaled


def _jpeg(frame: VideoFrame) -> bytes:
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "yuvj420p"
    encoder.time_base = Fraction(1, 1)
    encoder.qmin, encoder.qmax = BEST, WORST
    frame.pts = None
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))
