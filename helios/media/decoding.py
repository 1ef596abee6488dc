"""Decode a chunk from its first frame to its last, and name the damaged frame.

A changed byte that decodes to another picture stays unnoticed where there is no checksum: docs/jobs.md says how much
is found in each codec.
"""

from __future__ import annotations  # av.Packet is generic in its stubs alone

from collections.abc import Callable
from typing import cast

import av
from av.audio.frame import AudioFrame
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame

from helios.errors import OutputError
from helios.media.chunk_file import ChunkFile
from helios.media.ffv1 import Ffv1Checksums

STRICT = {"err_detect": "crccheck+explode"}
"""Options of FFmpeg's decoders: every error is raised, where some decoders would go on with a part of a picture
(H.265, JPEG); checksums of pictures are compared where the encoder wrote them (H.265). FFmpeg's further checks
(bitstream, buffer) found no more damage in any codec, and report peculiarities of encoders as errors."""
UNFILTERED = {"skip_loop_filter": "all"}
"""Pictures of H.264 that nobody looks at need no smoothing of their blocks, an eighth of the time; it finds no damage.
H.265 needs it, for checksums of pictures."""


class ChunkDecoding:
    """Decodes packets as they are read. No picture is kept.

    Args:
        chunk: An open file, before its first packet is decoded.
        take: Called with each picture, in the order shown.
        listen: Called with each piece of sound, in its order.
    """

    def __init__(
        self,
        chunk: ChunkFile,
        take: Callable[[VideoFrame], None] | None = None,
        listen: Callable[[AudioFrame], None] | None = None,
    ) -> None:
        self._chunk = chunk
        self._hand_on = take
        self._listen = listen
        self._video = chunk.video.codec_context
        decoders = [self._video, *([chunk.audio.codec_context] if chunk.audio else [])]
        for decoder in decoders:
            # More threads take up to 40 % more CPU for a frame, and hold more frames in memory; other chunks have the
            # other CPUs.
            decoder.thread_count = 1
            decoder.options = dict(STRICT)
        if take is None and chunk.parameters.codec == "h264":
            self._video.options = STRICT | UNFILTERED
        self._checksums = Ffv1Checksums() if chunk.parameters.codec == "ffv1" else None
        self._waiting: dict[int | None, int] = {}
        """By time stamp, the index of each frame that the decoder was given and has not shown."""

    def feed(self, packet: Packet[Stream], index: int | None) -> None:
        """Decode a packet.

        Args:
            packet: The next in the file.
            index: Of its frame in presentation order, counted from 0; None for sound.

        Raises:
            OutputError: It can't be decoded, or not wholly.
        """
        if index is None:
            self._feed_sound(packet)
            return
        if self._checksums and (wrong := self._checksums.wrong(bytes(packet), index)) is not None:
            raise self._damage(wrong, "does not have the checksum that it states")
        self._waiting[packet.pts] = index
        try:
            pictures = self._video.decode(packet)
        except av.FFmpegError as exc:
            raise self._damage(index, f"can't be decoded ({exc.strerror})") from exc
        for picture in pictures:
            self._take(picture)

    def finish(self) -> None:
        """Decode the frames that the decoder holds back: they are stored before frames that are shown earlier.

        Raises:
            OutputError: A frame can't be decoded, or has no picture.
        """
        try:
            pictures = self._video.decode(None)
        except av.FFmpegError as exc:
            first = min(self._waiting.values(), default=self._chunk.frames - 1)
            raise self._damage(first, f"can't be decoded ({exc.strerror})") from exc
        for picture in pictures:
            self._take(picture)
        if self._waiting:
            raise self._damage(min(self._waiting.values()), "has no picture: the decoder leaves it out")

    def _take(self, picture: VideoFrame) -> None:
        if not self._waiting:
            raise OutputError(f"{self._chunk.path.name} is damaged: it has more pictures than frames")
        index = self._waiting.pop(picture.pts, None)
        if index is None:
            # The decoder gave it a time of its own. Pictures come in the order in which they are shown.
            stamp = min(self._waiting, key=lambda stamp: self._waiting[stamp])
            index = self._waiting.pop(stamp)
        if picture.is_corrupt:
            raise self._damage(index, "is incomplete: the decoder made up a part of its picture")
        if self._hand_on is not None:
            self._hand_on(picture)

    def _feed_sound(self, packet: Packet[Stream]) -> None:
        try:
            frames = packet.decode()
        except av.FFmpegError as exc:
            seconds = float((packet.pts or 0) * packet.time_base)
            raise OutputError(
                f"{self._chunk.path.name} is damaged: its sound at {seconds:.3f} s can't be decoded ({exc.strerror})"
            ) from exc
        if self._listen is not None:
            for frame in frames:
                self._listen(cast(AudioFrame, frame))

    def _damage(self, index: int, what: str) -> OutputError:
        """An error that names a frame.

        Args:
            index: Of the frame.
            what: Continues "frame 7".
        """
        frames = self._chunk.frames
        return OutputError(f"{self._chunk.path.name} is damaged: frame {index} (of {frames}, counted from 0) {what}")
