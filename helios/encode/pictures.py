"""Read a range of a video's pictures, exactly from the first to the last, without what lies before."""

from __future__ import annotations  # av.Packet is generic in its stubs alone

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from helios.encode.ranged_source import RangedSource, is_ranged
from helios.errors import OutputError, RequestError
from helios.media.checked_reader import Reader
from helios.media.chunk_file import moving_pictures
from helios.media.decoding import STRICT
from helios.media.image_encoding import DISPLAY_CURVE
from helios.media.image_file import LAX
from helios.media.opening import open_media, says_otherwise

OWN_OPTIONS = {"exr": DISPLAY_CURVE}
"""Of decoders, by FFmpeg's name."""
FIRST_STEP = Fraction(1)
"""Seconds by which the second try seeks further back; each further one goes twice as far."""


def open_source(
    path: Path, *, file: Reader | None = None, is_strict: bool = False
) -> tuple[InputContainer, VideoStream]:
    """Open a video to have its pictures decoded, by as many threads as there are CPUs.

    Args:
        path: The file.
        file: What is read instead, where it is not on this machine.
        is_strict: Whether the decoder refuses damaged pictures instead of filling in what is missing.

    Raises:
        RequestError: It can't be read, or has no moving pictures.
    """
    try:
        container = open_media(path, file)
    except (av.FFmpegError, OSError) as exc:
        raise RequestError(
            f"{path} can't be read as a video: {exc.strerror}{says_otherwise(path)}; expected a video file"
        ) from None
    videos = moving_pictures(container)
    # PyAV's stubs don't know that there may be none.
    if videos and getattr(videos[0], "codec_context", None) is None:
        container.close()
        raise RequestError(
            f"The pictures of {path} can't be decoded: they are encrypted, or of a codec that this PyAV does not know; "
            "expected a file that can be decoded"
        )
    if not videos or videos[0].codec_context.width == 0:
        container.close()
        raise RequestError(f"{path} has no video; expected a file with moving pictures")
    videos[0].thread_type = "AUTO"
    codec = videos[0].codec_context.name
    strict = (LAX if codec == "tiff" else STRICT) if is_strict else {}
    videos[0].codec_context.options = {**OWN_OPTIONS.get(codec, {}), **strict}
    return container, videos[0]


class PictureReader:
    """The pictures of one video file.

    Args:
        path: The file.

    Raises:
        RequestError: As `open_source`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = RangedSource(path) if is_ranged(path) else None
        except OSError as exc:
            raise OutputError(f"{path.name} can't be had of the worker: {exc.strerror}") from exc
        self._container, self.stream = open_source(path, file=self._file)

    def close(self) -> None:
        """Close the file."""
        self._container.close()
        if self._file is not None:
            self._file.close()

    def pictures(self, first: int) -> Iterator[VideoFrame]:
        """Decode the pictures from the one with a time stamp to the end.

        Containers find key frames by the time of decoding, and some key frames are followed by pictures that are shown
        before them and need earlier ones (open groups of pictures). So what was found is checked, and looked for
        further back until the picture that comes first is the one that was asked for.

        Args:
            first: Time stamp of the first picture, in the stream's ticks.

        Raises:
            OutputError: There is no such picture, or the file is damaged.
        """
        tick = self.stream.time_base or Fraction(1)
        start, back = self.stream.start_time or 0, 0
        while True:
            frames = self._from(max(first - back, start))
            found = next((frame for frame in frames if frame.pts is not None and frame.pts >= first), None)
            if found is not None and found.pts == first and not found.is_corrupt:
                yield found
                yield from frames
                return
            if first - back <= start:
                at = "none" if found is None or found.pts is None else f"{float(found.pts * tick):.4f} s"
                raise OutputError(
                    f"{self._path.name} has no whole picture at {float(first * tick):.4f} s (found next: {at}); "
                    "expected the file that was analysed"
                )
            back = 2 * back or round(FIRST_STEP / tick)

    def _from(self, ticks: int) -> Iterator[VideoFrame]:
        """Decode from a key frame at or before a time stamp."""
        is_begun = False
        try:
            if ticks <= (self.stream.start_time or 0):
                self._reopen()
            else:
                self._container.seek(ticks, stream=self.stream)
            for packet in self._container.demux(self.stream):
                is_begun = is_begun or packet.is_keyframe
                if is_begun:
                    yield from packet.decode()
        except (av.FFmpegError, OSError) as exc:
            raise OutputError(f"{self._path.name} is damaged: {exc.strerror}") from exc

    def _reopen(self) -> None:
        """Begin at the very start: seeking there skips what some containers have before their first key frame."""
        self._container.close()
        if self._file is not None:
            self._file.seek(0)
        self._container, self.stream = open_source(self._path, file=self._file)
